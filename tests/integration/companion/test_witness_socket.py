"""The witness behind its socket: for one account, about one user, and the keeper without it."""

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import Awaitable
from functools import partial
from pathlib import Path

import pytest
from tests.integration.companion.rig import ALICE, BOB, Companion, Machine, answers
from tests.waiting import eventually

from privyseal.errors import PrivysealError

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for other users"),
]
CLIENT = str(Path(__file__).with_name("ask_witness.py"))


async def _asked(companion: Companion, uid: int, *words: object) -> dict[str, object]:
    _, answer = await companion.machine.run(
        uid, sys.executable, "-I", CLIENT, str(companion.socket), *map(str, words)
    )
    return json.loads(answer) if answer else {}


def _runs(pid: int, name: str) -> bool:
    return Path(f"/proc/{pid}/comm").read_text() == f"{name}\n"


@pytest.fixture
async def witnessed(world: Machine) -> Companion:
    """A companion of whom only the witness runs."""
    companion = Companion(world, ALICE)
    await companion.start_witness()
    return companion


@pytest.mark.parametrize("op", ["look", "check"])
async def test_only_processes_of_its_user_are_told_of(witnessed: Companion, op: str) -> None:
    world = witnessed.machine
    mine = await world.start(ALICE, "sleep", "100", name="sleep")
    others = [await world.start(uid, "sleep", "100", name="sleep") for uid in (BOB, witnessed.uid)]

    assert (await _asked(witnessed, witnessed.uid, mine.pid, op))["state"] == "alive"
    for pid in (1, os.getpid(), *(other.pid for other in others)):
        answer = await _asked(witnessed, witnessed.uid, pid, op)
        assert answer == {"id": 1, "state": "refused"}


async def test_no_script_is_told_of_that_the_user_cannot_read_itself(witnessed: Companion) -> None:
    world = witnessed.machine
    # It reads what its arguments name, or tries to for ever, under the name of an interpreter.
    perl = world.folder / "perl"
    shutil.copy(shutil.which("tail") or "", perl)
    told = {}
    for name, mode in (("open", 0o755), ("closed", 0o700)):
        folder = world.folder / name
        folder.mkdir(mode=mode)
        script = folder / "script.pl"
        script.write_text("sleep 100\n")
        liar = await world.start(
            ALICE, str(perl), "--follow=name", "--retry", str(script), name="liar"
        )
        await eventually(partial(_runs, liar.pid, "perl"))
        told[name] = (await _asked(witnessed, witnessed.uid, liar.pid, "look"))["script"]
    assert told["open"]
    assert not told["closed"]


async def test_a_file_of_somebody_else_is_no_description_of_a_sandbox(witnessed: Companion) -> None:
    world = witnessed.machine
    # Its user can put any file under that name, in a mount namespace of its own.
    script = (
        "import os, sys, time; os.chroot(sys.argv[1]); os.setuid(int(sys.argv[2])); print('in');"
        " sys.stdout.flush(); time.sleep(100)"
    )
    told = {}
    for name, owner in (("own", ALICE), ("roots", 0)):
        root = world.folder / name
        root.mkdir(mode=0o755)
        described = root / ".flatpak-info"
        described.write_text("name=hunter2\n")
        described.chmod(0o600)
        os.chown(described, owner, owner)
        sandboxed = await world.start(
            0, sys.executable, "-c", script, str(root), str(ALICE), name=f"in-{name}"
        )
        await world.said(f"in-{name}", "in")
        told[name] = (await _asked(witnessed, witnessed.uid, sandboxed.pid, "look"))["flatpak"]
    assert told == {"own": "name=hunter2\n", "roots": ""}


async def test_of_other_users_near_the_process_only_what_everybody_knows_is_told(
    witnessed: Companion,
) -> None:
    mine = await witnessed.machine.start(ALICE, "sleep", "100", name="sleep")
    answer = await _asked(witnessed, witnessed.uid, mine.pid, "look")
    parents = answer["parents"]
    assert isinstance(parents, list)
    assert parents[0]["uid"] == 0
    assert parents[0]["comm"]
    for parent in parents:
        assert (parent["path"], parent["arguments"], parent["genuine"]) == (None, [], False)


@pytest.mark.parametrize(("mode", "read"), [(0o600, False), (0o644, True)])
async def test_a_script_that_its_user_cannot_read_is_not_read_for_it(
    witnessed: Companion,
    mode: int,
    read: bool,
) -> None:
    folder = witnessed.machine.folder
    shutil.copy("/bin/sleep", folder / "sh")  # stays alive, whatever its script holds
    script = folder / "100"
    script.write_text("secret\n")
    script.chmod(mode)
    shell = await witnessed.machine.start(
        ALICE, "env", f"--chdir={folder}", "./sh", "100", name="shell"
    )
    comm = Path(f"/proc/{shell.pid}/comm")
    await eventually(lambda: comm.read_text() == "sh\n")
    answer = await _asked(witnessed, witnessed.uid, shell.pid, "look")
    assert answer["code"] == "file"
    assert (answer["script"] is not None) == read


