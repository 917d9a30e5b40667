"""A process's calls are answered a few at a time, in order, and only so many may wait."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from privyseal.errors import LimitError, UnreachableError
from privyseal.keeper.turns import AT_ONCE, EACH, MAX_LENGTH, PLACES, Turns

ONE, ANOTHER = 100, 200
MOST = MAX_LENGTH - (AT_ONCE + 1) * EACH
"""The length of the longest call that fits beside short ones that have every turn."""


async def test_few_calls_of_a_process_are_under_way_at_once_and_the_rest_follow_in_order() -> None:
    turns, under_way, order, most = Turns(), 0, list[int](), 0

    async def call(number: int) -> None:
        nonlocal under_way, most
        async with turns.of(ONE, 10, _keep):
            under_way += 1
            most = max(most, under_way)
            order.append(number)
            await asyncio.sleep(0)
            under_way -= 1

    async with asyncio.TaskGroup() as group:
        for number in range(100):
            group.create_task(call(number))
    assert (most, order) == (AT_ONCE, list(range(100)))


async def test_another_process_does_not_wait_for_those_before_it() -> None:
    turns, taken = Turns(), list[int]()
    async with asyncio.TaskGroup() as group, _flood(turns):
        for pid in (ONE, ONE, ANOTHER):
            group.create_task(_take(turns, pid, taken=taken))
        await asyncio.sleep(0)
        assert taken == [ANOTHER]
    assert taken == [ANOTHER, ONE, ONE]


async def test_only_so_many_wait_and_leave_nothing_behind() -> None:
    turns = Turns()
    async with asyncio.TaskGroup() as group, _flood(turns):
        flood = [group.create_task(_refused(turns, MOST)) for _ in range(AT_ONCE, PLACES)]
        await asyncio.sleep(0)
        with pytest.raises(LimitError, match=f"{PLACES} calls of this process wait already"):
            await _take(turns, ONE)
        assert not any(each.done() for each in flood)
        await _take(turns, ANOTHER, MOST)
        turns.over = True  # at a hundred refusals a second, this would take ten
    turns.over = False
    await _take(turns, ONE, MOST)


@pytest.mark.parametrize(
    ("calls", "length"), [(MAX_LENGTH // EACH, 0), (4, MAX_LENGTH // 4 - EACH)]
)
async def test_what_waits_beyond_a_length_brings_nothing_but_its_refusal(
    calls: int, length: int
) -> None:
    turns, taken = Turns(), list[int]()
    async with asyncio.TaskGroup() as group, _flood(turns, length):
        for _ in range(AT_ONCE, calls):
            group.create_task(_take(turns, ONE, length, taken))
        await asyncio.sleep(0)
        late = group.create_task(_refused(turns, length))
        await asyncio.sleep(0)
        assert not late.done()
        await _take(turns, ANOTHER, MOST)
    assert (late.result(), len(taken)) == ("dropped", calls - AT_ONCE)
    await _take(turns, ONE, MOST, taken)


async def test_who_gives_up_while_it_waits_gives_its_place_back() -> None:
    turns, taken = Turns(), list[int]()
    async with asyncio.TaskGroup() as group, _flood(turns):
        gone = group.create_task(_take(turns, ONE, MOST))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait([gone])
        group.create_task(_take(turns, ONE, MOST, taken))
        await asyncio.sleep(0)
    assert taken == [ONE]


async def test_who_waits_when_it_is_over_is_refused_and_leaves_nothing_behind() -> None:
    turns, taken = Turns(), list[int]()

    async def refused(pid: int) -> None:
        with pytest.raises(UnreachableError, match="stopping"):
            await _take(turns, pid, MOST, taken)

    async with asyncio.TaskGroup() as group, _flood(turns):
        group.create_task(refused(ONE))
        await asyncio.sleep(0)
        turns.over = True
        await refused(ANOTHER)
    turns.over = False
    await _take(turns, ONE, MOST, taken)
    assert taken == [ONE]


@asynccontextmanager
async def _flood(turns: Turns, length: int = 0) -> AsyncIterator[None]:
    """Have every turn of a process, each with texts of this length."""
    async with AsyncExitStack() as flood:
        for _ in range(AT_ONCE):
            await flood.enter_async_context(turns.of(ONE, length, _keep))
        yield


async def _take(turns: Turns, pid: int, length: int = 0, taken: list[int] | None = None) -> None:
    async with turns.of(pid, length, _keep):
        if taken is not None:
            taken.append(pid)


async def _refused(turns: Turns, length: int) -> str:
    dropped = list[str]()
    with pytest.raises((LimitError, UnreachableError)):
        async with turns.of(ONE, length, lambda: dropped.append("dropped")):
            pytest.fail("it had its turn")
    return "".join(dropped)


def _keep() -> None:
    pytest.fail("what it brought was dropped")
