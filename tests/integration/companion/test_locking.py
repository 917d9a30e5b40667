"""Locking ends every process of the companion, and nothing of what waited is lost to the record."""

import asyncio
import os
from collections.abc import Awaitable

import pytest
from tests.integration.companion.fake_logind import MANAGER, logind
from tests.integration.companion.rig import ALICE, BOB, PASSPHRASE, Companion, Machine
from tests.waiting import PATIENCE

from privyseal.errors import PrivysealError
from privyseal.model.receipt import Entry
from privyseal.model.value import decode

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for other users"),
]


def _entries(companion: Companion) -> list[Entry]:
    files = sorted((companion.home / "audit").glob("*.jsonl"))
    lines = b"".join(file.read_bytes() for file in files).splitlines()
    return [decode(line, Entry, what="an entry") for line in lines]


async def test_locking_as_the_user_ends_the_companion_and_leaves_a_record(
    world: Machine, alices: Companion
) -> None:
    face = await world.face(ALICE)
    await face.do("subscribe")
    async with asyncio.TaskGroup() as group:
        read = group.create_task(_ends(face.do("read", "demo")))
        await alices.waiting()
        await (await world.face(ALICE)).do("lock")
        assert await alices.ended() == 0
        face.process.kill()
        assert isinstance(await read, PrivysealError)
    assert _entries(alices)[-2].event == "lock"

    await alices.start_all()
    status = await alices.person.do("status")
    assert isinstance(status, dict)
    assert status["locked"]
    abandoned = [entry for entry in _entries(alices) if entry.outcome == "abandoned"]
    assert [entry.kind for entry in abandoned] == ["read"]
    await alices.person.do("unlock", PASSPHRASE)


async def test_logging_out_at_the_console_has_a_status_of_its_own(
    world: Machine, alices: Companion
) -> None:
    await _ends(alices.person.do("log_out"))
    assert await alices.ended() == 75
    last = _entries(alices)[-2]
    assert (last.event, last.detail) == ("lock", "logged out")


async def test_locking_reaches_only_the_processes_of_this_companion(
    world: Machine, alices: Companion
) -> None:
    bobs = Companion(world, BOB)
    await bobs.begin()
    mine = await world.face(ALICE)
    await mine.do("lock")
    assert await alices.ended() == 0
    assert bobs.keeper.returncode is None
    assert mine.process.returncode is None
    assert await bobs.person.do("pending") == []


async def test_a_process_that_will_not_end_is_killed(world: Machine, alices: Companion) -> None:
    deaf = await world.start(
        alices.uid, "sh", "-c", 'trap "" TERM; echo deaf; while :; do sleep 100; done',
        name="deaf",
    )  # fmt: skip
    await alices.machine.said("deaf", "deaf")
    await (await world.face(ALICE)).do("lock")
    assert await alices.ended() == 0
    assert await deaf.wait() != 0


async def test_sleep_locks_and_is_delayed_until_then(world: Machine) -> None:
    async with logind(world.bus) as system:
        companion = Companion(world, ALICE)
        await companion.begin()
        async with asyncio.timeout(PATIENCE):
            await system.asked.wait()
        assert system.delays == ["sleep delay"]
        system.announce("PrepareForSleep", "b", False)  # noqa: FBT003 - the signal's argument
        system.announce("PrepareForSleep", "b", True)  # noqa: FBT003 - the signal's argument
        assert await companion.ended() == 0
    assert _entries(companion)[-2].requester == "the machine goes to sleep"


async def test_only_logind_itself_is_believed(world: Machine) -> None:
    async with logind(world.bus) as system:
        companion = Companion(world, ALICE)
        await companion.begin()
        async with asyncio.timeout(PATIENCE):
            await system.asked.wait()
        status, words = await world.run(
            BOB, "gdbus", "emit", "--address", world.bus, "--object-path",
            "/org/freedesktop/login1", "--signal", f"{MANAGER}.PrepareForSleep", "true",
        )  # fmt: skip
        assert status == 0, words
        assert await companion.person.do("pending") == []
        system.announce("UserRemoved", "uo", BOB, "/u/bob")
        assert await companion.person.do("pending") == []
        assert companion.keeper.returncode is None
        system.announce("UserRemoved", "uo", ALICE, "/u/alice")
        assert await companion.ended() == 0


async def test_the_end_of_the_last_session_locks(world: Machine) -> None:
    async with logind(world.bus) as system:
        system.sessions = [("1", ALICE, "user"), ("2", ALICE, "user"), ("3", ALICE, "manager")]
        companion = Companion(world, ALICE)
        await companion.begin()
        async with asyncio.timeout(PATIENCE):
            await system.asked.wait()
        del system.sessions[0]
        system.announce("SessionRemoved", "so", "1", "/s/1")
        system.asked.clear()
        async with asyncio.timeout(PATIENCE):
            await system.asked.wait()
        assert await companion.person.do("pending") == []
        assert companion.keeper.returncode is None
        del system.sessions[0]
        system.announce("SessionRemoved", "so", "2", "/s/2")
        assert await companion.ended() == 0
    assert _entries(companion)[-2].requester == "the last session ended"


async def test_a_keeper_refuses_to_be_the_companion_as_root_or_as_the_user(world: Machine) -> None:
    for uid in (0, ALICE):
        companion = Companion(world, ALICE)
        status, words = await companion.try_keeper(uid)
        assert status == 2
        assert f"cannot run as user {uid}" in words


async def _ends(deed: Awaitable[object]) -> object:
    try:
        return await deed
    except PrivysealError as error:
        return error
