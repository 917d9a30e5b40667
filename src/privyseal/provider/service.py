"""The provider on its bus: owns the name, lets in its own user, sends each call to its method."""

import asyncio
from typing import Final

from privyseal.errors import DeniedError, LimitError, UnknownMethodError
from privyseal.provider.calls import CollectionCalls, ItemCalls, PassphraseCalls, ServiceCalls
from privyseal.provider.changes import Changes
from privyseal.provider.properties import Properties
from privyseal.provider.stores import Store
from privyseal.provider.visit import Desk, Peer, Visit, Visitor
from privyseal.runtime.bus import DBUS, Call, Connection, Method, Reply
from privyseal.runtime.sessions import Sessions
from privyseal.wire.introspection import EVERYWHERE, TABLE
from privyseal.wire.secretservice import (
    COLLECTION,
    INTERFACES,
    INTERNAL,
    INTROSPECTABLE,
    ITEM,
    NAME,
    PEER,
    PROPERTIES,
    SERVICE,
    SESSION,
    Place,
    parse,
)

MAX_PEERS: Final = 1024


class Provider:
    """The Secret Service over one store, for the processes of the user with the UID `serves`."""

    def __init__(
        self, connection: Connection, store: Store, group: asyncio.TaskGroup, *, serves: int
    ) -> None:
        self._serves = serves
        self._connection = connection
        self._group = group
        self._peers: dict[str, Peer] = {}
        self._sessions = Sessions()
        self._desk = Desk(store, self._sessions)
        self._changes = Changes(connection, self._desk)
        self._announcing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Serve, and take the bus name once everything answers.

        Raises:
            ConflictError: Another program owns the name.
        """
        await self._connection.listen(DBUS, DBUS, "NameOwnerChanged", self._owner_changed)
        self._desk.store.backend.listen(self._changes.note)
        self._announcing = self._group.create_task(self._changes.run(), name="changes")
        self._connection.serve(self._table())
        await self._connection.claim(NAME)

    def stop(self) -> None:
        """Announce nothing more."""
        if self._announcing is not None:
            self._announcing.cancel()

    async def identify(self, name: str) -> Peer:
        """Return the peer behind a unique name.

        Raises:
            DeniedError: It belongs to another user, were it root.
            LimitError: Too many connections.
        """
        peer = self._peers.get(name)
        if peer is not None:
            return peer
        _pid, uid = await self._connection.process_of(name)
        if uid != self._serves:
            raise DeniedError("this provider serves its own user only")
        if len(self._peers) >= MAX_PEERS:
            raise LimitError("too many programs use the provider at once")
        peer = self._peers.setdefault(name, Peer(name))
        if not await self._connection.owner(name):  # its end may have been announced before this
            self._forget(name)
        return peer

    def _owner_changed(self, _path: str, body: list[object]) -> None:
        name, _old, new = body
        if isinstance(name, str) and not new:
            self._forget(name)

    def _forget(self, name: str) -> None:
        peer = self._peers.pop(name, None)
        if peer is not None:
            self._sessions.drop(peer)

    def _table(self) -> dict[tuple[str, str], Method]:
        table = {(PEER, "Ping"): Method("", "", _ping)}
        for (interface, member), visitor in _visitors(self._desk).items():
            takes, gives = TABLE[interface].methods[member].signatures()
            table[interface, member] = Method(takes, gives, self._entry(visitor))
        return table

    def _entry(self, visitor: Visitor) -> "_Entry":
        return _Entry(self, visitor)


class _Entry:
    """The door of one method: is it at home at that path, and who is calling."""

    def __init__(self, provider: Provider, visitor: Visitor) -> None:
        self._provider = provider
        self._visitor = visitor

    async def __call__(self, call: Call) -> Reply:
        peer = await self._provider.identify(call.sender)
        return await self._visitor(Visit(peer, _place(call), call))


def _place(call: Call) -> Place:
    place = parse(call.path)
    if call.interface not in (*INTERFACES[place.kind], *EVERYWHERE):
        raise UnknownMethodError(f"no method {call.member!r} of {call.interface} here")
    return place


def _visitors(desk: Desk) -> dict[tuple[str, str], Visitor]:
    service, passphrases = ServiceCalls(desk), PassphraseCalls(desk)
    collections, items = CollectionCalls(desk), ItemCalls(desk)
    properties = Properties(desk, collections, items)
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
        (INTERNAL, "CreateWithMasterPassword"): passphrases.create,
        (INTERNAL, "UnlockWithMasterPassword"): passphrases.unlock,
        (INTERNAL, "ChangeWithMasterPassword"): passphrases.change,
        (INTERNAL, "ChangeWithPrompt"): service.unsupported,
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
    }


async def _ping(_call: Call) -> Reply:
    return Reply()
