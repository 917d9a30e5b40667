"""Whole age files, piece by piece: plaintext in and ciphertext out, or the other way round."""

from collections.abc import Sequence

from privyseal.errors import CorruptError, DeniedError, UsageError
from privyseal.wire.age import header
from privyseal.wire.age.armor import Unwrapper, Wrapper
from privyseal.wire.age.keys import Identity, Random, Recipient
from privyseal.wire.age.stream import NONCE_BYTES, Opener, Sealer


class Encryptor:
    """Writes one age file.

    Raises:
        UsageError: There is no recipient, or they cannot share a file: a passphrase must be alone,
            and classical keys beside post-quantum ones would undo what those are for.
    """

    def __init__(
        self, recipients: Sequence[Recipient], random: Random, *, armored: bool = False
    ) -> None:
        labels = {recipient.label for recipient in recipients}
        if not recipients:
            raise UsageError("an age file needs a recipient")
        if len(labels) > 1 or ("passphrase" in labels and len(recipients) > 1):
            raise UsageError(
                f"one age file cannot be for {' and '.join(sorted(labels))} recipients"
            )
        file_key, nonce = random(header.FILE_KEY_BYTES), random(NONCE_BYTES)
        stanzas = [recipient.wrap(file_key, random) for recipient in recipients]
        self._head = header.write(stanzas, file_key) + nonce
        self._sealer = Sealer(file_key, nonce)
        self._armor = Wrapper() if armored else None

    def feed(self, data: bytes) -> bytes:
        """Take plaintext, return what can be written."""
        head, self._head = self._head, b""
        sealed = head + self._sealer.feed(data)
        return self._armor.feed(sealed) if self._armor is not None else sealed

    def finish(self) -> bytes:
        """Return the rest of the file."""
        sealed = self._head + self._sealer.finish()
        return (
            self._armor.feed(sealed) + self._armor.finish() if self._armor is not None else sealed
        )


class Decryptor:
    """Reads one age file, armored or not.

    What `feed` returns is authentic, but only once `finish` has returned is it the whole file:
    nothing that can not be undone may be done before.
    """

    def __init__(self, identities: Sequence[Identity]) -> None:
        self._identities = identities
        self._armor: Unwrapper | None = None
        self._begun = False
        self._buffer = bytearray()
        self._file_key = b""
        self._opener: Opener | None = None

    def feed(self, data: bytes) -> bytes:
        """Take ciphertext, return plaintext as far as it is authentic.

        Raises:
            CorruptError: The file is no age file, or was changed.
            DeniedError: None of the identities opens it.
            LimitError: Its header asks for more work than an identity accepts.
        """
        if data and not self._begun:
            self._begun = True
            self._armor = Unwrapper() if data[:1] != header.VERSION[:1] else None
        return self._take(self._armor.feed(data) if self._armor is not None else data)

    def finish(self) -> bytes:
        """Return the last of the plaintext.

        Raises:
            CorruptError: Something is missing, or was changed.
            DeniedError: None of the identities opens the file.
        """
        rest = self._take(self._armor.finish()) if self._armor is not None else b""
        if not self._file_key:
            raise CorruptError("the age header is cut off")
        if self._opener is None:
            raise CorruptError("the age header is followed by no nonce")
        return rest + self._opener.finish()

    def _take(self, data: bytes) -> bytes:
        if self._opener is not None:
            return self._opener.feed(data)
        self._buffer += data
        if not self._file_key:
            end = header.end_of(self._buffer)
            if not end:
                return b""
            self._file_key = self._unlock(header.parse(bytes(self._buffer[:end])))
            del self._buffer[:end]
        if len(self._buffer) < NONCE_BYTES:
            return b""
        self._opener = Opener(self._file_key, bytes(self._buffer[:NONCE_BYTES]))
        rest = bytes(self._buffer[NONCE_BYTES:])
        self._buffer.clear()
        return self._opener.feed(rest)

    def _unlock(self, head: header.Header) -> bytes:
        if len(head.stanzas) > 1 and any(stanza.kind == "scrypt" for stanza in head.stanzas):
            raise CorruptError("the age header has a passphrase beside other recipients")
        for identity in self._identities:
            file_key = identity.unwrap(head.stanzas)
            if file_key is not None:
                head.check(file_key)
                return file_key
        raise DeniedError("no key or passphrase that was given opens this age file")
