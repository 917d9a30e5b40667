"""The keeper away, back, or angry: what callers are told."""

import asyncio
import sys

import pytest
from tests.fake_keeper import Asked, FakeKeeper
from tests.integration.agent.stage import (
    Stage,
    call,
    get,
    open_session,
    perform,
)
from tests.waiting import eventually

from privyseal.errors import (
    LockedError,
    UnreachableError,
)
from privyseal.runtime.bus import Connection
from privyseal.wire.secretservice import (
    ITEM,
    ROOT,
    SERVICE,
    item_path,
)


async def test_waiting_calls_end_when_the_keeper_goes_and_work_when_it_is_back(
    stage: Stage, bus: Connection
) -> None:
    path = item_path(stage.keeper.put("one"))
    stage.keeper.verdicts["read"] = "wait"
    session = await open_session(bus)
    _, prompt = await call(bus, "Unlock", "ao", [[path]])

    async def leave() -> None:
        await eventually(lambda: len([a for a in stage.keeper.asked if a.state == "pending"]) == 2)
        stage.keeper_bus.close()

    async def read() -> None:
        with pytest.raises(UnreachableError, match="keeper"):
            await call(bus, "GetSecret", "o", [session], path=path, interface=ITEM)

    async with asyncio.TaskGroup() as group:
        group.create_task(read())
        group.create_task(leave())
        prompted = group.create_task(perform(bus, prompt))
    # A client is silent about a prompt that was dismissed: this one goes on to read.
    assert prompted.result() == (False, [path])
    with pytest.raises(UnreachableError, match="keeper"):
        await get(bus, ROOT, SERVICE, "Collections")

    await stage.new_keeper()
    stage.keeper.verdicts["read"] = "allow"
    with pytest.raises(UnreachableError, match="the keeper stopped while the request waited"):
        await call(bus, "GetSecret", "o", [session], path=path, interface=ITEM)
    (secret,) = await call(bus, "GetSecret", "o", [session], path=path, interface=ITEM)
    assert secret[2] == b"s3cret"


async def test_the_reason_is_told_once_and_only_for_what_was_cut_off(
    stage: Stage, bus: Connection, other: Connection
) -> None:
    path = item_path(stage.keeper.put("one"))
    fine = item_path(stage.keeper.put("two", value=b"fine"))
    stage.keeper.verdicts["read"] = "wait"
    session, others = await open_session(bus), await open_session(other)
    _, prompt = await call(bus, "Unlock", "ao", [[path]])

    async def leave() -> None:
        await eventually(lambda: "pending" in [asked.state for asked in stage.keeper.asked])
        stage.keeper_bus.close()

    async with asyncio.TaskGroup() as group:
        group.create_task(leave())
        group.create_task(perform(bus, prompt))
    await stage.new_keeper()
    stage.keeper.verdicts["read"] = "allow"
    read = {}
    for caller, where, its in ((other, path, others), (bus, fine, session)):
        found = await call(caller, "GetSecrets", "aoo", [[where], its])
        read[where] = found[0][where][2]
    assert read == {path: b"s3cret", fine: b"fine"}
    with pytest.raises(UnreachableError, match="the keeper stopped"):
        await call(bus, "GetSecrets", "aoo", [[path, fine], session])
    (found,) = await call(bus, "GetSecrets", "aoo", [[path, fine], session])
    assert set(found) == {path, fine}


async def test_a_second_provider_is_told_that_the_name_is_taken(stage: Stage) -> None:
    ran = await stage.run(sys.executable, "-m", "privyseal.agent")
    assert (ran.status, "owns the bus name" in ran.err) == (1, True)


async def test_an_error_of_the_keeper_keeps_its_name(
    stage: Stage, bus: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(_keeper: FakeKeeper, _asked: Asked) -> None:
        raise LockedError("the store is locked")

    path = item_path(stage.keeper.put("one"))
    stage.keeper.verdicts["delete"] = "at-once"
    monkeypatch.setattr(FakeKeeper, "_perform", locked)
    with pytest.raises(LockedError):
        await call(bus, "Delete", path=path, interface=ITEM)
