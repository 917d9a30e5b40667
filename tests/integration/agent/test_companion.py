"""The agent between a session's bus and the keeper of a companion on another one."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.fake_keeper import FakeKeeper
from tests.integration.agent.stage import call, open_session, perform
from tests.integration.agent.test_notify import FakeServer, invoke
from tests.private_bus import private_bus
from tests.waiting import PATIENCE, eventually

from privyseal.errors import LockedError, UnreachableError
from privyseal.runtime.bus import Connection
from privyseal.runtime.companion import Companion
from privyseal.runtime.names import Names
from privyseal.wire.secretservice import ITEM, NAME, PORTAL, item_path

RECORD = Companion(uid=os.getuid(), user="alice", vt=8)

# The real program with the record of this test, and a keeper that for once is of our own UID.
_PROGRAM = """
import os, pathlib, sys
from privyseal.runtime import companion, wayin
companion.find.__defaults__ = (pathlib.Path(sys.argv.pop(1)),)
wayin.keeper_uid = lambda _account: int(os.environ.get("KEEPER_UID", os.getuid()))
from privyseal.agent.__main__ import main
sys.exit(main())
"""
_KEEPER = """
import asyncio
from tests.fake_keeper import FakeKeeper
from privyseal.runtime.bus import Connection

async def main():
    async with asyncio.TaskGroup() as group:
        keeper = FakeKeeper()
        keeper.put("one", service="mail")
        bus = await Connection.open(group, {address!r})
        await keeper.serve(bus, {name!r})
        await bus.closed()

