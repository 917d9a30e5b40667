"""The Assuan protocol, server side: lines in, lines out (Assuan manual, sections 2 and 4).

A line has at most 1000 bytes with its newline; `%`, CR and LF in what it carries stand as `%XX`.
Error numbers are those of libgpg-error with "Pinentry" as the program that failed.
"""

import re
from typing import Final, NamedTuple

from privyseal.errors import LimitError, UsageError

MAX_LINE: Final = 1000

GENERAL: Final = 1
TIMEOUT: Final = 62
NO_PIN_ENTRY: Final = 85
CANCELLED: Final = 99
NOT_CONFIRMED: Final = 114
UNKNOWN_COMMAND: Final = 275
WRONG_PARAMETER: Final = 280

_PINENTRY: Final = 5 << 24
_ESCAPED: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
_VERB: Final = re.compile(rb"[A-Za-z][A-Za-z0-9_-]*")
# What is escaped on the way out grows threefold at most; "D " and the newline come on top.
_DATA_CHUNK: Final = (MAX_LINE - 3) // 3


class Command(NamedTuple):
    """One command: its verb in capitals, and its argument as text without escapes."""

    verb: str
    argument: str = ""


class Commands:
    """Cuts what a client sends into commands."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Command]:
        """Return the commands that `data` completes.

        Raises:
            LimitError: A line is too long; the conversation cannot go on.
        """
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) >= MAX_LINE or any(len(line) >= MAX_LINE for line in lines):
            self._rest = b""
            raise LimitError(f"an Assuan line has at most {MAX_LINE} bytes")
        return [command(line) for line in lines if line.strip() and not line.startswith(b"#")]


def command(line: bytes) -> Command:
    """Return what one line asks for; one that is no command has an empty verb."""
    verb, _, argument = line.rstrip(b"\r").partition(b" ")
    if not _VERB.fullmatch(verb):
        return Command("")
    return Command(verb.decode().upper(), unescape(argument.strip(b" ")).decode(errors="replace"))


def unescape(text: bytes) -> bytes:
    """Return what `text` carries; a `%` that begins no escape stays."""
    return _ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), text)


def escape(raw: bytes) -> bytes:
    """Return `raw` fit for a line."""
    return raw.replace(b"%", b"%25").replace(b"\r", b"%0D").replace(b"\n", b"%0A")


def done(text: str = "") -> bytes:
    """Return the line that ends a command in good order."""
    return _line(b"OK", text)


def failed(code: int, text: str) -> bytes:
    """Return the line that ends a command with an error of pinentry's."""
    return _line(b"ERR %d" % (_PINENTRY | code), text)


def data(raw: bytes) -> bytes:
    """Return the lines that carry `raw`.

    Raises:
        UsageError: There is nothing to carry.
    """
    if not raw:
        raise UsageError("no data to carry")
    chunks = (raw[at : at + _DATA_CHUNK] for at in range(0, len(raw), _DATA_CHUNK))
    return b"".join(b"D " + escape(chunk) + b"\n" for chunk in chunks)


def _line(word: bytes, text: str) -> bytes:
    shown = "".join(char if char.isprintable() else "?" for char in text).encode(errors="replace")
    return (word + (b" " + shown if shown else b""))[: MAX_LINE - 1] + b"\n"
