"""Locks when the machine goes to sleep and when the user's last session ends (logind).

Interface: org.freedesktop.login1(5). Where no logind runs nothing happens, and when it comes back
its signals are heard again: only from the process that owns its name, never by the name alone.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

from dbus_fast import Variant

from privyseal.errors import PrivysealError, UnreachableError
from privyseal.runtime.bus import DBUS, Connection

NAME: Final = "org.freedesktop.login1"

_PATH: Final = "/org/freedesktop/login1"
_MANAGER: Final = f"{NAME}.Manager"
_SIGNALS: Final = ("PrepareForSleep", "SessionNew", "SessionRemoved", "UserRemoved")
_DELAY: Final = ("sleep", "Privyseal", "locks the store first", "delay")

_CALL_SECONDS: Final = 5.0
_RECOUNT_SECONDS: Final = 10.0

log = logging.getLogger(__name__)


Lock = Callable[[str], Awaitable[None]]


@asynccontextmanager
async def follow_logind(
    group: asyncio.TaskGroup,
    address: str,
    uid: int,
    lock: Lock,
    recount_seconds: float = _RECOUNT_SECONDS,
) -> AsyncIterator[None]:
    """Call `lock` with a reason whenever the user's secrets should not stay open, in the block."""
    connection = await Connection.open(group, address)
    recounting: asyncio.Task[None] | None = None
    try:
        follower = _Follower(group, connection, uid, lock)
        rule = f",arg0='{NAME}'"
        await connection.listen(DBUS, DBUS, "NameOwnerChanged", follower.owner_changed, rule=rule)
        await follower.attach()
        recounting = group.create_task(follower.recount(recount_seconds), name="sessions")
        yield
    finally:
        if recounting is not None:
            recounting.cancel()
        connection.close()


class _Follower:
    """Follows logind on the system bus for one user."""

    def __init__(
        self, group: asyncio.TaskGroup, connection: Connection, uid: int, lock: Lock
    ) -> None:
        self._connection = connection
        self._group = group
        self._uid = uid
        self._lock = lock
        self._owner = ""
        self._here = False
        self._inhibitors: list[int] = []  # logind lets the machine sleep once we exit

    def owner_changed(self, _path: str, body: list[object]) -> None:
        """Find the new logind when the name changes hands."""
        if body[0] == NAME and body[2]:
            self._start(self.attach())

    async def attach(self) -> None:
        """Hear the logind that runs now, and delay sleep until this process has ended."""
        try:
            owner = await self._connection.owner(NAME)
            if owner in {"", self._owner}:
                return
            for signal in _SIGNALS:
                if self._owner:
                    await self._connection.unlisten(self._owner, _MANAGER, signal)
                await self._connection.listen(owner, _MANAGER, signal, self._hears(signal))
            self._owner = owner
            reply = await self._call(_PATH, _MANAGER, "Inhibit", "ssss", list(_DELAY))
            self._inhibitors += reply[1]
            await self._count()
        except PrivysealError as error:
            log.warning("sleep and logout may not lock the store: %s", error)

    def _hears(self, signal: str) -> Callable[[str, list[object]], None]:
        def heard(_path: str, body: list[object]) -> None:
            if signal == "PrepareForSleep" and body == [True]:
                self._start(self._lock("the machine goes to sleep"))
            elif signal == "UserRemoved" and body[:1] == [self._uid]:
                self._start(self._lock("the last session ended"))
            elif signal.startswith("Session"):
                self._start(self._count())

        return heard

    def _start(self, work: Awaitable[None]) -> None:
        async def do() -> None:
            try:
                await work
            except PrivysealError as error:
                log.warning("on a signal of logind: %s", error)

        self._group.create_task(do(), name="logind's signal")

    async def recount(self, seconds: float) -> None:
        """Count again from time to time: no signal tells of a session that is closing."""
        while True:
            await asyncio.sleep(seconds)
            with suppress(PrivysealError):
                await self._count()

    async def _count(self) -> None:
        """Lock if the user had a session when last counted and has none now."""
        if not self._owner:
            return
        (sessions,), _ = await self._call(_PATH, _MANAGER, "ListSessions")
        before, self._here = self._here, await self._any(sessions)
        if before and not self._here:
            await self._lock("the last session ended")

    async def _any(self, sessions: object) -> bool:
        for _id, uid, _user, _seat, path in sessions if isinstance(sessions, list) else ():
            if uid != self._uid:
                continue
            kind, state = [await self._property(path, name) for name in ("Class", "State")]
            # Others are no person: the user's manager (systemd 256 and later), cron, greeters. And
            # in a session that is closing the person has left some program behind (tmux, nohup).
            if kind.startswith("user") and state != "closing":
                return True
        return False

    async def _property(self, session: str, name: str) -> str:
        body = [f"{NAME}.Session", name]
        (value,), _ = await self._call(session, f"{DBUS}.Properties", "Get", "ss", body)
        return str(value.value) if isinstance(value, Variant) else ""

    async def _call(
        self, path: str, interface: str, member: str, takes: str = "", body: list[str] | None = None
    ) -> tuple[list[object], list[int]]:
        try:
            async with asyncio.timeout(_CALL_SECONDS):
                reply = await self._connection.call(
                    self._owner, path, interface, member, takes, body or []
                )
        except TimeoutError:
            raise UnreachableError(f"logind does not answer {member}") from None
        return list(reply.body), list(reply.unix_fds)
