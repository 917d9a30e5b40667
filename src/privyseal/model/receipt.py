"""The records of the audit log: what happened, chained, and each decision's signed receipt."""

from typing import Literal, TypedDict

import msgspec

from privyseal.model.approval import Content
from privyseal.model.decision import Decision
from privyseal.model.value import Name, Text, Value

EventName = Literal[
    "start", "stop", "asked", "decided", "resolved", "released", "unlock", "lock", "revoked"
]


class Receipt(Value, frozen=True):
    """The signed record of one decision, over exactly what was shown.

    `signature` is Ed25519 (RFC 8032) in hex over the canonical JSON of this value with an empty
    signature; `key` is the hex public key.
    """

    request: Name
    at: float
    content: Content
    digest: Name
    decision: Decision
    decided_by: Text
    key: Name
    signature: Name = ""


class Entry(Value, frozen=True):
    """One line of the audit log.

    `hash` is the hex SHA-256 of the canonical JSON of this value with an empty hash; `prev` is the
    hash of the entry before, 64 zeros for the very first. `n` counts from 1 without gaps.
    `outcome` is the state the request ended in, or the event's own word. `via` says what decided
    when no person did: a lease's id, a rule's name, `coalesced`, a sticky denial.
    """

    n: int
    at: float
    event: EventName
    prev: Name
    request: Name = ""
    kind: Name = ""
    outcome: Name = ""
    requester: Text = ""
    via: Text = ""
    items: tuple[Text, ...] = ()
    content: Content | None = None
    receipt: Receipt | None = None
    detail: Text = ""
    hash: Name = ""


class Told(TypedDict, total=False):
    """What an entry tells, see there; the log adds when that was, and its place in the chain."""

    request: str
    kind: str
    outcome: str
    requester: str
    via: str
    items: tuple[str, ...]
    content: Content | None
    receipt: Receipt | None
    detail: str


def unsigned(receipt: Receipt) -> Receipt:
    """Return the receipt as it was when it was signed."""
    return msgspec.structs.replace(receipt, signature="")


def unhashed(entry: Entry) -> Entry:
    """Return the entry as it was when it was hashed."""
    return msgspec.structs.replace(entry, hash="")
