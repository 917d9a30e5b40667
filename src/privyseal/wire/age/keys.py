"""Who an age file is for: X25519 keys, post-quantum hybrid keys, and passphrases.

A recipient wraps the file key into a stanza, an identity finds its stanza and unwraps it. The
hybrid is ML-KEM-768 with X25519 in HPKE (RFC 9180), as the age specification of 2025 has it.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from typing import ClassVar, Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from privyseal.errors import CorruptError, LimitError, UsageError
from privyseal.model.secret import Secret
from privyseal.wire.age import bech32
from privyseal.wire.age.header import FILE_KEY_BYTES, Stanza, decode64, derive, encode64

Random = Callable[[int], bytes]
"""Returns that many unpredictable bytes."""

WORK_FACTOR: Final = 18
"""Base-2 logarithm of scrypt's cost when encrypting: 256 MiB and about a second."""

MAX_WORK_FACTOR: Final = 20
"""What is accepted when decrypting: 1 GiB; a hostile file could ask for any amount."""

_X25519_INFO: Final = b"age-encryption.org/v1/X25519"
_SCRYPT_INFO: Final = b"age-encryption.org/v1/scrypt"
_HYBRID_INFO: Final = b"age-encryption.org/mlkem768x25519"
_KEY_BYTES: Final = 32
_SALT_BYTES: Final = 16
_MLKEM_PUBLIC: Final = 1184
_MLKEM_SEED: Final = 64
_WRAPPED_BYTES: Final = FILE_KEY_BYTES + 16
_NONCE: Final = bytes(12)  # each wrapping key is used once
_SUITE: Final = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
_ENC_BYTES: Final = KEM.MLKEM768_X25519.enc_length()


class Recipient(Protocol):
    """Somebody who shall be able to read a file; `label` must be the same for all of a file."""

    label: ClassVar[str]

    def wrap(self, file_key: bytes, random: Random) -> Stanza:
        """Return the file key for this recipient alone."""
        ...


class Identity(Protocol):
    """Somebody who may be able to read a file."""

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        """Return the file key, None when no stanza is for this identity.

        Raises:
            CorruptError: A stanza of its kind is malformed.
        """
        ...


class X25519Recipient:
    """A public key, written `age1...`."""

    label: ClassVar[str] = "classical"

    def __init__(self, key: bytes) -> None:
        self._key = key

    def __str__(self) -> str:
        return bech32.encode("age", self._key)

    def wrap(self, file_key: bytes, random: Random) -> Stanza:
        """Return an `X25519` stanza.

        Raises:
            UsageError: The public key is not a usable point.
        """
        ephemeral = X25519PrivateKey.from_private_bytes(random(_KEY_BYTES))
        share = ephemeral.public_key().public_bytes_raw()
        try:
            secret = ephemeral.exchange(X25519PublicKey.from_public_bytes(self._key))
        except ValueError as error:
            raise UsageError("the recipient's key is not usable") from error
        key = derive(secret, share + self._key, _X25519_INFO)
        body = ChaCha20Poly1305(key).encrypt(_NONCE, file_key, None)
        return Stanza("X25519", (encode64(share),), body)


class X25519Identity:
    """A private key, written `AGE-SECRET-KEY-1...`."""

    def __init__(self, key: Secret) -> None:
        self._key = X25519PrivateKey.from_private_bytes(key.expose())
        self._public = self._key.public_key().public_bytes_raw()

    def recipient(self) -> X25519Recipient:
        """Return the public half."""
        return X25519Recipient(self._public)

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        """Return the file key from the first `X25519` stanza that opens."""
        for stanza in stanzas:
            if stanza.kind == "X25519":
                share = _argument(stanza, _KEY_BYTES)
                try:
                    secret = self._key.exchange(X25519PublicKey.from_public_bytes(share))
                except ValueError as error:
                    raise CorruptError("the age header holds a key of low order") from error
                key = derive(secret, share + self._public, _X25519_INFO)
                file_key = _open(key, stanza)
                if file_key is not None:
                    return file_key
        return None


class HybridRecipient:
    """A post-quantum public key, written `age1pq1...`."""

    label: ClassVar[str] = "post-quantum"

    def __init__(self, key: bytes) -> None:
        self._encoded = key
        try:
            self._key = MLKEM768X25519PublicKey(
                MLKEM768PublicKey.from_public_bytes(key[:_MLKEM_PUBLIC]),
                X25519PublicKey.from_public_bytes(key[_MLKEM_PUBLIC:]),
            )
        except ValueError as error:
            raise UsageError("the recipient's key is not usable") from error

    def __str__(self) -> str:
        return bech32.encode("age1pq", self._encoded)

    def wrap(self, file_key: bytes, random: Random) -> Stanza:
        """Return an `mlkem768x25519` stanza; the HPKE library draws its own randomness."""
        del random
        sealed = _SUITE.encrypt(file_key, self._key, _HYBRID_INFO)
        return Stanza("mlkem768x25519", (encode64(sealed[:_ENC_BYTES]),), sealed[_ENC_BYTES:])


