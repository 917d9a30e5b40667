"""The portal's master secrets: one for each application, and only after a decision."""

import asyncio
import os

import pytest
from tests.integration.agent.stage import (
    Stage,
    call,
    get,
)
from tests.waiting import eventually

from privyseal.errors import (
    ConflictError,
    NotFoundError,
    PrivysealError,
    UsageError,
)
from privyseal.runtime.bus import Connection
from privyseal.wire.secretservice import (
    NAME,
    PORTAL,
    PORTAL_PATH,
    PORTAL_REQUEST,
)


async def retrieve(bus: Connection, application: str) -> tuple[int, bytes]:
    """Ask for an application's master secret as the portal does."""
    reader, writer = os.pipe()
    handle = f"{PORTAL_PATH}/request/1_1/t"
    try:
        reply = await bus.call(
            *(NAME, PORTAL_PATH, PORTAL, "RetrieveSecret", "osha{sv}"),
            [handle, application, 0, {}],
            fds=[writer],
        )
    finally:
        os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        return reply.body[0], pipe.read()


async def test_the_portal_gives_each_application_one_lasting_secret(
    stage: Stage, bus: Connection
) -> None:
    first = await retrieve(bus, "org.example.App")
    again = await retrieve(bus, "org.example.App")
    other = await retrieve(bus, "org.example.Other")

    assert first == again
    assert (first[0], len(first[1])) == (0, 64)
    assert other[1] != first[1]
    assert stage.keeper.kinds() == ["create", "read", "create"]
    facts = [fact.value for facts in stage.keeper.reported.values() for fact in facts]
    assert sorted(facts) == ["org.example.App", "org.example.Other"]
    assert await get(bus, PORTAL_PATH, PORTAL, "version") == 1


async def test_a_portal_that_knows_another_name_finds_the_agent(
    stage: Stage, bus: Connection
) -> None:
    assert stage.keeper.kinds() == []
    assert await bus.owner(PORTAL) == await bus.owner(NAME)


async def test_a_denied_portal_request_is_cancelled_and_writes_nothing(
    stage: Stage, bus: Connection
) -> None:
    stage.keeper.verdicts["create"] = "deny"
    assert await retrieve(bus, "org.example.App") == (1, b"")
    with pytest.raises(UsageError):
        await retrieve(bus, "no application")


async def test_a_portal_request_can_be_closed(
    stage: Stage, bus: Connection, other: Connection
) -> None:
    stage.keeper.verdicts["create"] = "wait"
    handle = f"{PORTAL_PATH}/request/1_1/t"
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(retrieve(bus, "org.example.App"))
        asked = await stage.keeper.waiting("create")
        with pytest.raises(NotFoundError):
            await call(other, "Close", path=handle, interface=PORTAL_REQUEST)
        await call(bus, "Close", path=handle, interface=PORTAL_REQUEST)
    assert waiting.result() == (1, b"")
    await eventually(lambda: asked.state == "cancelled")


async def test_a_portal_request_that_cannot_be_served_has_failed(
    stage: Stage, bus: Connection
) -> None:
    reader, writer = os.pipe()
    body = [f"{PORTAL_PATH}/request/1_1/t", "org.example.App", 0, {}]
    where = (NAME, PORTAL_PATH, PORTAL, "RetrieveSecret", "osha{sv}")
    try:
        unwritable = await bus.call(*where, body, fds=[reader])
        stage.keeper.collections["login"].items.clear()
        stage.keeper.aliases.clear()
        homeless = await bus.call(*where, body, fds=[writer])
    finally:
        os.close(reader)
        os.close(writer)
    assert (unwritable.body[0], homeless.body[0]) == (2, 2)
    with pytest.raises(PrivysealError):
        await bus.call(*where, body)


async def test_a_portal_handle_serves_one_request_at_a_time(stage: Stage, bus: Connection) -> None:
    stage.keeper.verdicts["create"] = "wait"
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(retrieve(bus, "org.example.App"))
        asked = await stage.keeper.waiting("create")
        with pytest.raises(ConflictError):
            await retrieve(bus, "org.example.Other")
        stage.keeper.resolve(asked, "allowed")
    assert waiting.result()[0] == 0
