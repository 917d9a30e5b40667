"""The commands of a user who has a companion: asked on the system bus, decided elsewhere."""

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.fake_decider import FakeDecider, item
from tests.integration.cli.conftest import Shell, Transcript
from tests.waiting import PATIENCE, eventually

from privyseal.cli.units import is_in_unit
from privyseal.model.ask import Read
from privyseal.runtime.bus import DBUS, DBUS_PATH, Connection
from privyseal.runtime.companion import Companion

GITHUB = item("login", "i1", "GitHub token", service="github.com")
RECORD = Companion(uid=os.getuid(), user="alice", vt=8)

# The real program with the record of this test, and a keeper that for once is of our own UID.
_PROGRAM = """
import os, sys
from privyseal.runtime import wayin
wayin.RECORDS = sys.argv.pop(1)
os.getuid = lambda uid=os.getuid(): int(os.environ.get("AS_UID", uid))
wayin.keeper_uid = lambda _account: int(os.environ.get("KEEPER_UID", os.getuid()))
from privyseal.cli.main import main
sys.exit(main())
"""


@dataclass
class Desktop:
    """A user with a companion, and the keeper on that user's system bus."""

    shell: Shell
    keeper: FakeDecider
    records: Path

    async def start(self, *words: str, **extra: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _PROGRAM, str(self.records), *words),
            env=self.shell.environment | extra,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )

    async def privy(self, *words: str, **extra: str) -> Transcript:
        return await self.shell.finish(await self.start(*words, **extra))


@pytest.fixture
async def desktop(
    shell: Shell, connection: Connection, bus_address: str, tmp_path: Path
) -> Desktop:
    records = tmp_path / "companions"
    records.mkdir()
    record = {"uid": RECORD.uid, "user": RECORD.user, "vt": RECORD.vt}
    (records / f"{RECORD.uid}.json").write_text(json.dumps(record))
    shell.environment["DBUS_SYSTEM_BUS_ADDRESS"] = bus_address
    del shell.environment["DBUS_SESSION_BUS_ADDRESS"]
    keeper = FakeDecider()
    keeper.companion = {"mode": "companion", "user": "alice", "vt": 8}
    await keeper.serve(connection, deciding=False, name=RECORD.bus_name)
    return Desktop(shell, keeper, records)


async def test_what_waits_is_listed_and_shown(desktop: Desktop) -> None:
    desktop.keeper.wait_for_decision("3f9a11", Read(items=(GITHUB.ref,)), [GITHUB])

    listed = await desktop.privy("list")
    shown = await desktop.privy("show", "3f")

    assert (listed.status, listed.err) == (0, "")
    assert "3f9a  read GitHub token" in listed.out
    assert "asked by node agent.js" in shown.out
    assert "request 3f9a11: waits" in shown.out


async def test_a_past_request_is_shown_on_the_console_only(desktop: Desktop) -> None:
    run = await desktop.privy("show", "beef")

    assert run.status == 3
    assert "past ones are seen on the console: Ctrl+Alt+F8" in run.err


@pytest.mark.parametrize("verb", ["approve", "deny"])
async def test_deciding_is_refused_with_the_way_in(desktop: Desktop, verb: str) -> None:
    desktop.keeper.wait_for_decision("3f9a11", Read(items=(GITHUB.ref,)), [GITHUB])

    run = await desktop.privy(verb, "3f")

    assert (run.status, run.out) == (4, "")
    assert run.err == (
        "privy: 3f9a can only be decided on the console (Ctrl+Alt+F8): this is companion mode.\n"
    )
    assert desktop.keeper.decisions == []


@pytest.mark.parametrize(
    "words",
    [
        ("unlock",),
        ("history",),
        ("leases",),
        ("leases", "--revoke", "1"),
        ("audit", "show"),
        ("audit", "verify"),
        ("audit", "head"),
    ],
)
async def test_what_only_the_console_does_is_refused_in_one_line(
    desktop: Desktop, words: tuple[str, ...]
) -> None:
    run = await desktop.privy(*words)

    assert (run.status, run.out) == (4, "")
    assert run.err.startswith("privy: ")
    assert run.err.endswith(" on the console (Ctrl+Alt+F8): this is companion mode.\n")
    assert run.err.count("\n") == 1


