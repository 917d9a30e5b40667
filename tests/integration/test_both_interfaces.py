"""What the asking interface tells and does besides asking, in own-session mode."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.integration.rig import House, house

from privyseal.errors import LimitError, UnsupportedError
from privyseal.model.policy import Policy
from privyseal.model.secret import Secret
from privyseal.runtime.requestlink import RequestLink


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as made:
        await made.start_keeper()
        yield made


async def test_both_interfaces_tell_the_same_state(home: House) -> None:
    face = RequestLink(home.connection)
    await face.report("a squatter")
    status = await face.status()
    assert status == await home.person.status()
    assert (status.mode, status.user, status.vt, status.witness) == ("own-session", "", 0, True)
    assert status.troubles == ("a squatter",)
    await face.report("")
    assert (await face.status()).troubles == ()
    with pytest.raises(LimitError):
        await face.report("x" * 501)
    assert await face.waiting() == await home.person.pending() == []
    assert await home.person.rules() == Policy()


async def test_locking_by_the_asking_interface_leaves_the_keeper_running(home: House) -> None:
    await RequestLink(home.connection).lock()
    assert (await home.person.status()).locked
    with pytest.raises(UnsupportedError, match="only a companion"):
        await home.person.log_out()
    assert home.processes["keeper"].returncode is None


async def test_a_passphrase_is_handed_to_the_program_that_waits(home: House) -> None:
    async with asyncio.TaskGroup() as group:
        waits = group.create_task(home.person.pin("for a key"))
        while not (pins := await home.person.pins()):  # noqa: ASYNC110 - another process tells no event
            await asyncio.sleep(0.01)
        await home.person.answer_pin(pins[0].id, Secret(b"s3cret"))
    assert waits.result().expose() == b"s3cret"
    assert await home.person.pins() == []
