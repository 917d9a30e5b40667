"""Codes of MFA devices: asked of a person, or computed from a seed that the store keeps.

AWS takes each code once. What was used last is written down for the next flight, so that two calls
of one run, or two programs at once, never send the same code.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable
from typing import Final, TypeVar

from privyseal.aws import items
from privyseal.aws.means import Means
from privyseal.aws.ports import Item
from privyseal.aws.refusals import WrongCodeError
from privyseal.errors import CorruptError, DeniedError, NotFoundError, PrivysealError, UsageError
from privyseal.model.secret import Secret

_T = TypeVar("_T")

_TRIES: Final = 3
_STEP_SECONDS: Final = 30
_DIGITS: Final = 6
_FORGOTTEN_STEPS: Final = 2  # AWS takes the step before, this one and the next
_CODE: Final = re.compile(r"[0-9]{6}")
_MIN_SEED: Final = 10


class Codes:
    """Gets codes for calls."""

    def __init__(self, means: Means) -> None:
        self._store = means.store
        self._talk = means.talk
        self._clock = means.clock
        self._flights = means.flights

    def spend(self, serial: str, call: Callable[[str], _T]) -> _T:
        """Return what `call` makes with a code of the device; a wrong one is asked for anew.

        Raises:
            DeniedError: She gave up, or AWS refused three codes.
            PrivysealError: The call failed for another reason.
        """
        with self._flights.one(f"mfa {serial}"):
            # Whoever waits for this device wants another call: that one may do, so what went wrong
            # with ours is no failure of the flight.
            made, failure = self._tried(serial, call)
        if failure:
            raise failure
        return made[0]

    def _tried(
        self, serial: str, call: Callable[[str], _T]
    ) -> tuple[list[_T], PrivysealError | None]:
        seed = self._seed(serial)
        again = ""
        for _ in range(_TRIES):
            code = self._computed(serial, seed) if seed else self._asked(serial, again)
            self._flights.note(f"mfa {serial}", f"{self._step()} {_digest(code)}")
            try:
                return [call(code)], None
            except WrongCodeError:
                again = "AWS refused this code"
            except PrivysealError as error:
                return [], error
        raise DeniedError(
            f"AWS refused {_TRIES} codes of {serial!r}",
            hint="compare the serial number, and the clocks of the device and of this machine",
        )

    def _seed(self, serial: str) -> bytes:
        try:
            return _decoded(self._store.read(items.seed_key(serial)).value.expose())
        except NotFoundError:
            return b""

    def _computed(self, serial: str, seed: bytes) -> str:
        from cryptography.hazmat.primitives.hashes import SHA1  # noqa: PLC0415 - opt-in
        from cryptography.hazmat.primitives.twofactor.totp import TOTP  # noqa: PLC0415

        used, _ = self._used(serial)
        while self._step() <= used:
            self._talk.wait((used + 1) * _STEP_SECONDS - self._clock.wall())
        sha1 = SHA1()  # noqa: S303 - what AWS's virtual devices use (RFC 6238)
        device = TOTP(seed, _DIGITS, sha1, _STEP_SECONDS, enforce_key_length=False)
        return device.generate(int(self._clock.wall())).decode()

    def _asked(self, serial: str, again: str) -> str:
        used, digest = self._used(serial)
        for _ in range(_TRIES):
            code = re.sub(r"\s", "", self._talk.code(serial, again))
            if not _CODE.fullmatch(code):
                again = "a code has six digits"
            elif _digest(code) == digest and self._step() - used <= _FORGOTTEN_STEPS:
                again = "this code has been used: wait for the next one"
            else:
                return code
        raise DeniedError(f"no code of {serial!r}: {again}")

    def _used(self, serial: str) -> tuple[int, str]:
        step, _, digest = self._flights.noted(f"mfa {serial}").partition(" ")
        used = int(step) if step.isdecimal() else -1
        # One from far ahead is of a clock that was wrong: to wait for it may take days.
        return (used, digest) if used - self._step() <= _FORGOTTEN_STEPS else (-1, "")

    def _step(self) -> int:
        return int(self._clock.wall()) // _STEP_SECONDS


def seed_item(serial: str, seed: str) -> Item:
    """Return the entry that keeps the seed of a virtual device, given as its base32 text.

    Raises:
        UsageError: The text is no seed.
    """
    text = re.sub(r"[\s=-]", "", seed).upper()
    try:
        _decoded(text.encode())
    except CorruptError:
        raise UsageError("the seed is not base32 of at least 10 bytes") from None
    value, label = Secret(text.encode()), f"MFA seed ({serial})"
    return Item(items.seed_key(serial), value, label, "virtual MFA device")


def _decoded(text: bytes) -> bytes:
    try:
        seed = base64.b32decode(text + b"=" * (-len(text) % 8))
    except binascii.Error:
        seed = b""
    if len(seed) < _MIN_SEED:
        raise CorruptError("the seed of an MFA device in the store is not one")
    return seed


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()
