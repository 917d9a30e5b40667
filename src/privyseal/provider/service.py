"""The provider on its bus: owns the name, lets in its own user, sends each call to its method."""

import asyncio
from typing import Final

from privyseal.errors import DeniedError, LimitError
from privyseal.provider.calls import CollectionCalls, ItemCalls, PassphraseCalls, ServiceCalls
from privyseal.provider.desk import Desk, Peer, Stock
from privyseal.provider.stores import Store
from privyseal.runtime.bus import DBUS, Call, Connection, Reply
from privyseal.runtime.secretservice.calls import Visit, Visitor, Visitors, table
from privyseal.runtime.secretservice.changes import Changes
from privyseal.runtime.secretservice.properties import Properties
from privyseal.runtime.secretservice.sessions import Sessions
from privyseal.wire.secretservice import (
    COLLECTION,
    INTERNAL,
    ITEM,
    NAME,
    SERVICE,
    SESSION,
    Place,
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
        self._stock = Stock(store.backend)
        self._changes = Changes(connection)
        self._announcing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Serve, and take the bus name once everything answers.

        Raises:
            ConflictError: Another program owns the name.
        """
        await self._connection.listen(DBUS, DBUS, "NameOwnerChanged", self._owner_changed)
        self._desk.store.backend.listen(self._changes.note)
        self._announcing = self._group.create_task(self._changes.run(self._stock), name="changes")
        self._connection.serve(table(_visitors(self._desk), self._receive))
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

    async def _receive(self, visitor: Visitor[Peer], call: Call, place: Place) -> Reply:
        peer = await self.identify(call.sender)
        return await visitor(Visit(peer, call, place, self._stock))


def _visitors(desk: Desk) -> Visitors[Peer]:
    service, passphrases = ServiceCalls(desk), PassphraseCalls(desk)
    collections, items = CollectionCalls(desk), ItemCalls(desk)
    properties = Properties(
        {
            (COLLECTION, "Label"): collections.set_label,
            (ITEM, "Label"): items.set_label,
            (ITEM, "Attributes"): items.set_attributes,
        },
        absent=frozenset({"prompt", "portal"}),
    )
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
        **properties.visitors(),
    }
