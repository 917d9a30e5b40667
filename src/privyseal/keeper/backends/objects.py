"""What a provider says, checked before it is believed: paths, variants, texts, sizes.

A path must lie where the Secret Service specification puts such an object, in one or two segments
of the D-Bus alphabet; texts and lists have the limits of our own values.
"""

import re
from typing import Final

from dbus_fast import Variant

from privyseal.errors import CorruptError, LimitError, NotFoundError
from privyseal.model.keyring import ItemRef
from privyseal.model.value import MAX_ATTRIBUTES, MAX_SECRET

ROOT: Final = "/org/freedesktop/secrets"
NOTHING: Final = "/"
"""The path that stands for "no object" and "no prompt"."""

_PATH: Final = re.compile(
    ROOT + r"/(?P<kind>collection|session|prompt)/(?P<id>[A-Za-z0-9_]{1,255})"
    r"(?:/(?P<item>[A-Za-z0-9_]{1,255}))?"
)
_SEGMENT: Final = re.compile(r"[A-Za-z0-9_]{1,255}")
_MAX_PATHS: Final = 200_000
_MAX_NAME: Final = 255
_MAX_TEXT: Final = 16 * 1024


def item_path(item: ItemRef) -> str:
    """Return the path of an item.

    Raises:
        NotFoundError: No path can have such segments, so there is no such item.
    """
    if not _SEGMENT.fullmatch(item.item):
        raise NotFoundError(f"no item {item.item!r}")
    return f"{collection_path(item.collection)}/{item.item}"


def collection_path(collection: str) -> str:
    """Return the path of a collection.

    Raises:
        NotFoundError: No path can have such a segment, so there is no such collection.
    """
    if not _SEGMENT.fullmatch(collection):
        raise NotFoundError(f"no collection {collection!r}")
    return f"{ROOT}/collection/{collection}"


def parse_collection(path: object) -> str:
    """Return the collection that a path from the provider names."""
    match = check_path(path, "collection")
    if match["item"] is not None:
        raise CorruptError(f"the provider named {path!r} where a collection belongs")
    return match["id"]


def parse_item(path: object, collection: str = "") -> ItemRef:
    """Return the item that a path from the provider names, in `collection` if that is given."""
    match = check_path(path, "collection")
    if match["item"] is None or (collection and match["id"] != collection):
        raise CorruptError(f"the provider named {path!r} where an item belongs")
    return ItemRef(collection=match["id"], item=match["item"])


def paths(value: object) -> list[object]:
    """Return an array of paths, each still to be parsed."""
    if not isinstance(value, list) or len(value) > _MAX_PATHS:
        raise CorruptError("the provider answered with no list of paths, or with too long a one")
    return value


def check_path(path: object, kind: str) -> "re.Match[str]":
    """Return the parts of a path to an object of this kind: `collection`, `session` or `prompt`."""
    match = _PATH.fullmatch(path) if isinstance(path, str) else None
    deep = match is not None and match["item"] is not None
    if match is None or match["kind"] != kind or (deep and kind != "collection"):
        raise CorruptError(f"the provider named the path {str(path)[:200]!r}")
    return match


def variant(value: object, kind: str) -> object:
    """Return what a variant holds, if it is of the D-Bus type `kind`.

    Raises:
        CorruptError: It is missing or of another type.
    """
    if not isinstance(value, Variant) or value.signature != kind:
        raise CorruptError(f"the provider gave no {kind!r} where one belongs")
    held: object = value.value
    return held


def refuse_huge(length: int) -> None:
    """Refuse a value that is longer than any of ours may be."""
    if length > MAX_SECRET:
        raise LimitError(f"a value of {length} bytes exceeds the limit of {MAX_SECRET}")


def text_of(value: object) -> str:
    """Return a text, if it is one and no longer than ours may be."""
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        raise LimitError(f"the provider gave no text, or one longer than {_MAX_TEXT}")
    return value


def seconds_of(value: object) -> int:
    """Return the time in a variant, in seconds since 1970."""
    seconds = variant(value, "t")
    return seconds if isinstance(seconds, int) else 0


def attributes_of(value: object) -> dict[str, str]:
    """Return attributes, if there are no more and no longer ones than ours may be."""
    # One more than a requester may give: ours.
    if not isinstance(value, dict) or len(value) > MAX_ATTRIBUTES + 1:
        raise LimitError(f"the provider gave no attributes, or more than {MAX_ATTRIBUTES}")
    if any(len(name) > _MAX_NAME for name in value):
        raise LimitError(f"the provider gave an attribute's name longer than {_MAX_NAME}")
    return {name: text_of(held) for name, held in value.items()}
