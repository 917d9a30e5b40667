"""What faces and keeper say to each other on the bus: names, signatures, questions and answers.

Two interfaces on one object, so that a bus policy can tell them apart:

    org.privyseal.Request1    asking; open to the desktop user
    org.privyseal.Decision1   deciding; in companion mode only on the companion's private bus

Every structured argument is one JSON text of a type below (a bus signature cannot say "at most 64
attributes"; these types do). Secret values never stand in it: they travel in sealed memfds.

Request1
    Register(h pidfd, s reported) -> s requester     reported: list[Fact]
    Forget(s requester)
    Look(s requester, s question) -> s answer        never waits for a person
    Submit(s requester, s ask, ah input) -> (s ticket, ah output)
                                                     input: a sealed memfd for what is written; for
                                                     AWS the talk socket (wire/broker.py) first
    Collect(s request) -> (s ticket, ah output)      after Resolved; a value is handed over once
    Cancel(s request)
    signal Resolved(s request, s state)              to whoever submitted it
    Subscribe()                                      from then on this connection gets:
    signal Changed(s change)
    Status() -> s                                    Status
    Waiting() -> s                                   list[Approval], as Pending
    Lock()                                           in companion mode its processes end, too
    Review()                                         the console comes to the front, if it may
    Report(s trouble)                                until "" or the end of this connection

Decision1
    Pending() -> s                list[Approval], oldest first, as many as fit
    Show(s prefix) -> s           Approval, pending or past, by any unique prefix of its id
    Decide(s decision) -> s       Approval as it ended
    History(u limit) -> s         list[Approval], newest first, as many as fit
    Leases() -> s                 list[Lease]
    Revoke(s lease)
    Lock()
    Unlock(h passphrase)          a sealed memfd; creates the store on its first unlock
    Status() -> s                 Status
    Rules() -> s                  the Policy in force
    LogOut()                      companion mode: lock, and stay away until somebody asks again
    Pin(s text) -> h passphrase   waits for a person; a sealed memfd
    Pins() -> s                   list[PinAsk], oldest first
    AnswerPin(s id, ah passphrase)  a sealed memfd, or none: cancelled
    Watch()                       from then on this connection gets:
    signal Event(s notice)

Signals go to one connection each (unicast), never broadcast.
"""

from typing import Final, Literal, cast

from privyseal.model.approval import Approval
from privyseal.model.aws import Vaulted
from privyseal.model.keyring import CollectionInfo, ItemInfo, ItemRef
from privyseal.model.lifecycle import State
from privyseal.model.value import Name, Text, Value, decode

BUS_NAME: Final = "org.privyseal.Keeper1"
PATH: Final = "/org/privyseal/Keeper1"
REQUEST: Final = "org.privyseal.Request1"
DECISION: Final = "org.privyseal.Decision1"

MAX_PASSPHRASE: Final = 4096
"""Longest passphrase, in bytes."""

MAX_TROUBLE: Final = 500
"""Longest text, in characters, of what a face reports."""

MAX_MESSAGE: Final = 1024 * 1024
"""Longest JSON text, in bytes, that either side accepts; answers that list items may be longer."""


class LookCollections(Value, frozen=True, tag_field="look", tag="collections"):
    """Ask for all collections and aliases."""


class LookItems(Value, frozen=True, tag_field="look", tag="items"):
    """Ask which items a collection holds."""

    collection: Name


class LookItem(Value, frozen=True, tag_field="look", tag="item"):
    """Ask for what is known of one item."""

    item: ItemRef


class LookAws(Value, frozen=True, tag_field="look", tag="aws"):
    """Ask what is kept for AWS, without a secret."""


Question = LookCollections | LookItems | LookItem | LookAws


class KnownCollections(Value, frozen=True, tag_field="known", tag="collections"):
    """Every collection, and what each alias points to."""

    collections: tuple[CollectionInfo, ...]
    aliases: dict[Name, Name]


class KnownItems(Value, frozen=True, tag_field="known", tag="items"):
    """The item identifiers of one collection, in order of creation."""

    items: tuple[Name, ...]


class KnownItem(Value, frozen=True, tag_field="known", tag="item"):
    """One item; `open` says that this requester may read it now without asking a person."""

    item: ItemInfo
    open: bool


class KnownAws(Value, frozen=True, tag_field="known", tag="aws"):
    """What is kept for AWS."""

    vaulted: Vaulted


Answer = KnownCollections | KnownItems | KnownItem | KnownAws


class Slice(Value, frozen=True):
    """Where one item's value lies in the memfd that comes with the ticket."""

    item: ItemRef
    offset: int
    length: int
    content_type: Text = "text/plain"


class Values(Value, frozen=True, tag_field="result", tag="values"):
    """Values were released; items that were narrowed away or are locked are missing."""

    slices: tuple[Slice, ...]


class Found(Value, frozen=True, tag_field="result", tag="found"):
    """What a search found: what this requester may read at once, and what it must ask for."""

    open: tuple[ItemRef, ...]
    closed: tuple[ItemRef, ...]


class MadeItem(Value, frozen=True, tag_field="result", tag="made-item"):
    """The item that was created or replaced."""

    item: ItemRef


class MadeCollection(Value, frozen=True, tag_field="result", tag="made-collection"):
    """The collection that was created, or that the alias already meant."""

    collection: Name


class Granted(Value, frozen=True, tag_field="result", tag="granted"):
    """Done; for a Read without delivery these items can now be read."""

    items: tuple[ItemRef, ...] = ()


Result = Values | Found | MadeItem | MadeCollection | Granted


class Ticket(Value, frozen=True):
    """Where a request stands. `result` is there once the state is a granted one."""

    id: Name
    state: State
    reason: Text = ""
    result: Result | None = None


class StoreChange(Value, frozen=True):
    """Something in the store changed; `item` is empty when the collection itself did."""

    what: Literal["created", "deleted", "changed"]
    collection: Name
    item: Name = ""


Happening = Literal[
    "asked", "changed", "resolved", "locked", "unlocked", "leases", "pins", "review", "troubles"
]  # fmt: skip


class Notice(Value, frozen=True):
    """One thing that happened, told to those who watch."""

    what: Happening
    approval: Approval | None = None


def decode_question(text: str) -> Question:
    """Return the question that a JSON text holds.

    Raises:
        UsageError: It holds none.
    """
    return cast("Question", decode(text, cast("type[object]", Question), what="the question"))


def decode_answer(text: str) -> Answer:
    """Return the answer that a JSON text holds.

    Raises:
        UsageError: It holds none.
    """
    return cast("Answer", decode(text, cast("type[object]", Answer), what="the keeper's answer"))
