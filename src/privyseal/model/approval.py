"""A request as a person sees it, and everything the deciding faces are told."""

import hashlib
from typing import Literal

from privyseal.model.ask import Ask
from privyseal.model.evidence import Evidence, Fact
from privyseal.model.keyring import ItemInfo, ItemRef
from privyseal.model.lifecycle import State
from privyseal.model.value import Name, Text, Value, encode


class Content(Value, frozen=True):
    """Exactly what is put before a person. Every field is drawn; nothing else is.

    `details` says what an ask would change, old beside new. `before` sums up earlier decisions on
    the same program and items. All strings but `badge` and `title` may be foreign text.
    """

    request: Name
    badge: Name
    title: Name
    evidence: Evidence
    items: tuple[ItemInfo, ...] = ()
    collections: tuple[Text, ...] = ()
    details: tuple[Fact, ...] = ()
    before: Text = ""

    def digest(self) -> str:
        """Return the hex SHA-256 over the canonical encoding: the name of this very content."""
        return hashlib.sha256(encode(self)).hexdigest()


class Approval(Value, frozen=True):
    """A request with its content and its state; times are wall-clock seconds since 1970.

    `needs_unlock`: it can only be allowed once the store is unlocked. `blocking`: the requester
    waits inside a call that most clients give up after 25 seconds. `once`: a rule lets it be allowed
    for this one time only.
    """

    id: Name
    state: State
    ask: Ask
    content: Content
    digest: Name
    created: float
    expires: float
    resolved: float = 0.0
    reason: Text = ""
    decided_by: Text = ""
    needs_unlock: bool = False
    blocking: bool = False
    once: bool = False


class Lease(Value, frozen=True):
    """An allow with an end, as listed to a person. `uses_left` is -1 when uses are not counted."""

    id: Name
    request: Name
    items: tuple[ItemRef, ...]
    labels: tuple[Text, ...]
    holder: Text
    scope: Text
    granted: float
    expires: float
    uses_left: int


class PinAsk(Value, frozen=True):
    """A program of the companion waits for a passphrase; `text` is what it says it is for.

    `of` names the program; what AWS wants is a long-lived key, in two questions.
    """

    id: Name
    text: Text
    of: Literal["GnuPG", "AWS"] = "GnuPG"


class Status(Value, frozen=True):
    """The keeper in one glance; `mode` is `own-session` or `companion`.

    In companion mode `user` is the desktop user and `vt` the console's terminal. `witness` is False
    when facts about requesters cannot be verified. `troubles` is what faces and keeper complain of.
    """

    version: Name
    mode: Name
    backend: Text
    locked: bool
    initialised: bool
    pending: int
    leases: int
    since: float
    audit_entries: int
    receipt_key: Name
    user: Name = ""
    vt: int = 0
    witness: bool = True
    troubles: tuple[Text, ...] = ()
