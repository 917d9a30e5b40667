"""A tree of pass or gopass as a backend: each file an item, each marked folder a collection.

Names, times and collections are known without a key. Labels, attributes and values are in the
encrypted files.
"""

import asyncio
import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace as with_changes
from pathlib import Path
from typing import final

import msgspec

from privyseal.errors import (
    CorruptError,
    LimitError,
    LockedError,
    PrivysealError,
    UnsupportedError,
)
from privyseal.model.clock import Clock
from privyseal.model.keyring import CollectionInfo, ItemInfo, ItemRef
from privyseal.model.secret import Secret
from privyseal.model.value import MAX_SECRET
from privyseal.provider.passtree.changes import Changes
from privyseal.provider.passtree.entries import Entries, attributes_of, readable
from privyseal.provider.passtree.folders import Folders
from privyseal.provider.passtree.git import History
from privyseal.provider.passtree.gpg import Gpg
from privyseal.provider.passtree.index import Searchable
from privyseal.provider.passtree.keyhole import Keyhole
from privyseal.provider.passtree.tree import LOGIN, Folder, Tree
from privyseal.provider.passtree.writing import Place, Writing
from privyseal.runtime.backend import ChangeCallback
from privyseal.wire.passentry import Entry, parse, render, with_value
from privyseal.wire.passnames import unescape

log = logging.getLogger(__name__)


