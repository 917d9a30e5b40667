"""A private bus with a fake keeper, our face before it, and what programs do with it."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dbus_fast import Variant
from tests.fake_keeper import FakeKeeper
from tests.fakes import FakeClock
from tests.private_bus import private_bus
from tests.waiting import PATIENCE

from privyseal.agent.service import Face
from privyseal.runtime.bus import Connection
from privyseal.runtime.requestlink import RequestLink
from privyseal.wire.secretservice import (
    COLLECTION,
    ITEM,
    NAME,
    PROMPT,
    PROPERTIES,
    ROOT,
    SERVICE,
    alias_path,
    collection_path,
)


@dataclass(frozen=True)
class Ran:
    """What a program did."""

    status: int
    out: str
    err: str


@dataclass
class Stage:
    """Everything a test of the face needs."""

    address: str
    group: asyncio.TaskGroup
    keeper: FakeKeeper
    keeper_bus: Connection
    face: Face
    clock: FakeClock
    home: Path

    async def connect(self) -> Connection:
        """Return a new connection: a peer of its own."""
        return await Connection.open(self.group, self.address)

    async def run(self, *argv: str, stdin: bytes = b"") -> Ran:
        """Run a program on the bus to its end."""
        process = await self.start(*argv)
        out, err = await process.communicate(stdin)
        return Ran(process.returncode or 0, out.decode(), err.decode())

    async def start(self, *argv: str) -> asyncio.subprocess.Process:
        """Start a program on the bus."""
        kept = {k: v for k, v in os.environ.items() if k.startswith(("PATH", "LANG"))}
        return await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=kept | {"DBUS_SESSION_BUS_ADDRESS": self.address, "HOME": str(self.home)},
        )

    async def new_keeper(self) -> None:
        """Put a fresh connection with the same fake keeper in the place of the old one."""
        self.keeper_bus = await self.connect()
        await self.keeper.serve(self.keeper_bus)


async def call(
    bus: Connection,
    member: str,
    signature: str = "",
    body: Sequence[Any] = (),
    *,
    path: str = ROOT,
    interface: str = SERVICE,
) -> list[Any]:
    """Call the face; return the reply's body."""
    reply = await bus.call(NAME, path, interface, member, signature, body)
    return reply.body


@asynccontextmanager
async def staged(folder: Path) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        address = stack.enter_context(private_bus(folder))
        group = await stack.enter_async_context(asyncio.TaskGroup())
        connections = [await Connection.open(group, address) for _ in range(3)]
        keeper = FakeKeeper()
        await keeper.serve(connections[0])
        clock = FakeClock()
        face = Face(connections[1], RequestLink(connections[2]), group, clock)
        await face.start()
        yield Stage(address, group, keeper, connections[0], face, clock, folder)
        await face.stop()
        for connection in connections:
            connection.close()


LOGIN = collection_path("login")
DEFAULT = alias_path("default")


class Signals:
    """What one connection hears from the face."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, list[Any]]] = []
        self._new = asyncio.Event()

    async def listen(self, bus: Connection, *members: tuple[str, str]) -> None:
        sender = await bus.owner(NAME)
        for interface, member in members:

            def note(path: str, body: list[Any], member: str = member) -> None:
                self.heard.append((member, path, body))
                self._new.set()

            await bus.listen(sender, interface, member, note)

    async def next(self, member: str) -> tuple[str, list[Any]]:
        """Return path and body of the first such signal and take it out."""
        async with asyncio.timeout(PATIENCE):
            while True:
                self._new.clear()
                for heard in self.heard:
                    if heard[0] == member:
                        self.heard.remove(heard)
                        return heard[1], heard[2]
                await self._new.wait()


async def open_session(bus: Connection) -> str:
    return str((await call(bus, "OpenSession", "sv", ["plain", Variant("s", "")]))[1])


async def get(bus: Connection, path: str, interface: str, name: str) -> Any:
    body = [interface, name]
    return (await call(bus, "Get", "ss", body, path=path, interface=PROPERTIES))[0].value


async def put(bus: Connection, path: str, interface: str, name: str, value: Variant) -> None:
    await call(bus, "Set", "ssv", [interface, name, value], path=path, interface=PROPERTIES)


async def create(
    bus: Connection, session: str, *, path: str = LOGIN, replace: bool = False, **attributes: str
) -> tuple[str, str]:
    properties = {
        f"{ITEM}.Label": Variant("s", "made"),
        f"{ITEM}.Attributes": Variant("a{ss}", attributes),
    }
    secret = [session, b"", b"value", "text/plain"]
    body = [properties, secret, replace]
    item, prompt = await call(
        bus, "CreateItem", "a{sv}(oayays)b", body, path=path, interface=COLLECTION
    )
    return item, prompt


async def perform(bus: Connection, prompt: str) -> tuple[bool, Any]:
    """Use a prompt as clients do; return whether it was dismissed, and its result."""
    signals = Signals()
    await signals.listen(bus, (PROMPT, "Completed"))
    await call(bus, "Prompt", "s", [""], path=prompt, interface=PROMPT)
    path, body = await signals.next("Completed")
    assert path == prompt
    return body[0], body[1].value
