"""The witness on real processes, honest ones and ones that pretend."""

import asyncio
import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from shutil import copy, which

import pytest

from privyseal.keeper.evidence import Witness
from privyseal.model.evidence import Evidence

Start = Callable[..., subprocess.Popen[bytes]]

READY = b"ready\n"

TRACED = """
import ctypes
PR_SET_PTRACER, ANYBODY = 0x59616D61, ctypes.c_ulong(-1)
ctypes.CDLL(None).prctl(PR_SET_PTRACER, ANYBODY)  # else Yama allows only its parent to trace it
print("ready", flush=True)
input()
"""

TRACE = """
import ctypes, sys
PTRACE_SEIZE = 0x4206
assert ctypes.CDLL(None).ptrace(PTRACE_SEIZE, int(sys.argv[1]), None, None) == 0
print("ready", flush=True)
input()
"""

DOUBLE_FORK = """
import os
if os.fork() == 0:
    middle = os.getpid()
    if os.fork() == 0:
        while os.getppid() == middle:
            pass
        print(os.getpid(), flush=True)
        input()
    os._exit(0)
os.wait()
input()
"""


@pytest.fixture
async def witness() -> AsyncIterator[Witness]:
    async with Witness.open() as running:
        yield running


@pytest.fixture
def start() -> Iterator[Start]:
    """Start processes that are killed with everything below them at the end."""
    running: list[subprocess.Popen[bytes]] = []

    def begin(*argv: str | os.PathLike[str], **options: object) -> subprocess.Popen[bytes]:
        process: subprocess.Popen[bytes] = subprocess.Popen(  # type: ignore[call-overload]  # options are the caller's
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            **{"env": {"PATH": os.environ["PATH"]}, **options},
        )
        running.append(process)
        return process

    yield begin
    for process in running:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    for process in reversed(running):  # a traced process is reaped by its tracer first
        process.communicate()


def ready(process: subprocess.Popen[bytes]) -> bytes:
    """Return the first line a process prints, once it has printed it."""
    assert process.stdout is not None
    return process.stdout.readline()


async def seen(witness: Witness, pid: int) -> Evidence:
    pidfd = os.pidfd_open(pid)
    try:
        return await witness.look(pidfd)
    finally:
        os.close(pidfd)


def values(found: Evidence, name: str) -> list[str]:
    return [f"{fact.grade}: {fact.value}" for fact in found.facts if fact.name == name]


def echoed(process: subprocess.Popen[bytes]) -> None:
    """Send a line to a `cat` and wait for it to come back: from then on it surely runs."""
    assert process.stdin is not None
    process.stdin.write(READY)
    process.stdin.flush()
    assert ready(process) == READY


def where(name: str) -> Path:
    """Return the real path of a program of this system."""
    return Path(which(name) or name).resolve(strict=True)


