"""The payload of an age file: STREAM, 64 KiB chunks of ChaCha20-Poly1305 with counted nonces."""

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from privyseal.errors import CorruptError
from privyseal.wire.age.header import derive

NONCE_BYTES: Final = 16
CHUNK: Final = 64 * 1024
_SEALED: Final = CHUNK + 16


class _Chunks:
    """The cipher and the nonces of one payload: a counter, and a byte that marks the last chunk."""

    def __init__(self, file_key: bytes, nonce: bytes) -> None:
        self._cipher = ChaCha20Poly1305(derive(file_key, nonce, b"payload"))
        self.done = 0

    def seal(self, chunk: bytes, *, last: bool) -> bytes:
        sealed = self._cipher.encrypt(self._nonce(last=last), chunk, None)
        self.done += 1
        return sealed

    def open(self, chunk: bytes, *, last: bool) -> bytes | None:
        try:
            opened = self._cipher.decrypt(self._nonce(last=last), chunk, None)
        except InvalidTag:
            return None
        self.done += 1
        return opened

    def _nonce(self, *, last: bool) -> bytes:
        return self.done.to_bytes(11, "big") + bytes([last])


class Sealer:
    """Encrypts a payload piece by piece; holds at most one chunk beside what it was just fed."""

    def __init__(self, file_key: bytes, nonce: bytes) -> None:
        self._chunks = _Chunks(file_key, nonce)
        self._buffer = bytearray()

    def feed(self, data: bytes) -> bytes:
        """Take plaintext, return ciphertext as far as it is settled."""
        self._buffer += data
        sealed = []
        # Only an empty payload has an empty last chunk: a full one waits for its successor.
        while len(self._buffer) > CHUNK:
            sealed.append(self._chunks.seal(bytes(self._buffer[:CHUNK]), last=False))
            del self._buffer[:CHUNK]
        return b"".join(sealed)

    def finish(self) -> bytes:
        """Return the last chunk."""
        return self._chunks.seal(bytes(self._buffer), last=True)


class Opener:
    """Decrypts a payload piece by piece; holds at most one chunk beside what it was just fed.

    What `feed` returns is authentic, but only `finish` says that nothing is missing. A bad chunk is
    told by the call after the one that returned what stood before it.
    """

    def __init__(self, file_key: bytes, nonce: bytes) -> None:
        self._chunks = _Chunks(file_key, nonce)
        self._buffer = bytearray()
        self._ended = False
        self._bad = False

    def feed(self, data: bytes) -> bytes:
        """Take ciphertext, return plaintext as far as chunks are complete.

        Raises:
            CorruptError: An earlier chunk was changed, or the payload went on after its last one.
        """
        self._check()
        self._buffer += data
        opened = []
        while not (self._ended or self._bad) and len(self._buffer) >= _SEALED:
            chunk = bytes(self._buffer[:_SEALED])
            del self._buffer[:_SEALED]
            plain = self._chunks.open(chunk, last=False)
            if plain is None:
                plain = self._chunks.open(chunk, last=True)
                self._ended = plain is not None
            self._bad = plain is None
            opened.append(plain or b"")
        self._bad = self._bad or (self._ended and bool(self._buffer))
        return b"".join(opened)

    def finish(self) -> bytes:
        """Return the rest.

        Raises:
            CorruptError: The payload was changed or cut off.
        """
        self._check()
        if self._ended:
            return b""
        first = self._chunks.done == 0
        plain = self._chunks.open(bytes(self._buffer), last=True)
        self._bad = plain is None or (not plain and not first)
        self._check()
        return plain or b""

    def _check(self) -> None:
        if self._bad:
            raise CorruptError(
                f"the age payload is damaged or cut off after {self._chunks.done} good chunks"
            )
