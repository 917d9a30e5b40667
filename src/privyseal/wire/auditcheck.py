"""Checks a whole audit log: the chain across its files, each receipt, and what each release rests on.

The keeper writes the log and loads none of this; `privy audit` does.
"""

from collections.abc import Iterable, Iterator

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from privyseal.errors import CorruptError
from privyseal.model.lifecycle import GRANTED
from privyseal.model.receipt import Entry, Receipt, unsigned
from privyseal.model.value import encode
from privyseal.wire.audit import COALESCED, Chain


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
