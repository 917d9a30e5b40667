"""What the keeper makes of logind's word, on a bus of the test's own."""

import asyncio
from pathlib import Path

from tests.integration.companion.fake_logind import logind
from tests.private_bus import private_bus
from tests.waiting import PATIENCE

from privyseal.keeper.logind import follow_logind

_UID = 4242


async def test_a_session_that_only_a_left_program_keeps_open_locks(tmp_path: Path) -> None:
    reasons: asyncio.Queue[str] = asyncio.Queue()
    with private_bus(tmp_path) as address:
        async with logind(address) as system, asyncio.TaskGroup() as group:
            system.sessions = [("1", _UID, "user"), ("2", 0, "user")]
            follow = follow_logind(group, address, _UID, reasons.put, recount_seconds=0.02)
            async with follow, asyncio.timeout(PATIENCE):
                await system.asked.wait()
                system.asked.clear()
                await system.asked.wait()
                assert reasons.empty()
                system.closing.add("1")
                assert await reasons.get() == "the last session ended"


async def test_where_no_logind_runs_the_keeper_goes_on_and_follows_one_that_comes(
    tmp_path: Path,
) -> None:
    reasons: asyncio.Queue[str] = asyncio.Queue()
    with private_bus(tmp_path) as address:
        async with asyncio.TaskGroup() as group:
            follow = follow_logind(group, address, _UID, reasons.put, recount_seconds=0)
            async with follow, logind(address) as system, asyncio.timeout(PATIENCE):
                system.sessions = [("1", _UID, "user")]
                for _ in range(3):  # by the third the first has been counted
                    system.asked.clear()
                    await system.asked.wait()
                system.closing.add("1")
                assert await reasons.get() == "the last session ended"