asyncio.run(main())
"""


@dataclass
class Scene:
    """Two buses, a keeper on one of them, and the agent between them."""

    folder: Path
    group: asyncio.TaskGroup
    stack: AsyncExitStack
    session: str = ""
    system: str = ""
    keeper: FakeKeeper = field(default_factory=FakeKeeper)
    environment: dict[str, str] = field(default_factory=dict)
    process: Process | None = None

    @property
    def agent(self) -> Process:
        assert self.process is not None
        return self.process

    async def connect(self, address: str = "") -> Connection:
        connection = await Connection.open(self.group, address or self.session)
        self.stack.callback(connection.close)
        return connection

    async def start_keeper(self) -> Connection:
        connection = await self.connect(self.system)
        await self.keeper.serve(connection, RECORD.bus_name)
        return connection

    async def start_agent(self, **extra: str) -> None:
        with (self.folder / "agent.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", _PROGRAM, str(self.folder / "companions")),
                *("--companion", str(RECORD.uid), "--debug"),
                env=self.environment | extra,
                stderr=log,
            )
        self.stack.push_async_callback(self.end_agent)

    async def end_agent(self) -> int:
        if self.agent.returncode is None:
            self.agent.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            return await self.agent.wait()

    async def owned(self, bus: Connection) -> None:
        """Return once the agent provides the Secret Service."""
        names = Names(bus)
        await names.start()
        await names.until(NAME, lambda pid: pid == self.agent.pid, seconds=PATIENCE)

    def log(self) -> str:
        return (self.folder / "agent.log").read_text()


@asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    records = folder / "companions"
    records.mkdir()
    record = {"uid": RECORD.uid, "user": RECORD.user, "vt": RECORD.vt}
    (records / f"{RECORD.uid}.json").write_text(json.dumps(record))
    for name in ("session", "system"):
        (folder / name / "data/dbus-1/services").mkdir(parents=True)
    async with asyncio.TaskGroup() as group, AsyncExitStack() as stack:
        made = Scene(folder, group, stack)
        made.session = f"unix:path={folder}/session/bus"
        made.system = stack.enter_context(private_bus(folder / "system"))
        kept = {k: v for k, v in os.environ.items() if k.startswith(("PATH", "LANG", "COVERAGE"))}
        made.environment = kept | {
            "DBUS_SESSION_BUS_ADDRESS": made.session,
            "DBUS_SYSTEM_BUS_ADDRESS": made.system,
            "HOME": str(folder),
        }
        yield made


@pytest.fixture
async def no_bus(tmp_path: Path) -> AsyncIterator[Scene]:
    async with scene(tmp_path) as made:
        yield made


@pytest.fixture
async def desk(no_bus: Scene) -> Scene:
    no_bus.stack.enter_context(private_bus(no_bus.folder / "session"))
    return no_bus


async def client(desk: Scene, *argv: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *argv, env=desk.environment, stdout=PIPE, stderr=PIPE
    )
    async with asyncio.timeout(PATIENCE):
        out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def test_an_unchanged_program_gets_its_secret(desk: Scene) -> None:
    desk.keeper.put("one", service="mail")
    await desk.start_keeper()
    await desk.start_agent()
    await desk.owned(await desk.connect())

    assert await client(desk, "secret-tool", "lookup", "service", "mail") == (0, "s3cret", "")
    assert await desk.end_agent() == 0
    assert "ERROR" not in desk.log()


async def test_without_a_keeper_a_program_hears_at_once_what_to_do(desk: Scene) -> None:
    await desk.start_agent()
    await desk.owned(await desk.connect())

    status, out, err = await client(desk, "secret-tool", "lookup", "service", "mail")

    assert (status, out) == (1, "")
    assert "Privyseal's companion does not run. Log in, or see `privy doctor`." in err


async def test_a_request_has_the_keeper_started(desk: Scene) -> None:
    program = desk.folder / "keeper.py"
    program.write_text(_KEEPER.format(address=desk.system, name=RECORD.bus_name))
    root = Path(__file__).parents[3]
    (desk.folder / "system/data/dbus-1/services" / f"{RECORD.bus_name}.service").write_text(
        f"[D-BUS Service]\nName={RECORD.bus_name}\n"
        f"Exec=/usr/bin/env PYTHONPATH={root} {sys.executable} {program}\n"
    )
    system = await desk.connect(desk.system)
    await system.call(
        "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "ReloadConfig"
    )
    await desk.start_agent()
    await desk.owned(await desk.connect())
    assert await system.owner(RECORD.bus_name) == ""  # the agent alone starts nothing

    assert await client(desk, "secret-tool", "lookup", "service", "mail") == (0, "s3cret", "")


async def test_a_locked_store_is_named_with_its_time_and_the_way_in(desk: Scene) -> None:
    path = item_path(desk.keeper.put("one"))
    desk.keeper.locked = True
    desk.keeper.verdicts["read"] = "wait"
    await desk.start_keeper()
    await desk.start_agent()
    bus = await desk.connect()
    await desk.owned(bus)
    session = await open_session(bus)

    with pytest.raises(LockedError) as caught:
        await call(bus, "GetSecret", "o", [session], path=path, interface=ITEM)

    assert str(caught.value).startswith("Privyseal is locked since 2023-11-14 ")
    assert str(caught.value).endswith(". Unlock it on the console: Ctrl+Alt+F8.")
    assert desk.keeper.kinds() == []


async def test_a_store_that_is_not_made_yet_is_told_apart(desk: Scene) -> None:
    path = item_path(desk.keeper.put("one"))
    desk.keeper.locked, desk.keeper.initialised = True, False
    await desk.start_keeper()
    await desk.start_agent()
    bus = await desk.connect()
    await desk.owned(bus)

    with pytest.raises(LockedError, match=r"no store yet\. Make it on the console: Ctrl"):
        await call(bus, "GetSecret", "o", [await open_session(bus)], path=path, interface=ITEM)


async def test_locked_items_can_still_be_waited_for_at_a_prompt(desk: Scene) -> None:
    path = item_path(desk.keeper.put("one"))
    desk.keeper.locked = True
    await desk.start_keeper()
    await desk.start_agent()
    bus = await desk.connect()
    await desk.owned(bus)

    _, prompt = await call(bus, "Unlock", "ao", [[path]])

    assert await perform(bus, prompt) == (False, [path])


async def test_whoever_waits_hears_that_the_keeper_went_and_finds_it_again(desk: Scene) -> None:
    path = item_path(desk.keeper.put("one"))
    desk.keeper.verdicts["read"] = "wait"
    keeper_bus = await desk.start_keeper()
    await desk.start_agent()
    bus = await desk.connect()
    await desk.owned(bus)
    session = await open_session(bus)
    _, prompt = await call(bus, "Unlock", "ao", [[path]])

    async def leave() -> None:
        await eventually(lambda: len([a for a in desk.keeper.asked if a.state == "pending"]) == 2)
        keeper_bus.close()

    async def read() -> None:
        with pytest.raises(UnreachableError, match=r"Unlock it on the console: Ctrl\+Alt\+F8"):
            await call(bus, "GetSecret", "o", [session], path=path, interface=ITEM)

    async with asyncio.TaskGroup() as group:
        group.create_task(read())
        group.create_task(leave())
        prompted = group.create_task(perform(bus, prompt))
    assert prompted.result() == (False, [path])

    await desk.start_keeper()
    desk.keeper.verdicts["read"] = "allow"
    with pytest.raises(UnreachableError, match=r"Unlock it on the console: Ctrl\+Alt\+F8"):
        await call(bus, "GetSecret", "o", [session], path=path, interface=ITEM)
    (secret,) = await call(bus, "GetSecret", "o", [session], path=path, interface=ITEM)
    assert secret[2] == b"s3cret"


async def test_it_waits_for_a_session_bus_and_outlives_it(no_bus: Scene) -> None:
    await no_bus.start_keeper()
    await no_bus.start_agent()
    await eventually(lambda: "trying again" in no_bus.log())

    for _ in range(2):
        with private_bus(no_bus.folder / "session"):
            bus = await no_bus.connect()
            await no_bus.owned(bus)
            await call(bus, "ReadAlias", "s", ["default"])
            bus.close()
    assert no_bus.agent.returncode is None
    assert await no_bus.end_agent() == 0


async def test_a_squatter_is_reported_announced_and_succeeded(desk: Scene) -> None:
    await desk.start_keeper()
    server = FakeServer(await desk.connect())
    await server.start()
    squatter = await desk.connect()
    await squatter.claim(NAME)
    await desk.start_agent()
    await eventually(lambda: bool(desk.keeper.reports))

    program = f"{NAME} is held by {os.path.realpath('/proc/self/exe')!r}, pid {os.getpid()}"
    assert desk.keeper.reports[-1].startswith(program)
    await eventually(lambda: any(str(os.getpid()) in text for text in server.texts()))

    await squatter.release(NAME)
    await desk.owned(squatter)
    await eventually(lambda: desk.keeper.reports[-1] == "")
    await eventually(lambda: server.shown == {})


async def test_a_new_keeper_is_told_of_a_squatter_too(desk: Scene) -> None:
    first = await desk.start_keeper()
    await (await desk.connect()).claim(PORTAL)
    await desk.start_agent()
    await eventually(lambda: len(desk.keeper.reports) == 1)

    first.close()
    await desk.start_keeper()

    await eventually(lambda: len(desk.keeper.reports) == 2)
    assert PORTAL in desk.keeper.reports[-1]


async def test_a_keeper_of_another_user_gets_no_request(desk: Scene) -> None:
    await desk.start_keeper()
    server = FakeServer(await desk.connect())
    await server.start()
    await desk.start_agent(KEEPER_UID="4711")
    bus = await desk.connect()
    await desk.owned(bus)

    with pytest.raises(UnreachableError, match=r"in place of privyseal-.*not believed"):
        await call(bus, "ReadAlias", "s", ["default"])

    assert desk.keeper.requesters == set()
    await eventually(lambda: any("not believed" in text for text in server.texts()))


async def waits(desk: Scene, **extra: str) -> tuple[FakeServer, Connection]:
    """Have one request wait, and return the server that tells of it."""
    path = item_path(desk.keeper.put("mail_password"))
    desk.keeper.verdicts["delete"] = desk.keeper.verdicts["read"] = "wait"
    await desk.start_keeper()
    server = FakeServer(await desk.connect())
    await server.start()
    await desk.start_agent(**extra)
    bus = await desk.connect()
    await desk.owned(bus)
    _, prompt = await call(bus, "Unlock", "ao", [[path]])
    await call(bus, "Prompt", "s", [""], path=prompt, interface="org.freedesktop.Secret.Prompt")
    await eventually(lambda: len(server.shown) == 1)
    return server, bus


async def test_a_notification_says_who_waits_but_not_for_what(desk: Scene) -> None:
    server, bus = await waits(desk)

    ((title, body, actions),) = [(b[3], b[4], b[5]) for b in server.shown.values()]
    assert title == "A request waits for you"
    assert body == "Asked by: node agent.js\nDecide on the console: Ctrl+Alt+F8"
    assert actions[1::2] == ["Review"]

    await call(bus, "Delete", path=item_path(desk.keeper.put("two")), interface=ITEM)
    await eventually(lambda: any("2 requests wait for you" in text for text in server.texts()))
    for asked in list(desk.keeper.asked):
        if asked.state == "pending":
            desk.keeper.resolve(asked, "denied")
    await eventually(lambda: server.shown == {})


async def test_a_person_may_want_the_names_in_notifications(desk: Scene) -> None:
    server, _ = await waits(desk, PRIVYSEAL_NOTIFICATIONS_NAMES="true")

    assert "What: mail_password" in server.texts()[0]


async def test_review_brings_the_console_to_the_front_and_only_if_the_server_says_so(
    desk: Scene,
) -> None:
    server, bus = await waits(desk)
    number, key = max(server.shown), server.key("Review")

    invoke(bus, number, key)  # the right key from the wrong connection
    invoke(server.connection, number, "review")
    invoke(server.connection, number + 1, key)
    await call(bus, "ReadAlias", "s", ["default"])
    server.press("Review")
    server.press("Review")

    await eventually(lambda: desk.keeper.reviews > 0)
    assert desk.keeper.asked[-1].state == "pending"


async def test_a_notification_put_away_stays_away_until_another_request(desk: Scene) -> None:
    server, bus = await waits(desk)
    number = max(server.shown)
    server.shown.clear()
    server.connection.emit(
        "/org/freedesktop/Notifications",
        "org.freedesktop.Notifications",
        "NotificationClosed",
        "uu",
        [number, 2],
    )

    await call(bus, "Delete", path=item_path(desk.keeper.put("two")), interface=ITEM)

    await eventually(lambda: any("2 requests wait for you" in text for text in server.texts()))


@pytest.mark.parametrize(("uid", "words"), [("4711", "cannot run as"), ("", "no companion")])
async def test_it_refuses_another_users_companion(desk: Scene, uid: str, words: str) -> None:
    if not uid:
        (desk.folder / "companions" / f"{RECORD.uid}.json").unlink()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _PROGRAM, str(desk.folder / "companions")),
        *("--companion", uid or str(RECORD.uid)),
        env=desk.environment,
        stderr=PIPE,
    )
    _, err = await process.communicate()
    assert (process.returncode, words in err.decode()) == (2, True)


@asynccontextmanager
async def keyring(desk: Scene, program: str) -> AsyncIterator[Process]:
    """Run gnome-keyring in our place."""
    process = await asyncio.create_subprocess_exec(
        *(program, "--foreground", "--components=secrets"),
        env=desk.environment | {"XDG_RUNTIME_DIR": str(desk.folder)},
        stdout=DEVNULL,
        stderr=DEVNULL,
    )
    try:
        names = Names(await desk.connect())
        await names.start()
        await names.until(NAME, lambda pid: pid == process.pid, seconds=PATIENCE)
        yield process
    finally:
        process.kill()
        await process.wait()


async def test_gnome_keyring_in_our_place_is_named_and_followed(desk: Scene) -> None:
    await desk.start_keeper()
    async with keyring(desk, "gnome-keyring-daemon") as other:
        await desk.start_agent()
        await eventually(lambda: bool(desk.keeper.reports))
        assert f"gnome-keyring-daemon', pid {other.pid}" in desk.keeper.reports[-1]
    await desk.owned(await desk.connect())


async def test_a_program_with_a_long_name_is_reported_all_the_same(desk: Scene) -> None:
    await desk.start_keeper()
    folder = desk.folder / ("long" * 50) / ("name" * 50)
    folder.mkdir(parents=True)
    squatter = folder / "squatter"
    squatter.write_bytes(Path("/usr/bin/gnome-keyring-daemon").read_bytes())
    squatter.chmod(0o700)
    async with keyring(desk, str(squatter)) as other:
        await desk.start_agent()
        await eventually(lambda: bool(desk.keeper.reports))
        assert f"squatter', pid {other.pid}" in desk.keeper.reports[-1]
        assert len(desk.keeper.reports[-1]) < 500
