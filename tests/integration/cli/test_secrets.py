"""Transcripts of the commands that fetch secrets and open the store."""

import os
import signal
import sys
from collections.abc import Callable

import msgspec
import pytest
from tests.fake_decider import FakeDecider, item
from tests.integration.cli.conftest import Shell, Transcript, terminal

from privyseal.errors import NotFoundError, PrivysealError, UnreachableError
from privyseal.model.keyring import CollectionInfo

TOKEN = item("login", "17", "GitHub token", service="github.com", user="alice")
OTHER = item("login", "18", "GitHub token", service="github.com", user="bob")
SLASH = item("work", "1", "a/b=c,d\\", kind="x=y,z")

ENDED = (
    "privy: the keeper ended while this waited\n  try: start it with `privy try`, then ask again\n"
)
FORMS = "  try: name it as attribute=value, collection/label, a label or item:COLLECTION/ID\n"


@pytest.fixture
def stocked(keeper: FakeDecider) -> FakeDecider:
    keeper.collections.append(CollectionInfo(id="work", label="Work things"))
    keeper.add(TOKEN, b"hunter2")
    keeper.add(OTHER, b"correct horse")
    keeper.add(SLASH, b"\x00\xff\n")
    return keeper


@pytest.mark.parametrize(
    ("ref", "value"),
    [
        ("user=alice", b"hunter2"),
        ("service=github.com,user=bob", b"correct horse"),
        ("item:login/17", b"hunter2"),
        ("work/a\\/b\\=c\\,d\\\\", b"\x00\xff\n"),
        ("Work things/a\\/b\\=c\\,d\\\\", b"\x00\xff\n"),
        ("a/b\\=c,d\\", b"\x00\xff\n"),
        ("kind=x\\=y\\,z", b"\x00\xff\n"),
    ],
)
async def test_get_prints_the_exact_bytes_to_a_pipe(
    shell: Shell, stocked: FakeDecider, ref: str, value: bytes
) -> None:
    process = await shell.start("get", ref)

    assert await process.communicate() == (value, b"")
    assert process.returncode == 0


async def test_get_lists_the_candidates_of_an_ambiguous_name(
    shell: Shell, stocked: FakeDecider
) -> None:
    expected = "fits several items: item:login/17, item:login/18\n  try: name one of them\n"

    assert await shell.privy("get", "service=github.com") == Transcript(
        2, "", f"privy: 'service=github.com' {expected}"
    )
    assert await shell.privy("get", "default/GitHub token") == Transcript(
        2, "", f"privy: 'default/GitHub token' {expected}"
    )


async def test_get_of_something_unknown_is_not_found(shell: Shell, stocked: FakeDecider) -> None:
    for ref in ("user=carol", "nothing", "login/nothing"):
        assert await shell.privy("get", ref) == Transcript(
            3, "", f"privy: no item fits {ref!r}\n{FORMS}"
        )
    missing = await shell.privy("get", "item:login/99")
    assert (missing.status, missing.err) == (3, "privy: no item '99'\n")


async def test_a_label_that_cannot_be_read_asks_for_an_unlock(
    shell: Shell, keeper: FakeDecider
) -> None:
    keeper.items = [msgspec.structs.replace(TOKEN, label="", attributes={}, locked=True)]

    assert await shell.privy("get", "GitHub token") == Transcript(
        7,
        "",
        "privy: the store is locked, labels cannot be read\n  try: unlock it with `privy unlock`\n",
    )


async def test_get_waits_for_the_decision_and_says_where_to_make_it(
    shell: Shell, stocked: FakeDecider
) -> None:
    stocked.answer = "pending"
    process = await shell.start("get", "user=alice")
    await stocked.asked.wait()
    request = stocked.only_request()

    stocked.resolve(request, "allowed")

    assert await shell.finish(process) == Transcript(
        0,
        "hunter2",
        "privy: waiting for a decision: approve it on the screen (`privy watch`), "
        f"or run: privy approve {request}\n",
    )


@pytest.mark.parametrize(
    ("state", "reason", "status", "message"),
    [
        ("denied", "a person denied it", 4, "a person denied it: {}"),
        ("expired", "nobody decided in time", 5, "nobody decided in time: {}"),
        ("abandoned", "", 6, "the request was abandoned: {}"),
        ("cancelled", "", 1, "the request was cancelled: {}"),
    ],
)
async def test_a_request_that_is_not_granted_ends_with_its_own_status(
    shell: Shell, stocked: FakeDecider, state: str, reason: str, status: int, message: str
) -> None:
    stocked.answer = "pending"
    process = await shell.start("get", "user=alice")
    await stocked.asked.wait()
    request = stocked.only_request()

    stocked.resolve(request, state, reason)  # type: ignore[arg-type]  # each is a State
    run = await shell.finish(process)

    assert (run.status, run.out) == (status, "")
    assert run.err.splitlines()[1:] == [f"privy: {message.format(request)}"]


