"""What the keeper, the AWS broker and the command that asked say to each other.

An order is one SOCK_SEQPACKET socket between keeper and broker, from its first packet to its last.
Every packet is one JSON text of a type below; secret bytes travel in sealed memfds beside it.

    keeper -> broker   Begin(order)            with the talk socket, and the value of a Keep
    broker -> keeper   List | Fetch | Store | Drop     the AWS items of the keeper's backend, no others
    keeper -> broker   Reply                   one for each of these, in order
    broker -> keeper   End                     with the result: the JSON text that the order names

The talk socket is SOCK_SEQPACKET too; the command that asked holds its other end, and the keeper
passes it on unread. What is said there concerns the person at that command, and is no secret of the
store: a code, a page to open, a word on what happens.

    broker -> command  CodeWanted | RedirectWanted | PageWanted | Told
    command -> broker  Answer                  one for each but Told
"""

from typing import Annotated, Final, cast

import msgspec

from privyseal.model.aws import Order
from privyseal.model.value import Attributes, Name, Text, Value, decode

MAX_PACKET: Final = 64 * 1024
"""Longest packet, in bytes, on either socket."""

MAX_RESULT: Final = 1024 * 1024
"""Longest result or item, in bytes."""

COLLECTION: Final = "awsvault"
"""Label of the collection that holds all AWS items, the one that aws-vault uses."""

PROFILE: Final = "profile"
"""The attribute that holds an item's key, as aws-vault sets it."""


class Begin(Value, frozen=True):
    """The order, and the instant (monotonic seconds) by which the keeper gives up."""

    order: Order
    companion: bool = False


class List(Value, frozen=True, tag_field="op", tag="list"):
    """Ask for the key and attributes of every AWS item."""


class Fetch(Value, frozen=True, tag_field="op", tag="fetch"):
    """Ask for the value of one item."""

    key: Text


class Store(Value, frozen=True, tag_field="op", tag="store"):
    """Keep the value in the memfd beside this under a key; `notes` become attributes."""

    key: Text
    label: Text
    notes: Attributes = msgspec.field(default_factory=dict)


class Drop(Value, frozen=True, tag_field="op", tag="drop"):
    """Forget one item."""

    key: Text


class End(Value, frozen=True, tag_field="op", tag="end"):
    """The order has ended; without an error the result is in the memfd beside this."""

    error: Text = ""
    error_name: Name = ""
    hint: Text = ""


Question = List | Fetch | Store | Drop | End


class Entry(Value, frozen=True):
    """One AWS item without its value."""

    key: Text
    notes: Attributes = msgspec.field(default_factory=dict)


class Reply(Value, frozen=True):
    """The keeper's answer; a fetched value is in the memfd beside it."""

    entries: Annotated[tuple[Entry, ...], msgspec.Meta(max_length=4096)] = ()
    error: Text = ""
    error_name: Name = ""


class CodeWanted(Value, frozen=True, tag_field="say", tag="code"):
    """A code of the MFA device is wanted; `again` says what was wrong with the last one."""

    serial: Text
    again: Text = ""


class RedirectWanted(Value, frozen=True, tag_field="say", tag="redirect"):
    """Can the command take a redirect on loopback? It answers with the URI, "" if it cannot."""


class PageWanted(Value, frozen=True, tag_field="say", tag="page"):
    """Open a page for the person; with `code` she compares it with what the page shows.

    With `redirect` the answer is the query string of the redirect; else it comes at once, empty.
    """

    url: Text
    code: Name = ""
    redirect: bool = False


class Told(Value, frozen=True, tag_field="say", tag="told"):
    """A line for the person; no answer."""

    text: Text


Saying = CodeWanted | RedirectWanted | PageWanted | Told


class Answer(Value, frozen=True):
    """The person's answer; `refused` says why there is none."""

    text: Text = ""
    refused: Text = ""


def decode_question(text: bytes) -> Question:
    """Return the packet of a broker that the bytes hold.

    Raises:
        UsageError: They hold none.
    """
    # A union is a type to msgspec, though not to the type checker.
    return cast("Question", decode(text, cast("type[object]", Question), what="a packet"))


def decode_saying(text: bytes) -> Saying:
    """Return what the broker says on a talk socket.

    Raises:
        UsageError: The bytes hold nothing of the kind.
    """
    return cast("Saying", decode(text, cast("type[object]", Saying), what="a packet"))
