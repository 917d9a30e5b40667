"""The console on a real virtual terminal of this machine; serialised, and back on number 1 after."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.fake_decider import FakeDecider, item
from tests.private_bus import private_bus
from tests.virtual_terminals import NUMBER, Seat, seat
from tests.waiting import PATIENCE, eventually

from privyseal.model.approval import Approval
from privyseal.model.ask import Read
from privyseal.runtime.bus import Connection
from privyseal.wire.keeper import Notice
from privyseal.wire.sanitise import clean

pytestmark = pytest.mark.root

_CONSOLE = """
import asyncio, os, sys
from pathlib import Path
from privyseal.console.opening import paint, phrase
from privyseal.console.terminal import Terminal
from privyseal.console.vt import VirtualTerminal
if len(sys.argv) > 2:
    from privyseal.console import start  # its files may be closed to that user
    os.fchown(0, int(sys.argv[2]), -1)  # as systemd does
    os.setgroups([])
    os.setgid(int(sys.argv[2]))
    os.setuid(int(sys.argv[2]))
vt, words = VirtualTerminal(), phrase()
with Terminal() as terminal:
    paint(terminal, vt.number, words)
    from privyseal.console import start
    from privyseal.console.state import ScreenState
    from privyseal.runtime.clock import SystemClock
    first = ScreenState(user="alice", vt=vt.number, phrase=words, linked=False)
    known = Path("/nowhere")
    asyncio.run(start.run_companion(terminal, vt, sys.argv[1], SystemClock(), first, known))
"""


@pytest.fixture
def person() -> Iterator[Seat]:
    with seat() as made:
        made.text()  # from the first look on the kernel keeps the characters that were written
        yield made


@asynccontextmanager
async def console(
    person: Seat, folder: Path, *user: str
) -> AsyncIterator["subprocess.Popen[bytes]"]:
    """Run the console of alice; it is not in front."""
    (folder / "phrase").write_text("maple.harbor.ninth\n")
    process = person.run(
        ["-I", "-c", _CONSOLE, f"unix:path={folder}/bus", *user],
        {"CREDENTIALS_DIRECTORY": str(folder), "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nowhere"},
    )
    try:
        await person.shows("This screen was left")
        yield process
    finally:
        process.kill()
        process.wait(PATIENCE)


@pytest.fixture
async def keeper(tmp_path: Path) -> AsyncIterator[FakeDecider]:
    """The keeper of alice's companion, on its private bus."""
    with private_bus(tmp_path) as address:
        async with asyncio.TaskGroup() as group:
            connection = await Connection.open(group, address)
            made = FakeDecider()
            made.companion = {"mode": "companion", "user": "alice", "vt": 8}
            await made.serve(connection)
            yield made
            connection.close()


def asked(keeper: FakeDecider, name: str = "3f9a", label: str = "GitHub token") -> Approval:
    info = item("login", "i1", label)
    return keeper.wait_for_decision(name, Read(items=(info.ref,)), (info,))


async def test_it_says_the_phrase_and_who_is_not_there(person: Seat, tmp_path: Path) -> None:
    async with console(person, tmp_path):
        await person.comes()
        await person.shows("PRIVYSEAL   alice   vt8   maple.harbor.ninth")
        await person.shows("alice is not logged in: nothing to decide.")


