"""The Secret Service on the bus: its names, its object paths, and the secret on the wire.

Facts of the freedesktop.org Secret Service specification, draft 0.2. A path names one place; a
place says which interfaces live there. Paths are foreign text until `parse` has judged them.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final, Literal

import msgspec

from privyseal.errors import LimitError, NotFoundError, UsageError
from privyseal.model.keyring import ItemRef
from privyseal.model.value import MAX_SECRET, Attributes, Text, Value

NAME: Final = "org.freedesktop.secrets"
ROOT: Final = "/org/freedesktop/secrets"
PORTAL_PATH: Final = "/org/freedesktop/portal/desktop"

SERVICE: Final = "org.freedesktop.Secret.Service"
COLLECTION: Final = "org.freedesktop.Secret.Collection"
ITEM: Final = "org.freedesktop.Secret.Item"
SESSION: Final = "org.freedesktop.Secret.Session"
PROMPT: Final = "org.freedesktop.Secret.Prompt"
INTERNAL: Final = "org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface"
PORTAL: Final = "org.freedesktop.impl.portal.Secret"
PORTAL_REQUEST: Final = "org.freedesktop.impl.portal.Request"
PROPERTIES: Final = "org.freedesktop.DBus.Properties"
INTROSPECTABLE: Final = "org.freedesktop.DBus.Introspectable"
PEER: Final = "org.freedesktop.DBus.Peer"

NOTHING: Final = "/"
"""The path that stands for "no prompt", "no item" or "no collection"."""

STANDING_ALIASES: Final = ("default", "login", "session")
"""Aliases that exist as objects even while they point to nothing: clients open them unasked."""

LABEL: Final = "Label"
ATTRIBUTES: Final = "Attributes"
SCHEMA: Final = "xdg:schema"
"""The attribute that holds what older drafts called the item's Type."""

CONTENT_TYPE: Final = "privyseal:content-type"
"""The attribute in which a keeper gives the type of a value, since not every provider keeps it."""

SECRET: Final = "(oayays)"  # noqa: S105 - a D-Bus signature
"""The signature of a secret: session, parameters, value, content type."""

MAX_PATHS: Final = 4096
"""How many object paths one call may name."""

_MAX_PATH: Final = 1024
_MAX_PARAMETERS: Final = 64
_SEGMENT: Final = re.compile(r"[A-Za-z0-9_]{1,255}")

Kind = Literal[
    "service", "collection", "alias", "item", "alias-item", "session", "prompt", "portal", "branch"
]

INTERFACES: Final[dict[Kind, tuple[str, ...]]] = {
    "service": (SERVICE, INTERNAL),
    "collection": (COLLECTION,),
    "alias": (COLLECTION,),
    "item": (ITEM,),
    "alias-item": (ITEM,),
    "session": (SESSION,),
    "prompt": (PROMPT,),
    "portal": (PORTAL,),
    "branch": (),
}
"""What lives at each kind of place, besides Properties, Introspectable and Peer."""

BRANCHES: Final[dict[str, tuple[str, ...]]] = {
    "/": ("org",),
    "/org": ("freedesktop",),
    "/org/freedesktop": ("secrets", "portal"),
    "/org/freedesktop/portal": ("desktop",),
    f"{ROOT}/collection": (),
    f"{ROOT}/aliases": STANDING_ALIASES,
    f"{ROOT}/session": (),
    f"{ROOT}/prompt": (),
}
"""Paths that hold nothing but other paths; introspection walks through them."""


class Place(Value, frozen=True):
    """What a path names. `name` is a collection, alias, session or prompt; `item` an item in it."""

    kind: Kind
    name: str = ""
    item: str = ""


class WireSecret(Value, frozen=True):
    """A secret as it came, still encrypted for its session."""

    session: str
    parameters: bytes
    value: bytes
    content_type: str

    def __repr__(self) -> str:
        return f"WireSecret({self.session!r}, <{len(self.value)} bytes>)"


COLLECTIONS: Final[frozenset[Kind]] = frozenset({"collection", "alias"})
ITEMS: Final[frozenset[Kind]] = frozenset({"item", "alias-item"})


def collection_path(collection: str) -> str:
    """Return the path of a collection."""
    return f"{ROOT}/collection/{collection}"


def item_path(item: ItemRef) -> str:
    """Return the path of an item, in its collection and not under an alias."""
    return f"{ROOT}/collection/{item.collection}/{item.item}"


def alias_path(alias: str) -> str:
    """Return the path of an alias."""
    return f"{ROOT}/aliases/{alias}"


def session_path(number: int) -> str:
    """Return the path of a session."""
    return f"{ROOT}/session/s{number}"


def prompt_path(number: int) -> str:
    """Return the path of a prompt."""
    return f"{ROOT}/prompt/p{number}"


