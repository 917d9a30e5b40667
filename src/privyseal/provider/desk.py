"""What all calls of the provider work with, and the keyring as its store tells of it."""

from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from privyseal.model.keyring import ItemInfo, ItemRef
from privyseal.model.secret import Secret
from privyseal.provider.stores import Store
from privyseal.runtime.backend import Backend
from privyseal.runtime.secretservice import calls
from privyseal.runtime.secretservice.keyring import Known
from privyseal.runtime.secretservice.sessions import Sessions
from privyseal.wire.secretservice import CONTENT_TYPE


@dataclass(frozen=True, slots=True)
class Peer:
    """One connection of our own user."""

    name: str


Visit: TypeAlias = calls.Visit[Peer]


@dataclass(frozen=True, slots=True)
class Stock:
    """The keyring in a store, the same for every caller."""

    backend: Backend

    async def known(self) -> Known:
        """Return all collections and aliases; of a store that is still to be made, none."""
        collections = {c.id: c for c in await self.backend.collections()}
        aliases = dict(await self.backend.aliases())
        if not await self.backend.initialised():
            collections = {name: c for name, c in collections.items() if name == "session"}
            aliases = {alias: name for alias, name in aliases.items() if name in collections}
        return Known(collections, aliases)

    async def items(self, collection: str) -> tuple[str, ...]:
        """Return the identifiers of the items of a collection."""
        return await self.backend.items(collection)

    async def describe(self, item: ItemRef) -> ItemInfo:
        """Return the properties of an item, the type of its value among the attributes."""
        info = await self.backend.describe(item)
        if info.content_type in {"", "text/plain"}:
            return info
        typed = {**info.attributes, CONTENT_TYPE: info.content_type}
        return msgspec.structs.replace(info, attributes=typed)


@dataclass(frozen=True, slots=True)
class Desk:
    """The store and the sessions."""

    store: Store
    sessions: Sessions

    def unseal(self, visit: Visit, struct: list[object]) -> Secret:
        """Return the secret that the caller sent in one of its sessions."""
        return self.sessions.unseal(visit.peer, struct)
