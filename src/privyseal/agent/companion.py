"""The agent in companion mode: it stays while the keeper and even the session's bus come and go."""

import asyncio
import logging
import os
from contextlib import AsyncExitStack, suppress
from typing import Final, NamedTuple

from privyseal.agent.claims import Claims
from privyseal.agent.companionlink import CompanionLink
from privyseal.agent.requests import Circumstances
from privyseal.agent.service import NAMES, Face
from privyseal.agent.tidings import Tidings
from privyseal.agent.troubles import Troubles
from privyseal.errors import PrivysealError, UnreachableError, UsageError, leaves
from privyseal.model.clock import Clock
from privyseal.model.config import NotificationSettings
from privyseal.runtime import serve
from privyseal.runtime.bus import Connection
from privyseal.runtime.companion import Companion, find
from privyseal.runtime.config import load
from privyseal.runtime.wayin import interrupted, keeper_uid, sentence, system_bus
from privyseal.wire.keeper import MAX_TROUBLE

log = logging.getLogger(__name__)

FIRST_PAUSE: Final = 0.25
LONGEST_PAUSE: Final = 5.0
CONNECT_SECONDS: Final = 10.0
GOODBYE_SECONDS: Final = 5.0


class Setting(NamedTuple):
    """What does not change while the agent runs."""

    record: Companion
    keeper_uid: int
    session_bus: str
    system_bus: str


def setting(uid: int, session_bus: str | None, system_bus_address: str | None) -> Setting:
    """Return the circumstances of the agent of a user.

    Raises:
        UsageError: That user has no companion, or is not who runs us.
    """
    if uid != os.getuid():
        raise UsageError(f"the agent of UID {uid} cannot run as UID {os.getuid()}")
    record = find(uid)
    if record is None:
        raise UsageError(f"UID {uid} has no companion", hint="make one with `privy provision`")
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{uid}"
    here = session_bus or os.environ.get("DBUS_SESSION_BUS_ADDRESS")
    return Setting(
        record,
        keeper_uid(record.account),
        here or f"unix:path={runtime}/bus",
        system_bus_address or system_bus(),
    )


async def run(around: Setting, clock: Clock) -> None:
    """Serve the session's bus whenever there is one, until a signal asks us to stop."""
    stop = serve.stop_event()
    told: str | None = None
    pause = FIRST_PAUSE
    while not stop.is_set():
        sitting = Sitting(around, clock, stop)
        failures: list[PrivysealError] = []
        try:
            await sitting.run()
        except* PrivysealError as group:
            failures = leaves(group)
        if sitting.settled:
            told, pause = None, FIRST_PAUSE
        else:
            serve.ready()  # the login must not wait for a bus that is not there
        for failure in failures[:1]:
            if str(failure) != told:
                log.warning("%s; trying again", failure)
            told = str(failure)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await stop.wait()
        pause = min(2 * pause, LONGEST_PAUSE)


class Sitting:
    """The time for which one session bus is there; `settled` once the names were asked for."""

    def __init__(self, around: Setting, clock: Clock, stop: asyncio.Event) -> None:
        self._around = around
        self._clock = clock
        self._stop = stop
        self.settled = False

    async def run(self) -> None:
        """Serve until the bus goes away or we are to stop.

        Raises:
            UnreachableError: A bus is not there, or went away.
        """
        async with asyncio.TaskGroup() as group, AsyncExitStack() as stack:
            here, there = self._around.session_bus, self._around.system_bus
            buses = [await _open(group, stack, bus) for bus in (here, here, here, there)]
            tasks = [group.create_task(_watch(bus), name="bus") for bus in buses]
            desktop, notices, names, system = buses
            record, troubles = self._around.record, Troubles()
            link = CompanionLink(system, record, self._around.keeper_uid, troubles, self._clock)
            tidings = Tidings(notices, link, troubles, record.way_in)
            face = Face(
                desktop,
                link,
                group,
                self._clock,
                Circumstances(link.guard, tidings.look, sentence(interrupted(record.way_in))),
            )
            stack.callback(face.peers.let_go)
            claims = Claims(desktop, names, NAMES, troubles)
            troubles.on_change(link.returned.set)
            troubles.on_change(tidings.look)
            await face.open()
            # The names first: whoever is there before us may answer in our place.
            works = (claims.run(), face.follow(), _report(link, troubles), _tell(tidings))
            tasks += [group.create_task(work) for work in works]
            await claims.settled.wait()
            self.settled = True
            serve.ready()
            await self._stop.wait()
            await face.stop()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=GOODBYE_SECONDS)


async def _report(link: CompanionLink, troubles: Troubles) -> None:
    """Tell every keeper what is wrong, and when nothing is any more."""
    told = ""
    while True:
        await link.returned.wait()
        link.returned.clear()
        text = "; ".join(troubles.texts)[:MAX_TROUBLE]
        if not (text or told):
            continue
        try:
            if await link.present():
                await link.report(text)
                told = text
        except PrivysealError as error:
            log.debug("the keeper was not told: %s", error)


async def _tell(tidings: Tidings) -> None:
    """Inform the person on the desktop, if that is wanted."""
    settings = NotificationSettings()
    try:
        settings = (await load()).notifications
    except PrivysealError as error:
        log.warning("the settings do not count: %s", error)
    if settings.enabled:
        tidings.names_secrets = settings.names
        await tidings.run()


async def _open(group: asyncio.TaskGroup, stack: AsyncExitStack, address: str) -> Connection:
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            connection = await Connection.open(group, address)
    except TimeoutError as error:
        raise UnreachableError(f"no answer from the message bus at {address!r}") from error
    stack.callback(connection.close)
    return connection


async def _watch(connection: Connection) -> None:
    await connection.closed()
    raise UnreachableError("the message bus closed the connection")
