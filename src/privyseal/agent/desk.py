"""What all calls of the face work with, and the keyring as the keeper tells a requester of it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

import msgspec
from dbus_fast import Variant

from privyseal.agent.peers import Peer, Peers
from privyseal.agent.prompts import Prompts
from privyseal.agent.requests import Outcome, Requester, Requests
from privyseal.errors import UnreachableError
from privyseal.model.ask import Ask
from privyseal.model.keyring import ItemInfo, ItemRef
from privyseal.model.secret import Secret
from privyseal.runtime.bus import Connection
from privyseal.runtime.secretservice import calls
from privyseal.runtime.secretservice.keyring import Known
from privyseal.runtime.secretservice.sessions import Sessions
from privyseal.wire.keeper import (
    KnownCollections,
    KnownItem,
    KnownItems,
    LookCollections,
    LookItem,
    LookItems,
)
from privyseal.wire.secretservice import NOTHING

Visit: TypeAlias = calls.Visit[Peer]

_CONFUSED = "the keeper answered another question"


@dataclass(frozen=True, slots=True)
class Sight:
    """The keyring as one requester may see it; to one that `reads`, what it may not is locked."""

    requests: Requests
    requester: Requester
    reads: bool = False

    async def known(self) -> Known:
        """Return all collections and aliases."""
        answer = await self.requests.look(self.requester, LookCollections())
        if not isinstance(answer, KnownCollections):
            raise UnreachableError(_CONFUSED)
        return Known({c.id: c for c in answer.collections}, answer.aliases)

    async def items(self, collection: str) -> tuple[str, ...]:
        """Return the identifiers of the items of a collection."""
        answer = await self.requests.look(self.requester, LookItems(collection=collection))
        if not isinstance(answer, KnownItems):
            raise UnreachableError(_CONFUSED)
        return answer.items

    async def item(self, item: ItemRef) -> KnownItem:
        """Return what may be known of an item."""
        answer = await self.requests.look(self.requester, LookItem(item=item))
        if not isinstance(answer, KnownItem):
            raise UnreachableError(_CONFUSED)
        return answer

    async def describe(self, item: ItemRef) -> ItemInfo:
        """Return the properties of an item; one that may not be read is locked."""
        known = await self.item(item)
        locked = known.item.locked or (self.reads and not known.open)
        return msgspec.structs.replace(known.item, locked=locked)


@dataclass(frozen=True, slots=True)
class Desk:
    """What every face of the service works with."""

    connection: Connection
    requests: Requests
    peers: Peers
    sessions: Sessions
    prompts: Prompts

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
        request = await self.requests.begin(visit.peer.requester, ask, value)
        if request.end is None:
            return answer(await self.requests.finish(request)), NOTHING

        async def work() -> Variant:
            return answer(await self.requests.finish(request))

        def withdraw() -> None:
            self.requests.withdraw(request)

        return otherwise, self.prompts.make(visit.peer, work, otherwise, withdraw)
