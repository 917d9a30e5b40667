"""kill -9 of the keeper at random instants: nothing acknowledged is lost, nothing goes unrecorded."""

import asyncio
import contextlib
import os
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
from tests.integration.rig import House, house
from tests.soak import times
from tests.waiting import eventually

from privyseal.errors import PrivysealError, UnreachableError
from privyseal.model.ask import Create, Delete, Read
from privyseal.model.keyring import ItemRef
from privyseal.model.receipt import Entry
from privyseal.model.secret import Secret
from privyseal.model.value import decode
from privyseal.runtime.audit import log_files, log_lines
from privyseal.runtime.bus import Connection
from privyseal.runtime.requestlink import RequestLink
from privyseal.wire.auditcheck import Verifier
from privyseal.wire.keeper import MadeItem

KILLS: Final = times(8, soak=1000)
MOST: Final = 20
"""Rounds of the load that were acknowledged before the kill, at the most."""
LONGEST: Final = 0.02
"""Seconds from then to the kill, at the most: less than a round takes, or more."""


@dataclass
class Ledger:
    """What the keeper has acknowledged to a client."""

    stored: dict[ItemRef, bytes] = field(default_factory=dict)
    deleted: set[ItemRef] = field(default_factory=set)
    released: list[str] = field(default_factory=list)


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    allow = {f"PRIVYSEAL_VERDICTS_{kind}": "allow" for kind in ("READ", "CREATE", "DELETE")}
    async with house(tmp_path, allow) as made:
        yield made


async def _load(link: RequestLink, ledger: Ledger, dice: random.Random) -> None:
    """Store, read and delete until the keeper dies."""
    requester = await link.register(os.pidfd_open(os.getpid()))
    number = 0
    while True:
        number += 1
        value = dice.randbytes(dice.randrange(1, 2000))
        ask = Create(collection="login", label=f"item {number}", attributes={"n": str(number)})
        ticket, _ = await link.submit(requester, ask, Secret(value))
        assert isinstance(ticket.result, MadeItem), ticket
        item = ticket.result.item
        ledger.stored[item] = value
        ticket, values = await link.submit(requester, Read(items=(item,)))
        assert [secret.expose() for secret in values] == [value]
        ledger.released.append(ticket.id)
        if number % 5 == 0:
            del ledger.stored[item]  # from here to the answer it may be there or not
            await link.submit(requester, Delete(item=item))
            ledger.deleted.add(item)


async def _run_and_kill(home: House, ledger: Ledger, dice: random.Random, rounds: int) -> None:
    async with asyncio.TaskGroup() as group:
        connection = await Connection.open(group, home.address)
        loading = group.create_task(_until_unreachable(RequestLink(connection), ledger, dice))
        await eventually(lambda: len(ledger.released) >= rounds)
        await asyncio.wait({loading}, timeout=dice.uniform(0, LONGEST))
        await home.kill("keeper")
        await loading
        connection.close()


async def _until_unreachable(link: RequestLink, ledger: Ledger, dice: random.Random) -> None:
    with contextlib.suppress(UnreachableError):
        await _load(link, ledger, dice)


async def _check(home: House, ledger: Ledger) -> None:
    """Compare what was acknowledged with what a new keeper finds."""
    async with asyncio.TaskGroup() as group:
        connection = await Connection.open(group, home.address)
        link = RequestLink(connection)
        requester = await link.register(os.pidfd_open(os.getpid()))
        for item, value in ledger.stored.items():
            _, values = await link.submit(requester, Read(items=(item,)))
            assert [secret.expose() for secret in values] == [value]
        for item in ledger.deleted:
            with pytest.raises(PrivysealError, match="no"):
                await link.submit(requester, Read(items=(item,)))
        connection.close()


def _entries(folder: Path) -> list[Entry]:
    lines = [line for path in log_files(folder) for line in log_lines(path)]
    return [decode(line, Entry, what="an entry") for line in lines]


async def test_a_thousand_kills_lose_nothing_and_hide_nothing(home: House) -> None:
    dice = random.Random(20261121)  # noqa: S311 - a repeatable test, not a key
    folder = home.folder / "state" / "audit"
    acknowledged = 0
    await home.start_keeper()
    for number in range(KILLS):
        ledger = Ledger()
        await _run_and_kill(home, ledger, dice, number % MOST)
        # The next load is on the keeper that recovered, over all that the ones before it left.
        await home.start_keeper()
        await _check(home, ledger)

        recorded = {entry.request for entry in _entries(folder) if entry.event == "released"}
        assert recorded.issuperset(ledger.released)
        verifier = Verifier()
        for path in log_files(folder):
            assert all(verifier.verify(path.name, log_lines(path)))
        acknowledged += len(ledger.stored) + len(ledger.deleted)
    assert acknowledged > KILLS
