"""The agent as a process: how it starts, ends, and with which status."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path

from tests.fake_keeper import FakeKeeper
from tests.integration.agent.stage import call, open_session
from tests.private_bus import private_bus
from tests.waiting import PATIENCE, eventually

from privyseal.errors import PrivysealError
from privyseal.runtime.bus import Connection
from privyseal.runtime.names import Names
from privyseal.wire.secretservice import ITEM, NAME, item_path


@asynccontextmanager
async def agent(address: str) -> AsyncIterator[Process]:
    """Run the agent on a bus."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "privyseal.agent", "--bus-address", address), stderr=PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def owned(bus: Connection) -> None:
    """Return once somebody provides the Secret Service."""
    names = Names(bus)
    await names.start()
    await names.until(NAME, bool, seconds=PATIENCE)


async def test_the_agent_ends_in_good_order_while_a_call_waits(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        address = stack.enter_context(private_bus(tmp_path))
        bus = await Connection.open(group, address)
        keeper_bus = await Connection.open(group, address)
        keeper = FakeKeeper()
        await keeper.serve(keeper_bus)
        keeper.verdicts["read"] = "wait"
        path = item_path(keeper.put("one"))
        ends: list[str] = []

        async def read() -> None:
            try:
                await call(bus, "GetSecret", "o", [session], path=path, interface=ITEM)
            except PrivysealError as error:
                ends.append(error.bus_name)

        async with agent(address) as process:
            await owned(bus)
            session = await open_session(bus)
            reading = group.create_task(read())
            await keeper.waiting("read")
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(PATIENCE):
                _, err = await process.communicate()
            await reading
        assert process.returncode == 0
        assert b"ERROR" not in err
        assert ends == ["org.freedesktop.DBus.Error.NoServer"]
        assert await bus.owner(NAME) == ""
        bus.close()
        keeper_bus.close()


async def test_the_agent_ends_when_its_bus_does(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        daemon = ExitStack()
        address = daemon.enter_context(private_bus(tmp_path))
        bus = await Connection.open(group, address)
        process = await stack.enter_async_context(agent(address))
        await owned(bus)
        daemon.close()
        async with asyncio.timeout(PATIENCE):
            _, err = await process.communicate()
    assert process.returncode == 6
    assert b"the message bus closed the connection" in err
    assert b"Traceback" not in err


async def test_without_a_bus_the_agent_says_so(tmp_path: Path) -> None:
    async with agent(f"unix:path={tmp_path}/none") as process:
        _, err = await process.communicate()
    assert process.returncode == 6
    assert b"cannot connect to the message bus" in err
    assert b"Traceback" not in err


async def test_the_agent_starts_before_the_keeper_does(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        address = stack.enter_context(private_bus(tmp_path))
        bus = await Connection.open(group, address)
        keeper_bus = await Connection.open(group, address)
        async with agent(address):
            await owned(bus)
            keeper = FakeKeeper()
            await keeper.serve(keeper_bus)
            await eventually(lambda: bool(keeper.subscribed()))
            keeper.put("one", a="b")
            unlocked, _ = await call(bus, "SearchItems", "a{ss}", [{"a": "b"}])
            assert len(unlocked) == 1
        bus.close()
        keeper_bus.close()
