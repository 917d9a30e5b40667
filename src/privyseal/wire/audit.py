"""The audit log's chain: how an entry becomes a line, and how lines are checked.

A line is the canonical JSON of one `Entry` and a newline. The canonical form has no freedom (field
order, spacing, escapes and numbers are fixed), so every byte of a line is covered: either by the
entry's own hash, or because the line no longer equals the encoding of what it decodes to. Each
entry carries the hash of the one before it, across files too. What a chain can not show is that
entries are missing at its end; for that, a head noted elsewhere is compared (`Verifier.head`).
"""

import re
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from privyseal.errors import CorruptError, UsageError
from privyseal.model.lifecycle import GRANTED
from privyseal.model.receipt import Entry, Receipt, unhashed, unsigned
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


def check_receipt(receipt: Receipt) -> None:
    """Check that a receipt is whole: one request, one content, and a signature over both.

    Whose key it is stays the caller's question.

    Raises:
        CorruptError: It is not.
    """
    if receipt.digest != receipt.content.digest():
        raise CorruptError("the receipt's digest is not that of its content")
    if receipt.decision.digest != receipt.digest:
        raise CorruptError("the decision was made on another content than the receipt's")
    if not receipt.request == receipt.content.request == receipt.decision.request:
        raise CorruptError("the receipt mixes different requests")
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(receipt.key))
        key.verify(bytes.fromhex(receipt.signature), encode(unsigned(receipt)))
    except (ValueError, InvalidSignature) as error:
        raise CorruptError("the receipt's signature is not valid") from error


class Verifier:
    """Checks a whole log, file after file: the chain, each receipt, and that releases were granted.

    With `key`, the hex public key of the keeper, every receipt must be signed by it; without, a
    forger who can write the log could sign with a key of his own.
    """

    def __init__(self, *, key: str = "") -> None:
        self._chain = Chain()
        self._key = key
        self._granted: set[str] = set()

    @property
    def head(self) -> tuple[int, str]:
        """Return number and hash of the last good entry."""
        return self._chain.n, self._chain.head

    def verify(self, file: str, lines: Iterable[bytes]) -> Iterator[Entry]:
        """Yield the entries of the next file, each after it was checked.

        Args:
            file: The file's name, for messages.
            lines: Its bytes, cut after each newline.

        Raises:
            CorruptError: At the first bad entry; names file, line, entry and what is wrong.
        """
        for number, line in enumerate(lines, 1):
            expected = self._chain.n + 1
            try:
                entry = self._chain.follow(line)
                self._judge(entry)
            except CorruptError as error:
                raise CorruptError(f"{file}, line {number}, entry {expected}: {error}") from error
            yield entry

    def _judge(self, entry: Entry) -> None:
        if entry.receipt is not None:
            self._judge_receipt(entry, entry.receipt)
        if entry.event == "released" and entry.items and entry.outcome not in GRANTED:
            raise CorruptError("something was released for a request that was not granted")
        if entry.event in {"resolved", "released"} and entry.outcome in GRANTED:
            self._judge_grant(entry)

    def _judge_grant(self, entry: Entry) -> None:
        """Check that a grant has a receipt, is joined to one that has, or says what covered it."""
        leader = entry.via.removeprefix(COALESCED)
        if entry.request in self._granted or leader in self._granted:
            self._granted.add(entry.request)
        elif entry.outcome == "allowed" and (entry.event == "resolved" or entry.items):
            raise CorruptError("the request was allowed without a receipt")
        elif not entry.via and (entry.event == "resolved" or entry.items):
            raise CorruptError(f"the request was {entry.outcome} without naming by what")
        elif entry.outcome == "ruled":
            self._granted.add(entry.request)

    def _judge_receipt(self, entry: Entry, receipt: Receipt) -> None:
        check_receipt(receipt)
        if receipt.request != entry.request:
            raise CorruptError("the receipt belongs to another request")
        if self._key and receipt.key != self._key:
            raise CorruptError(f"the receipt is signed by another key, {receipt.key!r}")
        if receipt.decision.allow:
            self._granted.add(receipt.request)
