"""A private bus with a fake keeper, our face before it, and programs that use it."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.fake_keeper import FakeKeeper
from tests.fakes import FakeClock
from tests.private_bus import private_bus

from privyseal.agent.service import Face
from privyseal.runtime.bus import Connection
from privyseal.runtime.keeper import RequestLink
from privyseal.wire.secretservice import NAME, ROOT, SERVICE


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
        address = await stack.enter_async_context(private_bus(folder))
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


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(tmp_path) as made:
        yield made
