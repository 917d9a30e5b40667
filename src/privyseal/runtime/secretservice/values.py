"""What is said on the bus of the service, its collections and its items."""

from collections.abc import Iterable, Mapping
from typing import Any

from dbus_fast import Variant

from privyseal.model.keyring import CollectionInfo, ItemInfo, ItemRef
from privyseal.wire.secretservice import (
    COLLECTION,
    LABEL,
    SCHEMA,
    collection_path,
    item_path,
    parse_text,
)

Values = dict[str, Variant]


def service_values(collections: Iterable[str]) -> Values:
    """Return the properties of the service itself."""
    return {"Collections": Variant("ao", [collection_path(name) for name in collections])}


def collection_values(info: CollectionInfo, items: tuple[str, ...]) -> Values:
    """Return the properties of a collection."""
    paths = [item_path(ItemRef(collection=info.id, item=item)) for item in items]
    return {
        "Items": Variant("ao", paths),
        "Label": Variant("s", info.label),
        "Locked": Variant("b", info.locked),
        "Created": Variant("t", max(info.created, 0)),
        "Modified": Variant("t", max(info.modified, 0)),
    }


def item_values(info: ItemInfo) -> Values:
    """Return the properties of an item that are the same for every caller: all but Locked."""
    return {
        "Attributes": Variant("a{ss}", info.attributes),
        "Label": Variant("s", info.label),
        "Type": Variant("s", info.attributes.get(SCHEMA, "")),
        "Created": Variant("t", max(info.created, 0)),
        "Modified": Variant("t", max(info.modified, 0)),
    }


def plain(value: Any) -> object:
    """Return what variants hold, so that `a{sv}` of text is as good as `a{ss}`."""
    if isinstance(value, Variant):
        return plain(value.value)
    if isinstance(value, dict):
        return {plain(key): plain(part) for key, part in value.items()}
    return value


def label_in(properties: Mapping[str, Variant]) -> str:
    """Return the label that a client gives a new collection.

    Raises:
        UsageError: Not text, or too long.
    """
    given = properties.get(f"{COLLECTION}.{LABEL}", Variant("s", ""))
    return parse_text(given.value, "the label")
