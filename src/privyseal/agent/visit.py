"""One call on its way through the face, and what all faces of the service share."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from dbus_fast import Variant

from privyseal.agent.peers import Peer, Peers
from privyseal.agent.prompts import Prompts
from privyseal.agent.requests import Outcome, Requester, Requests
from privyseal.errors import NotFoundError, UnreachableError
from privyseal.model.ask import Ask
from privyseal.model.keyring import CollectionInfo, ItemRef
from privyseal.model.secret import Secret
from privyseal.runtime.bus import Call, Connection, Reply
from privyseal.runtime.sessions import Sessions
from privyseal.wire.keeper import (
    KnownCollections,
    KnownItem,
    KnownItems,
    LookCollections,
    LookItem,
    LookItems,
)
from privyseal.wire.secretservice import ITEMS, NOTHING, STANDING_ALIASES, Place


@dataclass(frozen=True, slots=True)
class Visit:
    """Who calls, and the object that is called."""

    peer: Peer
    place: Place
    call: Call

    @property
    def requester(self) -> Requester:
        """The process behind the call."""
        if self.peer.requester is None:
            raise UnreachableError("the caller has left the bus")
        return self.peer.requester

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
    """What every face of the service works with."""

    connection: Connection
    requests: Requests
    peers: Peers
    sessions: Sessions
    prompts: Prompts

    async def known(self, requester: Requester) -> Known:
        """Return all collections and aliases."""
        answer = await self.requests.look(requester, LookCollections())
        if not isinstance(answer, KnownCollections):
            raise UnreachableError("the keeper answered another question")
        return Known({c.id: c for c in answer.collections}, answer.aliases)

    async def items(self, requester: Requester, collection: str) -> tuple[str, ...]:
        """Return the identifiers of the items of a collection."""
        answer = await self.requests.look(requester, LookItems(collection=collection))
        if not isinstance(answer, KnownItems):
            raise UnreachableError("the keeper answered another question")
        return answer.items

    async def item(self, requester: Requester, item: ItemRef) -> KnownItem:
        """Return what may be known of an item."""
        answer = await self.requests.look(requester, LookItem(item=item))
        if not isinstance(answer, KnownItem):
            raise UnreachableError("the keeper answered another question")
        return answer

    def note_open(self, peer: Peer, items: Iterable[ItemRef]) -> None:
        """Note that a peer could read these items just now."""
        peer.note_open(items, self.peers.clock.monotonic(), self.peers.changes)

    def is_open(self, visit: Visit) -> bool:
        """Return whether the caller could read the item that is called, a moment ago."""
        place = visit.place
        if place.kind != "item":
            return False
        item = ItemRef(collection=place.name, item=place.item)
        return visit.peer.is_open(item, self.peers.clock.monotonic(), self.peers.changes)

    async def collection_at(self, visit: Visit) -> str:
        """Return the identifier of the collection that is called.

        Raises:
            NotFoundError: It does not exist, or the alias means none.
        """
        info = (await self.known(visit.requester)).find(visit.place)
        if info is None:
            raise NotFoundError(f"no such collection {visit.place.name!r}")
        return info.id

    async def item_at(self, requester: Requester, place: Place) -> ItemRef:
        """Return the item that a path leads to; whether it exists is not looked up.

        Raises:
            NotFoundError: No item can be there.
        """
        if place.kind == "alias-item":
            info = (await self.known(requester)).find(place)
            if info is not None:
                return ItemRef(collection=info.id, item=place.item)
        elif place.kind in ITEMS:
            return ItemRef(collection=place.name, item=place.item)
        raise NotFoundError("no such item")

    async def ask(
        self,
        visit: Visit,
        ask: Ask,
        answer: Callable[[Outcome], Variant],
        *,
        otherwise: Variant,
        value: Secret | None = None,
    ) -> tuple[Variant, str]:
        """Submit at once; return the answer and no prompt, or `otherwise` and a prompt.

        The request stands at the keeper from now on: a person sees it before the client gets
        round to its prompt, and it is withdrawn with the prompt or with the client.
        """
        self.prompts.reserve(visit.peer)
        request = await self.requests.begin(visit.requester, ask, value)
        if request.end is None:
            return answer(await self.requests.finish(request)), NOTHING

        async def work() -> Variant:
            return answer(await self.requests.finish(request))

        def withdraw() -> None:
            self.requests.withdraw(request)

        return otherwise, self.prompts.make(visit.peer, work, otherwise, withdraw)
