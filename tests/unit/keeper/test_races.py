"""Who comes first: decisions, expiry, departures and locks, while the disk or the witness is slow."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

import pytest
from tests.unit.keeper.conftest import PASSPHRASE, PERSON, Bench
from tests.waiting import eventually

from privyseal.errors import ConflictError, LimitError, PrivysealError
from privyseal.keeper import book
from privyseal.keeper.requests import Request, Requester
from privyseal.model.ask import Create, Read, Search, Unlock
from privyseal.model.decision import Decision
from privyseal.model.evidence import Evidence
from privyseal.model.keyring import ItemRef
from privyseal.model.policy import Limits, Policy, Verdicts
from privyseal.model.secret import Secret
from privyseal.wire.keeper import Found

CREATE = Create(collection="login", label="new", attributes={"service": "demo"})


@asynccontextmanager
async def deciding(
    bench: Bench, request: Request, scope: str = "once", *, allow: bool = True
) -> AsyncIterator[None]:
    """Decide a request; the block runs while the decision waits for the disk."""
    async with asyncio.TaskGroup() as group:
        with bench.disk.held_up():
            group.create_task(bench.decide(request.id, scope, allow=allow))
            await eventually(lambda: request.state != "pending")
            yield
    assert request.done


class SlowWitness:
    """Stands before the witness of a bench; every look at a process takes until `go`."""

    def __init__(self, bench: Bench) -> None:
        self.waiting = 0
        self.go = asyncio.Event()
        self._check = bench.witness.check
        bench.witness.check = self.check  # type: ignore[method-assign]  # it stands before it

    async def check(self, pidfd: int, seen: Evidence) -> str:
        self.waiting += 1
        await self.go.wait()
        return await self._check(pidfd, seen)


async def error_of(work: Awaitable[object]) -> PrivysealError | None:
    try:
        await work
    except PrivysealError as error:
        return error
    return None


async def test_nobody_is_told_of_a_decision_before_it_is_durable(bench: Bench) -> None:
    request = (await bench.read(bench.process(), await bench.item(b"v"))).request
    async with deciding(bench, request):
        assert request.ticket().state == "pending"
        assert bench.audience.ends == {}
        assert await bench.asking.collect(request) == []
    assert bench.audience.ends == {request.id: "allowed"}
    assert [value.expose() for value in await bench.asking.collect(request)] == [b"v"]


async def test_of_two_decisions_only_the_first_counts(bench: Bench) -> None:
    request = (await bench.read(bench.process(), await bench.item())).request
    second = Decision(request=request.id, digest=request.digest, allow=True)
    async with deciding(bench, request, allow=False):
        with pytest.raises(PrivysealError):
            await bench.deciding.decide(second, PERSON)
    assert bench.audience.ends == {request.id: "denied"}
    assert bench.deciding.leases() == []


async def test_two_allows_at_once_make_one_lease(bench: Bench) -> None:
    request = (await bench.read(bench.process(), await bench.item())).request
    slow = SlowWitness(bench)
    async with asyncio.TaskGroup() as group:
        ends = [
            group.create_task(error_of(bench.decide(request.id, "5m"))),
            group.create_task(error_of(bench.decide(request.id, "5x"))),
        ]
        await eventually(lambda: slow.waiting == 2)
        slow.go.set()
    assert sorted(type(end.result()).__name__ for end in ends) == ["NoneType", "NotFoundError"]
    assert len(bench.deciding.leases()) == 1


async def test_a_decision_in_time_is_not_undone_by_the_expiry(bench: Bench) -> None:
    request = (await bench.read(bench.process(), await bench.item())).request
    async with deciding(bench, request, "until-lock"):
        bench.clock.advance(10_000)
        bench.asking.tick()
    assert bench.audience.ends == {request.id: "allowed"}


async def test_a_request_that_expires_while_its_process_is_looked_at_stays_expired(
    bench: Bench,
) -> None:
    request = (await bench.read(bench.process(), await bench.item())).request
    slow = SlowWitness(bench)
    async with asyncio.TaskGroup() as group:
        end = group.create_task(error_of(bench.decide(request.id)))
        await eventually(lambda: slow.waiting == 1)
        bench.clock.advance(301)
        bench.asking.tick()
        slow.go.set()
    assert isinstance(end.result(), ConflictError)
    assert bench.audience.ends == {request.id: "expired"}
    assert bench.deciding.leases() == []


@pytest.mark.parametrize("scope", ["once", "until-exit"])
async def test_a_requester_that_exits_while_its_decision_is_written_gets_nothing(
    bench: Bench, scope: str
) -> None:
    process = bench.process()
    request = (await bench.read(process, await bench.item())).request
    async with deciding(bench, request, scope):
        bench.asking.leave(process, exited=True)
    assert bench.audience.ends == {request.id: "allowed"}
    assert bench.deciding.leases() == []
    with pytest.raises(ConflictError, match="has left"):
        await bench.asking.collect(request)


async def test_its_other_connection_exiting_has_the_same_effect(bench: Bench) -> None:
    first, second = bench.process(pid=9), bench.process(pid=9)
    request = (await bench.read(first, await bench.item())).request
    async with deciding(bench, request, "until-exit"):
        bench.asking.leave(first, exited=False)
        bench.asking.leave(second, exited=True)
    assert bench.deciding.leases() == []


async def test_a_client_that_gave_up_finds_the_decision_when_it_asks_again(bench: Bench) -> None:
    item = await bench.item(b"v")
    first = bench.process(pid=9)
    request = (await bench.read(first, item)).request
    async with deciding(bench, request):
        bench.asking.leave(first, exited=False)
    again = await bench.read(bench.process(pid=9), item)
    assert [value.expose() for value in again.released] == [b"v"]


async def test_a_lock_during_a_decision_outlasts_it(bench: Bench) -> None:
    process, item = bench.process(), await bench.item()
    request = (await bench.read(process, item)).request
    async with asyncio.TaskGroup() as group:
        async with deciding(bench, request, "until-lock"):
            locking = group.create_task(bench.deciding.lock(PERSON))
            await eventually(lambda: bench.core.store_locked)
        await locking
    await bench.deciding.unlock(PASSPHRASE, PERSON)
    assert bench.deciding.leases() == []
    assert "locked" in request.ticket().reason
    assert (await bench.read(process, item)).request.state == "pending"


async def test_a_lock_during_a_write_leaves_the_writer_no_lease(bench: Bench) -> None:
    request = (await bench.ask(bench.process(), CREATE, b"v")).request
    create = bench.backend.create

    async def then_lock(*arguments: str, **more: bool) -> ItemRef:
        made = await create(*arguments, **more)  # type: ignore[arg-type]  # handed on as they came
        await bench.deciding.lock(PERSON)
        return made

    bench.backend.create = then_lock  # type: ignore[method-assign,assignment]  # see above
    await bench.decide(request.id)
    assert request.state == "allowed"
    assert bench.deciding.leases() == []


async def test_a_requester_that_leaves_while_it_is_looked_at_asks_nobody(bench: Bench) -> None:
    process, item = bench.process(), await bench.item()
    slow = SlowWitness(bench)
    async with asyncio.TaskGroup() as group:
        end = group.create_task(error_of(bench.read(process, item)))
        await eventually(lambda: slow.waiting == 1)
        bench.asking.leave(process, exited=True)
        slow.go.set()
    assert isinstance(end.result(), ConflictError)
    assert bench.deciding.pending() == []


async def test_asking_many_things_at_once_does_not_pass_the_limit(bench: Bench) -> None:
    bench.core.obey(Policy(verdicts=Verdicts(search="ask"), limits=Limits(pending_per_requester=4)))
    process = bench.process()
    items = [await bench.item(n=str(n)) for n in range(6)]
    slow = SlowWitness(bench)
    async with asyncio.TaskGroup() as group:
        ends = [group.create_task(error_of(bench.read(process, item))) for item in items]
        await eventually(lambda: slow.waiting == 6)
        slow.go.set()
    assert [type(end.result()) for end in ends].count(LimitError) == 2
    with pytest.raises(LimitError):
        await bench.ask(process, Search(attributes={}))
    assert len(bench.deciding.pending()) == 4


async def test_a_denial_sticks_for_what_was_being_looked_up_as_well(bench: Bench) -> None:
    item = await bench.item()
    first, second = bench.process("agent"), bench.process("agent")
    request = (await bench.read(first, item)).request
    slow = SlowWitness(bench)
    async with asyncio.TaskGroup() as group:
        late = group.create_task(bench.read(second, item))
        await eventually(lambda: slow.waiting == 1)
        await bench.decide(request.id, allow=False)
        slow.go.set()
    assert late.result().request.state == "denied"


async def test_a_lease_for_one_use_serves_one_of_two_that_read_at_once(bench: Bench) -> None:
    item = await bench.item(b"v")
    request = (await bench.read(bench.process("node"), item, deliver=False)).request
    await bench.decide(request.id, "1x")
    read, arrived, go = bench.backend.read, 0, asyncio.Event()

    async def slowly(item: ItemRef) -> Secret:
        nonlocal arrived
        arrived += 1
        await go.wait()
        return await read(item)

    bench.backend.read = slowly  # type: ignore[method-assign]  # a provider on the bus is slow
    one, two = bench.process("node"), bench.process("node")
    async with asyncio.TaskGroup() as group:
        ends = [group.create_task(bench.read(each, item)) for each in (one, two)]
        await eventually(lambda: arrived == 2)
        go.set()
    assert sorted(len(end.result().released) for end in ends) == [0, 1]


async def test_an_unlock_answers_what_asked_for_it_and_nothing_else(bench: Bench) -> None:
    item = await bench.item()
    await bench.deciding.lock(PERSON)
    unlock = (await bench.ask(bench.process("a"), Unlock(collections=("login",)))).request
    read = (await bench.read(bench.process("b"), item)).request
    gone = bench.process("c")
    left = (await bench.ask(gone, Unlock(collections=("login",)))).request
    bench.asking.leave(gone, exited=True)
    await bench.deciding.unlock(PASSPHRASE, PERSON)
    assert (unlock.state, read.state, left.state) == ("allowed", "pending", "cancelled")
    assert bench.audience.ends == {unlock.id: "allowed", left.id: "cancelled"}


async def test_a_search_that_asks_is_done_when_it_is_allowed(bench: Bench) -> None:
    bench.core.obey(Policy(verdicts=Verdicts(search="ask")))
    item = await bench.item(service="demo")
    request = (await bench.ask(bench.process(), Search(attributes={"service": "demo"}))).request
    assert request.ticket().result is None
    await bench.decide(request.id)
    assert request.ticket().result == Found(open=(), closed=(item,))


async def test_a_decision_too_long_for_the_log_changes_nothing(bench: Bench) -> None:
    request = (await bench.read(bench.process(), await bench.item())).request
    screen = ("x" * 200_000,) * 200
    decision = Decision(request=request.id, digest=request.digest, allow=True, screen=screen)
    assert isinstance(await error_of(bench.deciding.decide(decision, PERSON)), PrivysealError)
    assert [approval.state for approval in bench.deciding.pending()] == ["pending"]
    await bench.decide(request.id)
    assert request.ticket().state == "allowed"


async def test_what_waits_and_what_has_ended_takes_bounded_room(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(book, "MAX_BYTES", 140_000)
    big = {"a": "x" * 15_000}

    async def ask(process: Requester) -> Request:
        ask = Create(collection="login", label="l", attributes=big)
        return (await bench.ask(process, ask, b"v" * 20_000)).request

    for name in ("one", "two"):
        await bench.decide((await ask(bench.process(name))).id, allow=False)
    with pytest.raises(LimitError, match="room"):
        await ask(bench.process())
    bench.clock.advance(61)
    bench.asking.tick()
    for _ in range(5):  # nobody comes back for what was withdrawn, so it takes no room
        bench.asking.withdraw(await ask(bench.process()), "gave up")
    assert len(bench.deciding.history(10)) == 2


async def test_a_read_is_covered_by_what_a_person_allowed_only(bench: Bench) -> None:
    one, two = await bench.item(b"1", n="1"), await bench.item(b"2", n="2")
    process = bench.process()
    request = (await bench.ask(process, Read(items=(one, two)))).request
    await bench.decide(request.id, "once", two)
    assert bench.asking.readable(process, two)
    assert not bench.asking.readable(process, one)
