"""What every face of the Secret Service says of collections and items on the bus."""

from typing import Any

from dbus_fast import Variant

from privyseal.model.keyring import CollectionInfo, ItemInfo, ItemRef
from privyseal.wire.secretservice import SCHEMA, item_path

Values = dict[str, Variant]


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
