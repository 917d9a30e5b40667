"""How a Secret Service session hides secrets from those who watch the bus.

Two algorithms of the Secret Service specification: `plain`, which hides nothing, and
`dh-ietf1024-sha256-aes128-cbc-pkcs7`. The second has no integrity and a group of 1024 bits: it
keeps a passive monitor of the bus from reading along, and promises no more.
"""

from collections.abc import Callable
from typing import Final, Protocol

from cryptography.hazmat.primitives.ciphers import Cipher as BlockCipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.padding import PKCS7

from privyseal.errors import LimitError, UnsupportedError, UsageError
from privyseal.model.value import MAX_SECRET

PLAIN: Final = "plain"
DH: Final = "dh-ietf1024-sha256-aes128-cbc-pkcs7"

PRIME: Final = int(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74"
    "020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F1437"
    "4FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED"
    "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE65381FFFFFFFFFFFFFFFF",
    16,
)
"""The second Oakley group (RFC 2409, section 6.2); its generator is 2."""

_GENERATOR: Final = 2
_WIDTH: Final = 128
_BLOCK: Final = 16

Random = Callable[[int], bytes]
"""Gives that many unpredictable bytes."""


class Cipher(Protocol):
    """What a session does with each secret."""

    def seal(self, value: bytes, random: Random) -> tuple[bytes, bytes]:
        """Return parameters and value as they go on the bus."""
        ...

    def unseal(self, parameters: bytes, value: bytes) -> bytes:
        """Return the secret.

        Raises:
            UsageError: It was not made for this session; nothing says in what respect.
            LimitError: It is longer than a secret may be.
        """
        ...


class PlainCipher:
    """Hides nothing."""

    def seal(self, value: bytes, random: Random) -> tuple[bytes, bytes]:  # noqa: ARG002 - the protocol's shape
        """Return the value as it is."""
        return b"", value

    def unseal(self, parameters: bytes, value: bytes) -> bytes:
        """Return the value as it is; there are no parameters."""
        if parameters:
            raise UsageError("the secret does not fit its session")
        return _bounded(value)


class AesCipher:
    """AES-128-CBC with PKCS#7 padding (RFC 5652, section 6.3) and a fresh vector for each secret."""

    def __init__(self, key: bytes) -> None:
        self._algorithm = AES(key)

    def seal(self, value: bytes, random: Random) -> tuple[bytes, bytes]:
        """Return a fresh vector and the ciphertext."""
        vector = random(_BLOCK)
        padder = PKCS7(AES.block_size).padder()
        encryptor = BlockCipher(self._algorithm, CBC(vector)).encryptor()
        padded = padder.update(value) + padder.finalize()
        return vector, encryptor.update(padded) + encryptor.finalize()

    def unseal(self, parameters: bytes, value: bytes) -> bytes:
        """Return the secret; wrong length, vector and padding look the same from outside."""
        try:
            decryptor = BlockCipher(self._algorithm, CBC(parameters)).decryptor()
            padded = decryptor.update(value) + decryptor.finalize()
            # cryptography checks the padding in constant time and raises one error for all faults.
            unpadder = PKCS7(AES.block_size).unpadder()
            plain = unpadder.update(padded) + unpadder.finalize()
        except ValueError:
            raise UsageError("the secret does not fit its session") from None
        return _bounded(plain)


def agree(peer_public: bytes, random: Random) -> tuple[AesCipher, bytes]:
    """Return the cipher shared with the owner of `peer_public`, and our own public key.

    Keys are big-endian; the peer's may lack leading zeros, ours has 128 bytes. The shared secret
    keeps its leading zeros: libsecret and gnome-keyring derive from all 128 bytes.

    Raises:
        UnsupportedError: The key is no element a sound peer would send (0, 1, p-1 or past p),
            with which anybody could know the shared secret. Clients fall back on this very error.
    """
    number = int.from_bytes(peer_public, "big") if len(peer_public) <= _WIDTH else 0
    if not 2 <= number < PRIME - 1:  # noqa: PLR2004 - 0 and 1 are the degenerate keys below it
        raise UnsupportedError("the public key is not usable for this algorithm")
    exponent = int.from_bytes(random(_WIDTH), "big") % (PRIME - 3) + 2
    shared = pow(number, exponent, PRIME).to_bytes(_WIDTH, "big")
    public = pow(_GENERATOR, exponent, PRIME).to_bytes(_WIDTH, "big")
    return AesCipher(derive(shared)), public


def derive(shared: bytes) -> bytes:
    """Return the AES key of a shared secret of 128 bytes (HKDF, RFC 5869, no salt, no info)."""
    return HKDF(algorithm=SHA256(), length=_BLOCK, salt=None, info=b"").derive(shared)


def _bounded(value: bytes) -> bytes:
    if len(value) > MAX_SECRET:
        raise LimitError(f"a secret may have at most {MAX_SECRET} bytes")
    return value
