"""Reading the entries of a tree: what was read once is known for as long as its file is the same.

No call waits for another one's decryption, except a search, which waits until every entry was read.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from privyseal.errors import CorruptError, LockedError, NotFoundError, UnreachableError
from privyseal.model.keyring import ItemRef
from privyseal.model.secret import Secret
from privyseal.provider.passtree.gpg import Gpg
from privyseal.provider.passtree.index import Searchable
from privyseal.provider.passtree.keyhole import Keyhole
from privyseal.provider.passtree.tree import File, Snapshot, Tree
from privyseal.wire.passentry import Entry, parse

_AT_ONCE: Final = 2
_SEARCH_SECONDS: Final = 45.0


class Entries:
    """Every entry of one tree."""

    def __init__(self, tree: Tree, gpg: Gpg, keyhole: Keyhole, index: Searchable) -> None:
        self._tree = tree
        self._gpg = gpg
        self._keyhole = keyhole
        self._index = index
        self._known: dict[str, tuple[File, Entry]] = {}
        self._seen = Snapshot()
        self._reading = asyncio.Lock()

    async def scan(self) -> Snapshot:
        """Return what lies in the tree now."""
        return await asyncio.to_thread(self._tree.scan)

    async def around(self, item: ItemRef) -> Snapshot:
        """Return a snapshot in which the item is as it is now.

        Raises:
            NotFoundError: It is not there.
        """
        held = self._seen.entries.get(item)
        if held is not None and self._tree.stamp(held.path) == held.stamp:
            return self._seen
        self._seen = await self.scan()
        self._seen.file(item)
        return self._seen

    async def content(self, file: File) -> bytes:
        """Return the text of an entry.

        Raises:
            LockedError: gpg would have to ask for a passphrase.
            CorruptError: No key here opens it.
        """
        sealed = await asyncio.to_thread(self._tree.read, file)
        try:
            return await self._gpg.decrypt(sealed)
        except LockedError:
            await self._keyhole.doubt()
            raise

    async def about(self, file: File, path: str) -> Entry:
        """Return what the entry at `path` of its collection says, but for its value."""
        held, known = self._known.get(file.path, (None, None))
        if held == file and known is not None:
            return known
        return self.remember(file, path, parse(await self.content(file)))

    def remember(self, file: File, path: str, entry: Entry) -> Entry:
        """Keep what an entry says, but for its value."""
        known = replace(entry, secret=Secret(b"", entry.secret.content_type), notes=())
        self._index.note(file, attributes_of(known, path))
        if self._keyhole.was_open:
            self._known[file.path] = file, known
        return known

    def knows(self, file: File) -> bool:
        """Return whether the entry was read since its file became what it is."""
        return self._known.get(file.path, (None, None))[0] == file

    def forget(self, path: str | None = None) -> None:
        """Forget one entry, or all."""
        if path is None:
            self._known.clear()
        else:
            self._known.pop(path, None)

    async def search(
        self, snapshot: Snapshot, attributes: Mapping[str, str], collection: str
    ) -> tuple[ItemRef, ...]:
        """Return the items with all these attributes; while locked, those that were read before.

        Raises:
            UnreachableError: Reading what is new takes too long; it goes on with the next search.
        """
        if attributes and await self._keyhole.opened():
            try:
                async with asyncio.timeout(_SEARCH_SECONDS):
                    await self.read_all(snapshot)
            except TimeoutError:
                left = sum(not self._index.knows(file) for file in snapshot.entries.values())
                raise UnreachableError(
                    f"gpg still has to read {left} of {len(snapshot.entries)} entries once",
                    hint="search again later; what was read is remembered",
                ) from None

        def matches(ref: ItemRef, file: File) -> bool:
            if self._index.matches(file, attributes):
                return True
            # What was never read may be somebody else's entry, which its path alone tells of.
            path = {"path": readable(snapshot.inner(ref))}
            return not self._index.knows(file) and attributes == path

        return tuple(
            ref
            for ref, file in snapshot.entries.items()
            if collection in {"", ref.collection} and matches(ref, file)
        )

    async def read_all(self, snapshot: Snapshot) -> None:
        """Read every entry that is not known as it is now, a few at once."""
        async with self._reading:
            stale = {
                ref: file for ref, file in snapshot.entries.items() if not self._index.knows(file)
            }
            if not stale:
                return
            some = asyncio.Semaphore(_AT_ONCE)

            async def look(ref: ItemRef, file: File) -> None:
                async with some:
                    try:
                        await self.about(file, readable(snapshot.inner(ref)))
                    except CorruptError:
                        self._index.note(file, {})
                    except (NotFoundError, LockedError):
                        pass

            try:
                async with asyncio.TaskGroup() as group:
                    for ref, file in stale.items():
                        group.create_task(look(ref, file), name="entry")
            finally:
                self.save(snapshot)

    def save(self, snapshot: Snapshot) -> None:
        """Keep what searches need for the next start."""
        self._index.save(snapshot.entries.values())


def attributes_of(entry: Entry, path: str) -> dict[str, str]:
    """Return the attributes of an item; an entry of somebody else's is also found by its path."""
    return dict(entry.attributes) if entry.ours else {"path": path, **entry.attributes}


def readable(path: str) -> str:
    """Return a path as text that the bus can carry."""
    return path.encode(errors="surrogateescape").decode(errors="replace")
