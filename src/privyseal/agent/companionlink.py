"""The agent's way to the keeper of a companion: on the system bus, and known by its UID.

Whatever keeps the keeper from answering becomes one sentence that a person understands, since it
ends in the error dialog of some program.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from privyseal.agent.troubles import Troubles
from privyseal.errors import LockedError, PrivysealError, UnreachableError
from privyseal.model.approval import Status
from privyseal.model.ask import Ask, Lock, Search
from privyseal.model.clock import Clock
from privyseal.model.keyring import ItemRef
from privyseal.model.lifecycle import State
from privyseal.runtime.bus import DBUS, DBUS_PATH, Connection
from privyseal.runtime.companion import Companion
from privyseal.runtime.requestlink import RequestLink
from privyseal.runtime.wayin import away, impostor, interrupted, locked, sentence
from privyseal.wire.keeper import REQUEST, StoreChange

log = logging.getLogger(__name__)

ANSWER_SECONDS: Final = 15.0
"""The keeper answers every call at once, and clients give up after 25 seconds."""
START_SECONDS: Final = 10.0
REST_SECONDS: Final = 2.0
"""How long nobody tries again after the bus could not start the keeper."""

_SESSION: Final = "session"


class CompanionLink(RequestLink):
    """The asking side of a companion's keeper; `returned` is set when a keeper is back."""

    def __init__(
        self,
        connection: Connection,
        record: Companion,
        keeper_uid: int,
        troubles: Troubles,
        clock: Clock,
    ) -> None:
        super().__init__(connection, record.bus_name)
        self._record = record
        self._keeper_uid = keeper_uid
        self._troubles = troubles
        self._clock = clock
        self._resting_until = 0.0
        self._heard = ""
        self.returned = asyncio.Event()

    async def attach(self) -> None:
        """Find the keeper, starting it if need be, and make sure that it is the companion's.

        Raises:
            UnreachableError: There is none, or another user in its place.
        """
        owner = await self._connection.owner(self._bus_name) or await self._started()
        _pid, uid = await self._connection.process_of(owner)
        if uid != self._keeper_uid:
            error = impostor(uid, self._record.account)
            self._troubles.tell(self._bus_name, str(error))
            raise sentence(error)
        self._troubles.tell(self._bus_name, "")
        self._owner = owner

    async def watch_owner(self, gone: Callable[[], None], back: Callable[[], None]) -> None:
        """Call `gone` when the keeper leaves the bus and `back` when one is there again."""

        def returned() -> None:
            self.returned.set()
            back()

        await super().watch_owner(gone, returned)

    async def subscribe(
        self, resolved: Callable[[str, State], None], changed: Callable[[StoreChange], None]
    ) -> None:
        """Receive the ends of this connection's requests, and changes of the store."""
        for member in ("Resolved", "Changed"):
            # The bus allows a connection so many rules, and keepers come and go with every lock.
            await self._connection.unlisten(self._heard, REQUEST, member)
        await super().subscribe(resolved, changed)
        self._heard = self._owner

    async def guard(self, ask: Ask) -> None:
        """Refuse at once what would wait for the store's passphrase inside a call.

        Raises:
            LockedError: The store is locked.
        """
        if isinstance(ask, Search | Lock) or _in_session(ask):
            return
        status = await self.status()
        if status.locked:
            raise self._locked(status)

    async def _started(self) -> str:
        """Let the bus start the keeper; return its unique name."""
        if self._clock.monotonic() < self._resting_until:
            raise sentence(away())
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._connection.call(
                    DBUS, DBUS_PATH, DBUS, "StartServiceByName", "su", [self._bus_name, 0]
                )
            owner = await self._connection.owner(self._bus_name)
        except (PrivysealError, TimeoutError) as error:
            log.info("the keeper was not started: %s", error)
            owner = ""
        if not owner:
            self._resting_until = self._clock.monotonic() + REST_SECONDS
            raise sentence(away())
        return owner

    async def _call(
        self, member: str, signature: str = "", body: Sequence[object] = (), fds: Sequence[int] = ()
    ) -> tuple[list[object], list[int]]:
        if not self._owner:
            await self.attach()
        owner = self._owner
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await super()._call(member, signature, body, fds)
        except LockedError as error:
            if member == "Status":
                raise
            raise self._locked(await self.status()) from error
        except TimeoutError as error:
            raise UnreachableError("Privyseal's keeper does not answer.") from error
        except UnreachableError as error:
            if await self._connection.owner(self._bus_name) == owner:
                raise
            raise sentence(interrupted(self._record.way_in)) from error

    def _locked(self, status: Status) -> PrivysealError:
        return sentence(locked(status.since, self._record.way_in, initialised=status.initialised))


def _in_session(ask: Ask) -> bool:
    """Return whether it is about the collection that needs no passphrase."""
    items: tuple[ItemRef, ...] = getattr(ask, "items", ())
    item: ItemRef | None = getattr(ask, "item", None)
    named = [ref.collection for ref in (*items, *([item] if item else []))]
    named += [name] if (name := getattr(ask, "collection", "")) else []
    return bool(named) and set(named) == {_SESSION}
