"""Items and collections as every process names them; the words are the Secret Service's."""

import msgspec

from privyseal.model.value import Attributes, Name, Text, Value


class ItemRef(Value, frozen=True):
    """Names one item for ever: identifiers are never used again after a delete."""

    collection: Name
    item: Name


class ItemInfo(Value, frozen=True):
    """What may be known of an item without its value.

    While the backend cannot open it (`locked`), label and attributes may be empty.
    """

    ref: ItemRef
    label: Text = ""
    attributes: Attributes = msgspec.field(default_factory=dict)
    content_type: Text = ""
    created: int = 0
    modified: int = 0
    locked: bool = False


class CollectionInfo(Value, frozen=True):
    """What may be known of a collection; times are seconds since 1970 (UTC)."""

    id: Name
    label: Text = ""
    created: int = 0
    modified: int = 0
    locked: bool = False
