"""Unlock: the call in which clients are willing to wait for a person.

An item that its caller may not read counts as locked, so a client that follows the specification
asks for it here and waits at the prompt, without the 25 seconds after which it would give up a
plain call.
"""

from dataclasses import dataclass, field
from typing import Final

from dbus_fast import Variant

from privyseal.agent.desk import Desk, Sight, Visit
from privyseal.errors import LimitError, NotFoundError, UnreachableError
from privyseal.model.ask import Read, Unlock
from privyseal.model.keyring import ItemRef
from privyseal.model.value import MAX_ITEMS
from privyseal.runtime.secretservice.keyring import Known
from privyseal.wire.keeper import Granted
from privyseal.wire.secretservice import (
    ITEM,
    ITEMS,
    NOTHING,
    PROPERTIES,
    Place,
    item_path,
    parse_all,
)

_AS_ONE: Final = 64
UNLOCKED: Final = Variant(signature="b", value=False)


@dataclass(slots=True)
class _Wish:
    """What one Unlock call needs: nothing, open collections, or items to be read."""

    ready: list[str] = field(default_factory=list)
    collections: dict[str, str] = field(default_factory=dict)
    items: dict[str, list[ItemRef]] = field(default_factory=dict)

    def reads(self) -> tuple[ItemRef, ...]:
        return tuple(dict.fromkeys(item for group in self.items.values() for item in group))


class Unlocking:
    """Answers Unlock."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def unlock(self, visit: Visit, paths: list[str]) -> tuple[list[str], str]:
        """Return what is open already, and the prompt for the rest.

        Raises:
            LimitError: More than one request can hold.
        """
        known = await visit.keyring.known()
        wish = _Wish()
        for path, place in parse_all(paths).items():
            await self._sort(visit, known, path, place, wish)
        if not wish.collections and not wish.items:
            return wish.ready, NOTHING
        if max(len(wish.reads()), len(wish.collections)) > MAX_ITEMS:
            raise LimitError(f"at most {MAX_ITEMS} items can be unlocked at once")
        self._desk.prompts.reserve(visit.peer)
        for item in wish.reads():
            visit.peer.cut_off.pop(item, None)

        async def work() -> Variant:
            return Variant("ao", await self._carry_out(visit, wish))

        prompt = self._desk.prompts.make(visit.peer, work, Variant("ao", []), lambda: None)
        return wish.ready, prompt

    async def _sort(self, visit: Visit, known: Known, path: str, place: Place, wish: _Wish) -> None:
        info = known.find(place)
        if info is None:
            return
        if place.kind in ITEMS:
            visit.peer.reads = True
            closed = await self._closed(visit, [ItemRef(collection=info.id, item=place.item)])
        elif info.locked:
            wish.collections[path] = info.id
            return
        else:
            # Some clients unlock the collection only and then read at once; what such a client
            # has just searched for is what it is about to read.
            now = self._desk.peers.clock.monotonic()
            lately = visit.peer.searched_lately(info.id, now)[-_AS_ONE:]
            closed = await self._closed(visit, lately) or []
        if closed is None:
            return
        if closed:
            wish.items[path] = closed
        else:
            wish.ready.append(path)

    async def _closed(self, visit: Visit, items: list[ItemRef]) -> list[ItemRef] | None:
        """Return those of `items` that the caller may not read, or None when none of them exists."""
        closed, seen = [], 0
        sight = Sight(self._desk.requests, visit.peer.requester)
        for item in items:
            try:
                about = await sight.item(item)
            except NotFoundError:
                continue
            seen += 1
            if about.item.locked or not about.open:
                closed.append(item)
        return closed if seen or not items else None

    async def _carry_out(self, visit: Visit, wish: _Wish) -> list[str]:
        requests = self._desk.requests
        done = list(wish.collections)
        if wish.collections:
            names = tuple(dict.fromkeys(wish.collections.values()))
            await requests.ask(visit.peer.requester, Unlock(collections=names), patient=True)
        if wish.items:
            read = Read(items=wish.reads(), deliver=False)
            try:
                outcome = await requests.ask(visit.peer.requester, read, patient=True)
            except UnreachableError as error:
                # Of a prompt that is dismissed libsecret's callers say nothing at all. Told that
                # the items are open they read them, and that call can be answered with the reason.
                visit.peer.cut_off |= dict.fromkeys(read.items, error)
                return [*done, *wish.items]
            granted = outcome.result.items if isinstance(outcome.result, Granted) else ()
            self._desk.note_open(visit.peer, granted)
            for item in granted:
                self._tell(visit, item)
            open_now = set(granted)
            done += [p for p, items in wish.items.items() if not open_now.isdisjoint(items)]
        return done

    def _tell(self, visit: Visit, item: ItemRef) -> None:
        # Whether an item is open depends on who asks, so only that peer's cache is refreshed.
        self._desk.connection.emit(
            item_path(item),
            PROPERTIES,
            "PropertiesChanged",
            "sa{sv}as",
            [ITEM, {"Locked": UNLOCKED}, []],
            to=visit.peer.name,
        )