@pytest.mark.parametrize("verb", ["approve", "deny"])
async def test_a_request_that_does_not_wait_is_not_found(desktop: Desktop, verb: str) -> None:
    run = await desktop.privy(verb, "zzzz")

    assert (run.status, run.out) == (3, "")
    assert run.err.startswith("privy: no request 'zzzz'\n")


async def test_the_store_of_a_companion_is_left_to_root(desktop: Desktop) -> None:
    run = await desktop.privy("store", "export", "backup.age")

    assert (run.status, run.err.count("\n")) == (1, 2)
    assert "the store of alice is the companion's" in run.err
    assert f"sudo -u {RECORD.account} privy store" in run.err
    assert (await desktop.privy("store", "export", "--help")).status == 0


async def test_service_status_points_to_the_companion(desktop: Desktop) -> None:
    run = await desktop.privy("service", "status")

    assert f"companion  {RECORD.account}: see `privy status` and `privy doctor`\n" in run.out


@pytest.mark.parametrize("verb", ["list", "status"])
async def test_root_is_told_how_to_look_at_the_companion_of_a_user(
    desktop: Desktop, verb: str
) -> None:
    (desktop.records / f"{RECORD.uid}.json").rename(desktop.records / "4711.json")

    run = await desktop.privy(verb, AS_UID="0")

    assert run.status == 6
    assert run.err == (
        "privy: root has no companion\n"
        "  try: look at a user's with `privy provision --check --user NAME`\n"
    )


