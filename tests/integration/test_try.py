"""`privy try --headless`, as a person runs it, with the programs that a person has."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.private_bus import private_bus
from tests.waiting import PATIENCE, until

from privyseal.aws.items import key_item
from privyseal.aws.stores.file import FileStore
from privyseal.model.aws import AccessKey
from privyseal.model.secret import Secret
from privyseal.runtime.clock import SystemClock
from privyseal.runtime.names import SECRETS
from privyseal.wire.keeper import BUS_NAME

PRIVY = str(Path(sys.executable).with_name("privy"))
_IN_A_FRAME = re.compile(rb"\x1b\[\?2026h(?!.*\x1b\[\?(2026|1049)l)", re.DOTALL)
_EXPORT = re.compile(r"export DBUS_SESSION_BUS_ADDRESS='?([^'\n]+)'?")


class Trial(NamedTuple):
    """A running trial: its process, what it has printed, and the environment of its children."""

    process: "subprocess.Popen[str]"
    printed: str
    env: dict[str, str]


@pytest.fixture
def env(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A person's environment without a session bus; the folder for sockets has a short path."""
    (tmp_path / "home").mkdir()
    kept = {key: value for key, value in os.environ.items() if not key.startswith("XDG_")}
    with tempfile.TemporaryDirectory() as run:
        yield {
            **kept,
            "HOME": str(tmp_path / "home"),
            "XDG_RUNTIME_DIR": run,
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={tmp_path}/no-bus",
        }


def _left_behind(env: Mapping[str, str]) -> list[Path]:
    return [path for key in ("HOME", "XDG_RUNTIME_DIR") for path in Path(env[key]).iterdir()]


@contextmanager
def _trial(env: Mapping[str, str], *words: str, folder: Path | None = None) -> Iterator[Trial]:
    process = subprocess.Popen(
        [PRIVY, "try", "--headless", *words],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    printed = ""
    try:
        for line in process.stdout:
            printed += line
            if "Ctrl-C ends the trial" in line:
                break
        else:
            raise AssertionError(f"the trial did not come up: {printed}")
        found = _EXPORT.search(printed)
        address = found[1] if found else env["DBUS_SESSION_BUS_ADDRESS"]
        yield Trial(process, printed, {**env, "DBUS_SESSION_BUS_ADDRESS": address})
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(PATIENCE)
        process.stdout.close()


def _run(words: list[str], env: Mapping[str, str], value: str = "") -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        words,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(value)
    process.stdin.close()
    process.stdin = None
    return process


def _approve_next(env: Mapping[str, str]) -> None:
    """Allow, with the command, the one request that waits, as soon as it does."""
    found: list[str] = []

    def waits() -> bool:
        listed = subprocess.run(
            [PRIVY, "list", "--json"], env=env, check=True, capture_output=True, text=True
        )
        found[:] = re.findall(r'"id": ?"(\w+)"', listed.stdout)
        return bool(found)

    until(waits)
    subprocess.run([PRIVY, "approve", found[0]], env=env, check=True, capture_output=True)


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in listed.split()]