_FIXED: Final[dict[str, Place]] = {ROOT: Place(kind="service"), PORTAL_PATH: Place(kind="portal")}
_SINGLE: Final[dict[str, Kind]] = {
    "collection": "collection",
    "aliases": "alias",
    "session": "session",
    "prompt": "prompt",
}
_DOUBLE: Final[dict[str, Kind]] = {"collection": "item", "aliases": "alias-item"}


def parse(path: str) -> Place:
    """Return the place that `path` names; whether something lies there is the keeper's to say.

    Raises:
        NotFoundError: No object of ours can have such a path.
    """
    if len(path) <= _MAX_PATH:
        if path in _FIXED:
            return _FIXED[path]
        if path in BRANCHES:
            return Place(kind="branch", name=path)
        if path.startswith(f"{ROOT}/"):
            place = _below_root(path[len(ROOT) + 1 :].split("/"))
            if place is not None:
                return place
    raise NotFoundError(f"no such object {path[:80]!r}")


def _below_root(segments: Sequence[str]) -> Place | None:
    family, names = segments[0], segments[1:]
    if not all(_SEGMENT.fullmatch(name) for name in names):
        return None
    if len(names) == 1 and family in _SINGLE:
        return Place(kind=_SINGLE[family], name=names[0])
    if len(names) == 2 and family in _DOUBLE:  # noqa: PLR2004 - a collection and an item in it
        return Place(kind=_DOUBLE[family], name=names[0], item=names[1])
    return None


def parse_all(paths: Sequence[str]) -> dict[str, Place]:
    """Return, for each path that can name one of our objects, the place it names.

    Raises:
        LimitError: More than `MAX_PATHS` paths.
    """
    if len(paths) > MAX_PATHS:
        raise LimitError(f"{len(paths)} objects in one call exceed the limit of {MAX_PATHS}")
    places = {}
    for path in paths:
        with suppress(NotFoundError):
            places[path] = parse(path)
    return places


def parse_alias(name: str) -> str:
    """Return `name` when it can be an alias.

    Raises:
        UsageError: It cannot stand in an object path.
    """
    if not _SEGMENT.fullmatch(name):
        raise UsageError(
            f"the alias {name[:80]!r} is not usable", hint="use letters, digits and underscores"
        )
    return name


def parse_secret(struct: Sequence[object]) -> WireSecret:
    """Return the secret that came as a `(oayays)` struct.

    Raises:
        UsageError: A part has the wrong type or is longer than it can ever need to be.
        LimitError: The value is longer than a secret may be.
    """
    try:
        secret = msgspec.convert(
            dict(zip(("session", "parameters", "value", "content_type"), struct, strict=True)),
            WireSecret,
            builtin_types=(bytes,),
        )
    except (msgspec.ValidationError, ValueError) as error:
        raise UsageError("the secret is malformed") from error
    if len(secret.parameters) > _MAX_PARAMETERS or len(secret.content_type) > _MAX_PATH:
        raise UsageError("the secret's parameters or content type are too long")
    # A cipher pads by up to one block of 16 bytes.
    if len(secret.value) > MAX_SECRET + 16:
        raise LimitError(f"a secret may have at most {MAX_SECRET} bytes")
    return secret


def parse_attributes(value: object) -> dict[str, str]:
    """Return item attributes, bounded in number and size.

    Raises:
        UsageError: Not a mapping from text to text within the limits.
    """
    try:
        return msgspec.convert(value, Attributes)
    except msgspec.ValidationError as error:
        raise UsageError(f"the attributes are not usable: {error}") from error


def parse_text(value: object, what: str) -> str:
    """Return a label or the like, bounded in size; `what` names it in the error.

    Raises:
        UsageError: Not text, or too long.
    """
    try:
        return str(msgspec.convert(value, Text))
    except msgspec.ValidationError as error:
        raise UsageError(f"{what} is not usable: {error}") from error


class ItemProperties(Value, frozen=True):
    """The properties a client gives a new item."""

    label: Text
    attributes: dict[str, str]


def parse_item_properties(properties: Mapping[str, object]) -> ItemProperties:
    """Return label and attributes of a new item from its full property names.

    The `Type` of older drafts becomes the attribute `xdg:schema` unless that is given.

    Raises:
        UsageError: A value has another type than its property, or exceeds a limit.
    """
    label = parse_text(properties.get(f"{ITEM}.{LABEL}", ""), "the label")
    attributes = parse_attributes(properties.get(f"{ITEM}.{ATTRIBUTES}", {}))
    schema = parse_text(properties.get(f"{ITEM}.Type", ""), "the type")
    if schema:
        attributes.setdefault(SCHEMA, schema)
        attributes = parse_attributes(attributes)
    return ItemProperties(label=label, attributes=attributes)
