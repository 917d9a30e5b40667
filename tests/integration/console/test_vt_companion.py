"""A person on a virtual terminal in front of a real companion: its users, keeper and witness."""

import asyncio
from collections.abc import Iterator

import pytest
from tests.integration.companion.rig import ALICE, PASSPHRASE, Companion, machine
from tests.integration.console.test_vt import console
from tests.virtual_terminals import Seat, seat
from tests.waiting import PATIENCE

pytestmark = pytest.mark.root


@pytest.fixture
def person() -> Iterator[Seat]:
    with seat() as made:
        made.text()
        yield made


async def _read_and_allow(person: Seat) -> None:
    await person.shows("►READ", "GitHub token")
    while "more lines" in (before := person.text()):
        person.type(" ")
        await person.changes(before)
    person.type(await person.pair())


async def test_a_person_allows_locks_unlocks_and_logs_out(person: Seat) -> None:
    async with machine() as world:
        alices = Companion(world, ALICE)
        await alices.begin()
        await alices.fill()
        async with console(person, alices.home, str(alices.uid)) as process:
            await person.comes()
            await person.shows("alice, logged in", "witness   there", "unlocked; l locks it")
            face = await world.face(ALICE)
            await face.do("subscribe")
            async with asyncio.TaskGroup() as group:
                read = group.create_task(face.do("read", "demo"))
                await _read_and_allow(person)
            assert read.result() == ["allowed", "hunter2"]
            assert "hunter2" not in person.text()
            await person.press("l", lambda: process.poll() is not None)
            assert process.returncode == 0
        await alices.ended()
        await person.leaves()
        await alices.start_all()
        async with console(person, alices.home, str(alices.uid)) as process:
            await (await world.face(ALICE)).do("review")
            await person.shows("locked; u opens it")
            await person.press("u", lambda: "This opens" in person.text())
            # Ctrl-U: the key may have been pressed once too often.
            person.type(f"\x15{PASSPHRASE}\r")
            await person.shows("unlocked; l locks it")
            await person.press("o", lambda: "To log out" in person.text())
            person.type(await person.pair())
            assert await asyncio.to_thread(process.wait, PATIENCE) == 0
        assert await alices.ended() == 75
