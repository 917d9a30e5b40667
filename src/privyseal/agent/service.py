"""The Secret Service face: owns the bus name and sends each call to its translation.

Everything here is translation. What may be released is decided by the keeper alone; a face that
is taken over can ask in its callers' names and see what is released to them, and nothing else.
"""

import asyncio
import os
from contextlib import suppress
from typing import Final

from privyseal.agent.calls import ServiceCalls
from privyseal.agent.desk import Desk, Sight
from privyseal.agent.items import CollectionCalls, ItemCalls
from privyseal.agent.peers import MAX_CALLS, Peer, Peers
from privyseal.agent.portal import Portal
from privyseal.agent.prompts import Prompts
from privyseal.agent.requests import OWN_SESSION, Circumstances, Requester, Requests
from privyseal.agent.unlocking import UNLOCKED
from privyseal.errors import ConflictError, LimitError
from privyseal.model.clock import Clock
from privyseal.runtime.bus import Call, Connection, Reply
from privyseal.runtime.requestlink import RequestLink
from privyseal.runtime.secretservice.calls import Visit, Visitor, Visitors, table
from privyseal.runtime.secretservice.changes import Changes
from privyseal.runtime.secretservice.properties import Properties
from privyseal.runtime.secretservice.sessions import Sessions
from privyseal.wire.introspection import TABLE
from privyseal.wire.keeper import StoreChange
from privyseal.wire.secretservice import (
    COLLECTION,
    INTERNAL,
    ITEM,
    NAME,
    PORTAL,
    PORTAL_REQUEST,
    PROMPT,
    PROPERTIES,
    SERVICE,
    SESSION,
    Place,
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
        self.changes = Changes(connection)
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
        self._announcing = self._group.create_task(self._announce(), name="changes")
        self._connection.serve(table(self._visitors, self._receive))

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

    async def _receive(self, visitor: Visitor[Peer], call: Call, place: Place) -> Reply:
        peer = await self.peers.identify(call.sender)
        share = peer.requester.share
        if share.calls >= MAX_CALLS:
            raise LimitError(f"at most {MAX_CALLS} calls at once", hint="wait for some answers")
        share.calls += 1
        try:
            sight = Sight(self._requests, peer.requester, peer.reads)
            return await visitor(Visit(peer, call, place, sight))
        finally:
            share.calls -= 1

    async def _announce(self) -> None:
        ourselves = Requester(pidfd=os.pidfd_open(os.getpid()))
        try:
            await self.changes.run(Sight(self._requests, ourselves))
        finally:
            ourselves.close()


def _visitors(desk: Desk) -> Visitors[Peer]:
    service = ServiceCalls(desk)
    collections = CollectionCalls(desk)
    items = ItemCalls(desk)
    properties = Properties(
        {
            (COLLECTION, "Label"): collections.set_label,
            (ITEM, "Label"): items.set_label,
            (ITEM, "Attributes"): items.set_attributes,
        }
    )

    async def get(visit: Visit[Peer]) -> Reply:
        if visit.body == [ITEM, "Locked"] and desk.is_open(visit):
            return Reply([UNLOCKED])
        return await properties.get(visit)

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
        **properties.visitors(),
        (PROPERTIES, "Get"): get,
        (PORTAL, "RetrieveSecret"): portal.retrieve,
        (PORTAL_REQUEST, "Close"): portal.close,
    }