async def test_get_gives_up_after_the_timeout_and_withdraws(
    shell: Shell, stocked: FakeDecider
) -> None:
    stocked.answer = "pending"

    run = await shell.privy("get", "user=alice", "--timeout", "1")

    assert run.status == 5
    assert run.err.endswith(f"nobody decided within 1 seconds: {stocked.only_request()}\n")
    assert stocked.cancelled.is_set()


async def test_an_interrupt_withdraws_the_request(shell: Shell, stocked: FakeDecider) -> None:
    stocked.answer = "pending"
    process = await shell.start("get", "user=alice")
    assert process.stderr is not None
    await process.stderr.readline()

    process.send_signal(signal.SIGINT)
    run = await shell.finish(process)

    assert (run.status, run.out, run.err) == (130, "", "")
    assert stocked.cancelled.is_set()


async def test_a_keeper_that_stops_ends_the_wait(shell: Shell, stocked: FakeDecider) -> None:
    stocked.answer = "pending"
    process = await shell.start("get", "user=alice")
    assert process.stderr is not None
    await process.stderr.readline()

    assert stocked.connection is not None
    stocked.connection.close()
    run = await shell.finish(process)

    assert run == Transcript(6, "", ENDED)


@pytest.mark.parametrize(
    "ending",
    [
        lambda _: UnreachableError("this program is stopping"),
        lambda _: UnreachableError("the keeper does not run"),
        lambda request: NotFoundError(f"no request {request!r}"),
    ],
    ids=["stopping", "gone", "unknown"],
)
async def test_every_way_in_which_a_keeper_ends_is_told_alike(
    shell: Shell, stocked: FakeDecider, ending: Callable[[str], PrivysealError]
) -> None:
    stocked.answer = "pending"
    stocked.ending = ending
    process = await shell.start("get", "user=alice")
    assert process.stderr is not None
    await process.stderr.readline()

    stocked.resolve(stocked.only_request(), "leased")
    run = await shell.finish(process)

    assert run == Transcript(6, "", ENDED)


async def test_get_adds_a_newline_on_a_terminal(shell: Shell, stocked: FakeDecider) -> None:
    async with terminal(shell, "get", "user=alice") as tty:
        assert await tty.line() == b"hunter2\r\n"
    assert tty.process.returncode == 0


async def test_get_keeps_binary_data_off_a_terminal_unless_forced(
    shell: Shell, stocked: FakeDecider
) -> None:
    async with terminal(shell, "get", "item:work/1") as tty:
        assert await tty.line() == (
            b"privy: the secret holds control characters or binary data: 'item:work/1'\r\n"
        )
        assert await tty.line() == b"  try: pipe it somewhere, or use --force\r\n"
    assert tty.process.returncode == 2
    async with terminal(shell, "get", "item:work/1", "--force") as tty:
        assert await tty.line() == b"\x00\xff\r\n"


async def test_run_puts_secrets_only_where_they_were_asked_for(
    shell: Shell, stocked: FakeDecider
) -> None:
    run = await shell.privy(
        *("run", "--secret", "TOKEN=user=alice", "--file=MAIL=user=bob", "--"),
        *("sh", "-c", 'echo "$TOKEN"; cat "$MAIL"; echo; tr "\\0" "\\n" </proc/$$/cmdline; exit 9'),
    )

    assert run.status == 9
    assert run.err == ""
    assert run.out.startswith("hunter2\ncorrect horse\nsh\n-c\n")
    assert run.out.count("hunter2") == 1


async def test_run_leaves_no_other_descriptor_to_the_command(
    shell: Shell, stocked: FakeDecider
) -> None:
    listing = "import os; print(sorted(os.listdir('/proc/self/fd'), key=int))"

    bare = await shell.privy("run", "--secret", "A=user=alice", sys.executable, "-c", listing)
    one = await shell.privy("run", "--file", "A=user=alice", sys.executable, "-c", listing)

    assert bare.out == "['0', '1', '2', '3']\n"  # 3 is the folder being listed
    assert one.out.count("'") == bare.out.count("'") + 2


async def test_run_asks_once_for_all_its_secrets(shell: Shell, stocked: FakeDecider) -> None:
    stocked.answer = "pending"
    process = await shell.start(
        "run", "--secret", "A=user=alice", "--secret", "B=user=bob", "sh", "-c", "echo $A $B"
    )
    await stocked.asked.wait()

    stocked.resolve(stocked.only_request(), "allowed")
    run = await shell.finish(process)

    assert run.out == "hunter2 correct horse\n"


