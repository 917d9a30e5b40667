"""The agent's way to a companion's keeper, when that is away, mute, or somebody else."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.fake_keeper import FakeKeeper
from tests.fakes import FakeClock
from tests.private_bus import private_bus

from privyseal.agent import companionlink
from privyseal.agent.companionlink import CompanionLink
from privyseal.agent.troubles import Troubles
from privyseal.errors import LockedError, UnreachableError
from privyseal.model.ask import Create, Delete, Lock, Read, Search
from privyseal.model.keyring import ItemRef
from privyseal.runtime.bus import DBUS, DBUS_PATH, Call, Connection, Method, Reply
from privyseal.runtime.companion import Companion
from privyseal.wire.keeper import REQUEST

RECORD = Companion(uid=4711, user="alice", vt=9)
SESSION = ItemRef(collection="session", item="1")
LOGIN = ItemRef(collection="login", item="1")


@dataclass
class Wire:
    """A link and the bus on which its keeper should be."""

    link: CompanionLink
    keeper: Connection
    troubles: Troubles
    clock: FakeClock
    folder: Path


@pytest.fixture
async def wire(tmp_path: Path) -> AsyncIterator[Wire]:
    (tmp_path / "data/dbus-1/services").mkdir(parents=True)
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        address = stack.enter_context(private_bus(tmp_path))
        ours, keeper = [await Connection.open(group, address) for _ in range(2)]
        troubles, clock = Troubles(), FakeClock()
        link = CompanionLink(ours, RECORD, os.getuid(), troubles, clock)
        yield Wire(link, keeper, troubles, clock, tmp_path)
        for bus in (ours, keeper):
            bus.close()


async def test_a_mute_keeper_is_given_up(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(_call: Call) -> Reply:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(companionlink, "ANSWER_SECONDS", 0.05)
    table = {(REQUEST, "Waiting"): Method("", "s", never)}
    wire.keeper.serve(table)
    await wire.keeper.claim(RECORD.bus_name)

    with pytest.raises(UnreachableError, match="does not answer"):
        await wire.link.waiting()
    for task in asyncio.all_tasks():
        if task.get_name() == "Waiting":
            task.cancel()


async def test_a_refused_start_is_tried_again_only_after_a_rest(wire: Wire) -> None:
    count = wire.folder / "count"
    (wire.folder / "data/dbus-1/services" / f"{RECORD.bus_name}.service").write_text(
        f"[D-BUS Service]\nName={RECORD.bus_name}\nExec=/bin/sh -c 'echo x >>{count}; exit 1'\n"
    )
    await wire.keeper.call(DBUS, DBUS_PATH, DBUS, "ReloadConfig")

    for seconds, tries in ((0.0, 1), (0.0, 1), (companionlink.REST_SECONDS, 2)):
        wire.clock.advance(seconds)
        with pytest.raises(UnreachableError, match=r"does not run\. Log in"):
            await wire.link.status()
        assert len(count.read_text().split()) == tries


async def test_another_user_in_the_keepers_place_is_a_trouble_until_the_right_one_is_back(
    wire: Wire,
) -> None:
    fake = FakeKeeper()
    await fake.serve(wire.keeper, RECORD.bus_name)
    right, wire.link._keeper_uid = wire.link._keeper_uid, 4712

    with pytest.raises(UnreachableError, match="in place of privyseal-4711"):
        await wire.link.status()
    assert list(wire.troubles.texts) != []

    wire.link._keeper_uid = right
    await wire.link.status()
    assert list(wire.troubles.texts) == []


async def test_what_needs_no_passphrase_is_let_through_while_locked(wire: Wire) -> None:
    fake = FakeKeeper()
    fake.locked = True
    await fake.serve(wire.keeper, RECORD.bus_name)

    for ask in (
        Search(attributes={}),
        Lock(collections=("login",)),
        Read(items=(SESSION,)),
        Delete(item=SESSION),
        Create(collection="session", label="x", attributes={}),
    ):
        await wire.link.guard(ask)
    for refused in (Read(items=(SESSION, LOGIN)), Delete(item=LOGIN)):
        with pytest.raises(LockedError, match=r"Ctrl\+Alt\+F9"):
            await wire.link.guard(refused)
