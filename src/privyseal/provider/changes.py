"""Changes of the store, announced as the signals of the Secret Service.

The named signals go out one by one; lists of items and collections once for many changes.
"""

import asyncio
import logging
from typing import Final

from dbus_fast import Variant

from privyseal.errors import NotFoundError, PrivysealError
from privyseal.model.keyring import ItemRef
from privyseal.provider.visit import Desk
from privyseal.runtime.bus import Connection
from privyseal.runtime.secretobjects import Values, collection_values
from privyseal.wire.keeper import StoreChange
from privyseal.wire.secretservice import (
    COLLECTION,
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

    def __init__(self, connection: Connection, desk: Desk) -> None:
        self._connection = connection
        self._desk = desk
        self._queue: asyncio.Queue[StoreChange] = asyncio.Queue(_WAITING)

    def note(self, change: StoreChange) -> None:
        """Take a change; it is announced soon."""
        if self._queue.full():
            log.warning("too many changes at once, one is not announced")
        else:
            self._queue.put_nowait(change)

    async def run(self) -> None:
        """Announce changes until cancelled."""
        while True:
            batch = [await self._queue.get()]
            while not self._queue.empty():
                batch.append(self._queue.get_nowait())
            for change in batch:
                self._named(change)
            try:
                for collection in dict.fromkeys(change.collection for change in batch):
                    await self._collection(collection)
                if any(not change.item and change.what != "changed" for change in batch):
                    paths = [
                        collection_path(name) for name in (await self._desk.known()).collections
                    ]
                    self._properties(ROOT, SERVICE, {"Collections": Variant("ao", paths)})
            except PrivysealError as error:
                log.info("changes were announced in part: %s", error)

    def _named(self, change: StoreChange) -> None:
        member = f"{'Item' if change.item else 'Collection'}{change.what.capitalize()}"
        where = collection_path(change.collection)
        if change.item:
            path = item_path(ItemRef(collection=change.collection, item=change.item))
            self._connection.emit(where, COLLECTION, member, "o", [path])
        else:
            self._connection.emit(ROOT, SERVICE, member, "o", [where])

    async def _collection(self, name: str) -> None:
        info = (await self._desk.known()).collections.get(name)
        if info is None:
            return
        try:
            items = await self._desk.store.backend.items(name)
        except NotFoundError:
            return
        values = collection_values(info, items)
        dropped = []
        if len(items) > _LISTED_ITEMS:
            del values["Items"]
            dropped.append("Items")
        self._properties(collection_path(name), COLLECTION, values, dropped)

    def _properties(
        self, path: str, interface: str, values: Values, dropped: list[str] | None = None
    ) -> None:
        body = [interface, values, dropped or []]
        self._connection.emit(path, PROPERTIES, "PropertiesChanged", "sa{sv}as", body)
