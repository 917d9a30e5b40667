"""What can be asked of the keeper: one class a kind, tagged with the kind's name.

A new kind is a class here, a line in `Ask` and in `_TITLES`, and a case in the keeper's `describe`
and `perform`.
"""

import hashlib
from typing import Annotated, Final, cast

import msgspec

from privyseal.model import aws
from privyseal.model.keyring import ItemRef
from privyseal.model.value import MAX_ITEMS, Attributes, Name, Text, Value, decode, encode

Items = Annotated[tuple[ItemRef, ...], msgspec.Meta(min_length=1, max_length=MAX_ITEMS)]
Collections = Annotated[tuple[Name, ...], msgspec.Meta(min_length=1, max_length=MAX_ITEMS)]


class Read(Value, frozen=True, tag_field="kind", tag="read"):
    """Read the values of items.

    `deliver` says how: True hands the values over with the answer to this very request; False asks
    only for the lease, as the Unlock-and-Prompt route of the Secret Service does, and the values
    are read by a second request that finds the lease.
    """

    items: Items
    deliver: bool = True


class Search(Value, frozen=True, tag_field="kind", tag="search"):
    """Find the items whose attributes contain all of these, in one collection or in all."""

    attributes: Attributes
    collection: Name = ""


class Create(Value, frozen=True, tag_field="kind", tag="create"):
    """Create an item, or with `replace` overwrite the one with exactly these attributes."""

    collection: Name
    label: Text
    attributes: Attributes
    content_type: Text = "text/plain"
    replace: bool = False


class Write(Value, frozen=True, tag_field="kind", tag="write"):
    """Overwrite the value of an existing item."""

    item: ItemRef
    content_type: Text = "text/plain"


class Delete(Value, frozen=True, tag_field="kind", tag="delete"):
    """Delete an item for good."""

    item: ItemRef


class Change(Value, frozen=True, tag_field="kind", tag="change"):
    """Change the label or the attributes of an item; None leaves them as they are."""

    item: ItemRef
    label: Text | None = None
    attributes: Attributes | None = None


class CreateCollection(Value, frozen=True, tag_field="kind", tag="create-collection"):
    """Create a collection and let `alias`, if any, point to it."""

    label: Text
    alias: Name = ""


class ChangeCollection(Value, frozen=True, tag_field="kind", tag="change-collection"):
    """Change the label of a collection."""

    collection: Name
    label: Text


class DeleteCollection(Value, frozen=True, tag_field="kind", tag="delete-collection"):
    """Delete a collection with all its items."""

    collection: Name


class SetAlias(Value, frozen=True, tag_field="kind", tag="alias"):
    """Let an alias point to a collection; the empty name removes the alias."""

    alias: Name
    collection: Name = ""


class Lock(Value, frozen=True, tag_field="kind", tag="lock"):
    """Forget the keys of collections."""

    collections: Collections


class Unlock(Value, frozen=True, tag_field="kind", tag="unlock"):
    """Open collections; a person gives the passphrase, never the requester."""

    collections: Collections


class UseAws(Value, frozen=True, tag_field="kind", tag="aws-use"):
    """Get something from AWS with what is kept for it; the broker obtains it, a lease may cover it."""

    order: aws.Obtain | aws.Link | aws.Roles


class ChangeAws(Value, frozen=True, tag_field="kind", tag="aws-change"):
    """Change what is kept for AWS, and at AWS what belongs to it; a person is asked each time."""

    order: aws.Keep | aws.Remove | aws.Clear | aws.Rotate | aws.SignIn | aws.SignOut


OfAws = UseAws | ChangeAws

Ask = (
    Read
    | Search
    | Create
    | Write
    | Delete
    | Change
    | CreateCollection
    | ChangeCollection
    | DeleteCollection
    | SetAlias
    | Lock
    | Unlock
    | OfAws
)

_TITLES: Final[dict[type[Ask | aws.Order], tuple[str, str]]] = {
    Read: ("READ", "Read a secret"),
    Search: ("FIND", "Search for items"),
    Create: ("WRITE", "Store a new secret"),
    Write: ("WRITE", "Overwrite a secret"),
    Delete: ("DELETE", "Delete an item"),
    Change: ("CHANGE", "Change an item's label or attributes"),
    CreateCollection: ("NEW", "Create a collection"),
    ChangeCollection: ("CHANGE", "Rename a collection"),
    DeleteCollection: ("DELETE", "Delete a collection and all its items"),
    SetAlias: ("ALIAS", "Point an alias to another collection"),
    Lock: ("LOCK", "Lock collections"),
    Unlock: ("UNLOCK", "Unlock the store"),
    aws.Obtain: ("AWS", "Hand over AWS credentials"),
    aws.Link: ("AWS", "Open the AWS console"),
    aws.Roles: ("AWS", "List the AWS roles of a portal"),
    aws.SignIn: ("LOGIN", "Sign in at an AWS portal"),
    aws.SignOut: ("LOGOUT", "Sign out at an AWS portal"),
    aws.Keep: ("KEY", "Keep a long-lived AWS key"),
    aws.Remove: ("DELETE", "Forget a long-lived AWS key"),
    aws.Clear: ("CLEAR", "Forget AWS sessions"),
    aws.Rotate: ("ROTATE", "Replace a long-lived AWS key"),
}


def title_of(ask: Ask) -> tuple[str, str]:
    """Return the badge of an ask in a list and its title over the details."""
    return _TITLES[type(ask.order if isinstance(ask, OfAws) else ask)]


def outcome_of(order: aws.Order) -> ItemRef:
    """Return what stands for the result of an order: the same for whatever command wants it."""
    if isinstance(order, aws.Obtain):
        order = aws.Obtain(plan=msgspec.structs.replace(order.plan, notes=(), fresh=False, least=0))
    # No item of a store has a colon in its name, so no lease on one is a lease on this.
    return ItemRef(collection="aws", item=f"order:{hashlib.sha256(encode(order)).hexdigest()}")


def leasable(ask: Ask) -> tuple[ItemRef, ...]:
    """Return what can be allowed for longer than once: items to read, or what AWS gives."""
    if isinstance(ask, Read):
        return ask.items
    return (outcome_of(ask.order),) if isinstance(ask, UseAws) else ()


def kind_of(ask: Ask) -> str:
    """Return the name of the kind as it stands on the wire, in the audit log and in the policy."""
    return str(type(ask).__struct_config__.tag)


def decode_ask(text: str) -> Ask:
    """Return the ask that a JSON text holds.

    Raises:
        UsageError: It holds none, or one that exceeds a limit.
    """
    # A union is a type to msgspec, though not to the type checker.
    return cast("Ask", decode(text, cast("type[object]", Ask), what="the request"))
