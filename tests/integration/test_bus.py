"""The bus connection: what is refused before a handler runs, and whose descriptors are whose."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from dbus_fast import Message, MessageType
from dbus_fast.aio import MessageBus
from tests.integration.rig import House, house
from tests.waiting import PATIENCE

from privyseal.errors import DeniedError, PrivysealError, UnreachableError, UsageError
from privyseal.runtime import bus
from privyseal.runtime.blockingbus import Bus
from privyseal.runtime.bus import DBUS, DBUS_PATH, Call, Connection, Method, Reply
from privyseal.runtime.memfd import read_sealed, seal

NAME = "org.privyseal.Test1"
PATH = "/org/privyseal/Test1"


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as made:
        yield made


async def _echo(call: Call) -> Reply:
    number = call.body[0]
    if number % 2:
        return Reply([number, []])
    return Reply([number, [0]], [seal(str(number).encode())])


async def _deny(_call: Call) -> Reply:
    raise DeniedError("not you", hint="ask somebody else")


async def _fail(_call: Call) -> Reply:
    raise ZeroDivisionError("a secret detail")


async def _quote(_call: Call) -> Reply:
    raise DeniedError("not 'a\0b'")


async def _unsendable(_call: Call) -> Reply:
    return Reply(["a\0b"], [seal(b"value")])


async def _swallow(_call: Call) -> Reply:
    return Reply()


TABLE = {
    (NAME, "Swallow"): Method("h", "", _swallow),
    (NAME, "Quote"): Method("", "", _quote),
    (NAME, "Unsendable"): Method("", "s", _unsendable),
    (NAME, "Echo"): Method("u", "uah", _echo),
    (NAME, "Deny"): Method("", "", _deny),
    (NAME, "Fail"): Method("", "", _fail),
}


async def _serving(group: asyncio.TaskGroup, home: House) -> Connection:
    server = await Connection.open(group, home.address)
    server.serve(TABLE)
    await server.claim(NAME)
    return server


def _open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def test_every_reply_keeps_its_own_descriptors(home: House) -> None:
    async with asyncio.TaskGroup() as group:
        server = await _serving(group, home)
        open_before = _open_descriptors()

        async def ask(number: int) -> None:
            reply = await home.connection.call(NAME, PATH, NAME, "Echo", "u", [number])
            fds = list(reply.unix_fds)
            assert len(fds) == (number + 1) % 2
            for fd in fds:
                assert read_sealed(fd, limit=100) == str(number).encode()
                os.close(fd)

        for begin in range(0, 500, 50):  # all of them at once would need too many descriptors
            async with asyncio.TaskGroup() as asking:
                for number in range(begin, begin + 50):
                    asking.create_task(ask(number))
        assert _open_descriptors() == open_before
        server.close()


async def test_what_the_table_does_not_list_is_refused(home: House) -> None:
    async with asyncio.TaskGroup() as group:
        server = await _serving(group, home)
        with pytest.raises(PrivysealError, match="no method 'Nothing' here"):
            await home.connection.call(NAME, PATH, NAME, "Nothing")
        with pytest.raises(PrivysealError, match="Echo takes 'u', not 's'"):
            await home.connection.call(NAME, PATH, NAME, "Echo", "s", ["1"])
        server.close()


async def test_an_error_crosses_the_bus_with_class_and_hint(home: House) -> None:
    async with asyncio.TaskGroup() as group:
        server = await _serving(group, home)
        with pytest.raises(DeniedError, match="not you; ask somebody else"):
            await home.connection.call(NAME, PATH, NAME, "Deny")
        server.close()


async def test_a_defect_tells_the_caller_a_number_and_nothing_else(
    home: House, caplog: pytest.LogCaptureFixture
) -> None:
    async with asyncio.TaskGroup() as group:
        server = await _serving(group, home)
        with pytest.raises(PrivysealError, match=r"^internal error [0-9a-f]{8}$"):
            await home.connection.call(NAME, PATH, NAME, "Fail")
        assert "a secret detail" in caplog.text
        server.close()


async def test_who_stops_answers_what_is_under_way_and_refuses_the_rest(home: House) -> None:
    begun, end = asyncio.Event(), asyncio.Event()

    async def slow(_call: Call) -> Reply:
        begun.set()
        await end.wait()
        return Reply()

    async with asyncio.TaskGroup() as group:
        server = await _serving(group, home)
        server.serve({(NAME, "Slow"): Method("", "", slow)})
        first = group.create_task(home.connection.call(NAME, PATH, NAME, "Slow"))
        await begun.wait()
        server.stop()
        with pytest.raises(UnreachableError, match="this program is stopping"):
            await home.connection.call(NAME, PATH, NAME, "Slow")
        end.set()
        await first
        server.close()


async def test_a_call_to_a_process_that_stops_is_refused_without_a_trace(
    home: House, caplog: pytest.LogCaptureFixture
) -> None:
    async with asyncio.TaskGroup() as group:
        server = await _serving(group, home)
    open_before = _open_descriptors()
    fd = seal(b"value")

    with pytest.raises(UnreachableError, match="this program is stopping"):
        await home.connection.call(NAME, PATH, NAME, "Swallow", "h", [0], fds=[fd])

    os.close(fd)
    assert not caplog.records
    assert _open_descriptors() == open_before
    server.close()


async def test_what_no_bus_can_carry_ends_neither_side_and_leaks_no_descriptor(home: House) -> None:
    async with asyncio.TaskGroup() as group:
        server = await _serving(group, home)
        open_before = _open_descriptors()
        with pytest.raises(DeniedError, match="not 'a\N{SYMBOL FOR NULL}b'"):
            await home.connection.call(NAME, PATH, NAME, "Quote")
        with pytest.raises(PrivysealError, match="internal error"):
            await home.connection.call(NAME, PATH, NAME, "Unsendable")
        with pytest.raises(UsageError, match="cannot carry"):
            await home.connection.call(NAME, PATH, NAME, "Echo", "s", ["a\0b"])
        server.emit(PATH, NAME, "News", "s", ["a\0b"])
        with pytest.raises(DeniedError):
            await home.connection.call(NAME, PATH, NAME, "Deny")
        assert _open_descriptors() == open_before
        server.close()


async def test_a_forged_signal_does_not_reach_the_listener(home: House) -> None:
    heard: list[str] = []
    async with asyncio.TaskGroup() as group:
        honest = await Connection.open(group, home.address)
        liar = await Connection.open(group, home.address)
        await home.connection.listen(
            honest.unique_name, NAME, "News", lambda _path, body: heard.append(body[0])
        )
        liar.emit(PATH, NAME, "News", "s", ["forged"], to=home.connection.unique_name)
        await liar.owner(DBUS)  # what was sent before has been delivered once this is answered
        honest.emit(PATH, NAME, "News", "s", ["true"])
        await honest.owner(DBUS)
        await home.connection.owner(DBUS)
        assert heard == ["true"]
        honest.close()
        liar.close()


@pytest.mark.parametrize("blocking", [False, True])
async def test_only_who_was_asked_answers(home: House, *, blocking: bool) -> None:
    asked, told = asyncio.Event(), asyncio.Event()
    callers: list[str] = []

    async def answer(call: Call) -> Reply:
        callers.append(call.sender)
        asked.set()
        await told.wait()
        return Reply(["true"])

    def ask_blocking() -> object:
        caller = Bus.open(home.address)
        try:
            return caller.call(honest.unique_name, PATH, NAME, "Ask")[0]
        finally:
            caller.close()

    async def ask() -> object:
        return (await home.connection.call(honest.unique_name, PATH, NAME, "Ask")).body[0]

    async with asyncio.TaskGroup() as group:
        honest = await Connection.open(group, home.address)
        honest.serve({(NAME, "Ask"): Method("", "s", answer)})
        liar = await MessageBus(bus_address=home.address).connect()
        asking = group.create_task(asyncio.to_thread(ask_blocking) if blocking else ask())
        await asked.wait()
        for serial in range(1, 200):  # nobody has made more calls yet
            forged = Message(
                callers[0],
                message_type=MessageType.METHOD_RETURN,
                reply_serial=serial,
                signature="s",
                body=["forged"],
            )
            await liar.send(forged)
        await liar.introspect(DBUS, DBUS_PATH)  # what was sent before has been delivered by now
        told.set()

        assert await asking == "true"
        honest.close()
        liar.disconnect()


async def test_no_bus_is_one_clear_error(tmp_path: Path) -> None:
    async with asyncio.TaskGroup() as group:
        with pytest.raises(UnreachableError, match="message bus: No such file or directory"):
            await Connection.open(group, f"unix:path={tmp_path}/nothing")


async def test_a_full_socket_delays_messages_and_loses_none(home: House) -> None:
    async with asyncio.TaskGroup() as group:
        server = await Connection.open(group, home.address)
        heard: list[int] = []
        done = asyncio.Event()

        def note(_path: str, body: list[int]) -> None:
            heard.append(body[0])
            if len(heard) == 8000:
                done.set()

        await home.connection.listen(server.unique_name, NAME, "Flood", note)
        # All of them before the event loop can wait for room: far more than a socket takes.
        for number in range(8000):
            server.emit(PATH, NAME, "Flood", "us", [number, "x" * 1000])
        async with asyncio.timeout(PATIENCE):
            await done.wait()
        server.close()
    assert heard == list(range(8000))


async def test_descriptors_survive_a_full_socket(home: House) -> None:
    async with asyncio.TaskGroup() as group:
        server = await Connection.open(group, home.address)
        client = await Connection.open(group, home.address)
        server.serve(TABLE)
        await server.claim(NAME)

        async def ask(number: int) -> None:
            reply = await client.call(NAME, PATH, NAME, "Echo", "u", [number])
            if reply.unix_fds:
                assert read_sealed(reply.unix_fds[0], limit=100) == str(number).encode()
            for fd in list(reply.unix_fds):
                os.close(fd)

        # The server's replies queue up behind this.
        for _ in range(3000):
            server.emit(PATH, NAME, "Flood", "s", ["x" * 1000], to=client.unique_name)
        async with asyncio.TaskGroup() as asking:
            for number in range(60):
                asking.create_task(ask(number))
                server.emit(PATH, NAME, "Flood", "s", ["x" * 50_000], to=client.unique_name)
        server.close()
        client.close()


async def test_a_bus_that_swallows_its_answer_is_not_awaited_for_ever(
    home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with asyncio.TaskGroup() as group:
        asking = await Connection.open(group, home.address)
        pid, _ = await asking.process_of(DBUS)
        monkeypatch.setattr(bus, "BUS_SECONDS", 0.2)
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(UnreachableError, match="does not answer GetConnectionCredentials"):
                await asking.process_of(asking.unique_name)
        finally:
            os.kill(pid, signal.SIGCONT)
        monkeypatch.undo()
        assert await asking.process_of(asking.unique_name) == (os.getpid(), os.getuid())
        asking.close()
