"""A command beside a server: signals go to it, and its end is ours."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.waiting import PATIENCE, eventually

RUNNER = """
import os, sys
from privyseal.cli.aws import child
mask = child.hold_signals()
sys.exit(child.leave(child.run(sys.argv[1:], os.environ, mask)))
"""


def start(*command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", RUNNER, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def said(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], 20)
    assert ready
    return process.stdout.readline()


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.parametrize("status", [0, 1, 7, 255])
def test_the_exit_status_is_the_child_s(status: int) -> None:
    with start("sh", "-c", f"exit {status}") as process:
        assert process.wait(PATIENCE) == status


def test_standard_input_and_output_are_the_child_s() -> None:
    with start("cat") as process:
        assert process.communicate(b"through", timeout=PATIENCE)[0] == b"through"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV])
def test_a_signal_that_ends_the_child_ends_us_alike(number: signal.Signals) -> None:
    with start("sh", "-c", f"kill -{number:d} $$") as process:
        assert process.wait(PATIENCE) == -number


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2]
)
def test_a_signal_to_us_reaches_the_child(number: signal.Signals) -> None:
    name = number.name.removeprefix("SIG")
    # The shell waits in a builtin, so that the trap runs at once.
    script = f"trap 'echo {name}; exit 9' {name}; echo ready; read line"
    with start("sh", "-c", script) as process:
        assert said(process) == b"ready\n"
        process.send_signal(number)

        assert said(process) == f"{name}\n".encode()
        assert process.wait(PATIENCE) == 9


async def test_a_child_that_is_stopped_stops_us_and_goes_on_with_us() -> None:
    with start("sh", "-c", "echo $$; read line; exit 3") as process:
        child = int(said(process))
        os.kill(child, signal.SIGSTOP)
        await eventually(lambda: state(process.pid) == "T")

        process.send_signal(signal.SIGCONT)
        await eventually(lambda: state(child) == "S")

        assert process.communicate(b"\n", timeout=PATIENCE)[0] == b""
        assert process.returncode == 3


def test_a_command_that_is_not_there_is_named() -> None:
    done = subprocess.run(
        [sys.executable, "-c", RUNNER, "no-such-command"], capture_output=True, check=False
    )

    assert b"no such command: 'no-such-command'" in done.stderr