@final
class PassBackend:
    """The `Backend` port over a tree; `privyseal.provider.volatile` adds the collection `session`."""

    def __init__(
        self, root: Path, group: asyncio.TaskGroup, clock: Clock, *, git: bool, bus: str = ""
    ) -> None:
        self.description = f"pass store in {root}"
        self._clock = clock
        self._git = git
        self._tree = Tree(root)
        self._gpg = Gpg(root.parent / ".gnupg", bus)
        self._history = History(root)
        self._keyhole = Keyhole(self._tree, self._gpg, clock)
        index = Searchable(root.parent / f".{root.name}.index")
        self._entries = Entries(self._tree, self._gpg, self._keyhole, index)
        self._replacing = asyncio.Lock()
        self._folders = Folders(self._tree, self._history)
        self._changes = Changes(self._entries, self._keyhole, self._tree.scan())
        self._writing = Writing(
            Place(self._tree, self._gpg, self._history, self._keyhole, self._entries),
            self._changes,
            clock,
        )
        self._following = group.create_task(self._changes.follow(), name="pass store")

    async def initialised(self) -> bool:
        """Return whether there is a `.gpg-id`; the first `unlock` makes the store and a key."""
        return self._tree.made

    async def locked(self) -> bool:
        """Return whether gpg would have to ask for a passphrase."""
        return not await self._keyhole.opened()

    async def unlock(self, passphrase: Secret, collections: Sequence[str] = ()) -> None:
        """Give gpg's agent the passphrase; an open store stays open whatever it is."""
        if not self._tree.made:
            await self._keyhole.make(passphrase)
            if self._git:
                await self._history.begin()
        snapshot = await self._entries.scan()
        for collection in collections:
            snapshot.folder(collection)
        await self._keyhole.unlock(passphrase)
        self._changes.tell_all(snapshot)

    async def lock(self, collections: Sequence[str] = ()) -> None:
        """Let gpg's agent forget its passphrases: one key opens all collections."""
        snapshot = await self._entries.scan()
        for collection in collections:
            snapshot.folder(collection)
        await self._keyhole.lock()
        self._entries.forget()
        self._changes.tell_all(snapshot)

    async def close(self) -> None:
        """End gpg's agent and with it what it knows."""
        self._following.cancel()
        self._entries.forget()
        with suppress(PrivysealError):
            self._entries.save(await self._entries.scan())
        await self._gpg.close()

    def listen(self, callback: ChangeCallback) -> None:
        """Call `callback` after every change, whoever made it."""
        self._changes.listen(callback)

    async def collections(self) -> tuple[CollectionInfo, ...]:
        """Return every collection, the tree itself first."""
        snapshot = await self._entries.scan()
        locked = not await self._keyhole.opened()
        return tuple(
            CollectionInfo(
                id=folder.id,
                label=folder.label,
                created=folder.created,
                modified=folder.modified,
                locked=locked,
            )
            for folder in sorted(
                snapshot.folders.values(), key=lambda folder: (folder.id != LOGIN, folder.created)
            )
        )

    async def aliases(self) -> Mapping[str, str]:
        """Return what each alias points to."""
        folders = (await self._entries.scan()).folders
        held = folders[LOGIN].aliases if folders else {}
        return {alias: found for alias, found in held.items() if found in folders}

    async def create_collection(self, label: str, alias: str) -> str:
        """Make a folder, or return the collection that `alias` means already."""
        taken = (await self.aliases()).get(alias)
        if taken is not None:
            return taken
        await self._keyhole.need()
        now = int(self._clock.wall())
        about = Folder(id=os.urandom(8).hex(), label=label, created=now, modified=now)
        await self._folders.make(about)
        if alias:
            await self.set_alias(alias, about.id)
        self._changes.tell("created", about.id)
        return about.id

    async def change_collection(self, collection: str, label: str) -> None:
        """Change the label of a collection; its folder keeps its name."""
        await self._keyhole.need()
        now = int(self._clock.wall())
        await self._folders.change(
            await self._entries.scan(),
            collection,
            lambda folder: _changed(folder, label=label, modified=now),
        )
        self._changes.tell("changed", collection)

    async def delete_collection(self, collection: str) -> None:
        """Delete a folder with everything in it."""
        snapshot = await self._entries.scan()
        snapshot.folder(collection)
        name = snapshot.names[collection]
        if not name:
            raise UnsupportedError("the collection that is the whole tree cannot be deleted")
        await self._keyhole.need()
        await self._folders.remove(name)
        self._changes.tell("deleted", collection)

    async def set_alias(self, alias: str, collection: str) -> None:
        """Let an alias point to a collection; the empty name removes it."""
        await self._keyhole.need()
        snapshot = await self._entries.scan()
        if collection:
            snapshot.folder(collection)

        def change(folder: Folder) -> Folder:
            rest = {name: held for name, held in folder.aliases.items() if name != alias}
            return _changed(folder, aliases={**rest, **({alias: collection} if collection else {})})

        await self._folders.change(snapshot, LOGIN, change)

    async def items(self, collection: str) -> tuple[str, ...]:
        """Return the identifiers of the entries of a collection, in the order of their paths."""
        snapshot = await self._entries.scan()
        snapshot.folder(collection)
        return tuple(ref.item for ref in snapshot.entries if ref.collection == collection)

    async def describe(self, item: ItemRef) -> ItemInfo:
        """Return what is known of an item; one that no key here opens has its path as label."""
        snapshot = await self._entries.around(item)
        file = snapshot.file(item)
        modified = file.stamp.mtime_ns // 10**9
        unread = ItemInfo(ref=item, created=modified, modified=modified, locked=True)
        if not await self._keyhole.opened():
            return unread
        path = readable(snapshot.inner(item))
        try:
            entry = await self._entries.about(file, path)
        except LockedError:
            return unread
        except CorruptError as error:
            log.warning("the entry %r cannot be read: %s", file.path, error)
            return msgspec.structs.replace(unread, label=path, locked=False)
        return ItemInfo(
            ref=item,
            label=_label(entry, path),
            attributes=attributes_of(entry, path),
            content_type=entry.secret.content_type,
            created=entry.created or modified,
            modified=max(modified, entry.created),
        )

    async def search(
        self, attributes: Mapping[str, str], collection: str = ""
    ) -> tuple[ItemRef, ...]:
        """Return the items that have all these attributes; while locked, those read before."""
        snapshot = await self._entries.scan()
        if collection:
            snapshot.folder(collection)
        return await self._entries.search(snapshot, attributes, collection)

    async def read(self, item: ItemRef) -> Secret:
        """Return the value of an item."""
        await self._keyhole.need()
        entry = await self._entries.content((await self._entries.around(item)).file(item))
        return parse(entry).secret

    async def create(
        self,
        collection: str,
        label: str,
        attributes: Mapping[str, str],
        value: Secret,
        *,
        replace: bool,
    ) -> ItemRef:
        """Store a new item; with `replace`, overwrite the one with exactly these attributes."""
        snapshot = await self._entries.scan()
        snapshot.folder(collection)
        await self._keyhole.need()
        _refuse_huge(value)
        folder = snapshot.names[collection]
        if not replace:
            return await self._writing.create(folder, collection, label, attributes, value)
        async with self._replacing:  # or two of them would both find nothing, and both create
            for ref in await self.search(attributes, collection):
                if (await self.describe(ref)).attributes == attributes:
                    await self._writing.rewrite(
                        ref, lambda _, entry: render(with_changes(entry, secret=value, label=label))
                    )
                    return ref
            return await self._writing.create(folder, collection, label, attributes, value)

    async def write(self, item: ItemRef, value: Secret) -> None:
        """Overwrite the value of an item."""
        _refuse_huge(value)
        await self._writing.rewrite(item, lambda content, entry: with_value(content, value, entry))

    async def change(
        self, item: ItemRef, *, label: str | None, attributes: Mapping[str, str] | None
    ) -> None:
        """Change label or attributes of an item; None leaves them as they are."""

        def changed(_: bytes, entry: Entry) -> bytes:
            if label is not None:
                entry = with_changes(entry, label=label)
            if attributes is not None:
                entry = with_changes(entry, attributes=dict(attributes))
            return render(entry)

        await self._writing.rewrite(item, changed)

    async def delete(self, item: ItemRef) -> None:
        """Delete an item's file."""
        await self._writing.remove(item)


def _label(entry: Entry, path: str) -> str:
    if entry.label is not None:
        return entry.label
    return unescape(path.rpartition("/")[2]) if entry.ours else path


def _changed(folder: Folder, **changes: object) -> Folder:
    return msgspec.structs.replace(folder, **changes)


def _refuse_huge(value: Secret) -> None:
    if len(value) > MAX_SECRET:
        raise LimitError(f"a value of {len(value)} bytes exceeds the limit of {MAX_SECRET}")
