"""The activation file of a companion's user on a real bus: calls wait for the agent."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.private_bus import private_bus
from tests.waiting import PATIENCE, eventually

from privyseal.cli.deployment import Places, wanted
from privyseal.runtime.bus import Call, Connection, Method, Reply
from privyseal.runtime.names import SECRETS

HALF_A_SECOND = 0.5


async def _answer(_call: Call) -> Reply:
    return Reply(["from the agent"])


def _started_by(address: str) -> list[int]:
    """Return what the bus started: it tells each process its address."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "environ").read_bytes().split(b"\0")
            command = (place / "cmdline").read_bytes()
        except OSError:
            continue
        told = any(word.startswith(f"DBUS_STARTER_ADDRESS={address}".encode()) for word in words)
        if told and b"sleep\0" in command:
            found.append(int(place.name))
    return found


@contextmanager
def _login(folder: Path) -> Iterator[str]:
    """Run the bus of a session with the files of a companion; end what it started."""
    (folder / "share/dbus-1/services").mkdir(parents=True)
    places = Places(folder / "config", folder / "data", (folder / "share",), (), ())
    for path, entry in wanted(places, companion=True).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(entry.content)
    with private_bus(folder) as address:
        try:
            yield address
        finally:
            for pid in _started_by(address.partition(",")[0]):
                os.kill(pid, signal.SIGTERM)


async def test_a_program_that_is_faster_than_the_agent_waits_for_it(tmp_path: Path) -> None:
    with _login(tmp_path) as address:
        async with asyncio.TaskGroup() as group:
            program = await Connection.open(group, address)
            agent = await Connection.open(group, address)
            agent.serve({(SECRETS, "Ask"): Method("", "s", _answer)})
            call = group.create_task(program.call(SECRETS, "/", SECRETS, "Ask"))
            await eventually(lambda: bool(_started_by(address.partition(",")[0])))
            await asyncio.wait([call], timeout=HALF_A_SECOND)
            assert not call.done()

            await agent.claim(SECRETS)

            async with asyncio.timeout(PATIENCE):
                assert (await call).body == ["from the agent"]
            assert await program.owner(SECRETS) == agent.unique_name
            program.close()
            agent.close()
