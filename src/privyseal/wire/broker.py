"""What the keeper, the AWS broker and the command that asked say to each other.

Keeper and broker are linked by one SOCK_SEQPACKET socket; for each order the keeper sends one end
of another over it, beside the byte `o`. That is the order's, from its first packet to its last.
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

import re
from collections.abc import Sequence
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

REGION: Final = r"[a-z]{2,8}(?:-[a-z]{2,12}){1,3}-[0-9]{1,2}"
"""What the name of a region looks like."""

_ZONE: Final = rf"(?:{REGION}|us-gov|(?:aws(?:-[a-z]{{1,4}}){{0,2}}-)?global)"
_AWS: Final = re.compile(
    # The zone is told from other words: `sts.s3.amazonaws.com` is somebody's bucket.
    rf"https://(?:(?:sts|iam|oidc|sso|portal\.sso|signin)(?:-fips)?(?:\.{_ZONE})?"
    rf"|{_ZONE}\.signin(?:-fips)?)"
    r"\.(?:amazonaws\.(?:com|com\.cn|cn|eu)|api\.aws|aws\.amazon\.com|amazonaws-us-gov\.com"
    r"|amazonaws-eusc\.eu|api\.amazonwebservices\.(?:com\.cn|eu)"
    r"|c2s\.ic\.gov|sc2s\.sgov\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov|api\.aws\.scloud"
    r"|api\.aws\.(?:hci\.)?ic\.gov|api\.cloud-aws\.adc-e\.uk"
    r"|c2shome\.ic\.gov|sc2shome\.sgov\.gov|csphome\.(?:adc-e\.uk|hci\.ic\.gov))"
    r"(?::443)?(?:/[!-~]*)?"
)


def is_endpoint(url: str, others: Sequence[str] = ()) -> bool:
    """Return whether a URL is an endpoint of AWS that we call, or below one of the `others`.

    Only services that AWS itself answers for: below its domains lie names of its customers, too.
    """
    bases = (other.rstrip("/") for other in others if other)
    return bool(_AWS.fullmatch(url)) or any(
        url == base or url.startswith(f"{base}/") for base in bases
    )


class Begin(Value, frozen=True):
    """The order; a companion calls AWS and `endpoints`, and nothing else."""

    order: Order
    companion: bool = False
    endpoints: Annotated[tuple[Name, ...], msgspec.Meta(max_length=100)] = ()


class List(Value, frozen=True, tag_field="op", tag="list"):
    """Ask for key and attributes of the AWS items that come `after` a key, by the order of keys.

    As many as fit into a packet come back; none means that there are no more.
    """

    after: Text = ""


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
    hint: Text = ""


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
    """A line for the person; no answer. The empty one says that the order is allowed, and begins."""

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
