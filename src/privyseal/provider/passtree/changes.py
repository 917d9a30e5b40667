"""What listeners are told of a tree: our changes at once, those of others when they are seen."""

import asyncio
import logging
from typing import Final, Literal

from privyseal.errors import PrivysealError
from privyseal.provider.passtree.entries import Entries
from privyseal.provider.passtree.keyhole import WATCH_SECONDS, Keyhole
from privyseal.provider.passtree.tree import Snapshot
from privyseal.runtime.backend import ChangeCallback
from privyseal.wire.keeper import StoreChange

log = logging.getLogger(__name__)

FOLLOW_SECONDS: Final = 5.0
"""How often the tree is looked at for what others change."""


class Changes:
    """Tells of changes; `told` is the tree that listeners know of."""

    def __init__(self, entries: Entries, keyhole: Keyhole, told: Snapshot) -> None:
        self._entries = entries
        self._keyhole = keyhole
        self._told = told
        self._listeners: list[ChangeCallback] = []

    def listen(self, callback: ChangeCallback) -> None:
        """Call `callback` after every change."""
        self._listeners.append(callback)

    def tell(
        self, what: Literal["created", "deleted", "changed"], collection: str, item: str = ""
    ) -> None:
        """Tell of one change."""
        change = StoreChange(what=what, collection=collection, item=item)
        for callback in self._listeners:
            callback(change)

    def tell_all(self, snapshot: Snapshot) -> None:
        """Tell that every collection has changed: it was locked or unlocked."""
        for collection in snapshot.folders:
            self.tell("changed", collection)

    async def follow(self) -> None:
        """Tell of what others change, and read it once so that a search finds it."""
        was_open = False
        while True:
            await asyncio.sleep(FOLLOW_SECONDS)
            try:
                fresh = await self._entries.scan()
                before, self._told = self._told, fresh
                self._compare(before, fresh)
                is_open = await self._keyhole.opened(now=True, seconds=WATCH_SECONDS)
                if is_open != was_open:  # by a passphrase that gpg's agent was given, say
                    was_open = is_open
                    self.tell_all(fresh)
                if is_open:
                    await self._entries.read_all(fresh)
            except PrivysealError as error:
                log.warning("the store cannot be followed: %s", error)

    def _compare(self, before: Snapshot, fresh: Snapshot) -> None:
        for collection in before.folders.keys() - fresh.folders.keys():
            self.tell("deleted", collection)
        for collection in fresh.folders.keys() - before.folders.keys():
            self.tell("created", collection)
        for ref in before.entries.keys() - fresh.entries.keys():
            self.tell("deleted", ref.collection, ref.item)
        for ref, file in fresh.entries.items():
            held = before.entries.get(ref)
            if held == file or self._entries.knows(file):
                continue
            self.tell("changed" if held else "created", ref.collection, ref.item)
