"""Changes of the store, announced as the signals that clients of the Secret Service wait for.

The named signals go out one by one. The lists of items and collections are announced once for
many changes: during an import that is the difference between linear and quadratic traffic.
"""

import asyncio
import logging
import os
from typing import Final

from dbus_fast import Variant

from privyseal.agent.requests import Requester
from privyseal.agent.visit import Desk
from privyseal.errors import NotFoundError, PrivysealError
from privyseal.model.keyring import ItemRef
from privyseal.runtime.secretobjects import Values, collection_values, item_values
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
_VERBS: Final = {"created": "Created", "deleted": "Deleted", "changed": "Changed"}


class Changes:
    """Turns each change into signals."""

    def __init__(self) -> None:
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

    async def run(self, desk: Desk) -> None:
        """Announce changes until cancelled."""
        ourselves = Requester(pidfd=os.pidfd_open(os.getpid()))
        try:
            while True:
                batch = [await self._queue.get()]
                while not self._queue.empty():
                    batch.append(self._queue.get_nowait())
                self._overflowed = False
                await self._announce(desk, ourselves, batch)
        finally:
            ourselves.close()

    async def _announce(self, desk: Desk, ourselves: Requester, batch: list[StoreChange]) -> None:
        for change in batch:
            _named(desk, change)
        items = {(c.collection, c.item) for c in batch if c.item and c.what == "changed"}
        try:
            for collection, item in sorted(items):
                await _item(desk, ourselves, ItemRef(collection=collection, item=item))
            for collection in dict.fromkeys(c.collection for c in batch):
                await _collection(desk, ourselves, collection)
            if any(not c.item and c.what != "changed" for c in batch):
                known = await desk.known(ourselves)
                paths = [collection_path(name) for name in known.collections]
                _properties(desk, ROOT, SERVICE, {"Collections": Variant("ao", paths)})
        except PrivysealError as error:
            log.info("changes were announced in part: %s", error)


def _named(desk: Desk, change: StoreChange) -> None:
    verb = _VERBS[change.what]
    where = collection_path(change.collection)
    if change.item:
        path = item_path(ItemRef(collection=change.collection, item=change.item))
        desk.connection.emit(where, COLLECTION, f"Item{verb}", "o", [path])
    else:
        desk.connection.emit(ROOT, SERVICE, f"Collection{verb}", "o", [where])


async def _item(desk: Desk, ourselves: Requester, item: ItemRef) -> None:
    try:
        known = await desk.item(ourselves, item)
    except NotFoundError:
        return
    _properties(desk, item_path(item), ITEM, item_values(known.item))


async def _collection(desk: Desk, ourselves: Requester, collection: str) -> None:
    try:
        info = (await desk.known(ourselves)).collections.get(collection)
        items = await desk.items(ourselves, collection)
    except NotFoundError:
        return
    if info is None:
        return
    values = collection_values(info, items)
    dropped = []
    if len(items) > _LISTED_ITEMS:
        del values["Items"]
        dropped.append("Items")
    _properties(desk, collection_path(collection), COLLECTION, values, dropped)


def _properties(
    desk: Desk, path: str, interface: str, values: Values, dropped: list[str] | None = None
) -> None:
    desk.connection.emit(
        path, PROPERTIES, "PropertiesChanged", "sa{sv}as", [interface, values, dropped or []]
    )