async def test_a_command_ended_by_a_signal_is_seen_so(shell: Shell, stocked: FakeDecider) -> None:
    run = await shell.privy("run", "--secret", "A=user=alice", "sh", "-c", "kill -TERM $$")

    assert run.status == -signal.SIGTERM


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["sh"], 2, "no secret was named\n  try: use --secret NAME=REF or --file NAME=REF"),
        (["--secret", "A", "sh"], 2, "--secret wants NAME=REF, not 'A'"),
        (["--secret", "1A=x", "sh"], 2, "--secret wants NAME=REF, not '1A=x'"),
        (
            ["--secret", "A=user=bob", "--file", "A=user=bob", "sh"],
            2,
            "the variable A stands twice",
        ),
        (["--secret", "A=user=alice", "no-such-command"], 3, "no such command: 'no-such-command'"),
        (
            ["--secret", "A=item:work/1", "sh"],
            2,
            "the secret for A holds a zero byte, which no variable can\n  try: use --file A=…",
        ),
    ],
)
async def test_run_refuses_what_cannot_work(
    shell: Shell, stocked: FakeDecider, words: list[str], status: int, message: str
) -> None:
    assert await shell.privy("run", *words) == Transcript(status, "", f"privy: {message}\n")


async def test_unlock_takes_the_passphrase_from_a_descriptor(
    shell: Shell, keeper: FakeDecider
) -> None:
    keeper.locked = True

    assert await unlock_with(shell, b"wrong\n") == Transcript(
        4, "", "privy: the passphrase is wrong\n"
    )
    assert (await shell.privy("status")).out.splitlines()[1] == "store     locked, embedded store"
    assert await unlock_with(shell, b"open sesame\n") == Transcript(0, "", "privy: unlocked\n")
    assert not keeper.locked
    assert await unlock_with(shell, b"ignored") == Transcript(
        0, "", "privy: the store is unlocked already\n"
    )


async def test_unlock_makes_a_store_and_refuses_an_empty_or_short_passphrase(
    shell: Shell, keeper: FakeDecider
) -> None:
    keeper.locked, keeper.initialised = True, False

    assert await unlock_with(shell, b"\n") == Transcript(2, "", "privy: the passphrase is empty\n")
    assert await unlock_with(shell, b"1234567") == Transcript(2, "", TOO_SHORT)
    assert not keeper.initialised
    assert await unlock_with(shell, b"12345678") == Transcript(0, "", "privy: made and unlocked\n")
    assert keeper.passphrase == b"12345678"


async def test_a_short_passphrase_still_opens_the_store_that_has_it(
    shell: Shell, keeper: FakeDecider
) -> None:
    keeper.locked, keeper.passphrase = True, b"x"
    assert await unlock_with(shell, b"x") == Transcript(0, "", "privy: unlocked\n")


TOO_SHORT = (
    "privy: a new passphrase has at least 8 characters\n"
    "  try: choose a longer one: four or five words are easy to keep\n"
)


async def unlock_with(shell: Shell, passphrase: bytes) -> Transcript:
    reader, writer = os.pipe()
    os.write(writer, passphrase)
    os.close(writer)
    try:
        return await shell.privy("unlock", "--passphrase-fd", str(reader), fds=[reader])
    finally:
        os.close(reader)


async def test_unlock_without_a_terminal_says_what_to_do(shell: Shell, keeper: FakeDecider) -> None:
    keeper.locked = True

    assert await shell.privy("unlock") == Transcript(
        2,
        "",
        "privy: there is no terminal to ask for the passphrase\n  try: use --passphrase-fd\n",
    )


async def test_unlock_asks_twice_on_the_terminal_for_a_new_store(
    shell: Shell, keeper: FakeDecider
) -> None:
    keeper.locked, keeper.initialised = True, False

    async with terminal(shell, "unlock") as tty:
        assert b"choose a passphrase" in await tty.line()
        await tty.until(b"New passphrase: ")
        tty.type(b"one two three\n")
        await tty.until(b"Once more: ")
        tty.type(b"one two four\n")
        rest = await tty.until(b"differ\r\n")

    assert rest.strip() == b"privy: the two passphrases differ"
    assert tty.process.returncode == 2
    assert not keeper.initialised


async def test_lock_locks(shell: Shell, keeper: FakeDecider) -> None:
    assert await shell.privy("lock") == Transcript(0, "", "privy: locked\n")
    assert keeper.locked


async def test_status_is_one_glance(shell: Shell, keeper: FakeDecider) -> None:
    assert await shell.privy("status") == Transcript(
        0,
        "keeper    0.1.0, own-session mode, for 2 min\n"
        "store     unlocked, embedded store\n"
        "waiting   0\n"
        "leases    0\n"
        "audit     7 entries, receipts by abababababababab\n",
        "",
    )
