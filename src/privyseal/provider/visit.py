"""One call on its way through the provider, and what its parts share."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from privyseal.errors import NotFoundError
from privyseal.model.keyring import CollectionInfo, ItemRef
from privyseal.model.secret import Secret
from privyseal.provider.stores import Store
from privyseal.runtime.bus import Call, Reply
from privyseal.runtime.sessions import Sessions
from privyseal.wire.secretservice import ITEMS, STANDING_ALIASES, Place


@dataclass(frozen=True, slots=True)
class Peer:
    """One connection of our own user."""

    name: str


@dataclass(frozen=True, slots=True)
class Visit:
    """Who calls, and the object that is called."""

    peer: Peer
    place: Place
    call: Call

    @property
    def body(self) -> list[Any]:
        """The arguments; their types are those of the method's signature."""
        return self.call.body


Visitor = Callable[[Visit], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Known:
    """The collections and aliases at one instant."""

    collections: dict[str, CollectionInfo]
    aliases: dict[str, str]

    def find(self, place: Place) -> CollectionInfo | None:
        """Return the collection that a collection's, alias's or item's path leads to."""
        name = place.name
        if place.kind in {"alias", "alias-item"}:
            name = self.aliases.get(name, "")
        return self.collections.get(name)

    def show(self, place: Place) -> CollectionInfo:
        """Return the collection at `place`; an alias that always exists may mean nothing.

        Raises:
            NotFoundError: No such collection or alias.
        """
        info = self.find(place)
        if info is not None:
            return info
        if place.kind == "alias" and place.name in STANDING_ALIASES:
            return CollectionInfo(id="")
        raise NotFoundError(f"no such collection {place.name!r}")


@dataclass(frozen=True, slots=True)
class Desk:
    """The store and the sessions."""

    store: Store
    sessions: Sessions

    async def known(self) -> Known:
        """Return all collections and aliases; of a store that is still to be made, none."""
        backend = self.store.backend
        collections = {c.id: c for c in await backend.collections()}
        aliases = dict(await backend.aliases())
        if not await backend.initialised():
            collections = {name: c for name, c in collections.items() if name == "session"}
            aliases = {alias: name for alias, name in aliases.items() if name in collections}
        return Known(collections, aliases)

    async def collection_at(self, place: Place) -> str:
        """Return the identifier of the collection that is called.

        Raises:
            NotFoundError: It does not exist, or the alias means none.
        """
        info = (await self.known()).find(place)
        if info is None:
            raise NotFoundError(f"no such collection {place.name!r}")
        return info.id

    async def item_at(self, place: Place) -> ItemRef:
        """Return the item that a path leads to; whether it exists is not looked up.

        Raises:
            NotFoundError: No item can be there.
        """
        if place.kind == "alias-item":
            return ItemRef(collection=await self.collection_at(place), item=place.item)
        if place.kind in ITEMS:
            return ItemRef(collection=place.name, item=place.item)
        raise NotFoundError("no such item")

    def unseal(self, visit: Visit, struct: list[object]) -> Secret:
        """Return the secret that the caller sent in one of its sessions."""
        return self.sessions.unseal(visit.peer, struct)