async def test_an_exported_log_can_still_be_verified(desktop: Desktop, tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").touch()

    run = await desktop.privy("audit", "verify", str(tmp_path / "log.jsonl"))

    assert (run.status, run.err) == (0, "")


async def test_the_status_names_console_witness_and_troubles(desktop: Desktop) -> None:
    desktop.keeper.companion |= {"witness": False, "troubles": ("\x1b[2Ja squatter",)}

    run = await desktop.privy("status")

    assert run.status == 0
    assert "companion mode" in run.out
    assert "console   Ctrl+Alt+F8, of alice\n" in run.out
    assert "witness   does not answer" in run.out
    assert "trouble   ‹U+001B›[2Ja squatter\n" in run.out
    assert json.loads((await desktop.privy("status", "--json")).out)["vt"] == 8


async def test_lock_and_review_reach_the_keeper(desktop: Desktop) -> None:
    assert (await desktop.privy("lock")).status == 0
    assert (await desktop.privy("review")).status == 0

    assert desktop.keeper.locked
    assert desktop.keeper.reviews == 1


async def test_review_means_nothing_in_own_session_mode(shell: Shell) -> None:
    run = await shell.privy("review")

    assert run.status == 1
    assert "own-session mode" in run.err


async def test_get_and_run_fetch_a_secret(desktop: Desktop) -> None:
    desktop.keeper.add(GITHUB, b"s3cret")

    got = await desktop.privy("get", "service=github.com")
    ran = await desktop.privy("run", "--secret", "TOKEN=GitHub token", "--", "env")

    assert (got.status, got.out) == (0, "s3cret")
    assert "TOKEN=s3cret\n" in ran.out


async def test_get_says_where_it_is_decided_and_ends_with_the_keeper(
    desktop: Desktop, connection: Connection
) -> None:
    desktop.keeper.add(GITHUB, b"s3cret")
    desktop.keeper.answer = "pending"
    process = await desktop.start("get", "service=github.com")
    assert process.stderr is not None
    line = (await process.stderr.readline()).decode()

    connection.close()
    run = await desktop.shell.finish(process)

    assert line.startswith("privy: waiting for a decision: decide on the console: Ctrl+Alt+F8")
    assert run.status == 6
    assert "unlock it on the console: Ctrl+Alt+F8" in run.err


async def test_a_locked_store_says_since_when_and_where_to_unlock(desktop: Desktop) -> None:
    desktop.keeper.locked = True
    desktop.keeper.refuses = True

    run = await desktop.privy("get", "service=github.com")

    assert run.status == 7
    assert "privy: Privyseal is locked since " in run.err
    assert "  try: unlock it on the console: Ctrl+Alt+F8\n" in run.err


async def test_watch_streams_what_waits(desktop: Desktop) -> None:
    process = await desktop.start("watch", "--json")
    assert process.stdout is not None

    async def next_line() -> tuple[str, str]:
        async with asyncio.timeout(PATIENCE):
            assert process.stdout is not None
            told = json.loads(await process.stdout.readline())
        return told["what"], (told["request"] or {}).get("id", "")

    desktop.keeper.wait_for_decision("3f9a11", Read(items=(GITHUB.ref,)), [GITHUB])
    assert await next_line() == ("asked", "3f9a11")
    desktop.keeper.waiting.clear()
    desktop.keeper.locked = True
    assert {await next_line(), await next_line()} == {("resolved", "3f9a11"), ("locked", "")}
    process.terminate()
    await process.communicate()


async def test_a_request_without_a_keeper_says_how_to_get_one(
    desktop: Desktop, connection: Connection
) -> None:
    await connection.release(RECORD.bus_name)

    run = await desktop.privy("get", "service=github.com")

    assert run.status == 6
    assert run.err == (
        "privy: Privyseal's companion does not run\n  try: log in, or see `privy doctor`\n"
    )


async def activatable(connection: Connection, folder: Path) -> Path:
    """Let the bus start a keeper; return the file that says that it did."""
    started, services = folder / "started", folder / "data/dbus-1/services"
    services.mkdir(parents=True, exist_ok=True)
    (services / "keeper.service").write_text(
        f"[D-BUS Service]\nName={RECORD.bus_name}\nExec=/usr/bin/touch {started}\n"
    )
    await connection.call(DBUS, DBUS_PATH, DBUS, "ReloadConfig")
    return started


async def test_a_look_does_not_wake_a_companion_that_is_logged_out(
    desktop: Desktop, connection: Connection, tmp_path: Path
) -> None:
    started = await activatable(connection, tmp_path)
    await connection.release(RECORD.bus_name)

    looks = ("status", "list", "doctor", "review")
    async with asyncio.TaskGroup() as group:
        runs = [group.create_task(desktop.privy(look)) for look in looks]

    for run in runs:
        said = run.result().out + run.result().err
        assert "is logged out; the next request starts it" in said
    assert not started.exists()


async def test_a_request_wakes_it(desktop: Desktop, connection: Connection, tmp_path: Path) -> None:
    started = await activatable(connection, tmp_path)
    await connection.release(RECORD.bus_name)

    process = await desktop.start("get", "service=github.com")

    await eventually(started.exists)
    process.terminate()
    await process.communicate()


async def test_what_is_logged_out_is_locked_already(
    desktop: Desktop, connection: Connection
) -> None:
    await connection.release(RECORD.bus_name)

    assert (await desktop.privy("lock")).status == 0


async def test_a_look_waits_for_a_keeper_that_has_just_locked(
    desktop: Desktop, connection: Connection
) -> None:
    await connection.release(RECORD.bus_name)
    connected = asyncio.Event()
    await connection.listen(DBUS, DBUS, "NameOwnerChanged", lambda _path, _body: connected.set())
    process = await desktop.start("status")
    async with asyncio.timeout(PATIENCE):
        await connected.wait()
    await connection.claim(RECORD.bus_name)

    assert (await desktop.shell.finish(process)).status == 0


async def test_a_keeper_of_another_user_is_not_believed(desktop: Desktop) -> None:
    run = await desktop.privy("list", KEEPER_UID="4711")

    assert run.status == 6
    assert f"UID {os.getuid()} answers on the system bus in place of" in run.err


@pytest.mark.parametrize("words", [("try", "--headless"), ("service", "install")])
async def test_own_session_mode_is_refused_on_such_an_account(
    desktop: Desktop, words: tuple[str, ...]
) -> None:
    run = await desktop.privy(*words)

    assert run.status == 1
    assert f"kept by the companion {RECORD.account}" in run.err
    assert list(Path(desktop.shell.environment["HOME"]).rglob("*.service")) == []


async def test_a_malformed_record_is_one_clear_line(desktop: Desktop) -> None:
    (desktop.records / f"{RECORD.uid}.json").write_text("{")

    run = await desktop.privy("list")

    assert run.status == 1
    assert "is malformed" in run.err


async def findings(desktop: Desktop, **extra: str) -> tuple[int, dict[str, tuple[str, str]]]:
    run = await desktop.privy("doctor", "--json", **extra)
    assert run.err == ""
    return run.status, {f["check"]: (f["state"], f["text"]) for f in json.loads(run.out)}


async def test_doctor_looks_at_both_sides_of_a_companion(
    desktop: Desktop, bus_address: str
) -> None:
    home = Path(desktop.shell.environment["HOME"])
    desktop.keeper.companion |= {"witness": False, "troubles": ("a squatter",)}
    assert desktop.keeper.connection is not None
    await desktop.keeper.connection.claim("org.freedesktop.secrets")
    mask = home / ".local/share/dbus-1/services/org.freedesktop.secrets.service"
    mask.parent.mkdir(parents=True)
    mask.write_text("[D-BUS Service]\nName=org.freedesktop.secrets\nExec=/usr/bin/sleep 20\n")

    status, found = await findings(desktop, DBUS_SESSION_BUS_ADDRESS=bus_address)

    assert status == 1
    assert found["companion"][0] == "ok"
    assert "console: Ctrl+Alt+F8" in found["companion"][1]
    assert found["system bus"] == ("ok", f"{RECORD.bus_name} is owned by UID {os.getuid()}")
    assert found["keeper"][0] == "ok"
    assert found["store"] == ("ok", "unlocked: embedded store")
    assert found["witness"][0] == "FAIL"
    assert found["troubles"] == ("FAIL", "a squatter")
    assert found["agent"][0] == "FAIL"
    assert str(os.getpid()) in found["agent"][1]
    assert found["activation"] == ("ok", f"{mask} keeps other providers from being started")
    assert len(found) == 15


async def test_settings_of_the_person_are_not_told_as_those_of_the_keeper(desktop: Desktop) -> None:
    keepers = f"/var/lib/privyseal/{os.getuid()}/.config/privyseal/config.yaml"

    shown = await desktop.privy("config", "show")
    defaults = await desktop.privy("config", "show", "--defaults")
    _, found = await findings(desktop)

    assert "agent and the commands of alice alone" in shown.out
    assert f"# {keepers}\n" in shown.out
    assert keepers not in defaults.out
    assert found["configuration"][1].endswith(
        f"the keeper reads /etc/privyseal/config.yaml and {keepers}"
    )


async def test_doctor_names_a_keeper_of_another_user(desktop: Desktop) -> None:
    status, found = await findings(desktop, KEEPER_UID="4711")

    assert status == 1
    assert found["system bus"][0] == "FAIL"
    assert found["keeper"][0] == "FAIL"
    assert found["witness"] == ("FAIL", "cannot be checked without the keeper")


@pytest.mark.parametrize(
    ("cgroup", "ours"),
    [
        ("0::/system.slice/system-privyseal\\x2dagent.slice/privyseal-agent@1000.service\n", True),
        ("1:name=systemd:/system.slice/privyseal-agent@1000.service\n", True),
        ("0::/user.slice/user-1000.slice/user@1000.service/privyseal-agent@1000.service\n", False),
        ("0::/system.slice/privyseal-agent@1001.service\n", False),
        ("0::/system.slice/x-privyseal-agent@1000.service\n", False),
        ("", False),
    ],
)
def test_the_agent_is_known_by_a_control_group_of_the_system(cgroup: str, ours: bool) -> None:
    assert is_in_unit(cgroup.encode(), "privyseal-agent@1000.service") is ours