def _argv(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def _gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def _owner(env: Mapping[str, str], name: str) -> bool:
    asked = subprocess.run(
        [
            *["dbus-send", "--session", "--print-reply", "--dest=org.freedesktop.DBus"],
            *["/org/freedesktop/DBus", "org.freedesktop.DBus.NameHasOwner", f"string:{name}"],
        ],
        env=env,
        check=True,
        capture_output=True,
        text=True,
    )
    return "boolean true" in asked.stdout


@pytest.mark.parametrize("backend", ["embedded", "gnome-keyring"])
def test_a_secret_is_read_once_allowed(env: dict[str, str], backend: str) -> None:
    with _trial(env, "--backend", backend) as trial:
        store = _run(
            ["secret-tool", "store", "--label=demo", "service", "demo"], trial.env, "hunter2"
        )
        _approve_next(trial.env)
        assert store.wait(PATIENCE) == 0, store.communicate()
        store.communicate()

        lookup = _run(["secret-tool", "lookup", "service", "demo"], trial.env)
        _approve_next(trial.env)
        output, _ = lookup.communicate(timeout=PATIENCE)
        assert (lookup.returncode, output) == (0, "hunter2")
    assert _left_behind(env) == []


def test_without_a_bus_it_starts_one_and_leaves_nothing_behind(env: dict[str, str]) -> None:
    with _trial(env) as trial:
        assert "there is no session bus here: starting one" in trial.printed
        children = _children(trial.process.pid)
        programs = " ".join(map(_argv, children))
        assert "dbus-daemon" in programs
        assert "privyseal.keeper" in programs
        assert "privyseal.agent" in programs
        assert "secret-tool lookup service demo" in trial.printed
    assert trial.process.returncode == 0
    assert all(map(_gone, children))
    assert _left_behind(env) == []


def test_it_prints_the_line_that_makes_privy_known_where_it_is_not(env: dict[str, str]) -> None:
    bare = {**env, "PATH": "/usr/bin:/bin"}
    with _trial(bare) as trial:
        (line,) = [line for line in trial.printed.splitlines() if "export PATH=" in line][:1]
        found = _run(["sh", "-c", f"{line.strip()}; command -v privy"], trial.env)
        assert found.communicate(timeout=PATIENCE)[0] == f"{PRIVY}\n"
    with _trial({**env, "PATH": f"{Path(PRIVY).parent}:{env['PATH']}"}) as trial:
        assert "export PATH=" not in trial.printed


def test_on_a_bus_that_is_there_it_gives_the_names_back(
    env: dict[str, str], tmp_path: Path
) -> None:
    with private_bus(tmp_path) as address:
        env["DBUS_SESSION_BUS_ADDRESS"] = address
        with _trial(env) as trial:
            assert _owner(trial.env, SECRETS)
            assert _owner(trial.env, BUS_NAME)
        assert trial.process.returncode == 0
        assert not _owner(env, SECRETS)
        assert not _owner(env, BUS_NAME)


def test_it_finds_the_bus_of_the_login_without_the_variable(
    env: dict[str, str], tmp_path: Path
) -> None:
    with private_bus(tmp_path) as address:
        (Path(env["XDG_RUNTIME_DIR"]) / "bus").symlink_to(tmp_path / "bus")
        env["DBUS_SESSION_BUS_ADDRESS"] = ""
        with _trial(env) as trial:
            assert "starting one" not in trial.printed
            assert _owner({**env, "DBUS_SESSION_BUS_ADDRESS": address}, SECRETS)


def test_on_its_own_bus_it_leaves_the_one_that_is_there_alone(
    env: dict[str, str], tmp_path: Path
) -> None:
    with private_bus(tmp_path) as address:
        env["DBUS_SESSION_BUS_ADDRESS"] = address
        with _trial(env, "--own-bus") as trial:
            assert _owner(trial.env, SECRETS)
            assert not _owner(env, SECRETS)


def test_a_second_trial_on_the_same_bus_is_refused_and_the_first_goes_on(
    env: dict[str, str],
) -> None:
    with _trial(env) as trial:
        second = subprocess.run(
            [PRIVY, "try", "--headless"], env=trial.env, capture_output=True, text=True, check=False
        )
        assert second.returncode == 1
        assert "privy: Privyseal runs on this session bus already" in second.stderr
        assert _owner(trial.env, SECRETS)
        assert trial.process.poll() is None


@pytest.mark.parametrize("program", ["keeper", "agent"])
def test_when_a_process_dies_it_says_which_and_cleans_up(env: dict[str, str], program: str) -> None:
    with _trial(env) as trial:
        children = _children(trial.process.pid)
        victim = next(pid for pid in children if f"privyseal.{program}" in _argv(pid))
        os.kill(victim, signal.SIGKILL)
        assert trial.process.wait(PATIENCE) == 1
        assert trial.process.stdout is not None
        assert f"privy: the {program} ended by signal 9" in trial.process.stdout.read()
    assert all(map(_gone, children))
    assert _left_behind(env) == []


def test_the_screen_needs_a_terminal(env: dict[str, str]) -> None:
    refused = subprocess.run(
        [PRIVY, "try"],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 2
    assert refused.stderr == (
        "privy: the approval screen needs a terminal\n"
        "  try: `privy try --headless`, in a clone `make try ARGS=--headless`\n"
    )


def test_doctor_finds_the_log_of_a_trial(env: dict[str, str]) -> None:
    with _trial(env) as trial:
        told = subprocess.run(
            [PRIVY, "doctor"], env=trial.env, check=False, capture_output=True, text=True
        ).stdout
    folder = re.search(r"audit show --folder (\S+)", trial.printed)
    assert folder is not None
    assert f"writable and durable: {folder[1]}\n" in told
    assert re.search(r"ok +audit log +[1-9]\d* entries", told)


def test_a_trial_that_was_locked_says_that_it_stays_so(env: dict[str, str]) -> None:
    with _trial(env) as trial:
        locked = _run([PRIVY, "lock"], trial.env)
        out, err = locked.communicate(timeout=PATIENCE)
        assert (locked.returncode, "end it and start another" in out + err) == (0, True), out + err
        refused = _run([PRIVY, "unlock"], trial.env)
        _, complaint = refused.communicate(timeout=PATIENCE)
        assert refused.returncode == 7, complaint
        assert "a trial that was locked stays so" in complaint


def test_nothing_is_deleted_for_a_trial(env: dict[str, str]) -> None:
    files = Path(env["HOME"], ".aws", "credentials"), Path(env["HOME"], "keys", "jon")
    key = AccessKey(access_key_id="AKIAIOSFODNN7EXAMPLE", secret_access_key="x" * 40)
    files[0].parent.mkdir()
    files[0].write_text(
        f"[ada]\naws_access_key_id = {key.access_key_id}\n"
        f"aws_secret_access_key = {key.secret_access_key}\n"
    )
    store = FileStore(
        files[1].parent, lambda *, new: Secret(b"correct horse"), SystemClock(), rounds=8192
    )
    store.write(key_item("jon", key, added=0))
    before = [file.read_bytes() for file in files]
    env |= {
        "AWS_VAULT_FILE_DIR": str(files[1].parent),
        "AWS_VAULT_FILE_PASSPHRASE": "correct horse",
    }
    take_over = ["migrate", "--apply", "--no-verify", "--from=credentials", "--from=file"]
    with _trial(env) as trial:
        for words in (
            [*take_over, "--delete-source"],
            ["migrate-backend", "--from=file", "--to=keeper", "--delete-source"],
            ["migrate-backend", "--from=file", "--to=secret-service", "--delete-source"],
        ):
            refused = _run([PRIVY, "aws", *words], trial.env)
            out, err = refused.communicate(timeout=60)
            assert (refused.returncode, out) == (2, ""), err
            assert err.startswith("privy: nothing is deleted for a trial: "), err

        copying = _run([PRIVY, "aws", *take_over], trial.env)
        for _ in files:
            _approve_next(trial.env)
        out, err = copying.communicate(timeout=60)
        assert (copying.returncode, out.count(" kept\n")) == (0, 2), err
        assert "forgets all keys when it ends: the old copies stay" in err
    assert [file.read_bytes() for file in files] == before


@contextmanager
def _on_a_terminal(
    env: Mapping[str, str], *words: str
) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", PRIVY, "try", *words],
        env={**env, "TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    try:
        yield process, ours
    finally:
        if process.poll() is None:
            process.terminate()
        _read_until(ours, b"", process)
        process.wait(PATIENCE)
        os.close(ours)


def _read_until(terminal: int, text: bytes, process: "subprocess.Popen[bytes]") -> bytes:
    """Read what is shown until it holds `text`, or without one until the terminal is closed.

    A frame of the screen is read whole: until its end keys may be thrown away.
    """
    shown = b""
    while not text or text not in shown or _IN_A_FRAME.search(shown):
        ready, _, _ = select.select([terminal], [], [], PATIENCE)
        assert ready, f"nothing more came after {shown[-300:]!r}"
        try:
            more = os.read(terminal, 65536)
        except OSError:  # all its other ends are closed
            more = b""
        if not more:
            assert not text, f"{process.args!r} ended after {shown[-300:]!r}"
            break
        shown += more
    return shown


def test_the_screen_opens_in_this_terminal_and_q_ends_the_trial(env: dict[str, str]) -> None:
    with _on_a_terminal(env) as (process, terminal):
        _read_until(terminal, b"q there or Ctrl-C here ends the trial", process)
        before = termios.tcgetattr(terminal)
        os.write(terminal, b"\n")
        _read_until(terminal, b"Nothing is waiting", process)
        os.write(terminal, b"q")
        _read_until(terminal, b"everything is as it was", process)
        assert process.wait(PATIENCE) == 0
        assert termios.tcgetattr(terminal) == before
    assert _left_behind(env) == []


def test_a_new_store_that_is_kept_asks_for_its_passphrase_twice(env: dict[str, str]) -> None:
    with _on_a_terminal(env, "--keep") as (process, terminal):
        _read_until(terminal, b"New passphrase: ", process)
        os.write(terminal, b"tr0ub4dor\n")
        _read_until(terminal, b"Once more: ", process)
        os.write(terminal, b"tr0ub4d0r\n")
        _read_until(terminal, b"the two passphrases differ", process)
        assert process.wait(PATIENCE) == 2
    assert _left_behind(env) == []


def test_a_store_that_was_kept_opens_with_its_passphrase(env: dict[str, str]) -> None:
    for asks in (b"New passphrase: ", b"Once more: "), (b"Passphrase: ",):
        with _on_a_terminal(env, "--keep") as (process, terminal):
            for asked in asks:
                _read_until(terminal, asked, process)
                os.write(terminal, b"tr0ub4dor\n")
            _read_until(terminal, b"q there or Ctrl-C here ends the trial", process)
            process.send_signal(signal.SIGINT)
            _read_until(terminal, b"the store is kept", process)
            assert process.wait(PATIENCE) == 0


def test_the_screen_opens_with_the_first_request(env: dict[str, str]) -> None:
    with _on_a_terminal(env) as (process, terminal):
        shown = _read_until(terminal, b"q there or Ctrl-C here ends the trial", process).decode()
        found = _EXPORT.search(shown)
        assert found is not None
        child_env = {**env, "DBUS_SESSION_BUS_ADDRESS": found[1].strip()}
        store = _run(["secret-tool", "store", "--label=demo", "a", "b"], child_env, "hunter2")
        _read_until(terminal, b"Store a new secret", process)
        process.send_signal(signal.SIGINT)
        _read_until(terminal, b"everything is as it was", process)
        assert process.wait(PATIENCE) == 0
        store.communicate(timeout=PATIENCE)


def test_the_screen_repeats_what_to_do_while_nothing_waits(env: dict[str, str]) -> None:
    with _on_a_terminal(env) as (process, terminal):
        _read_until(terminal, b"q there or Ctrl-C here ends the trial", process)
        os.write(terminal, b"\n")
        shown = _read_until(terminal, b"Nothing is waiting", process)
        shown += _read_until(terminal, b"its passphrase is random", process)
        assert b"secret-tool lookup service demo" in shown


@pytest.mark.parametrize("opened", [False, True])
def test_an_interrupt_ends_the_trial_and_gives_the_terminal_back(
    env: dict[str, str], *, opened: bool
) -> None:
    with _on_a_terminal(env) as (process, terminal):
        _read_until(terminal, b"q there or Ctrl-C here ends the trial", process)
        before = termios.tcgetattr(terminal)
        if opened:
            os.write(terminal, b"\n")
            _read_until(terminal, b"Nothing is waiting", process)
        process.send_signal(signal.SIGINT)
        _read_until(terminal, b"everything is as it was", process)
        assert process.wait(PATIENCE) == 0
        assert termios.tcgetattr(terminal) == before
    assert _left_behind(env) == []


def test_a_screen_that_was_killed_leaves_a_usable_terminal(env: dict[str, str]) -> None:
    with _on_a_terminal(env) as (process, terminal):
        _read_until(terminal, b"q there or Ctrl-C here ends the trial", process)
        before = termios.tcgetattr(terminal)
        os.write(terminal, b"\n")
        _read_until(terminal, b"Nothing is waiting", process)
        screen = next(pid for pid in _children(process.pid) if "privyseal.console" in _argv(pid))
        os.kill(screen, signal.SIGKILL)
        shown = _read_until(terminal, b"the screen ended by signal 9", process)
        assert b"\x1b[?1049l" in shown
        assert process.wait(PATIENCE) == 1
        assert termios.tcgetattr(terminal) == before


def test_nothing_is_loaded_from_the_folder_that_it_was_started_in(
    env: dict[str, str], tmp_path: Path
) -> None:
    trap = tmp_path / "trap"
    for name in ("dbus_fast", "asyncio", "privyseal"):
        (trap / name).mkdir(parents=True)
        (trap / name / "__init__.py").write_text("raise SystemExit('loaded from a foreign folder')")
    with _trial(env, folder=trap) as trial:
        assert trial.process.poll() is None
