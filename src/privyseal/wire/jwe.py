"""One compact JWE for a passphrase: PBES2-HS256+A128KW with A256GCM (RFC 7516, RFC 7518 §4.8).

That is what aws-vault's file store holds. Deriving the wrapping key is the slow part, on purpose;
it is a step of its own here, so that one derivation can serve several files of the same salt.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from privyseal.errors import CorruptError, DeniedError, LimitError, UnsupportedError
from privyseal.model.secret import Secret

ALG: Final = "PBES2-HS256+A128KW"
ENC: Final = "A256GCM"
MAX_ROUNDS: Final = 1_300_000
"""jose2go, with which aws-vault reads, refuses more; so do we, or a file could stop us for hours."""

SALT_BYTES: Final = 16
_MIN_SALT: Final = 8
_CEK_BYTES: Final = 32
_IV_BYTES: Final = 12
_TAG_BYTES: Final = 16
_PARTS: Final = 5


class Sealed(NamedTuple):
    """A JWE, not yet opened. What `header` says is not authentic before `unseal` has returned."""

    header: Mapping[str, object]
    salt: bytes
    rounds: int
    protected: bytes
    wrapped: bytes
    iv: bytes
    ciphertext: bytes
    tag: bytes


def derive(passphrase: Secret, salt: bytes, rounds: int) -> bytes:
    """Return the wrapping key for a passphrase: `rounds` of PBKDF2."""
    full_salt = ALG.encode() + b"\0" + salt
    return hashlib.pbkdf2_hmac("sha256", passphrase.expose(), full_salt, rounds, 16)


def seal(
    payload: bytes,
    *,
    kek: bytes,
    salt: bytes,
    rounds: int,
    more: Mapping[str, object],
    random: Callable[[int], bytes],
) -> bytes:
    """Return a JWE whose content key `kek` wraps; `more` goes into its header, for all to read."""
    header = {**more, "alg": ALG, "enc": ENC, "p2c": rounds, "p2s": _b64(salt).decode()}
    protected = _b64(json.dumps(header, separators=(",", ":")).encode())
    cek, iv = random(_CEK_BYTES), random(_IV_BYTES)
    sealed = AESGCM(cek).encrypt(iv, payload, protected)
    ciphertext, tag = sealed[:-_TAG_BYTES], sealed[-_TAG_BYTES:]
    parts = (aes_key_wrap(kek, cek), iv, ciphertext, tag)
    return b".".join([protected, *map(_b64, parts)])


def parse(text: bytes) -> Sealed:
    """Return the parts of a JWE.

    Raises:
        CorruptError: It is none.
        UnsupportedError: It is one of another kind.
        LimitError: It asks for more rounds than are accepted.
    """
    parts = text.strip().split(b".")
    if len(parts) != _PARTS:
        raise CorruptError("it is no compact JWE: it has no five parts")
    try:
        header = json.loads(_unb64(parts[0]))
        wrapped, iv, ciphertext, tag = map(_unb64, parts[1:])
    except (ValueError, RecursionError):
        raise CorruptError("it is no compact JWE: its parts are no base64url") from None
    if not isinstance(header, dict):
        raise CorruptError("it is no compact JWE: its header is no object")
    if header.get("alg") != ALG or header.get("enc") != ENC or "crit" in header:
        raise UnsupportedError(f"it is encrypted in another way than by {ALG} with {ENC}")
    salt, rounds = _parameters(header)
    if (len(iv), len(tag)) != (_IV_BYTES, _TAG_BYTES):
        raise CorruptError("its nonce or its tag has the wrong length")
    return Sealed(header, salt, rounds, parts[0], wrapped, iv, ciphertext, tag)


def unseal(sealed: Sealed, kek: bytes) -> bytes:
    """Return the payload.

    Raises:
        DeniedError: The wrapping key does not fit: the passphrase is another one.
        CorruptError: The key fits, but the rest was changed.
    """
    try:
        cek = aes_key_unwrap(kek, sealed.wrapped)
    except (InvalidUnwrap, ValueError):
        raise DeniedError("the passphrase does not open it") from None
    try:
        return AESGCM(cek).decrypt(sealed.iv, sealed.ciphertext + sealed.tag, sealed.protected)
    except (InvalidTag, ValueError):
        raise CorruptError("it was changed since it was written") from None


def _parameters(header: Mapping[str, object]) -> tuple[bytes, int]:
    salt, rounds = header.get("p2s"), header.get("p2c")
    if not isinstance(salt, str) or not isinstance(rounds, int) or isinstance(rounds, bool):
        raise CorruptError("its header has no salt or no count of rounds")
    if rounds > MAX_ROUNDS:
        raise LimitError(f"it asks for {rounds} rounds of PBKDF2: more than {MAX_ROUNDS}")
    try:
        raw = _unb64(salt.encode())
    except ValueError:
        raw = b""
    if rounds < 1 or len(raw) < _MIN_SALT:
        raise CorruptError("its header has no salt or no count of rounds")
    return raw, rounds


def _b64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _unb64(text: bytes) -> bytes:
    standard = text.translate(bytes.maketrans(b"-_", b"+/"))
    return base64.b64decode(standard + b"=" * (-len(text) % 4), validate=True)
