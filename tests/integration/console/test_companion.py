"""The console of a companion on a pseudo-terminal: its bus comes, works and goes."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.fake_decider import FakeDecider, item
from tests.private_bus import private_bus
from tests.terminals import FakeTerminal, fake_terminal
from tests.waiting import PATIENCE, eventually

from privyseal.console import attention
from privyseal.console.start import run_companion
from privyseal.console.state import ScreenState
from privyseal.console.terminal import Terminal
from privyseal.model.approval import PinAsk
from privyseal.model.ask import Read
from privyseal.runtime.bus import Connection
from privyseal.runtime.clock import SystemClock
from privyseal.wire.keeper import Notice

FIRST = ScreenState(user="alice", vt=8, phrase="maple.harbor.ninth", linked=False)


@dataclass
class Companion:
    """A console that runs, and the bus and keeper that it may find."""

    folder: Path
    terminal: FakeTerminal
    group: asyncio.TaskGroup
    console: "asyncio.Task[None]"
    bus: ExitStack
    keeper: FakeDecider = field(default_factory=FakeDecider)

    async def log_in(self) -> None:
        address = self.bus.enter_context(private_bus(self.folder))
        self.keeper.companion = {"mode": "companion", "user": "alice", "vt": 8}
        await self.keeper.serve(await Connection.open(self.group, address))

    async def log_out(self) -> None:
        await asyncio.to_thread(self.bus.close)


@pytest.fixture
async def companion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Companion]:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nowhere")
    bus = f"unix:path={tmp_path}/bus"
    with fake_terminal() as tty, ExitStack() as stack:
        async with asyncio.TaskGroup() as group:
            with Terminal(tty.fd, {"TERM": "linux"}) as terminal:
                run = run_companion(terminal, None, bus, SystemClock(), FIRST, tmp_path / "known")
                task = group.create_task(run)
                made = Companion(tmp_path, tty, group, task, stack)
                await tty.shows("PRIVYSEAL")
                yield made
                task.cancel()
                stack.close()


async def test_without_a_bus_it_says_who_is_not_there_and_asks_for_nothing(
    companion: Companion,
) -> None:
    await companion.terminal.shows("alice is not logged in: nothing to decide.")
    companion.terminal.type(b"u")
    companion.terminal.type(b"?")
    await companion.terminal.shows("reported: the desktop session")


@pytest.mark.parametrize("state", ["active", "online"])
async def test_a_logged_out_companion_is_not_taken_for_its_user(
    companion: Companion, state: str
) -> None:
    (companion.folder / "known").write_text(f"NAME=alice\nSTATE={state}\n")
    await companion.terminal.shows("The companion is logged out", "alice is logged in: the next")
    (companion.folder / "known").write_text("NAME=alice\nSTATE=closing\n")
    await companion.terminal.shows("alice is not logged in")


async def test_it_finds_the_keeper_once_the_user_logs_in(companion: Companion) -> None:
    await companion.terminal.shows("not logged in")
    await companion.log_in()
    await companion.terminal.shows("alice, logged in", "unlocked; l locks it")


async def test_a_socket_that_nobody_serves_is_no_bus(companion: Companion) -> None:
    (companion.folder / "bus").touch()
    await companion.terminal.shows("not logged in")
    (companion.folder / "bus").unlink()
    await companion.log_in()
    await companion.terminal.shows("alice, logged in")


async def test_it_ends_without_an_error_when_its_bus_has_gone(companion: Companion) -> None:
    await companion.log_in()
    await companion.terminal.shows("alice, logged in")
    await companion.log_out()
    async with asyncio.timeout(PATIENCE):
        await companion.console


async def test_a_person_decides_what_came_before_and_after(companion: Companion) -> None:
    info = item("login", "i1", "GitHub token")
    companion.keeper.wait_for_decision("3f9a", Read(items=(info.ref,)), (info,))
    await companion.log_in()
    await companion.terminal.shows("GitHub token")
    await companion.terminal.type_pair()
    await eventually(lambda: [d.request for d in companion.keeper.decisions] == ["3f9a"])


async def test_gnupg_gets_the_passphrase_while_the_store_is_being_unlocked(
    companion: Companion,
) -> None:
    companion.keeper.locked = True
    asked = asyncio.Event()
    companion.keeper.before_unlock = asked.wait
    await companion.log_in()
    await companion.terminal.shows("locked; u opens it")
    companion.terminal.type(b"u")
    await companion.terminal.shows("This opens")
    companion.terminal.type(b"open sesame\r")
    await companion.terminal.shows("Unlocking")
    companion.keeper.pins = [PinAsk(id="p1", text="the key of Alice")]
    companion.keeper.notice(Notice(what="pins"))
    await companion.terminal.shows("GnuPG asks a passphrase: u")
    companion.terminal.type(b"\x1b")
    await companion.terminal.shows("Nothing is waiting")
    companion.terminal.type(b"u")
    await companion.terminal.shows("the key of Alice", "Passphrase")
    companion.terminal.type(b"tr0ub4dor\r")
    await eventually(lambda: companion.keeper.answered == {"p1": b"tr0ub4dor"})
    asked.set()
    await companion.terminal.shows("   unlocked ")
    assert b"tr0ub4dor" not in companion.terminal.output()


async def test_escape_refuses_a_passphrase_to_gnupg(companion: Companion) -> None:
    companion.keeper.pins = [PinAsk(id="p1", text="the key of Alice")]
    await companion.log_in()
    await companion.terminal.shows("passphrase? │ the key of Alice")
    companion.terminal.type(b"u")
    await companion.terminal.shows("in its own words")
    companion.terminal.type(b"\x1b")
    await eventually(lambda: companion.keeper.answered == {"p1": None})


async def test_the_rules_in_force_can_be_read(companion: Companion) -> None:
    await companion.log_in()
    await companion.terminal.shows("alice, logged in")
    companion.terminal.type(b"i")
    await companion.terminal.shows("create collection", "denial longest")


async def test_logging_out_takes_the_pair_on_the_screen(companion: Companion) -> None:
    await companion.log_in()
    await companion.terminal.shows("alice, logged in")
    companion.terminal.type(b"o")
    await companion.terminal.type_pair()
    async with asyncio.timeout(PATIENCE):
        await companion.keeper.logged_out.wait()


async def test_no_key_quits_the_console_of_a_companion(companion: Companion) -> None:
    companion.terminal.type(b"q")
    companion.terminal.type(b"\x03")
    companion.terminal.type(b"?")
    await companion.terminal.shows("reported: the desktop session")
    assert not companion.console.done()


@asynccontextmanager
async def logind(group: asyncio.TaskGroup, address: str) -> AsyncIterator[Connection]:
    connection = await Connection.open(group, address)
    await connection.claim(attention.LOGIND)
    yield connection
    await connection.release(attention.LOGIND)
    connection.close()


async def test_only_logind_itself_can_say_that_the_attention_key_was_pressed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pressed: asyncio.Queue[str] = asyncio.Queue()
    said = "nobody"

    def press(by: Connection, name: str) -> None:
        nonlocal said
        said = name
        by.emit("/org/freedesktop/login1", attention.MANAGER, attention.SIGNAL, "s", ["seat0"])

    async def heard(by: Connection, name: str) -> None:
        async with asyncio.timeout(PATIENCE):
            while pressed.empty():
                press(by, name)
                await asyncio.sleep(0.02)
        while not pressed.empty():
            assert pressed.get_nowait() == name

    with private_bus(tmp_path) as address:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(attention.listen(lambda: pressed.put_nowait(said)))
            forger = await Connection.open(group, address)
            for _ in range(2):  # logind may be started again
                async with logind(group, address) as real:
                    await heard(real, "logind")
                    for _ in range(20):
                        press(forger, "forger")
            async with logind(group, address) as real:
                await heard(real, "logind")
            listening.cancel()
            forger.close()


def test_a_pseudo_terminal_is_not_enough_for_a_companion() -> None:
    with fake_terminal() as terminal:
        done = subprocess.run(
            [sys.executable, "-I", "-m", "privyseal.console", "--companion", str(os.getuid())],
            stdin=terminal.fd,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr == "privy: standard input is not a virtual terminal\n"
