"""A process's calls are answered a few at a time, in order, and only so many may wait."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from privyseal.errors import LimitError, UnreachableError
from privyseal.keeper.turns import AT_ONCE, MAX_LENGTH, PLACES, Turns

ONE, ANOTHER = 100, 200


async def test_few_calls_of_a_process_are_under_way_at_once_and_the_rest_follow_in_order() -> None:
    turns, under_way, order, most = Turns(), 0, list[int](), 0

    async def call(number: int) -> None:
        nonlocal under_way, most
        async with turns.of(ONE, 10):
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


@pytest.mark.parametrize(("calls", "length"), [(PLACES, 0), (4, MAX_LENGTH // 4)])
async def test_what_waits_has_bounds_and_leaves_nothing_behind(calls: int, length: int) -> None:
    turns = Turns()
    async with asyncio.TaskGroup() as group, _flood(turns, length):
        for _ in range(AT_ONCE, calls):
            group.create_task(_take(turns, ONE, length))
        await asyncio.sleep(0)
        with pytest.raises(LimitError, match=f"{calls} calls of this process wait already"):
            await _take(turns, ONE, 1)
        await _take(turns, ANOTHER, MAX_LENGTH)
    await _take(turns, ONE, MAX_LENGTH)


async def test_who_gives_up_while_it_waits_gives_its_place_back() -> None:
    turns, taken = Turns(), list[int]()
    async with asyncio.TaskGroup() as group, _flood(turns):
        gone = group.create_task(_take(turns, ONE, MAX_LENGTH))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait([gone])
        group.create_task(_take(turns, ONE, MAX_LENGTH, taken))
        await asyncio.sleep(0)
    assert taken == [ONE]


async def test_who_waits_when_it_is_over_is_refused_and_leaves_nothing_behind() -> None:
    turns, taken = Turns(), list[int]()

    async def refused(pid: int) -> None:
        with pytest.raises(UnreachableError, match="stopping"):
            await _take(turns, pid, MAX_LENGTH, taken)

    async with asyncio.TaskGroup() as group, _flood(turns):
        group.create_task(refused(ONE))
        await asyncio.sleep(0)
        turns.over = True
        await refused(ANOTHER)
    turns.over = False
    await _take(turns, ONE, MAX_LENGTH, taken)
    assert taken == [ONE]


@asynccontextmanager
async def _flood(turns: Turns, length: int = 0) -> AsyncIterator[None]:
    """Have every turn of a process, each with texts of this length."""
    async with AsyncExitStack() as flood:
        for _ in range(AT_ONCE):
            await flood.enter_async_context(turns.of(ONE, length))
        yield


async def _take(turns: Turns, pid: int, length: int = 0, taken: list[int] | None = None) -> None:
    async with turns.of(pid, length):
        if taken is not None:
            taken.append(pid)
