"""The whole house on a bus of its own: real keeper, real agent, real clients, a person by method call."""

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.private_bus import private_bus
from tests.waiting import PATIENCE

from privyseal.errors import PrivysealError
from privyseal.model.approval import Approval
from privyseal.model.decision import Decision, Scope
from privyseal.model.secret import Secret
from privyseal.runtime.bus import DBUS, DBUS_PATH, Connection
from privyseal.runtime.keeper import DecisionLink
from privyseal.wire.keeper import BUS_NAME

SECRETS = "org.freedesktop.secrets"
PASSPHRASE = Secret(b"correct horse battery staple")


@dataclass(frozen=True)
class Outcome:
    """How a client ended."""

    status: int
    out: bytes
    err: str


@dataclass
class House:
    """Starts and kills the processes of the product, and decides like a person."""

    folder: Path
    address: str
    connection: Connection
    person: DecisionLink
    environment: dict[str, str]
    processes: dict[str, Process] = field(default_factory=dict)
    _noticed: asyncio.Event = field(default_factory=asyncio.Event)

    async def start_keeper(self, *arguments: str, unlock: bool = True) -> None:
        """Start the keeper and wait until it answers."""
        await self._start(
            "keeper", BUS_NAME, "-I", "-m", "privyseal.keeper",
            "--state", str(self.folder / "state"), "--store", str(self.folder / "store"), *arguments,
        )  # fmt: skip
        await self.person.watch(lambda _notice: self._noticed.set())
        if unlock:
            await self.person.unlock(PASSPHRASE)

    async def start_agent(self) -> None:
        """Start the agent and wait until it owns the Secret Service."""
        await self._start("agent", SECRETS, "-m", "privyseal.agent")

    async def kill(self, name: str) -> None:
        """Kill a process of ours as the kernel does when memory runs out."""
        process = self.processes.pop(name)
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        await process.wait()

    async def stop(self, name: str) -> int:
        """End a process in good order; return its status."""
        process = self.processes.pop(name)
        process.terminate()
        async with asyncio.timeout(PATIENCE):
            return await process.wait()

    async def client(self, *argv: str, value: bytes = b"") -> Process:
        """Start a client program on this bus."""
        process = await asyncio.create_subprocess_exec(
            *argv, env=self.environment, stdin=PIPE, stdout=PIPE, stderr=PIPE
        )
        assert process.stdin is not None
        process.stdin.write(value)
        process.stdin.close()
        return process

    async def run(self, *argv: str, value: bytes = b"") -> Outcome:
        """Run a client to its end."""
        return await ended(await self.client(*argv, value=value))

    async def waiting(self, number: int = 1) -> list[Approval]:
        """Return what waits for a person, once so many requests do."""
        return await self._pending(lambda pending: len(pending) >= number)

    async def nothing_waits(self) -> None:
        """Return once no request waits any more."""
        await self._pending(lambda pending: not pending)

    async def leases_are(self, number: int) -> None:
        """Return once so many leases are in force."""
        async with asyncio.timeout(PATIENCE):
            while True:
                self._noticed.clear()
                if len(await self.person.leases()) == number:
                    return
                await self._noticed.wait()

    async def _pending(self, wanted: Callable[[list[Approval]], bool]) -> list[Approval]:
        async with asyncio.timeout(PATIENCE):
            while True:
                self._noticed.clear()
                if wanted(pending := await self.person.pending()):
                    return pending
                await self._noticed.wait()

    async def decide(self, *, allow: bool = True, scope: str = "once") -> Approval:
        """Wait for one request and decide it."""
        approval = (await self.waiting())[0]
        return await self.person.decide(
            Decision(
                request=approval.id,
                digest=approval.digest,
                allow=allow,
                scope=Scope.parse(scope),
            )
        )

    async def store(self, value: bytes, label: str = "demo", **attributes: str) -> None:
        """Store an item with the real client, and allow it."""
        pairs = [part for pair in attributes.items() for part in pair]
        process = await self.client("secret-tool", "store", f"--label={label}", *pairs, value=value)
        await self.decide()
        outcome = await ended(process)
        assert outcome.status == 0, outcome.err

    async def _start(self, name: str, bus_name: str, *arguments: str) -> None:
        log = (self.folder / f"{name}.log").open("ab")
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, env=self.environment, stdout=log, stderr=log
        )
        log.close()
        self.processes[name] = process
        await self.owned(bus_name, process)

    async def owned(self, bus_name: str, process: Process) -> None:
        """Return once `process` owns a bus name; fail when it ends instead."""
        changed = asyncio.Event()
        await self.connection.listen(
            DBUS, DBUS, "NameOwnerChanged", lambda _path, _body: changed.set()
        )
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
            ended = group.create_task(process.wait())
            while True:
                changed.clear()
                if await self._pid(bus_name) == process.pid:
                    break
                noticed = group.create_task(changed.wait())
                await asyncio.wait({ended, noticed}, return_when=asyncio.FIRST_COMPLETED)
                noticed.cancel()
                logs = {file.name: file.read_text() for file in self.folder.glob("*.log")}
                assert not ended.done(), logs
            ended.cancel()

    async def _pid(self, bus_name: str) -> int:
        try:
            reply = await self.connection.call(
                DBUS, DBUS_PATH, DBUS, "GetConnectionUnixProcessID", "s", [bus_name]
            )
        except PrivysealError:
            return 0
        return int(reply.body[0])


async def ended(process: Process, *, seconds: float = PATIENCE) -> Outcome:
    """Return how a client ended; fail when it hangs."""
    assert process.stdout is not None
    assert process.stderr is not None
    async with asyncio.timeout(seconds):
        out = await process.stdout.read()
        err = await process.stderr.read()
        status = await process.wait()
    return Outcome(status, out, err.decode())


@asynccontextmanager
async def house(folder: Path, environment: dict[str, str] | None = None) -> AsyncIterator[House]:
    """Start a session bus for one test; everything on it ends with the test."""
    with private_bus(folder) as address:
        variables = {
            name: value
            for name, value in os.environ.items()
            if name in {"PATH", "LANG", "COVERAGE_PROCESS_CONFIG"}
        }
        variables |= {
            "DBUS_SESSION_BUS_ADDRESS": address,
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(folder),
            "LC_ALL": "C.UTF-8",
            **(environment or {}),
        }
        async with asyncio.TaskGroup() as group:
            connection = await Connection.open(group, address)
            made = House(folder, address, connection, DecisionLink(connection), variables)
            try:
                yield made
            finally:
                for name in list(made.processes):
                    await made.kill(name)
                connection.close()
