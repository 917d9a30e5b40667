"""Properties and introspection of every object; reading them never asks a person."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Final

from dbus_fast import Variant

from privyseal.agent.items import CollectionCalls, ItemCalls
from privyseal.agent.visit import Desk, Visit
from privyseal.errors import (
    PrivysealError,
    ReadOnlyError,
    UnknownInterfaceError,
    UnknownPropertyError,
    UsageError,
)
from privyseal.runtime.bus import Reply
from privyseal.runtime.secretobjects import Values, collection_values, item_values
from privyseal.wire.introspection import EVERYWHERE, TABLE, introspect
from privyseal.wire.secretservice import (
    BRANCHES,
    COLLECTION,
    COLLECTIONS,
    INTERFACES,
    ITEM,
    PORTAL,
    ROOT,
    SERVICE,
    STANDING_ALIASES,
    collection_path,
)

_SHOWN_CHILDREN: Final = 1000
_UNLOCKED: Final = Variant("b", False)  # noqa: FBT003 - the value of a property
_ROOT_CHILDREN: Final = ("aliases", "collection", "prompt", "session")
Reader = Callable[[Visit], Awaitable[Values]]
Writer = Callable[[Visit, object], Awaitable[None]]


class Properties:
    """Answers Get, GetAll, Set and Introspect."""

    def __init__(self, desk: Desk, collections: CollectionCalls, items: ItemCalls) -> None:
        self._desk = desk
        self._readers: Mapping[str, Reader] = {
            SERVICE: self._service,
            COLLECTION: self._collection,
            ITEM: self._item,
            PORTAL: self._portal,
        }
        self._writers: Mapping[tuple[str, str], Writer] = {
            (COLLECTION, "Label"): collections.set_label,
            (ITEM, "Label"): items.set_label,
            (ITEM, "Attributes"): items.set_attributes,
        }

    async def get(self, visit: Visit) -> Reply:
        """Get one property."""
        interface, name = visit.body
        self._check(visit, interface, name)
        if (interface, name) == (ITEM, "Locked") and self._desk.is_open(visit):
            return Reply([_UNLOCKED])
        return Reply([(await self._readers[interface](visit))[name]])

    async def get_all(self, visit: Visit) -> Reply:
        """GetAll properties of one interface, or with "" of all."""
        (interface,) = visit.body
        if interface:
            self._check(visit, interface, None)
        values: Values = {}
        for name in (interface,) if interface else INTERFACES[visit.place.kind]:
            if name in self._readers:
                values |= await self._readers[name](visit)
        return Reply([values])

    async def set(self, visit: Visit) -> Reply:
        """Set one property, once a person allows it."""
        interface, name, value = visit.body
        self._check(visit, interface, name)
        shape = TABLE[interface].properties[name]
        if shape.access == "read":
            raise ReadOnlyError(f"the property {name} cannot be set")
        if value.signature != shape.signature:
            raise UsageError(f"{name} takes {shape.signature!r}, not {value.signature[:80]!r}")
        await self._writers[interface, name](visit, value.value)
        return Reply()

    async def introspect(self, visit: Visit) -> Reply:
        """Introspect: the interfaces here and the names below."""
        return Reply([introspect(INTERFACES[visit.place.kind], await self._children(visit))])

    def _check(self, visit: Visit, interface: str, name: str | None) -> None:
        if interface not in (*INTERFACES[visit.place.kind], *EVERYWHERE):
            raise UnknownInterfaceError(f"no interface {interface[:80]!r} here")
        if name is not None and name not in TABLE[interface].properties:
            raise UnknownPropertyError(f"no property {name[:80]!r} in {interface}")

    async def _service(self, visit: Visit) -> Values:
        known = await self._desk.known(visit.requester)
        return {"Collections": Variant("ao", [collection_path(name) for name in known.collections])}

    async def _collection(self, visit: Visit) -> Values:
        info = (await self._desk.known(visit.requester)).show(visit.place)
        items = await self._desk.items(visit.requester, info.id) if info.id else ()
        return collection_values(info, items)

    async def _item(self, visit: Visit) -> Values:
        item = await self._desk.item_at(visit.requester, visit.place)
        known = await self._desk.item(visit.requester, item)
        locked = known.item.locked or (visit.peer.reads and not known.open)
        return item_values(known.item) | {"Locked": Variant("b", locked)}

    async def _portal(self, _visit: Visit) -> Values:
        return {"version": Variant("u", 1)}

    async def _children(self, visit: Visit) -> tuple[str, ...]:
        place = visit.place
        if place.kind == "service":
            return _ROOT_CHILDREN
        children: tuple[str, ...] = ()
        if place.kind in COLLECTIONS:
            info = (await self._desk.known(visit.requester)).show(place)
            children = await self._desk.items(visit.requester, info.id) if info.id else ()
        elif place.kind in {"item", "alias-item"}:
            item = await self._desk.item_at(visit.requester, place)
            await self._desk.item(visit.requester, item)
        elif place.kind == "branch":
            children = BRANCHES[place.name]
            # A tree that can be walked while the keeper is away is of more use than an error.
            with suppress(PrivysealError):
                children = await self._branch(visit, children)
        return children[:_SHOWN_CHILDREN]

    async def _branch(self, visit: Visit, children: tuple[str, ...]) -> tuple[str, ...]:
        match visit.place.name.removeprefix(ROOT):
            case "/collection":
                return tuple((await self._desk.known(visit.requester)).collections)
            case "/aliases":
                known = await self._desk.known(visit.requester)
                return tuple(dict.fromkeys((*STANDING_ALIASES, *known.aliases)))
            case _:
                return children
