"""What the pipeline needs from the rest of the keeper, as small protocols."""

from typing import Protocol, Unpack

from privyseal.model.evidence import Evidence
from privyseal.model.receipt import Entry, EventName, Receipt, Told
from privyseal.wire.keeper import Notice


class EvidenceSource(Protocol):
    """Reads what the kernel knows of a process, given by pidfd."""

    async def look(self, pidfd: int) -> Evidence:
        """Return everything that can be known now; never raises for a process that is gone."""
        ...

    async def check(self, pidfd: int, seen: Evidence) -> str:
        """Return "" if it is the same process running the same program, else what changed."""
        ...


class Recorder(Protocol):
    """The audit log: `append` orders, `flush` makes durable."""

    @property
    def head(self) -> tuple[int, str]:
        """Number and hash of the last entry."""
        ...

    def append(self, event: EventName, **told: Unpack[Told]) -> int:
        """Add an entry to the chain without waiting for the disk."""
        ...

    async def flush(self) -> None:
        """Return when every entry so far is on disk; raise if that cannot be had."""
        ...

    def unfinished(self) -> list[Entry]:
        """Return the requests that waited when the last keeper died."""
        ...


class ReceiptSigner(Protocol):
    """Signs receipts with the keeper's own key."""

    @property
    def public_key(self) -> str:
        """The Ed25519 public key in hex."""
        ...

    def sign(self, receipt: Receipt) -> Receipt:
        """Return the receipt with key and signature filled in."""
        ...


class Audience(Protocol):
    """Who is told of requests: the face that asked, and those who watch."""

    def resolved(self, face: str, request: str, state: str) -> None:
        """Tell a face that one of its requests has ended."""
        ...

    def notice(self, notice: Notice) -> None:
        """Tell those who watch."""
        ...
