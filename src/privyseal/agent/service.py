"""The Secret Service face: owns the bus name and sends each call to its translation.

Everything here is translation. What may be released is decided by the keeper alone; a face that
is taken over can ask in its callers' names and see what is released to them, and nothing else.
"""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Final

from privyseal.agent.changes import Changes
from privyseal.agent.items import CollectionCalls, ItemCalls
from privyseal.agent.keyring import ServiceCalls
from privyseal.agent.peers import MAX_CALLS, Peers
from privyseal.agent.portal import Portal
from privyseal.agent.prompts import Prompts
from privyseal.agent.properties import Properties
from privyseal.agent.requests import OWN_SESSION, Circumstances, Requests
from privyseal.agent.visit import Desk, Visit, Visitor
from privyseal.errors import ConflictError, LimitError, UnknownMethodError
from privyseal.model.clock import Clock
from privyseal.runtime.bus import Call, Connection, Method, Reply
from privyseal.runtime.requestlink import RequestLink
from privyseal.runtime.sessions import Sessions
from privyseal.wire.introspection import EVERYWHERE, TABLE
from privyseal.wire.keeper import StoreChange
from privyseal.wire.secretservice import (
    COLLECTION,
    INTERFACES,
    INTERNAL,
    INTROSPECTABLE,
    ITEM,
    NAME,
    PEER,
    PORTAL,
    PORTAL_REQUEST,
    PROMPT,
    PROPERTIES,
    SERVICE,
    SESSION,
    Place,
    parse,
)

NAMES: Final = (PORTAL, NAME)
"""The bus names under which programs look for what the face serves."""


class Face:
    """The Secret Service on one bus."""

    def __init__(
        self,
        connection: Connection,
        link: RequestLink,
        group: asyncio.TaskGroup,
        clock: Clock,
        around: Circumstances = OWN_SESSION,
    ) -> None:
        self._connection = connection
        self._group = group
        self.changes = Changes()
        self._requests = Requests(link, group, self._changed, around)
        self.peers = Peers(connection, self._requests, clock)
        self.sessions = Sessions()
        self.prompts = Prompts(connection, group)
        self._desk = Desk(connection, self._requests, self.peers, self.sessions, self.prompts)
        self.peers.on_left(self.sessions.drop)
        self.peers.on_left(self.prompts.drop)
        self._visitors = _visitors(self._desk)
        self._announcing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Serve, and take the bus name once everything answers.

        Raises:
            ConflictError: Another program owns the name.
        """
        await self.open()
        await self.follow()
        # Portals usually look for the Secret Service's name; some are configured with their own.
        with suppress(ConflictError):  # whoever has that serves those portals, as before
            await self._connection.claim(PORTAL)
        await self._connection.claim(NAME)

    async def open(self) -> None:
        """Serve, and leave the bus names to somebody else."""
        await self.peers.start()
        self._announcing = self._group.create_task(self.changes.run(self._desk), name="changes")
        self._connection.serve(self._table())

    async def follow(self) -> None:
        """Watch the keeper come and go; calls are answered before that too."""
        await self._requests.start()

    def _changed(self, change: StoreChange) -> None:
        self.peers.changes += 1
        self.changes.note(change)

    async def stop(self) -> None:
        """Give the bus name back, and let every waiting call end."""
        for name in NAMES:
            await self._connection.release(name)
        self._requests.abandon()
        if self._announcing is not None:
            self._announcing.cancel()

    def _table(self) -> dict[tuple[str, str], Method]:
        table = {}
        for key, visitor in self._visitors.items():
            interface, member = key
            takes, gives = TABLE[interface].methods[member].signatures()
            table[key] = Method(takes, gives, self._entry(visitor))
        table[PEER, "Ping"] = Method("", "", _ping)
        table[PEER, "GetMachineId"] = Method("", "s", _machine_id)
        return table

    def _entry(self, visitor: Visitor) -> "_Entry":
        return _Entry(self.peers, visitor)


class _Entry:
    """The door of one method: is it at home at that path, and who is calling."""

    def __init__(self, peers: Peers, visitor: Visitor) -> None:
        self._peers = peers
        self._visitor = visitor

    async def __call__(self, call: Call) -> Reply:
        place = _place(call)
        peer = await self._peers.identify(call.sender)
        if peer.calls >= MAX_CALLS:
            raise LimitError(f"at most {MAX_CALLS} calls at once", hint="wait for some answers")
        peer.calls += 1
        try:
            return await self._visitor(Visit(peer, place, call))
        finally:
            peer.calls -= 1


def _place(call: Call) -> Place:
    if call.interface == PORTAL_REQUEST:
        return Place(kind="portal")
    place = parse(call.path)
    if call.interface not in (*INTERFACES[place.kind], *EVERYWHERE):
        raise UnknownMethodError(f"no method {call.member!r} of {call.interface} here")
    return place


def _visitors(desk: Desk) -> dict[tuple[str, str], Visitor]:
    service = ServiceCalls(desk)
    collections = CollectionCalls(desk)
    items = ItemCalls(desk)
    properties = Properties(desk, collections, items)
    portal = Portal(desk)
    return {
        (SERVICE, "OpenSession"): service.open_session,
        (SERVICE, "CreateCollection"): service.create_collection,
        (SERVICE, "SearchItems"): service.search_items,
        (SERVICE, "Unlock"): service.unlock,
        (SERVICE, "Lock"): service.lock,
        (SERVICE, "LockService"): service.lock_service,
        (SERVICE, "ChangeLock"): service.unsupported,
        (SERVICE, "GetSecrets"): service.get_secrets,
        (SERVICE, "ReadAlias"): service.read_alias,
        (SERVICE, "SetAlias"): service.set_alias,
        (SESSION, "Close"): service.close_session,
        (PROMPT, "Prompt"): service.prompt,
        (PROMPT, "Dismiss"): service.dismiss,
        **{(INTERNAL, member): service.unsupported for member in TABLE[INTERNAL].methods},
        (COLLECTION, "Delete"): collections.delete,
        (COLLECTION, "SearchItems"): collections.search_items,
        (COLLECTION, "CreateItem"): collections.create_item,
        (ITEM, "Delete"): items.delete,
        (ITEM, "GetSecret"): items.get_secret,
        (ITEM, "SetSecret"): items.set_secret,
        (PROPERTIES, "Get"): properties.get,
        (PROPERTIES, "GetAll"): properties.get_all,
        (PROPERTIES, "Set"): properties.set,
        (INTROSPECTABLE, "Introspect"): properties.introspect,
        (PORTAL, "RetrieveSecret"): portal.retrieve,
        (PORTAL_REQUEST, "Close"): portal.close,
    }


async def _ping(_call: Call) -> Reply:
    return Reply()


async def _machine_id(_call: Call) -> Reply:
    identifier = await asyncio.to_thread(_read_machine_id)
    return Reply([identifier])


def _read_machine_id() -> str:
    try:
        return Path("/etc/machine-id").read_text(encoding="ascii").strip()[:64]
    except (OSError, UnicodeDecodeError):
        return ""
