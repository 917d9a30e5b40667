"""Programs that speak to the keeper itself, past the agent, and mean no good."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable
from contextlib import suppress
from pathlib import Path

import pytest
from tests.integration.rig import House, ended, house

from privyseal.errors import LimitError, PrivysealError
from privyseal.keeper.requesters import MAX_INTRODUCED
from privyseal.model.ask import Create, Read
from privyseal.model.secret import Secret
from privyseal.runtime.bus import Connection
from privyseal.runtime.memfd import seal
from privyseal.runtime.requestlink import RequestLink
from privyseal.wire.keeper import BUS_NAME, PATH, REQUEST

PROBE = '"attributes":{"xdg:schema":"_chrome_dummy_schema_for_unlocking"'


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as made:
        await made.start_keeper()
        yield made


@pytest.mark.parametrize(
    "ask",
    [
        '{"kind":"re\\u0000ad"}',
        '{"kind":"read","items":[{"collection":"a","item":"b"}],"a\\u0000b":1}',
        '{"kind":"delete-collection","collection":"a\\\\\\u0000"}',
        '{"kind":"create","collection":"login","label":"a\\u0000b",' + PROBE + "}}",
    ],
)
async def test_a_character_that_no_bus_carries_is_refused(home: House, ask: str) -> None:
    async with asyncio.TaskGroup() as group:
        bus = await Connection.open(group, home.address)
        token = await RequestLink(bus).register(os.pidfd_open(os.getpid()))
        value = seal(b"x")
        with pytest.raises(PrivysealError, match=r"U\+0000"):
            await bus.call(
                BUS_NAME, PATH, REQUEST, "Submit", "ssah", [token, ask, [0]], fds=[value]
            )
        os.close(value)
        assert (await home.person.status()).pending == 0
        bus.close()


async def test_who_speaks_for_another_process_gets_nothing_of_what_that_was_allowed(
    home: House,
) -> None:
    await home.start_agent()
    await home.store(b"s3cret", service="demo")
    victim = await home.client("secret-tool", "lookup", "service", "demo")
    (seen,) = await home.waiting()
    assert isinstance(seen.ask, Read)
    pidfd = os.pidfd_open(victim.pid)
    async with asyncio.TaskGroup() as group:
        bus = await Connection.open(group, home.address)
        link = RequestLink(bus)
        token = await link.register(pidfd)

        joined, _ = await link.submit(token, Read(items=seen.ask.items))
        _, posing = await home.waiting(2)
        await home.decide(scope="15m")
        leased, _ = await link.submit(token, Read(items=seen.ask.items))

        assert (await ended(victim)).out == b"s3cret"
        assert (joined.state, leased.state) == ("pending", "pending")
        assert not posing.content.evidence.trusted
        assert [fact.name for fact in posing.content.evidence.facts if fact.grade == "warning"] == [
            "asked through"
        ]
        states = {approval.id: approval.state for approval in await home.person.history(10)}
        assert states[seen.id] == "allowed"
        bus.close()
    os.close(pidfd)


async def test_large_requests_are_refused_and_lists_of_them_stay_short(home: House) -> None:
    async with asyncio.TaskGroup() as group:
        bus = await Connection.open(group, home.address)
        link = RequestLink(bus)
        token = await link.register(os.pidfd_open(os.getpid()))

        async def ask(number: int, size: int) -> str:
            attributes = {str(n): "x" * (size // 4) for n in range(4)}
            ask = Create(collection="login", label=str(number), attributes=attributes)
            return (await link.submit(token, ask, Secret(b"x")))[0].id

        with pytest.raises(LimitError):
            await ask(0, 64_000 * 2)
        for number in range(150):
            await link.cancel(await ask(number, 60_000))

        ended = await home.person.history(1000)
        assert 100 < len(ended) < 150
        assert ended[0].content.details[0].value == "149"
        bus.close()


async def test_connections_that_close_while_they_register_leave_nothing_behind(
    tmp_path: Path,
) -> None:
    settings = tmp_path / "config.yaml"
    settings.write_text("limits:\n  requesters: 5\n")
    async with house(tmp_path) as made, asyncio.TaskGroup() as group:
        await made.start_keeper("--config", str(settings))
        pidfd = os.pidfd_open(os.getppid())
        for number in range(200):
            bus = await Connection.open(group, made.address)
            register = group.create_task(_refused_or_not(RequestLink(bus).register(pidfd)))
            for _ in range(number % 80):  # at another moment each time
                await bus.owner(BUS_NAME)
            bus.close()
            await register
        os.close(pidfd)

        bus = await Connection.open(group, made.address)
        assert await RequestLink(bus).register(os.pidfd_open(os.getpid()))
        bus.close()


async def _refused_or_not(work: Awaitable[object]) -> None:
    with suppress(PrivysealError):
        await work


async def _at_its_limit(
    group: asyncio.TaskGroup, home: House
) -> tuple[Connection, RequestLink, int]:
    """Register this process as often as one may; return its connection, link and pidfd."""
    bus = await Connection.open(group, home.address)
    link, myself = RequestLink(bus), os.pidfd_open(os.getpid())
    for _ in range(MAX_INTRODUCED):
        await link.register(myself)
    return bus, link, myself


async def test_who_asks_too_much_waits_for_the_refusal_and_others_come_first(home: House) -> None:
    answered: list[str] = []

    async def refused(link: RequestLink, pidfd: int) -> None:
        with pytest.raises(LimitError):
            await link.register(pidfd)
        answered.append("refused")

    async with asyncio.TaskGroup() as group:
        bus, link, myself = await _at_its_limit(group, home)
        flood = [group.create_task(refused(link, myself)) for _ in range(3)]
        await asyncio.sleep(0)  # so that theirs is sent before this
        await link.waiting()
        answered.append("another")
        await asyncio.wait(flood)
        bus.close()
        os.close(myself)
    assert answered == ["another", *["refused"] * 3]


async def test_what_is_too_long_is_not_kept_until_its_turn(tmp_path: Path) -> None:
    fact = '{"grade":"reported","name":"a","value":"b"}'
    facts = f"[{','.join([fact] * 23_000)}]"

    async def refused(bus: Connection, pidfd: int) -> None:
        with pytest.raises(LimitError, match="longer than 131072 characters"):
            await bus.call(BUS_NAME, PATH, REQUEST, "Register", "hs", [0, facts], fds=[pidfd])

    async with house(tmp_path) as made:
        # Locked: to open the store would take far more memory for a moment.
        await made.start_keeper(unlock=False)
        before = _most_memory(made.processes["keeper"].pid)
        async with asyncio.TaskGroup() as group:
            bus = await Connection.open(group, made.address)
            myself = os.pidfd_open(os.getpid())
            for flood in [group.create_task(refused(bus, myself)) for _ in range(120)]:
                await flood
            bus.close()
            os.close(myself)

        grown = _most_memory(made.processes["keeper"].pid) - before
    assert grown < 32 * 1024, f"{grown} KiB more, for 120 messages of one MiB"


def _most_memory(pid: int) -> int:
    """Return the most KiB that a process has had (proc(5))."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


