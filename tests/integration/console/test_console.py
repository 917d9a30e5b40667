"""The console program on a pseudo-terminal, with the real keeper on a bus of its own."""

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.integration.rig import House, house
from tests.terminals import FakeTerminal, fake_terminal
from tests.waiting import PATIENCE, eventually

from privyseal.console.layout import Line
from privyseal.console.start import run
from privyseal.console.state import ScreenState
from privyseal.console.terminal import Terminal
from privyseal.model.ask import Create, Search
from privyseal.model.lifecycle import State
from privyseal.model.secret import Secret
from privyseal.runtime.bus import Connection
from privyseal.runtime.clock import SystemClock
from privyseal.runtime.requestlink import RequestLink
from privyseal.wire.keeper import BUS_NAME


@dataclass
class Seat:
    """A person in front of the console."""

    home: House
    terminal: FakeTerminal
    process: Process

    async def ended(self) -> int:
        async with asyncio.timeout(PATIENCE):
            return await self.process.wait()


@asynccontextmanager
async def seat(path: Path) -> AsyncIterator[Seat]:
    async with house(path) as home:
        with fake_terminal() as terminal:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-m", "privyseal.console", "--banner", "maple harbor",
                env=home.environment, stdin=terminal.fd,
                stdout=terminal.fd, stderr=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
            try:
                await terminal.shows("PRIVYSEAL   maple harbor")
                yield Seat(home, terminal, process)
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()


@pytest.fixture
async def person(tmp_path: Path) -> AsyncIterator[Seat]:
    async with seat(tmp_path) as made:
        yield made


async def test_a_person_sets_the_passphrase_and_allows_a_request(person: Seat) -> None:
    await person.terminal.shows("keeper away")
    await person.home.start_keeper(unlock=False)
    await person.terminal.shows("no store yet")
    person.terminal.type(b"u")
    await person.terminal.shows("A passphrase for the new store")
    person.terminal.type(b"correct horse\r")
    await person.terminal.shows("The same once more")
    person.terminal.type(b"correct horse\r")
    await person.terminal.shows("   unlocked ")
    ends: asyncio.Queue[State] = asyncio.Queue()
    async with asyncio.TaskGroup() as group:
        connection = await Connection.open(group, person.home.address)
        link = RequestLink(connection)
        await link.subscribe(lambda _request, state: ends.put_nowait(state), lambda _change: None)
        requester = await link.register(os.pidfd_open(os.getpid()))
        ask = Create(collection="login", label="GitHub \x1b[2Jtoken", attributes={})
        ticket, _ = await link.submit(requester, ask, Secret(b"s3cr3t-value"))
        assert ticket.state == "pending"
        await person.terminal.shows("Store a new secret", "GitHub ‹U+001B›[2Jtoken")
        await person.terminal.read_on()
        await person.terminal.type_pair()
        await person.terminal.shows("Allowed")
        assert await ends.get() == "allowed"
        connection.close()
    output = person.terminal.output()
    assert b"s3cr3t" not in output
    assert b"correct horse" not in output
    person.terminal.type(b"q")
    assert await person.ended() == 0


async def test_what_is_recorded_without_a_word_to_the_console_is_counted_there(
    person: Seat,
) -> None:
    def recorded() -> int:
        found = re.search(r"([0-9]+) recorded", person.terminal.text())
        return int(found[1]) if found else -1

    await person.home.start_keeper()
    await eventually(lambda: recorded() >= 0)
    before = recorded()
    async with asyncio.TaskGroup() as group:
        connection = await Connection.open(group, person.home.address)
        link = RequestLink(connection)
        requester = await link.register(os.pidfd_open(os.getpid()))
        for _ in range(3):
            await link.submit(requester, Search(attributes={"service": "demo"}))
        connection.close()
    await eventually(lambda: recorded() >= before + 3)


async def test_it_finds_the_keeper_again(person: Seat) -> None:
    await person.home.start_keeper()
    await person.terminal.shows("   unlocked ")
    await person.home.kill("keeper")
    await person.terminal.shows("keeper away")
    await person.home.start_keeper(unlock=False)
    await person.terminal.shows("   locked ")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, "q", "ctrl-c"])
async def test_every_end_puts_the_terminal_back(tmp_path: Path, how: signal.Signals | str) -> None:
    with fake_terminal() as untouched:
        before = untouched.settings()
    async with seat(tmp_path) as person:
        assert person.terminal.settings() != before
        if isinstance(how, signal.Signals):
            person.process.send_signal(how)
        else:
            person.terminal.type({"q": b"q", "ctrl-c": b"\x03"}[how])
        assert await person.ended() == 0
        assert person.terminal.settings() == before
        assert person.terminal.output().endswith(b"\x1b[?1049l")


async def test_a_stopped_console_gives_the_terminal_back_until_it_goes_on(person: Seat) -> None:
    raw = person.terminal.settings()
    person.process.send_signal(signal.SIGTSTP)
    status = Path(f"/proc/{person.process.pid}/status")
    await eventually(lambda: "State:\tT (stopped)" in status.read_text())
    assert person.terminal.settings() != raw
    person.terminal.raw = b""
    person.process.send_signal(signal.SIGCONT)
    await person.terminal.shows("PRIVYSEAL")
    assert person.terminal.settings() == raw


async def test_a_resized_terminal_is_drawn_anew(person: Seat) -> None:
    person.terminal.resize(60, 20)
    person.process.send_signal(signal.SIGWINCH)
    await person.terminal.shows("here are 60 x 20")
    person.terminal.resize(100, 30)
    person.process.send_signal(signal.SIGWINCH)
    await eventually(lambda: 30 in person.terminal.lines())


async def test_a_burst_of_keys_is_not_a_person(person: Seat) -> None:
    person.terminal.type(b"qqqqqq")

    def unlocking() -> bool:
        # The burst may still be on its way and swallow this key; on the next page it is harmless.
        person.terminal.type(b"u")
        return "Passphrase" in person.terminal.text()

    await eventually(unlocking)
    assert person.process.returncode is None


async def test_without_a_terminal_it_says_so(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        outcome = await home.run(sys.executable, "-I", "-m", "privyseal.console")
    assert outcome.status == 2
    assert outcome.err == "privy: standard input is not a terminal\n"


class BrokenTerminal(Terminal):
    def draw(self, lines: Sequence[Line], *, flush: bool) -> None:
        raise RuntimeError("a defect")


async def test_a_screen_that_cannot_be_drawn_ends_and_gives_the_terminal_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house(tmp_path) as home:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", home.address)
        with fake_terminal() as terminal:
            before = terminal.settings()
            with pytest.RaisesGroup(RuntimeError):
                await run(BrokenTerminal(terminal.fd, {}), BUS_NAME, SystemClock(), ScreenState())
            assert terminal.settings() == before
