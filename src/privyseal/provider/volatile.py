"""The collection `session`, which is in memory only, beside a backend that has none."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import final

from privyseal.errors import UnsupportedError
from privyseal.model.clock import Clock
from privyseal.model.keyring import CollectionInfo, ItemInfo, ItemRef
from privyseal.model.secret import Secret
from privyseal.runtime.backend import Backend, ChangeCallback
from privyseal.runtime.embedded import EmbeddedBackend
from privyseal.runtime.vault import SESSION


@final
class WithSession:
    """Everything of `stored`, and the collection `session` of an embedded store without a file."""

    def __init__(self, stored: Backend, clock: Clock) -> None:
        self.description = stored.description
        self._stored = stored
        self._volatile: Backend = EmbeddedBackend(Path("/dev/null/no-store"), clock=clock)

    async def initialised(self) -> bool:
        """Return whether the store exists."""
        return await self._stored.initialised()

    async def locked(self) -> bool:
        """Return whether the store needs its passphrase; `session` never does."""
        return await self._stored.locked()

    async def unlock(self, passphrase: Secret, collections: Sequence[str] = ()) -> None:
        """Open the named collections, or all."""
        named = [name for name in collections if name != SESSION]
        if named or not collections:
            await self._stored.unlock(passphrase, named)

    async def lock(self, collections: Sequence[str] = ()) -> None:
        """Lock the named collections, or all; `session` stays as it is."""
        named = [name for name in collections if name != SESSION]
        if named or not collections:
            await self._stored.lock(named)

    async def collections(self) -> tuple[CollectionInfo, ...]:
        """Return every collection, `session` at the end."""
        volatile = [c for c in await self._volatile.collections() if c.id == SESSION]
        return (*await self._stored.collections(), *volatile)

    async def aliases(self) -> Mapping[str, str]:
        """Return what each alias points to."""
        return {**await self._stored.aliases(), SESSION: SESSION}

    async def items(self, collection: str) -> tuple[str, ...]:
        """Return the identifiers of the items of one collection."""
        return await self._of(collection).items(collection)

    async def describe(self, item: ItemRef) -> ItemInfo:
        """Return what is known of an item."""
        return await self._of(item.collection).describe(item)

    async def search(
        self, attributes: Mapping[str, str], collection: str = ""
    ) -> tuple[ItemRef, ...]:
        """Return the items that have all these attributes."""
        if collection:
            return await self._of(collection).search(attributes, collection)
        volatile = await self._volatile.search(attributes, SESSION)
        return (*await self._stored.search(attributes), *volatile)

    async def read(self, item: ItemRef) -> Secret:
        """Return the value of an item."""
        return await self._of(item.collection).read(item)

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
        return await create(collection, label, attributes, value, replace=replace)

    async def write(self, item: ItemRef, value: Secret) -> None:
        """Overwrite the value of an item."""
        await self._of(item.collection).write(item, value)

    async def change(
        self, item: ItemRef, *, label: str | None, attributes: Mapping[str, str] | None
    ) -> None:
        """Change label or attributes of an item; None leaves them as they are."""
        await self._of(item.collection).change(item, label=label, attributes=attributes)

    async def delete(self, item: ItemRef) -> None:
        """Delete an item."""
        await self._of(item.collection).delete(item)

    async def create_collection(self, label: str, alias: str) -> str:
        """Create a collection, or return the one that `alias` means already."""
        if alias == SESSION:
            return SESSION
        return await self._stored.create_collection(label, alias)

    async def change_collection(self, collection: str, label: str) -> None:
        """Change the label of a collection."""
        await self._of(collection).change_collection(collection, label)

    async def delete_collection(self, collection: str) -> None:
        """Delete a collection; `session` cannot be deleted."""
        await self._of(collection).delete_collection(collection)

    async def set_alias(self, alias: str, collection: str) -> None:
        """Let an alias point to a collection; the empty name removes it."""
        if SESSION in {alias, collection}:
            raise UnsupportedError("the session collection has one alias, its own, for ever")
        await self._stored.set_alias(alias, collection)

    def listen(self, callback: ChangeCallback) -> None:
        """Call `callback` after every change, whoever made it."""
        self._stored.listen(callback)
        self._volatile.listen(callback)

    async def close(self) -> None:
        """Release everything; `session` is gone."""
        await self._volatile.close()
        await self._stored.close()

    def _of(self, collection: str) -> Backend:
        return self._volatile if collection == SESSION else self._stored
