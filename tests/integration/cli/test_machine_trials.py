"""What a user may try on a companion, against real sockets, a real bus policy and several users."""

import os
import pwd
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.system_bus import system_configuration

from privyseal.cli.machine_pieces import judge_refusals, probe
from privyseal.runtime.companion import Companion

# A bus turns users without an account away, so these are users that every Linux has.
ALICE, BOB = pwd.getpwnam("daemon").pw_uid, pwd.getpwnam("nobody").pw_uid
OWNER = 47110
COMPANION = Companion(uid=ALICE, user="alice", vt=8)
pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.getuid() != 0, reason="needs root to act as several users"),
]


@pytest.fixture
def folder() -> Iterator[Path]:
    # pytest's own folders are closed to other users.
    with tempfile.TemporaryDirectory(prefix="trials-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


def bus(folder: Path, more: str = "") -> "subprocess.Popen[bytes]":
    (folder / "bus.conf").write_text(system_configuration(folder / "system", [], added=more))
    process = subprocess.Popen(
        ["dbus-daemon", f"--config-file={folder}/bus.conf", "--nofork", "--print-address"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


@pytest.mark.parametrize(
    ("more", "outcome"),
    [("", "refused"), ('<policy user="daemon"><allow own="*"/></policy>', "done")],
)
def test_owning_the_keepers_name_is_tried_as_the_user(
    folder: Path, more: str, outcome: str
) -> None:
    with bus(folder, more) as process:
        try:
            address = f"unix:path={folder}/system"
            found = probe(COMPANION, ALICE, ("own", "ask"), system_bus=address)
            others = probe(COMPANION, BOB, ("own",), system_bus=address)
        finally:
            process.terminate()
    assert found is not None
    assert found["own"][0] == outcome
    assert found["ask"][0] != "done"
    assert others is not None
    assert others["own"][0] == "refused"


def test_what_is_closed_to_the_user_is_seen_as_closed(tmp_path: Path) -> None:
    private = Path(f"/run/privyseal/{ALICE}")
    try:
        private.mkdir(parents=True, mode=0o700)
    except FileExistsError:
        pytest.fail(f"{private} is there already")
    os.chown(private, OWNER, OWNER)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    witness = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        with listener, witness:
            listener.bind(str(private / "bus"))
            listener.listen()
            witness.bind(str(COMPANION.witness))
            witness.listen()
            COMPANION.witness.chmod(0o600)
            os.chown(COMPANION.witness, OWNER, OWNER)
            trials = ("private bus", "witness")
            closed = probe(COMPANION, ALICE, trials)
            private.chmod(0o711)
            (private / "bus").chmod(0o666)
            opened = probe(COMPANION, ALICE, trials)
    finally:
        (private / "bus").unlink(missing_ok=True)
        COMPANION.witness.unlink(missing_ok=True)
        private.rmdir()
    assert closed == dict.fromkeys(trials, ("refused", "Permission denied"))
    assert opened is not None
    assert opened["private bus"] == ("done", "connected")
    void = [f.check for f in judge_refusals(opened, COMPANION) if f.state == "void"]
    assert void == ["private bus"]
