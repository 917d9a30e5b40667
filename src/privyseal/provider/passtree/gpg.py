"""gpg as a child: it encrypts, decrypts and opens, and never asks anybody.

The keys are those of the GnuPG home beside the store. Open means that the agent there has the
passphrase; nothing of it stays here.
"""

import asyncio
import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from privyseal.errors import (
    CorruptError,
    DeniedError,
    LockedError,
    PrivysealError,
    UsageError,
)
from privyseal.model.secret import Secret
from privyseal.provider.passtree.child import Outcome, run
from privyseal.runtime.memfd import seal

MAX_CONTENT: Final = 4 * 1024 * 1024
MAX_FILE: Final = 2 * MAX_CONTENT

# Not --quiet: with it, gpg 2.2 does not say why a decryption failed. The file with the random seed
# is locked for seconds where many run at once; the kernel's randomness needs no such file.
_GPG: Final = ("gpg", "--batch", "--no-tty", "--yes", "--no-random-seed-file", "--status-fd", "2")
_AT_ONCE: Final = 8
_FAILED: Final = re.compile(r"^\[GNUPG:\] ERROR pkdecrypt_failed (\d+)", re.MULTILINE)
_MADE: Final = re.compile(r"^\[GNUPG:\] KEY_CREATED \S+ ([0-9A-F]{40,64})", re.MULTILINE)
_MAX_PASSPHRASE: Final = 4096
# libgpg-error codes; the upper bits of the number name the program that failed.
_BAD_PASSPHRASE: Final = 11
_WOULD_ASK: Final = frozenset({85, 99})  # no pinentry, cancelled
_STOP_SECONDS: Final = 0.5
_SECONDS: Final = 30.0

# The agent holds what a person typed until the store is locked, which ends it.
_AGENT: Final = """\
default-cache-ttl 34560000
max-cache-ttl 34560000
no-allow-external-cache
"""


class Gpg:
    """gpg with the keys in one home folder; `bus` is where its agent's pinentry finds the keeper."""

    def __init__(self, home: Path, bus: str = "") -> None:
        self.home = home
        self._some = asyncio.Semaphore(_AT_ONCE)
        self._env = {
            "PATH": os.environ.get("PATH", os.defpath),
            # Not its parent: gpg would take the home for its usual one, and the socket in /run/user
            # of this user's own agent for ours.
            "HOME": str(home),
            "GNUPGHOME": str(home),
            "LC_ALL": "C.UTF-8",
            **({"DBUS_SESSION_BUS_ADDRESS": bus} if bus else {}),
        }

    async def encrypt(self, content: bytes, recipients: Sequence[str]) -> bytes:
        """Return `content` for these recipients, as pass does it.

        Raises:
            PrivysealError: A recipient has no key here.
        """
        to = [word for recipient in recipients for word in ("--recipient", recipient)]
        outcome = await self._run(
            "--trust-model", "always", "--no-encrypt-to", "--compress-algo", "none", *to,
            "--encrypt", given=content, limit=MAX_FILE,
        )  # fmt: skip
        if outcome.status:
            raise PrivysealError(
                f"gpg cannot encrypt to {', '.join(recipients)!r}: {_reason(outcome)}",
                hint="import the public keys of everybody in `.gpg-id`",
            )
        return outcome.out

    async def decrypt(self, content: bytes, *, seconds: float = _SECONDS) -> bytes:
        """Return what a file holds.

        Raises:
            LockedError: It takes a passphrase that the agent has not got.
            CorruptError: No key here opens it, or it is damaged.
            UnreachableError: It took longer than `seconds`.
        """
        outcome = await self._run(
            "--pinentry-mode", "error", "--max-output", str(MAX_CONTENT), "--decrypt",
            given=content, limit=MAX_CONTENT, seconds=seconds,
        )  # fmt: skip
        _check(outcome)
        return outcome.out

    async def unlock(self, sample: bytes, passphrase: Secret) -> None:
        """Give the agent the passphrase of the key that opens `sample`.

        Raises:
            DeniedError: It is wrong.
        """
        _check(
            await self._with_passphrase(
                passphrase, "--max-output", str(MAX_CONTENT), "--decrypt", given=sample
            )
        )

    async def prepare(self) -> None:
        """Make the home, and tell its agent how we want it, unless somebody told it already."""
        conf = self.home / "gpg-agent.conf"
        if conf.exists():
            return
        pinentry = Path(sys.prefix) / "bin" / "privyseal-pinentry"
        asks = f"pinentry-program {pinentry}\n" if pinentry.exists() else ""
        try:
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
            conf.write_text(_AGENT + asks)
        except OSError as error:
            raise PrivysealError(f"cannot write {str(conf)!r}: {error.strerror}") from error
        await self.lock()  # which lets an agent that runs already read it

    async def make_key(self, passphrase: Secret) -> str:
        """Make the home and a key for a new store; return its fingerprint."""
        await self.prepare()
        outcome = await self._with_passphrase(
            passphrase, "--quick-generate-key", "Privyseal store", "future-default", "default",
            "never",
        )  # fmt: skip
        made = _MADE.search(outcome.said)
        if outcome.status or made is None:
            raise PrivysealError(f"gpg cannot make a key: {_reason(outcome)}")
        return made[1]

    async def lock(self) -> None:
        """Let the agent forget every passphrase.

        Raises:
            PrivysealError: It does not answer.
        """
        flush = ["gpg-connect-agent", "reloadagent", "/bye"]
        outcome = await run(flush, env=self._env, limit=MAX_FILE)
        if outcome.status or not outcome.out.startswith(b"OK"):
            raise PrivysealError("gpg's agent does not say that it forgot its passphrases")

    async def close(self) -> None:
        """End the agent."""
        with suppress(PrivysealError):
            await run(["gpgconf", "--kill", "gpg-agent"], env=self._env, seconds=_STOP_SECONDS)

    async def _with_passphrase(
        self, passphrase: Secret, *words: str, given: bytes = b""
    ) -> Outcome:
        value = passphrase.expose()
        if not value or b"\n" in value or len(value) > _MAX_PASSPHRASE:
            raise UsageError(f"a passphrase for gpg is one line of 1 to {_MAX_PASSPHRASE} bytes")
        fd = seal(value)
        try:
            os.lseek(fd, 0, os.SEEK_SET)
            loopback = ("--pinentry-mode", "loopback", "--passphrase-fd", str(fd))
            return await self._run(*loopback, *words, given=given, limit=MAX_CONTENT, fds=(fd,))
        finally:
            os.close(fd)

    async def _run(
        self,
        *words: str,
        given: bytes = b"",
        limit: int = 0,
        fds: Sequence[int] = (),
        seconds: float = _SECONDS,
    ) -> Outcome:
        command = [*_GPG, *words]
        async with self._some:
            return await run(
                command, env=self._env, given=given, limit=limit, fds=fds, seconds=seconds
            )


def _check(outcome: Outcome) -> None:
    if not outcome.status:
        return
    codes = {int(number) & 0xFFFF for number in _FAILED.findall(outcome.said)}
    if _BAD_PASSPHRASE in codes:
        raise DeniedError("the passphrase is wrong")
    if codes & _WOULD_ASK:
        raise LockedError("the key of the store is locked")
    raise CorruptError(f"gpg cannot decrypt: {_reason(outcome)}")


def _reason(outcome: Outcome) -> str:
    said = [line for line in outcome.said.splitlines() if line.startswith("gpg: ")]
    return repr(said[-1][5:205]) if said else f"status {outcome.status}"
