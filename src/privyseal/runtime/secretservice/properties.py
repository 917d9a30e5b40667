"""Properties and introspection of every object of the tree; reading them never asks a person."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Final, Generic

from dbus_fast import Variant

from privyseal.errors import (
    PrivysealError,
    ReadOnlyError,
    UnknownInterfaceError,
    UnknownPropertyError,
    UsageError,
)
from privyseal.runtime.bus import Reply
from privyseal.runtime.secretservice.calls import PeerT, Visit, Visitors
from privyseal.runtime.secretservice.keyring import Keyring, item_at, listed
from privyseal.runtime.secretservice.values import (
    Values,
    collection_values,
    item_values,
    service_values,
)
from privyseal.wire.introspection import EVERYWHERE, TABLE, introspect
from privyseal.wire.secretservice import (
    BRANCHES,
    COLLECTION,
    COLLECTIONS,
    INTERFACES,
    INTROSPECTABLE,
    ITEM,
    ITEMS,
    PORTAL,
    PROPERTIES,
    ROOT,
    SERVICE,
    STANDING_ALIASES,
    Kind,
    Place,
)

_SHOWN_CHILDREN: Final = 1000
_ROOT_CHILDREN: Final = ("aliases", "collection", "prompt", "session")
Writer = Callable[[Visit[PeerT], object], Awaitable[None]]


class Properties(Generic[PeerT]):
    """Answers Get, GetAll, Set and Introspect.

    `writers` sets what can be set, by interface and property; `absent` are the kinds of objects
    that this program never has.
    """

    def __init__(
        self,
        writers: Mapping[tuple[str, str], Writer[PeerT]],
        absent: frozenset[Kind] = frozenset(),
    ) -> None:
        self._writers = writers
        self._absent = absent

    def visitors(self) -> Visitors[PeerT]:
        """Return what answers the methods that every object has."""
        return {
            (PROPERTIES, "Get"): self.get,
            (PROPERTIES, "GetAll"): self.get_all,
            (PROPERTIES, "Set"): self.set,
            (INTROSPECTABLE, "Introspect"): self.introspect,
        }

    async def get(self, visit: Visit[PeerT]) -> Reply:
        """Get one property."""
        interface, name = visit.body
        self._check(visit.place, interface, name)
        return Reply([(await _READERS[interface](visit.keyring, visit.place))[name]])

    async def get_all(self, visit: Visit[PeerT]) -> Reply:
        """GetAll properties of one interface, or with "" of all."""
        (interface,) = visit.body
        if interface:
            self._check(visit.place, interface, None)
        values: Values = {}
        for name in (interface,) if interface else self._interfaces(visit.place):
            if name in _READERS:
                values |= await _READERS[name](visit.keyring, visit.place)
        return Reply([values])

    async def set(self, visit: Visit[PeerT]) -> Reply:
        """Set one property."""
        interface, name, value = visit.body
        self._check(visit.place, interface, name)
        shape = TABLE[interface].properties[name]
        if shape.access == "read":
            raise ReadOnlyError(f"the property {name} cannot be set")
        if value.signature != shape.signature:
            raise UsageError(f"{name} takes {shape.signature!r}, not {value.signature[:80]!r}")
        await self._writers[interface, name](visit, value.value)
        return Reply()

    async def introspect(self, visit: Visit[PeerT]) -> Reply:
        """Introspect: the interfaces here and the names below."""
        children = await self._children(visit.keyring, visit.place)
        return Reply([introspect(self._interfaces(visit.place), children[:_SHOWN_CHILDREN])])

    def _interfaces(self, place: Place) -> tuple[str, ...]:
        return () if place.kind in self._absent else INTERFACES[place.kind]

    def _check(self, place: Place, interface: str, name: str | None) -> None:
        if interface not in (*self._interfaces(place), *EVERYWHERE):
            raise UnknownInterfaceError(f"no interface {interface[:80]!r} here")
        if name is not None and name not in TABLE[interface].properties:
            raise UnknownPropertyError(f"no property {name[:80]!r} in {interface}")

    async def _children(self, keyring: Keyring, place: Place) -> tuple[str, ...]:
        if place.kind == "service":
            return self._present(_ROOT_CHILDREN)
        if place.kind in COLLECTIONS:
            _, items = await listed(keyring, place)
            return items
        if place.kind in ITEMS:
            await keyring.describe(await item_at(keyring, place))
        if place.kind != "branch":
            return ()
        # A tree that can be walked while the keeper is away is of more use than an error.
        with suppress(PrivysealError):
            if place.name == f"{ROOT}/collection":
                return tuple((await keyring.known()).collections)
            if place.name == f"{ROOT}/aliases":
                return tuple(dict.fromkeys((*STANDING_ALIASES, *(await keyring.known()).aliases)))
        return self._present(BRANCHES[place.name])

    def _present(self, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name for name in names if name not in self._absent)


async def _service(keyring: Keyring, _place: Place) -> Values:
    return service_values(tuple((await keyring.known()).collections))


async def _collection(keyring: Keyring, place: Place) -> Values:
    return collection_values(*await listed(keyring, place))


async def _item(keyring: Keyring, place: Place) -> Values:
    info = await keyring.describe(await item_at(keyring, place))
    return item_values(info) | {"Locked": Variant("b", info.locked)}


async def _portal(_keyring: Keyring, _place: Place) -> Values:
    return {"version": Variant("u", 1)}


_READERS: Final[Mapping[str, Callable[[Keyring, Place], Awaitable[Values]]]] = {
    SERVICE: _service,
    COLLECTION: _collection,
    ITEM: _item,
    PORTAL: _portal,
}
