"""The armor of an age file: strict PEM (RFC 7468) around its bytes."""

import re
from base64 import b64decode, b64encode
from typing import Final

from privyseal.errors import CorruptError

BEGIN: Final = b"-----BEGIN AGE ENCRYPTED FILE-----"
END: Final = b"-----END AGE ENCRYPTED FILE-----"
_BLANK: Final = b" \t\r\n"
_MAX_BLANK: Final = 1024
_COLUMNS: Final = 64
_RAW: Final = 48
_LINE: Final = re.compile(rb"[A-Za-z0-9+/]{4,64}|[A-Za-z0-9+/]{2,63}={1,2}")


class Wrapper:
    """Writes armor piece by piece."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._begun = False

    def feed(self, data: bytes) -> bytes:
        """Take bytes, return whole lines."""
        self._buffer += data
        whole = len(self._buffer) // _RAW * _RAW
        lines = self._lines(bytes(self._buffer[:whole]))
        del self._buffer[:whole]
        return lines

    def finish(self) -> bytes:
        """Return the rest and the last line."""
        return self._lines(bytes(self._buffer)) + END + b"\n"

    def _lines(self, data: bytes) -> bytes:
        text = b"".join(
            b64encode(data[start : start + _RAW]) + b"\n" for start in range(0, len(data), _RAW)
        )
        head = b"" if self._begun else BEGIN + b"\n"
        self._begun = True
        return head + text


class Unwrapper:
    """Reads armor piece by piece; holds at most one line beside what it was just fed.

    Blank space may stand before and after the armor and lines may end in CR LF; nothing else may
    differ from what a writer writes.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._blank = 0
        self._state = "before"
        self._short = False

    def feed(self, data: bytes) -> bytes:
        """Take text, return the bytes of its complete lines.

        Raises:
            CorruptError: It is not armor.
        """
        self._buffer += data
        *lines, rest = self._buffer.split(b"\n")
        self._buffer = bytearray(rest)
        if len(rest) > _MAX_BLANK:
            raise CorruptError("the armor has a line that is too long")
        return b"".join(self._line(bytes(line)) for line in lines)

    def finish(self) -> bytes:
        """Return the rest.

        Raises:
            CorruptError: The armor has no end.
        """
        rest = self._line(bytes(self._buffer)) if self._buffer else b""
        if self._state != "after":
            raise CorruptError("the armor is cut off: its last line is missing")
        return rest

    def _line(self, line: bytes) -> bytes:
        if self._state != "inside":
            return self._outside(line)
        line = line.removesuffix(b"\r")
        if line == END:
            self._state = "after"
            return b""
        if self._short or not _LINE.fullmatch(line) or len(line) % 4:
            raise CorruptError("the armor has a malformed line")
        self._short = len(line) < _COLUMNS or line.endswith(b"=")
        data = b64decode(line)
        if b64encode(data) != line:
            raise CorruptError("the armor has a line of base64 that is not canonical")
        return data

    def _outside(self, line: bytes) -> bytes:
        if self._state == "before" and line.removesuffix(b"\r").lstrip(_BLANK) == BEGIN:
            self._state = "inside"
            return b""
        self._blank += len(line) + 1
        if line.strip(_BLANK) or self._blank > _MAX_BLANK:
            if self._state == "before":
                raise CorruptError("this is no age file: it begins neither with header nor armor")
            raise CorruptError("the armor is followed by other text")
        return b""
