"""A private bus with a fake keeper on it, and the installed `privy` beside."""

import asyncio
import os
import pty
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.fake_decider import FakeDecider
from tests.private_bus import private_bus

from privyseal.runtime.bus import Connection

PRIVY = Path(sys.executable).with_name("privy")


@dataclass(frozen=True)
class Transcript:
    """What one run of a command showed."""

    status: int
    out: str
    err: str


@dataclass
class Shell:
    """Runs `privy` with an environment of its own."""

    environment: dict[str, str]

    async def start(
        self, *words: str, fds: Sequence[int] = (), **extra: str
    ) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            PRIVY,
            *words,
            env=self.environment | extra,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=fds,
            start_new_session=True,
        )

    async def finish(self, process: asyncio.subprocess.Process) -> Transcript:
        out, err = await process.communicate()
        return Transcript(process.returncode or 0, out.decode(), err.decode())

    async def privy(
        self, *words: str, fds: Sequence[int] = (), extra: Mapping[str, str] | None = None
    ) -> Transcript:
        return await self.finish(await self.start(*words, fds=fds, **(extra or {})))


@dataclass
class Terminal:
    """The person's side of a pseudo-terminal."""

    screen: asyncio.StreamReader
    keys: int
    process: asyncio.subprocess.Process

    async def line(self) -> bytes:
        return await self.screen.readline()

    async def until(self, text: bytes) -> bytes:
        return await self.screen.readuntil(text)

    def type(self, text: bytes) -> None:
        os.write(self.keys, text)


@asynccontextmanager
async def terminal(shell: Shell, *words: str, colours: bool = False) -> AsyncIterator[Terminal]:
    """Run `privy` with a pseudo-terminal as its controlling one."""
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
        "os.execv(sys.argv[1], sys.argv[1:])",
        PRIVY,
        *words,
        env=shell.environment | ({} if colours else {"NO_COLOR": "1"}),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    screen = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(screen), os.fdopen(os.dup(ours), "rb", 0)
    )
    try:
        yield Terminal(screen, ours, process)
        await process.wait()
    finally:
        os.close(theirs)
        transport.close()
        os.close(ours)


@pytest.fixture
def bus_address(tmp_path: Path) -> Iterator[str]:
    with private_bus(tmp_path) as address:
        yield address


@pytest.fixture
def shell(bus_address: str, tmp_path: Path) -> Shell:
    kept = {k: v for k, v in os.environ.items() if k.startswith(("PATH", "COVERAGE", "LANG"))}
    return Shell(
        kept
        | {
            "DBUS_SESSION_BUS_ADDRESS": bus_address,
            "HOME": str(tmp_path),
            "XDG_CONFIG_HOME": str(tmp_path / "config"),
            "XDG_STATE_HOME": str(tmp_path / "state"),
            "XDG_RUNTIME_DIR": str(tmp_path / "run"),
        }
    )


@pytest.fixture
async def connection(bus_address: str) -> AsyncIterator[Connection]:
    async with asyncio.TaskGroup() as group:
        connection = await Connection.open(group, bus_address)
        yield connection
        connection.close()


@pytest.fixture
async def keeper(connection: Connection) -> FakeDecider:
    fake = FakeDecider()
    await fake.serve(connection)
    return fake
