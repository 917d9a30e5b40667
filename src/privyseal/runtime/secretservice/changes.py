"""Changes of the store, announced as the signals that clients of the Secret Service wait for.

The named signals go out one by one. The lists of items and collections are announced once for
many changes: during an import that is the difference between linear and quadratic traffic.
"""

import asyncio
import logging
from typing import Final

from privyseal.errors import NotFoundError, PrivysealError
from privyseal.model.keyring import ItemRef
from privyseal.runtime.bus import Connection
from privyseal.runtime.secretservice.keyring import Keyring
from privyseal.runtime.secretservice.values import (
    Values,
    collection_values,
    item_values,
    service_values,
)
from privyseal.wire.keeper import StoreChange
from privyseal.wire.secretservice import (
    COLLECTION,
    ITEM,
    PROPERTIES,
    ROOT,
    SERVICE,
    collection_path,
    item_path,
)

log = logging.getLogger(__name__)

_LISTED_ITEMS: Final = 5000
_WAITING: Final = 10_000


class Changes:
    """Turns each change into signals."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._queue: asyncio.Queue[StoreChange] = asyncio.Queue(_WAITING)
        self._overflowed = False

    def note(self, change: StoreChange) -> None:
        """Take a change; it is announced soon."""
        if self._queue.full():
            # Only a client's cache is at stake; it is better stale than our memory exhausted.
            if not self._overflowed:
                log.warning("too many changes at once, some are not announced one by one")
            self._overflowed = True
            return
        self._queue.put_nowait(change)

    async def run(self, keyring: Keyring) -> None:
        """Announce changes until cancelled, as `keyring` describes what changed."""
        while True:
            batch = [await self._queue.get()]
            while not self._queue.empty():
                batch.append(self._queue.get_nowait())
            self._overflowed = False
            await self._announce(keyring, batch)

    async def _announce(self, keyring: Keyring, batch: list[StoreChange]) -> None:
        for change in batch:
            self._named(change)
        items = {(c.collection, c.item) for c in batch if c.item and c.what == "changed"}
        try:
            for collection, item in sorted(items):
                await self._item(keyring, ItemRef(collection=collection, item=item))
            for collection in dict.fromkeys(c.collection for c in batch):
                await self._collection(keyring, collection)
            if any(not c.item and c.what != "changed" for c in batch):
                known = await keyring.known()
                self._properties(ROOT, SERVICE, service_values(known.collections))
        except PrivysealError as error:
            log.info("changes were announced in part: %s", error)

    def _named(self, change: StoreChange) -> None:
        verb = change.what.capitalize()
        where = collection_path(change.collection)
        if change.item:
            path = item_path(ItemRef(collection=change.collection, item=change.item))
            self._connection.emit(where, COLLECTION, f"Item{verb}", "o", [path])
        else:
            self._connection.emit(ROOT, SERVICE, f"Collection{verb}", "o", [where])

    async def _item(self, keyring: Keyring, item: ItemRef) -> None:
        try:
            info = await keyring.describe(item)
        except NotFoundError:
            return
        self._properties(item_path(item), ITEM, item_values(info))

    async def _collection(self, keyring: Keyring, collection: str) -> None:
        try:
            info = (await keyring.known()).collections.get(collection)
            items = await keyring.items(collection)
        except NotFoundError:
            return
        if info is None:
            return
        values = collection_values(info, items)
        dropped = []
        if len(items) > _LISTED_ITEMS:
            del values["Items"]
            dropped.append("Items")
        self._properties(collection_path(collection), COLLECTION, values, dropped)

    def _properties(
        self, path: str, interface: str, values: Values, dropped: list[str] | None = None
    ) -> None:
        body = [interface, values, dropped or []]
        self._connection.emit(path, PROPERTIES, "PropertiesChanged", "sa{sv}as", body)
