"""A logind that says what a test tells it to (org.freedesktop.login1(5))."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dbus_fast import Variant

from privyseal.runtime.bus import Call, Connection, Method, Reply

NAME = "org.freedesktop.login1"
MANAGER = f"{NAME}.Manager"


class FakeLogind:
    """Knows sessions, hands out inhibitors, and announces."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.sessions: list[tuple[str, int, str]] = []
        self.closing: set[str] = set()
        self.delays: list[str] = []
        self.asked = asyncio.Event()

    async def serve(self) -> None:
        """Take the name."""
        self.connection.serve({
            (MANAGER, "Inhibit"): Method("ssss", "h", self._inhibit),
            (MANAGER, "ListSessions"): Method("", "a(susso)", self._list),
            ("org.freedesktop.DBus.Properties", "Get"): Method("ss", "v", self._get),
        })  # fmt: skip
        await self.connection.claim(NAME)

    def announce(self, signal: str, signature: str, *body: object) -> None:
        """Send a signal to everybody, as logind does."""
        self.connection.emit("/org/freedesktop/login1", MANAGER, signal, signature, list(body))

    async def _inhibit(self, call: Call) -> Reply:
        self.delays.append(" ".join(call.body[::3]))
        return Reply([0], [os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)])

    async def _list(self, _call: Call) -> Reply:
        self.asked.set()
        return Reply([[[name, uid, "", "", f"/s/{name}"] for name, uid, _ in self.sessions]])

    async def _get(self, call: Call) -> Reply:
        name = call.path.removeprefix("/s/")
        kinds = {known: kind for known, _, kind in self.sessions}
        state = "closing" if name in self.closing else "active"
        return Reply([Variant("s", kinds[name] if call.body[1] == "Class" else state)])


@asynccontextmanager
async def logind(address: str) -> AsyncIterator[FakeLogind]:
    """Run one on a bus."""
    async with asyncio.TaskGroup() as group:
        connection = await Connection.open(group, address)
        made = FakeLogind(connection)
        await made.serve()
        try:
            yield made
        finally:
            connection.close()