async def test_nobody_but_its_peer_is_answered_and_none_can_stop_it(witnessed: Companion) -> None:
    mine = await witnessed.machine.start(ALICE, "sleep", "100", name="sleep")
    witnessed.socket.chmod(0o666)
    for uid in (ALICE, BOB, 0):
        assert await _asked(witnessed, uid, mine.pid, "look") == {}
    for _ in range(20):
        assert await _asked(witnessed, witnessed.uid) == {}
    assert (await _asked(witnessed, witnessed.uid, mine.pid, "look"))["comm"] == "sleep"


async def test_several_connections_are_served_at_once(witnessed: Companion) -> None:
    world = witnessed.machine
    mine = await world.start(ALICE, "sleep", "100", name="sleep")
    idle = (
        "import socket,time; s=socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET);"
        f"s.connect({str(witnessed.socket)!r}); print('in', flush=True); time.sleep(100)"
    )
    await world.start(witnessed.uid, sys.executable, "-I", "-c", idle, name="idle")
    await world.said("idle", "in")
    assert (await _asked(witnessed, witnessed.uid, mine.pid, "look"))["state"] == "alive"


async def test_without_a_witness_facts_are_only_reported_and_it_says_so(world: Machine) -> None:
    companion = Companion(world, ALICE)
    await companion.begin(witness=False)
    await companion.fill()
    status = await companion.person.do("status")
    face = await world.face(ALICE)
    await face.do("subscribe")
    async with asyncio.TaskGroup() as group:
        read = group.create_task(face.do("read", "demo"))
        shown = await companion.decide()

    assert read.result() == ["allowed", "hunter2"]
    assert isinstance(status, dict)
    assert status["witness"] is False
    content = shown["content"]
    assert isinstance(content, dict)
    grades = {fact["name"]: fact["grade"] for fact in content["evidence"]["facts"]}
    assert grades["no witness"] == "warning"
    assert grades["calls itself"] == "reported"
    assert "program" not in grades
    assert content["evidence"]["trusted"] is False


async def test_a_witness_that_dies_is_found_again(world: Machine) -> None:
    companion = Companion(world, ALICE)
    await companion.begin(witness=False)
    witness = await companion.start_witness()
    await companion.fill()
    await answers(lambda: companion.person.do("status"), lambda now: "'witness': True" in str(now))
    await companion.kill_witness(witness)
    await answers(lambda: companion.person.do("status"), lambda now: "'witness': False" in str(now))
    await companion.start_witness()
    await answers(lambda: companion.person.do("status"), lambda now: "'witness': True" in str(now))


@pytest.mark.parametrize("witness", [True, False])
async def test_a_process_that_executes_another_program_is_noticed(
    world: Machine,
    witness: bool,
) -> None:
    companion = Companion(world, ALICE)
    await companion.begin(witness=witness)
    await companion.fill()
    go = world.folder / "go"
    changer = await world.start(
        ALICE, "bash", "-c", f"until [ -e {go} ]; do :; done; exec sleep 100", name="changer"
    )
    face = await world.face(ALICE)
    await face.do("subscribe")
    async with asyncio.TaskGroup() as group:
        group.create_task(face.do("read", "demo", changer.pid))
        await companion.waiting()
        go.touch()
        await answers(
            lambda: world.run(0, "cat", f"/proc/{changer.pid}/comm"), lambda it: "sleep" in str(it)
        )
        (shown,) = await companion.waiting()
        refusal = await companion.refused(shown)
        (now,) = await companion.waiting()
        await companion.decide(allow=False)
    assert "changed since it was shown" in refusal
    assert "it has executed another program" in str(now["content"])


@pytest.mark.parametrize("witness", [True, False])
async def test_a_requester_that_exits_takes_its_request_along(
    world: Machine,
    witness: bool,
) -> None:
    companion = Companion(world, ALICE)
    await companion.begin(witness=witness)
    await companion.fill()
    other, face = await world.start(ALICE, "sleep", "100", name="s"), await world.face(ALICE)
    await face.do("subscribe")
    async with asyncio.TaskGroup() as group:
        read = group.create_task(_refused(face.do("read", "demo", other.pid)))
        await companion.waiting()
        other.send_signal(signal.SIGKILL)
    assert read.result() == "NotFoundError"
    assert await companion.person.do("pending") == []


async def _refused(deed: Awaitable[object]) -> str:
    try:
        await deed
    except PrivysealError as error:
        return type(error).__name__
    return ""
