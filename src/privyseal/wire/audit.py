"""The audit log's chain: how an entry becomes a line, and whether a line is the next one.

A line is the canonical JSON of one `Entry` and a newline. The canonical form has no freedom (field
order, spacing, escapes and numbers are fixed), so every byte of a line is covered: either by the
entry's own hash, or because the line no longer equals the encoding of what it decodes to. Each
entry carries the hash of the one before it, across files too. What a chain can not show is that
entries are missing at its end; for that, a head noted elsewhere is compared.
"""

import re
from hashlib import sha256
from typing import Final

from privyseal.errors import CorruptError, UsageError
from privyseal.model.receipt import Entry, unhashed
from privyseal.model.value import decode, encode

GENESIS: Final = "0" * 64
"""What the very first entry has as `prev`."""

COALESCED: Final = "coalesced with "
"""How `via` begins when a request shares the decision on another, whose identifier follows."""

MAX_LINE: Final = 32 * 1024 * 1024
"""Longest line in bytes, newline included, that is read; writing refuses longer ones."""

_NAME: Final = re.compile(r"audit-([0-9]{6,9})\.jsonl")
_OPEN: Final = b'"hash":""}'


def file_name(number: int) -> str:
    """Return the name of the log's file of this number, counted from 1."""
    return f"audit-{number:06}.jsonl"


def file_number(name: str) -> int:
    """Return the number in a log file's name, 0 for the name of any other file."""
    match = _NAME.fullmatch(name)
    number = int(match[1]) if match else 0
    return number if number and file_name(number) == name else 0


class Chain:
    """The end of a chain of entries: lines are made for it, or checked to be its next ones."""

    def __init__(self, n: int = 0, head: str = GENESIS) -> None:
        self.n = n
        self.head = head

    def line(self, entry: Entry) -> bytes:
        """Return the line of `entry`, which has `n` and `prev` of this chain's end, and follow it.

        Raises:
            UsageError: A field is longer than a reader of the log accepts; the chain is unchanged.
        """
        body = encode(unhashed(entry) if entry.hash else entry)
        if len(body) > MAX_LINE - len(GENESIS) - 1:
            raise UsageError(f"an audit entry of {len(body)} bytes exceeds the limit of {MAX_LINE}")
        decode(body, Entry, what="the audit entry")
        digest = sha256(body).hexdigest()
        self.n, self.head = entry.n, digest
        return b"%b%b%b" % (body[:-2], digest.encode(), b'"}\n')

    def follow(self, line: bytes) -> Entry:
        """Return the entry that `line` holds, if it is the chain's next one, and follow it.

        Raises:
            CorruptError: It is not; the message says why, without naming the place.
        """
        text = line[:-1]
        if line[-1:] != b"\n":
            raise CorruptError("the line is cut off or longer than any entry can be")
        try:
            entry = decode(text, Entry, what="the entry")
        except UsageError as error:
            raise CorruptError(str(error)) from error
        if encode(entry) != text:
            raise CorruptError("the entry is not in canonical form")
        if entry.n != self.n + 1:
            raise CorruptError(f"it is entry {entry.n} where entry {self.n + 1} must follow")
        if sha256(text[: -len(GENESIS) - 2] + b'"}').hexdigest() != entry.hash:
            raise CorruptError("the entry's hash does not fit its content")
        if entry.prev != self.head:
            raise CorruptError("the entry does not follow the one before it")
        self.n, self.head = entry.n, entry.hash
        return entry