class HybridIdentity:
    """A post-quantum private key, written `AGE-SECRET-KEY-PQ-1...`: the seed of both its halves."""

    def __init__(self, seed: Secret) -> None:
        expanded = hashlib.shake_256(seed.expose()).digest(_MLKEM_SEED + _KEY_BYTES)
        self._mlkem = MLKEM768PrivateKey.from_seed_bytes(expanded[:_MLKEM_SEED])
        self._x25519 = X25519PrivateKey.from_private_bytes(expanded[_MLKEM_SEED:])
        self._key = MLKEM768X25519PrivateKey(self._mlkem, self._x25519)

    def recipient(self) -> HybridRecipient:
        """Return the public half."""
        return HybridRecipient(
            self._mlkem.public_key().public_bytes_raw()
            + self._x25519.public_key().public_bytes_raw()
        )

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        """Return the file key from the first `mlkem768x25519` stanza that opens."""
        for stanza in stanzas:
            if stanza.kind == "mlkem768x25519":
                enc = _argument(stanza, _ENC_BYTES)
                try:
                    self._x25519.exchange(X25519PublicKey.from_public_bytes(enc[-_KEY_BYTES:]))
                except ValueError as error:
                    raise CorruptError("the age header holds a key of low order") from error
                try:
                    return _SUITE.decrypt(enc + stanza.body, self._key, _HYBRID_INFO)
                except InvalidTag:
                    continue
        return None


class ScryptRecipient:
    """A passphrase; it can be a file's only recipient. Wrapping takes memory and time."""

    label: ClassVar[str] = "passphrase"

    def __init__(self, passphrase: Secret, *, work_factor: int = WORK_FACTOR) -> None:
        self._passphrase = passphrase
        self._work_factor = work_factor

    def wrap(self, file_key: bytes, random: Random) -> Stanza:
        """Return a `scrypt` stanza."""
        salt = random(_SALT_BYTES)
        key = _stretch(self._passphrase, salt, self._work_factor)
        body = ChaCha20Poly1305(key).encrypt(_NONCE, file_key, None)
        return Stanza("scrypt", (encode64(salt), str(self._work_factor)), body)


class ScryptIdentity:
    """A passphrase to try; `max_work_factor` bounds what a file may cost."""

    def __init__(self, passphrase: Secret, *, max_work_factor: int = MAX_WORK_FACTOR) -> None:
        self._passphrase = passphrase
        self._max_work_factor = max_work_factor

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        """Return the file key when the file's stanza is a `scrypt` one and the passphrase fits."""
        (stanza,) = stanzas if len(stanzas) == 1 else (None,)
        if stanza is None or stanza.kind != "scrypt":
            return None
        _, factor = stanza.arguments if len(stanza.arguments) == 2 else ("", "")  # noqa: PLR2004 - salt and factor
        if not re.fullmatch(r"[1-9][0-9]{0,3}", factor):
            raise CorruptError("the age header has a malformed work factor")
        if int(factor) > self._max_work_factor:
            raise LimitError(
                f"the age header asks for 2^{factor} rounds of scrypt,"
                f" more than the limit of 2^{self._max_work_factor}"
            )
        salt = _argument(stanza, _SALT_BYTES)
        return _open(_stretch(self._passphrase, salt, int(factor)), stanza)


def parse_recipient(text: str) -> Recipient:
    """Return the recipient written as `age1...` or `age1pq1...`.

    Raises:
        UsageError: It is neither.
    """
    try:
        prefix, key = bech32.decode(text)
    except UsageError as error:
        raise UsageError(f"{text[:40]!r} is no age recipient: {error}") from error
    if text == text.lower() and prefix == "age" and len(key) == _KEY_BYTES:
        return X25519Recipient(key)
    if text == text.lower() and prefix == "age1pq" and len(key) == _MLKEM_PUBLIC + _KEY_BYTES:
        return HybridRecipient(key)
    raise UsageError(f"{text[:40]!r} is no age recipient", hint="give one that begins with age1")


def parse_identities(text: Secret) -> list[Identity]:
    """Return the identities of an age identity file: one a line, `#` begins a comment.

    Raises:
        UsageError: A line is no identity; it is named by its number only.
    """
    found: list[Identity] = []
    for number, line in enumerate(text.expose().splitlines(), 1):
        if line.strip() and not line.startswith(b"#"):
            try:
                found.append(_identity(line.strip().decode("ascii")))
            except (UsageError, UnicodeDecodeError):
                raise UsageError(f"line {number} of the identity file is no age identity") from None
    if not found:
        raise UsageError("the identity file holds no identity")
    return found


def _identity(text: str) -> Identity:
    prefix, key = bech32.decode(text)
    if text == text.upper() and len(key) == _KEY_BYTES:
        if prefix == "age-secret-key-":
            return X25519Identity(Secret(key))
        if prefix == "age-secret-key-pq-":
            return HybridIdentity(Secret(key))
    raise UsageError("not an age identity")


def _argument(stanza: Stanza, size: int) -> bytes:
    """Return the first argument of a stanza of ours, after its form was checked."""
    data = decode64(stanza.arguments[0]) if stanza.arguments else b""
    arguments = 2 if stanza.kind == "scrypt" else 1
    # The body's length is checked before it is decrypted: a longer file key that several
    # recipients unwrap differently could make one file mean different things to each.
    if (
        len(data) != size
        or len(stanza.arguments) != arguments
        or len(stanza.body) != _WRAPPED_BYTES
    ):
        raise CorruptError(f"the age header has a malformed {stanza.kind} recipient")
    return data


def _stretch(passphrase: Secret, salt: bytes, work_factor: int) -> bytes:
    return Scrypt(_SCRYPT_INFO + salt, 32, 2**work_factor, 8, 1).derive(passphrase.expose())


def _open(key: bytes, stanza: Stanza) -> bytes | None:
    try:
        return ChaCha20Poly1305(key).decrypt(_NONCE, stanza.body, None)
    except InvalidTag:
        return None
