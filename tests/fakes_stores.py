"""A store of keys in memory, held to the contract of stores like the real ones."""

from collections.abc import Mapping

from privyseal.aws.ports import Item
from privyseal.errors import NotFoundError


class MemoryStore:
    """Keeps entries in a dict; `reads` names those whose value was read."""

    description = "a store in memory"

    def __init__(self, *, keeps_notes: bool = True) -> None:
        self.reads: list[str] = []
        self._keeps_notes = keeps_notes
        self._items: dict[str, Item] = {}

    def entries(self) -> Mapping[str, Mapping[str, str]]:
        return {key: item.notes for key, item in self._items.items()}

    def read(self, key: str) -> Item:
        self.reads.append(key)
        if key not in self._items:
            raise NotFoundError(f"{self.description} holds no {key!r}")
        return self._items[key]

    def write(self, item: Item) -> None:
        notes = {name: text for name, text in item.notes.items() if text}
        self._items[item.key] = item._replace(notes=notes if self._keeps_notes else {})

    def remove(self, key: str) -> None:
        if self._items.pop(key, None) is None:
            raise NotFoundError(f"{self.description} holds no {key!r}")
