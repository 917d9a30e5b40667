"""The key that signs receipts: made once, kept in a file that only the keeper can read."""

import os
import stat
from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from privyseal.errors import CorruptError, PrivysealError
from privyseal.model.receipt import Receipt, unsigned
from privyseal.model.value import encode
from privyseal.runtime.durable import durable_file

_SEED_BYTES: Final = 32


class Signer:
    """Signs receipts with Ed25519 (RFC 8032)."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public_key = key.public_key().public_bytes_raw().hex()

    @classmethod
    def open(cls, path: Path) -> "Signer":
        """Return the signer whose key `path` holds: 32 bytes in hex; a missing file is made.

        Raises:
            CorruptError: The file holds no key.
            PrivysealError: It cannot be read or made, or other users could have read it.
        """
        try:
            return cls(_load(path))
        except FileNotFoundError:
            pass
        except OSError as error:
            raise _unusable(path, error) from error
        key = Ed25519PrivateKey.generate()
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with durable_file(path, replace=False) as file:
                file.write(key.private_bytes_raw().hex().encode() + b"\n")
        except OSError as error:
            raise _unusable(path, error) from error
        return cls(key)

    def sign(self, receipt: Receipt) -> Receipt:
        """Return the receipt with this signer's key and signature in it."""
        bare = msgspec.structs.replace(unsigned(receipt), key=self.public_key)
        return msgspec.structs.replace(bare, signature=self._key.sign(encode(bare)).hex())


def _load(path: Path) -> Ed25519PrivateKey:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        status = os.fstat(fd)
        if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
            raise PrivysealError(
                f"the receipt key {str(path)!r} is open to other users",
                hint="delete it if anybody may have read it; a new key is made at the next start",
            )
        text = os.read(fd, 2 * _SEED_BYTES + 2)
    finally:
        os.close(fd)
    try:
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(text.decode("ascii")))
    except ValueError:
        # Not `from error`: its text could hold a part of the key.
        raise CorruptError(
            f"{str(path)!r} holds no receipt key",
            hint="move it away; a new key is made at the next start",
        ) from None


def _unusable(path: Path, error: OSError) -> PrivysealError:
    return PrivysealError(f"cannot use the receipt key {str(path)!r}: {error.strerror}")
