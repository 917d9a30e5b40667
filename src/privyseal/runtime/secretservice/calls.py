"""Calls on the object tree: each finds the object it is made on, then the method that answers it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from privyseal.errors import UnknownMethodError
from privyseal.model.keyring import ItemRef
from privyseal.runtime.bus import Call, Method, Reply
from privyseal.runtime.secretservice.keyring import Keyring, collection_at, item_at
from privyseal.wire.introspection import EVERYWHERE, TABLE
from privyseal.wire.secretservice import INTERFACES, PEER, PORTAL_REQUEST, Place, parse

PeerT = TypeVar("PeerT")


@dataclass(frozen=True)
class Visit(Generic[PeerT]):
    """Who calls, the object that is called, and the keyring as the caller sees it."""

    peer: PeerT
    call: Call
    place: Place
    keyring: Keyring

    @property
    def body(self) -> list[Any]:
        """The arguments; their types are those of the method's signature."""
        return self.call.body

    async def collection(self) -> str:
        """Return the identifier of the collection that is called.

        Raises:
            NotFoundError: It does not exist, or the alias means none.
        """
        return await collection_at(self.keyring, self.place)

    async def item(self) -> ItemRef:
        """Return the item that is called; whether it exists is not looked up.

        Raises:
            NotFoundError: No item can be there.
        """
        return await item_at(self.keyring, self.place)


Visitor = Callable[[Visit[PeerT]], Awaitable[Reply]]
Visitors = Mapping[tuple[str, str], Visitor[PeerT]]


def table(
    visitors: Visitors[PeerT], receive: Callable[[Visitor[PeerT], Call, Place], Awaitable[Reply]]
) -> dict[tuple[str, str], Method]:
    """Return the bus table of these methods; `receive` identifies the caller and lets it visit."""

    def entry(visitor: Visitor[PeerT]) -> Callable[[Call], Awaitable[Reply]]:
        async def answer(call: Call) -> Reply:
            return await receive(visitor, call, _place(call))

        return answer

    entries = {key: entry(visitor) for key, visitor in visitors.items()}
    entries |= {(PEER, "Ping"): _ping, (PEER, "GetMachineId"): _machine_id}
    return {
        (interface, member): Method(*TABLE[interface].methods[member].signatures(), answer)
        for (interface, member), answer in entries.items()
    }


def _place(call: Call) -> Place:
    if call.interface == PORTAL_REQUEST:
        return Place(kind="portal")  # its path is whatever the portal chose
    place = parse(call.path)
    if call.interface not in (*INTERFACES[place.kind], *EVERYWHERE):
        raise UnknownMethodError(f"no method {call.member!r} of {call.interface} here")
    return place


async def _ping(_call: Call) -> Reply:
    return Reply()


async def _machine_id(_call: Call) -> Reply:
    return Reply([await asyncio.to_thread(_read_machine_id)])


def _read_machine_id() -> str:
    try:
        return Path("/etc/machine-id").read_text(encoding="ascii").strip()[:64]
    except (OSError, UnicodeDecodeError):
        return ""
