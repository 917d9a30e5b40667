"""The direct door: the engine runs in this process, and the keys lie in a store of the user's."""

import os
from collections.abc import Mapping
from pathlib import Path

from privyseal.aws.choice import StoreOptions, open_store
from privyseal.aws.engine import carry_out
from privyseal.aws.flights import Flights
from privyseal.aws.means import Means
from privyseal.aws.ports import Item, KeyStore, Talk
from privyseal.errors import NotFoundError
from privyseal.model.aws import Order
from privyseal.model.secret import Secret
from privyseal.runtime.clock import SystemClock
from privyseal.runtime.paths import runtime_dir


class MemoryStore:
    """A store for what begins outside while the keeper keeps the keys: nothing outlasts it."""

    description = "nowhere"

    def __init__(self) -> None:
        self._items: dict[str, Item] = {}

    def entries(self) -> Mapping[str, Mapping[str, str]]:
        """Return the key of every entry with its notes."""
        return {key: item.notes for key, item in self._items.items()}

    def read(self, key: str) -> Item:
        """Return one entry.

        Raises:
            NotFoundError: There is none under this key.
        """
        if key not in self._items:
            raise NotFoundError(f"nothing is kept under {key!r}")
        return self._items[key]

    def write(self, item: Item) -> None:
        """Keep an entry while this process runs."""
        self._items[item.key] = item

    def remove(self, key: str) -> None:
        """Forget an entry.

        Raises:
            NotFoundError: There is none under this key.
        """
        self.read(key)
        del self._items[key]


def carry_out_here(order: Order, store: KeyStore, talk: Talk, value: Secret | None = None) -> bytes:
    """Carry out an order in this process; return its result as a JSON text."""
    return carry_out(order, Means(store, talk, SystemClock(), flights()), value, outside=True)


def open_direct(wanted: Mapping[str, str]) -> KeyStore:
    """Return the store that options and environment name, or the first that works here."""
    known = {name: wanted[name] for name in StoreOptions._fields if name in wanted}
    return open_store(StoreOptions(**known), os.environ)


def flights() -> Flights:
    """Return the flights of this user."""
    folder = runtime_dir()
    if not folder.parent.is_dir():
        folder = Path("~/.cache/privyseal").expanduser()
    return Flights(folder / "aws-flights")
