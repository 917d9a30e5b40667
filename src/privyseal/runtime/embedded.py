"""The embedded store as a backend: the vault on disk, and a volatile one for `session`.

One passphrase opens the whole store, so locking one persistent collection locks them all. Before
the first unlock, which makes the store, its one empty collection is already listed, locked: a
client that looks for the default collection finds it and asks to unlock it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, final

from privyseal.errors import LockedError, NotFoundError, UnsupportedError
from privyseal.model.clock import Clock
from privyseal.model.keyring import CollectionInfo, ItemInfo, ItemRef
from privyseal.model.secret import Secret
from privyseal.runtime import vault
from privyseal.runtime.backend import ChangeCallback
from privyseal.runtime.vault import FIRST, SESSION, Vault
from privyseal.runtime.vaultfile import store_path
from privyseal.wire.keeper import StoreChange
from privyseal.wire.vault import Cost

_UNMADE: Final = {"default": FIRST, FIRST: FIRST}


@final
class EmbeddedBackend:
    """The `Backend` port over `privyseal.runtime.vault`.

    A commit waits for the disk and so runs in a thread: the event loop must not wait.
    """

    def __init__(self, folder: Path, *, clock: Clock, cost: Cost | None = None) -> None:
        self.description = f"embedded store in {folder}"
        self._folder = folder
        self._clock = clock
        self._cost = cost
        self._session = vault.volatile(clock=clock)
        self._vault: Vault | None = None
        self._unlocking = asyncio.Lock()
        self._listeners: list[ChangeCallback] = []

    async def initialised(self) -> bool:
        """Return whether the store exists; the first `unlock` creates it."""
        return self._stored() is not None

    async def locked(self) -> bool:
        """Return whether the store needs its passphrase."""
        stored = self._stored()
        return stored is None or stored.locked

    async def unlock(self, passphrase: Secret, collections: Sequence[str] = ()) -> None:
        """Open the store, or make it; a wrong passphrase leaves it as it was."""
        if not self._names_stored(collections):
            return
        async with self._unlocking:
            stored = self._stored()
            if stored is None:
                self._vault = await asyncio.to_thread(
                    vault.create, self._folder, passphrase, clock=self._clock, cost=self._cost
                )
            else:
                await asyncio.to_thread(stored.unlock, passphrase)
        self._tell_all()

    async def lock(self, collections: Sequence[str] = ()) -> None:
        """Forget the data key, unless only `session` is named."""
        stored = self._stored()
        if self._names_stored(collections) and stored is not None and not stored.locked:
            stored.lock()
            self._tell_all()

    async def collections(self) -> tuple[CollectionInfo, ...]:
        """Return every collection, in order of creation, and `session` at the end."""
        stored = self._stored()
        unmade = CollectionInfo(id=FIRST, label=FIRST.capitalize(), locked=True)
        found = stored.collections() if stored else (unmade,)
        return found + self._session.collections()

    async def aliases(self) -> Mapping[str, str]:
        """Return what each alias points to."""
        stored = self._stored()
        return (stored.aliases() if stored else _UNMADE) | {SESSION: SESSION}

    async def items(self, collection: str) -> tuple[str, ...]:
        """Return the identifiers of the items of one collection, in order of creation."""
        if self._stored() is None and collection == FIRST:
            return ()
        return await asyncio.to_thread(self._of(collection).items, collection)

    async def describe(self, item: ItemRef) -> ItemInfo:
        """Return what is known of an item."""
        return self._of(item.collection).describe(item)

    async def search(
        self, attributes: Mapping[str, str], collection: str = ""
    ) -> tuple[ItemRef, ...]:
        """Return the items that have all these attributes."""
        if collection and not (collection == FIRST and self._stored() is None):
            return await asyncio.to_thread(self._of(collection).search, attributes, collection)
        found: tuple[ItemRef, ...] = ()
        stored = self._stored()
        if stored is not None:
            found = await asyncio.to_thread(stored.search, attributes)
        return found if collection else found + self._session.search(attributes)

    async def read(self, item: ItemRef) -> Secret:
        """Return the value of an item; stays in the event loop, a thread costs more than a read."""
        return self._of(item.collection).read(item)

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
        create = self._of(collection).create
        ref, fresh = await asyncio.to_thread(
            create, collection, label, attributes, value, replace=replace
        )
        self._tell("created" if fresh else "changed", ref.collection, ref.item)
        return ref

    async def write(self, item: ItemRef, value: Secret) -> None:
        """Overwrite the value of an item."""
        await asyncio.to_thread(self._of(item.collection).write, item, value)
        self._tell("changed", item.collection, item.item)

    async def change(
        self, item: ItemRef, *, label: str | None, attributes: Mapping[str, str] | None
    ) -> None:
        """Change label or attributes of an item; None leaves them as they are."""
        change = self._of(item.collection).change
        await asyncio.to_thread(change, item, label=label, attributes=attributes)
        self._tell("changed", item.collection, item.item)

    async def delete(self, item: ItemRef) -> None:
        """Delete an item."""
        await asyncio.to_thread(self._of(item.collection).delete, item)
        self._tell("deleted", item.collection, item.item)

    async def create_collection(self, label: str, alias: str) -> str:
        """Create a collection, or return the one that `alias` means already."""
        taken = (await self.aliases()).get(alias)
        if taken is not None:
            return taken
        made = await asyncio.to_thread(self._open().create_collection, label, alias)
        self._tell("created", made)
        return made

    async def change_collection(self, collection: str, label: str) -> None:
        """Change the label of a collection."""
        await asyncio.to_thread(self._of(collection).change_collection, collection, label)
        self._tell("changed", collection)

    async def delete_collection(self, collection: str) -> None:
        """Delete a collection, all its items and the aliases that point to it."""
        if collection == SESSION:
            raise UnsupportedError("the session collection cannot be deleted")
        await asyncio.to_thread(self._of(collection).delete_collection, collection)
        self._tell("deleted", collection)

    async def set_alias(self, alias: str, collection: str) -> None:
        """Let an alias point to a collection; the empty name removes it."""
        if SESSION in {alias, collection}:
            raise UnsupportedError("the session collection has one alias, its own, for ever")
        await asyncio.to_thread(self._open().set_alias, alias, collection)

    def listen(self, callback: ChangeCallback) -> None:
        """Call `callback` after every change made through this backend."""
        self._listeners.append(callback)

    async def close(self) -> None:
        """Close the file and forget the keys; the session collection is gone."""
        self._session.close()
        if self._vault is not None:
            self._vault.close()
            self._vault = None

    def _stored(self) -> Vault | None:
        if self._vault is None and store_path(self._folder).exists():
            self._vault = vault.load(self._folder, clock=self._clock)
        return self._vault

    def _open(self) -> Vault:
        stored = self._stored()
        if stored is None:
            raise LockedError("there is no store yet", hint="make it with `privy unlock`")
        return stored

    def _of(self, collection: str) -> Vault:
        if collection == SESSION:
            return self._session
        if collection != FIRST and self._stored() is None:
            raise NotFoundError(f"no collection {collection!r}")
        return self._open()

    def _names_stored(self, collections: Sequence[str]) -> bool:
        stored = self._stored()
        known = {found.id for found in stored.collections()} if stored else {FIRST}
        for name in collections:
            if name != SESSION and name not in known:
                raise NotFoundError(f"no collection {name!r}")
        return not collections or any(name != SESSION for name in collections)

    def _tell_all(self) -> None:
        stored = self._stored()
        for found in stored.collections() if stored else ():
            self._tell("changed", found.id)

    def _tell(
        self, what: Literal["created", "deleted", "changed"], collection: str, item: str = ""
    ) -> None:
        change = StoreChange(what=what, collection=collection, item=item)
        for callback in self._listeners:
            callback(change)