def children(pid: int | str = "self") -> list[int]:
    """Return the children of a process."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def inode(path: Path | str) -> int:
    return Path(path).stat().st_ino


def has_exited(process: subprocess.Popen[bytes]) -> bool:
    return process.wait() == 0


def script(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


async def test_a_plain_program_is_verified(witness: Witness, start: Start, tmp_path: Path) -> None:
    process = start("/usr/bin/env", "cat", "-", cwd=tmp_path)
    echoed(process)

    found = await seen(witness, process.pid)

    real = where("cat")
    assert values(found, "program") == [f"verified: {real}"]
    assert values(found, "command") == ["reported: cat -"]
    assert values(found, "folder") == [f"verified: {tmp_path}"]
    assert found.trusted
    assert found.process is not None
    assert found.process.pid == process.pid
    assert found.program is not None
    assert found.program.exe_inode == inode(real)
    assert found.program.uid == os.getuid()
    assert found.program.mount_namespace == inode("/proc/self/ns/mnt")
    assert found.program.anchor == found.process


async def test_the_parents_are_this_test_and_its_own(witness: Witness, start: Start) -> None:
    process = start("/bin/sh", "-c", "cat; true")
    echoed(process)
    (child,) = children(process.pid)

    (parents,) = values(await seen(witness, child), "parents")

    shell, python = where("sh").name, where(sys.executable).name
    assert parents.startswith(f"verified: {shell} <new session< {python} < ")


@pytest.mark.parametrize(
    "interpreter", [name for name in ("python3", "node", "bash", "perl") if which(name)]
)
async def test_a_script_is_named_and_hashed(
    interpreter: str, witness: Witness, start: Start, tmp_path: Path
) -> None:
    text = {
        "python3": "print('ready', flush=True); input()",
        "node": "console.log('ready'); process.stdin.resume()",
        "bash": "echo ready; read x",
        "perl": "$|=1; print qq(ready\n); <STDIN>",
    }[interpreter]
    file = script(tmp_path / "agent.txt", text)
    process = start(interpreter, "agent.txt", "--flag", cwd=tmp_path)
    ready(process)

    found = await seen(witness, process.pid)

    assert found.summary.endswith(" agent.txt")
    (value,) = values(found, "script")
    assert value.startswith(f"reported: {file}, changed ")
    assert found.program is not None
    assert found.program.script_sha256 == sha256(text.encode()).hexdigest()


async def test_code_on_the_command_line_is_a_warning(witness: Witness, start: Start) -> None:
    process = start("bash", "-c", "echo ready; read x")
    ready(process)

    found = await seen(witness, process.pid)

    assert values(found, "script") == ["warning: code on the command line (-c)"]
    assert not found.trusted


async def test_a_script_too_large_to_hash_is_a_warning(
    witness: Witness, start: Start, tmp_path: Path
) -> None:
    file = script(tmp_path / "large.sh", "echo ready; read x; exit\n" + "#" * 9 * 1024 * 1024)
    process = start("bash", file)
    ready(process)

    found = await seen(witness, process.pid)

    assert "warning: too large to be told from another" in values(found, "script")
    assert found.program is not None
    assert found.program.script_sha256 == ""


async def test_a_script_that_only_its_process_can_name_is_not_taken_for_one_of_ours(
    witness: Witness, start: Start, tmp_path: Path
) -> None:
    script(tmp_path / "agent.sh", "echo ready; read x")
    process = start("bash", "/proc/self/cwd/agent.sh", cwd=tmp_path)
    ready(process)

    found = await seen(witness, process.pid)

    assert values(found, "script") == ["warning: cannot be read: /proc/self/cwd/agent.sh"]


async def test_a_script_that_is_a_pipe_is_not_opened(
    witness: Witness, start: Start, tmp_path: Path
) -> None:
    file = tmp_path / "pipe.sh"
    os.mkfifo(file)
    waiting = start("bash", file)
    writer = os.open(file, os.O_WRONLY)  # returns once bash has opened it

    found = await seen(witness, waiting.pid)
    os.close(writer)

    assert values(found, "script") == [f"warning: cannot be read: {file}"]


async def test_a_double_fork_shows_a_broken_chain(witness: Witness, start: Start) -> None:
    process = start("python3", "-c", DOUBLE_FORK)
    orphan = int(ready(process))

    found = await seen(witness, orphan)

    assert values(found, "broken chain") == ["verified: the program that started it has exited"]
    assert values(found, "parents")[0].startswith("verified: <adopted by< ")


IS_ROOT = os.geteuid() == 0
NOBODY = ("setpriv", "--reuid=65534", "--clear-groups") if IS_ROOT else ()


def masks() -> dict[str, tuple[tuple[str, ...], str]]:
    """Return the ways this machine has to mount over a program: a command, and what to exec by.

    Some kernels keep user namespaces from ordinary users; root can always make its own view.
    """
    anybody = (*NOBODY, "unshare", "-Urm", "sh", "-c")
    ways: dict[str, tuple[tuple[str, ...], str]] = {}
    if IS_ROOT:
        ways["as root"] = ("unshare", "-m", "sh", "-c"), " ".join(NOBODY)
    if subprocess.run([*anybody, "mount --bind /bin /bin"], check=False).returncode == 0:
        ways["as anybody"] = anybody, ""
    return ways


@pytest.mark.parametrize(("prefix", "drop"), masks().values(), ids=masks().keys())
async def test_a_bind_mounted_fake_secret_tool_is_not_presented_as_secret_tool(
    prefix: tuple[str, ...], drop: str, witness: Witness, start: Start
) -> None:
    tool, fake = where("secret-tool"), where("cat")
    process = start(*prefix, f"mount --bind {fake} {tool} && exec {drop} {tool} -")
    echoed(process)
    link = os.readlink(f"/proc/{process.pid}/exe")  # noqa: PTH115  # the very text a path-based check reads

    found = await seen(witness, process.pid)

    assert link == str(tool)
    assert found.summary == "unknown program (calls itself secret-tool)"
    (value,) = values(found, "program")
    assert value.startswith("warning: sees other files than this system: ")
    assert value.endswith(f"what it calls {tool} is NOT the file of that name here")
    assert not found.trusted
    assert found.program is not None
    assert found.program.exe_inode == inode(fake) != inode(tool)


@pytest.mark.root
@pytest.mark.skipif(not IS_ROOT, reason="needs root, to choose the number of a process")
async def test_a_reused_pid_never_yields_the_facts_of_its_new_owner(witness: Witness) -> None:
    first = paused()
    pidfd = os.pidfd_open(first)
    before = await witness.look(pidfd)
    end(first)
    second = fork_as(first)
    try:
        after = await witness.look(pidfd)
        verdict = await witness.check(pidfd, before)
        fresh = os.pidfd_open(second)
        mistaken = await witness.check(fresh, before)
        os.close(fresh)
    finally:
        end(second)
        os.close(pidfd)

    assert second == first
    assert before.process is not None
    assert after.process is None
    assert after.program is None
    assert not after.trusted
    assert verdict == "it has exited"
    assert mistaken == "it is another process than the one that asked"


def paused() -> int:
    """Fork a child that waits to be killed."""
    child = os.fork()
    if child == 0:
        signal.pause()
        os._exit(0)
    return child


def end(child: int) -> None:
    """Kill and reap a child: from then on its number is free."""
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def fork_as(pid: int) -> int:
    """Fork a child that gets the number `pid`: clone3(2) with `set_tid`."""
    numbers = (ctypes.c_int * 1)(pid)
    arguments = (ctypes.c_uint64 * 11)(0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0)
    arguments[8], arguments[9] = ctypes.addressof(numbers), 1
    libc = ctypes.CDLL(None, use_errno=True)
    child: int = libc.syscall(435, arguments, ctypes.sizeof(arguments))
    if child == 0:
        signal.pause()
        os._exit(0)
    if child < 0:
        raise OSError(ctypes.get_errno(), "clone3")
    return child


@pytest.mark.parametrize("successor", ["cat", "python3"])
async def test_a_process_that_executes_another_program_after_asking_is_found_out(
    successor: str, witness: Witness, start: Start, tmp_path: Path
) -> None:
    other = script(tmp_path / "b.py", "print('ready', flush=True); input()")
    arguments = ["cat", "-"] if successor == "cat" else ["python3", str(other)]
    first = script(
        tmp_path / "a.py",
        f"import os, sys; print('ready', flush=True); os.read(0, 1); os.execvp({arguments[0]!r}, {arguments!r})",
    )
    process = start("python3", first)
    ready(process)
    pidfd = os.pidfd_open(process.pid)
    asked = await witness.look(pidfd)
    unchanged = await witness.check(pidfd, asked)
    assert process.stdin is not None
    process.stdin.write(b"\n" + READY if successor == "cat" else b"\n")
    process.stdin.flush()
    assert ready(process) == READY

    verdict = await witness.check(pidfd, asked)
    os.close(pidfd)

    assert unchanged == ""
    assert verdict == "it has executed another program since it asked"


async def test_a_tracer_is_a_warning(witness: Witness, start: Start) -> None:
    process = start("python3", "-c", TRACED)
    assert ready(process) == READY
    tracer = start(
        "python3",
        "-c",
        TRACE,
        str(process.pid),
    )
    assert ready(tracer) == READY

    found = await seen(witness, process.pid)

    (value,) = values(found, "traced")
    assert value.startswith("warning: python3")
    assert not found.trusted


async def test_a_preloaded_library_is_named_without_its_value(
    witness: Witness, start: Start
) -> None:
    process = start("cat", env={"PATH": os.environ["PATH"], "LD_PRELOAD": "libm.so.6"})
    echoed(process)

    found = await seen(witness, process.pid)

    assert values(found, "environment") == ["warning: loads other code: LD_PRELOAD"]
    assert "libm" not in repr(found)


async def test_a_deleted_program_is_a_warning(
    witness: Witness, start: Start, tmp_path: Path
) -> None:
    program = tmp_path / "cat"
    copy(where("cat"), program)
    process = start(program)
    program.unlink()
    copy(where("env"), program)

    found = await seen(witness, process.pid)

    assert "deleted or replaced" in values(found, "program")[0]
    assert found.summary.startswith("unknown program")
    assert not found.trusted


async def test_a_program_in_memory_is_a_warning(witness: Witness, start: Start) -> None:
    process = start(
        "python3",
        "-c",
        "import os; fd = os.memfd_create('secret-tool')\n"
        f"os.write(fd, open({str(where('cat'))!r}, 'rb').read()); os.execve(fd, ['cat', '-'], {{}})",
    )
    echoed(process)

    found = await seen(witness, process.pid)

    assert "runs from memory" in values(found, "program")[0]
    assert not found.trusted


@pytest.mark.parametrize(
    "name", [b"a\nb", b"x) S 1 1 1 (", b"\xff\xfe\x1b[2J", "\u202egnp".encode(), b"d (deleted)"]
)
async def test_hostile_names_yield_facts_all_the_same(
    name: bytes, witness: Witness, start: Start, tmp_path: Path
) -> None:
    program = os.fsencode(tmp_path) + b"/" + name
    copy(os.fsencode(where("cat")), program)
    process = start(os.fsdecode(program), "-")
    echoed(process)

    found = await seen(witness, process.pid)

    shown = program.decode("utf-8", "backslashreplace")
    assert values(found, "program") == [f"verified: {shown}"]
    assert found.process is not None
    assert found.process.pid == process.pid


async def test_a_program_that_others_can_replace_is_a_warning(
    witness: Witness, start: Start, tmp_path: Path
) -> None:
    program = tmp_path / "open" / "cat"
    program.parent.mkdir()
    copy(where("cat"), program)
    program.parent.chmod(0o777)
    process = start(program)
    echoed(process)

    found = await seen(witness, process.pid)

    assert f"warning: other users can change it, through {program.parent}" in values(
        found, "program file"
    )


async def test_a_requester_that_is_gone_has_no_evidence(witness: Witness, start: Start) -> None:
    process = start("true")
    pidfd = os.pidfd_open(process.pid)
    assert has_exited(process)

    found = await witness.look(pidfd)
    os.close(pidfd)

    assert found.process is None
    assert found.program is None
    assert not found.trusted


async def test_what_is_no_pidfd_is_refused(witness: Witness) -> None:
    fd = os.open(os.devnull, os.O_RDONLY)
    found = await witness.look(fd)
    os.close(fd)

    assert found.process is None
    assert not found.trusted


async def test_a_witness_that_hangs_is_replaced(
    witness: Witness, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = start("cat")
    pidfd = os.pidfd_open(process.pid)
    before = await witness.look(pidfd)
    (pid,) = [child for child in children() if child != process.pid]
    os.kill(pid, signal.SIGSTOP)
    with monkeypatch.context() as patch:
        patch.setattr("privyseal.keeper.evidence.CHECK_SECONDS", 0.05)
        hanging = await witness.check(pidfd, before)

    after = await witness.check(pidfd, before)
    os.close(pidfd)

    assert hanging == "the witness does not answer"
    assert after == ""


async def test_a_witness_that_dies_is_replaced_and_the_question_put_again(
    witness: Witness, start: Start
) -> None:
    process = start("cat")
    pidfd = os.pidfd_open(process.pid)
    before = await witness.look(pidfd)
    (pid,) = [child for child in children() if child != process.pid]
    os.kill(pid, signal.SIGSTOP)
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(witness.check(pidfd, before)) for _ in range(5)]
        await asyncio.sleep(0)
        os.kill(pid, signal.SIGKILL)
    os.close(pidfd)

    assert [task.result() for task in waiting] == [""] * 5


async def test_without_a_witness_nothing_is_guessed(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    process = start("cat")

    async with Witness.open() as witness:
        found = await seen(witness, process.pid)

    assert found.summary == "unknown program (no witness)"
    assert found.process is None
    assert not found.trusted


async def test_many_questions_at_once_get_their_own_answers(witness: Witness, start: Start) -> None:
    processes = [start("cat") for _ in range(10)]

    async with asyncio.TaskGroup() as group:
        looks = {p.pid: group.create_task(seen(witness, p.pid)) for p in processes * 3}

    for pid, task in looks.items():
        process = task.result().process
        assert process is not None
        assert process.pid == pid


@pytest.mark.parametrize(
    "message", [b"{", b"[]", b"{}", b'{"op":"look"}', b"x" * 300, b'{"id":1,"op":"kill"}']
)
def test_a_peer_that_breaks_the_rules_gets_no_facts(message: bytes) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        program = subprocess.Popen(
            [sys.executable, "-I", "-m", "privyseal.witness", "--fd", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stderr=subprocess.DEVNULL,
        )
        theirs.close()
        with program, Path(os.devnull).open("rb") as file:
            socket.send_fds(ours, [message], [file.fileno()])
            ours.shutdown(socket.SHUT_WR)
            answer = ours.recv(65536)

    assert answer in {b"", b'{"id": 1, "state": "refused"}', b'{"id": null, "state": "refused"}'}