async def test_one_program_cannot_take_every_place_for_requesters(home: House) -> None:
    async with asyncio.TaskGroup() as group:
        buses = [await Connection.open(group, home.address) for _ in range(2)]
        links = [RequestLink(bus) for bus in buses]
        myself = os.pidfd_open(os.getpid())
        for number in range(MAX_INTRODUCED):
            await links[number % 2].register(myself)
        for link in links:
            with pytest.raises(LimitError, match="this process has 64"):
                await link.register(myself)
        for bus in buses:
            bus.close()
        os.close(myself)

    await home.start_agent()
    await home.store(b"s3cret", service="demo")
    honest = await home.client("secret-tool", "lookup", "service", "demo")
    await home.waiting()
    await home.decide()
    assert (await ended(honest)).out == b"s3cret"


@pytest.mark.parametrize(
    ("path", "indexes", "said"),
    [(PATH, 33, "longer than 131072 characters"), (f"/{'a' * 131_072}", 0, "no object '/aaa")],
)
async def test_a_call_that_is_long_elsewhere_than_in_its_texts_is_refused(
    home: House, path: str, indexes: int, said: str
) -> None:
    async with asyncio.TaskGroup() as group:
        bus = await Connection.open(group, home.address)
        body = ["", "", [0] * indexes]
        with pytest.raises(PrivysealError, match=said):
            await bus.call(BUS_NAME, path, REQUEST, "Submit", "ssah", body)
        bus.close()


async def test_a_keeper_that_stops_does_not_wait_until_a_flood_is_over(home: House) -> None:
    under_way = asyncio.Event()

    async def flood(link: RequestLink, pidfd: int) -> None:
        while True:
            await _refused_or_not(link.register(pidfd))
            under_way.set()

    async with asyncio.TaskGroup() as group:
        bus, link, myself = await _at_its_limit(group, home)
        floods = [group.create_task(flood(link, myself)) for _ in range(100)]
        await under_way.wait()
        assert await home.stop("keeper") == 0
        for each in floods:
            each.cancel()
        bus.close()
        os.close(myself)
