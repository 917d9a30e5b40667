"""Properties and introspection of every object of the provider."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec
from dbus_fast import Variant

from privyseal.errors import (
    ReadOnlyError,
    UnknownInterfaceError,
    UnknownPropertyError,
    UsageError,
)
from privyseal.provider.calls import CONTENT_TYPE, CollectionCalls, ItemCalls
from privyseal.provider.visit import Desk, Visit
from privyseal.runtime.bus import Reply
from privyseal.runtime.secretobjects import Values, collection_values, item_values
from privyseal.wire.introspection import EVERYWHERE, TABLE, introspect
from privyseal.wire.secretservice import (
    COLLECTION,
    COLLECTIONS,
    INTERFACES,
    ITEM,
    ROOT,
    SERVICE,
    STANDING_ALIASES,
    collection_path,
)

_SHOWN_CHILDREN: Final = 1000
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
        """Set one property."""
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
        children = (await self._children(visit))[:_SHOWN_CHILDREN]
        return Reply([introspect(INTERFACES[visit.place.kind], children)])

    def _check(self, visit: Visit, interface: str, name: str | None) -> None:
        if interface not in (*INTERFACES[visit.place.kind], *EVERYWHERE):
            raise UnknownInterfaceError(f"no interface {interface[:80]!r} here")
        if name is not None and name not in TABLE[interface].properties:
            raise UnknownPropertyError(f"no property {name[:80]!r} in {interface}")

    async def _service(self, _visit: Visit) -> Values:
        known = await self._desk.known()
        return {"Collections": Variant("ao", [collection_path(name) for name in known.collections])}

    async def _collection(self, visit: Visit) -> Values:
        info = (await self._desk.known()).show(visit.place)
        items = await self._desk.store.backend.items(info.id) if info.id else ()
        return collection_values(info, items)

    async def _item(self, visit: Visit) -> Values:
        item = await self._desk.item_at(visit.place)
        info = await self._desk.store.backend.describe(item)
        if info.content_type not in {"", "text/plain"}:
            typed = {**info.attributes, CONTENT_TYPE: info.content_type}
            info = msgspec.structs.replace(info, attributes=typed)
        return item_values(info) | {"Locked": Variant("b", info.locked)}

    async def _children(self, visit: Visit) -> tuple[str, ...]:
        place = visit.place
        if place.kind == "service":
            return ("aliases", "collection", "session")
        known = await self._desk.known()
        if place.kind in COLLECTIONS:
            info = known.show(place)
            return await self._desk.store.backend.items(info.id) if info.id else ()
        if place.name == f"{ROOT}/collection":
            return tuple(known.collections)
        if place.name == f"{ROOT}/aliases":
            return tuple(dict.fromkeys((*STANDING_ALIASES, *known.aliases)))
        return {"/": ("org",), "/org": ("freedesktop",), "/org/freedesktop": ("secrets",)}.get(
            place.name, ()
        )