async def test_a_user_without_privileges_can_own_it(
    person: Seat, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("open")
    for place in (folder, *folder.parents[:2]):
        place.chmod(0o755)
    async with console(person, folder, "65534"):
        await person.comes()
        await person.shows("nothing to decide")
        assert person.mode() == 1
        await person.leaves()


async def test_every_glyph_of_a_request_is_in_the_font(
    person: Seat, keeper: FakeDecider, tmp_path: Path
) -> None:
    asked(keeper, label="Größe \u2713 \u4e2d \u202e")
    async with console(person, tmp_path):
        await person.comes()
        await person.shows("►READ", "Who asks", "«U+2713»")
        assert set(person.text()) - person.glyphs() - {" ", "\n"} == set()


async def test_every_character_that_is_let_through_is_in_the_font(person: Seat) -> None:
    glyphs = person.glyphs()
    through = {char for char in map(chr, range(0x3000)) if clean(char, console=True) == char}
    assert through - glyphs == set()


async def test_a_person_at_the_keyboard_allows(
    person: Seat, keeper: FakeDecider, tmp_path: Path
) -> None:
    asked(keeper)
    async with console(person, tmp_path):
        await person.comes()
        person.type(await person.pair())
        await eventually(lambda: len(keeper.decisions) == 1)
        assert keeper.decisions[0].allow


async def test_left_alone_it_lets_go_and_is_blank(
    person: Seat, keeper: FakeDecider, tmp_path: Path
) -> None:
    asked(keeper)
    async with console(person, tmp_path):
        await person.comes()
        await person.shows("GitHub token")
        assert person.mode() == 1
        person.activate(1)
        await person.reaches(1)
        assert "GitHub token" not in person.text()
        await person.comes()
        await person.shows("GitHub token")


async def test_a_switch_away_is_refused_under_a_hand_that_types_and_not_for_ever(
    person: Seat, keeper: FakeDecider, tmp_path: Path
) -> None:
    asked(keeper)
    async with console(person, tmp_path):
        await person.comes()
        person.type((await person.pair())[0])
        await person.shows("type  •")
        person.activate(1)
        await person.shows("Not while you type")
        assert person.active == NUMBER
        await person.leaves()
    assert keeper.decisions == []


async def test_leaving_forgets_the_letter_and_draws_another_pair(
    person: Seat, keeper: FakeDecider, tmp_path: Path
) -> None:
    asked(keeper)
    async with console(person, tmp_path):
        await person.comes()
        first = await person.pair()
        person.type(first[0])
        await person.shows("type  •")
        await person.leaves()
        await person.comes()
        person.type(first[1])
        second = await person.pair()
        assert second != first
        person.type(second)
        await eventually(lambda: len(keeper.decisions) == 1)


async def test_leaving_forgets_a_passphrase(
    person: Seat, keeper: FakeDecider, tmp_path: Path
) -> None:
    keeper.locked = True
    async with console(person, tmp_path):
        await person.comes()
        await person.shows("locked; u opens it")
        await person.press("u", lambda: "This opens" in person.text())
        person.type("open ses")
        await person.leaves()
        await person.comes()
        await person.shows("locked; u opens it")
        await person.press("u", lambda: "This opens" in person.text())
        person.type("ame\r")
        await person.shows("the passphrase is wrong")
    assert keeper.locked


async def test_nothing_counts_that_is_typed_while_another_terminal_is_in_front(
    person: Seat, keeper: FakeDecider, tmp_path: Path
) -> None:
    asked(keeper)
    async with console(person, tmp_path):
        await person.comes()
        await person.pair()
        await person.leaves()
        for _ in range(20):
            person.type("n")
        await person.comes()
        await person.pair()
    assert keeper.decisions == []


async def test_what_others_write_on_it_vanishes(
    person: Seat, keeper: FakeDecider, tmp_path: Path
) -> None:
    asked(keeper)
    async with console(person, tmp_path):
        await person.comes()
        await person.pair()
        before = person.text()
        person.write(b"\x1b[5;10HAllow: type y\n\n")
        assert "Allow: type y" in person.text()
        await eventually(lambda: "Allow: type y" not in person.text())
        # Another character set, lines that scroll, coordinates that start elsewhere, insertion.
        person.write(b"\x1b(0\x0e\x1b[3;4r\x1b[?6h\x1b[?5h\x1b[4h\x1b[1;1Hno")
        mine = "\n".join(row for row in before.split("\n") if " left " not in row)
        await eventually(
            lambda: "\n".join(r for r in person.text().split("\n") if " left " not in r) == mine
        )


async def test_scroll_lock_does_not_hold_the_machine(person: Seat, tmp_path: Path) -> None:
    async with console(person, tmp_path):
        await person.comes()
        person.stop_output()
        await person.leaves()


async def test_a_killed_console_holds_nobody(
    person: Seat, keeper: FakeDecider, tmp_path: Path
) -> None:
    asked(keeper)
    async with console(person, tmp_path) as process:
        await person.comes()
        person.type((await person.pair())[0])
        await person.shows("type  •")
        process.kill()
        process.wait(PATIENCE)
        person.activate(1)
        await person.reaches(1)
        await person.comes()
        person.activate(1)
        await person.reaches(1)


async def test_a_review_brings_it_to_the_front(
    person: Seat, keeper: FakeDecider, tmp_path: Path
) -> None:
    async with console(person, tmp_path):
        await keeper.watched.wait()
        assert person.active == 1
        keeper.notice(Notice(what="review"))
        await person.reaches(NUMBER)


async def test_a_console_that_has_ended_leaves_nothing_to_read(
    person: Seat, keeper: FakeDecider, tmp_path: Path
) -> None:
    asked(keeper)
    async with console(person, tmp_path) as process:
        await person.comes()
        await person.shows("GitHub token")
        process.terminate()
        assert await asyncio.to_thread(process.wait, PATIENCE) == 0
        assert "GitHub token" not in person.text()
        assert person.mode() == 0
