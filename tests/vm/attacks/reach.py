"""Attacks of one user on processes and files of others: `reach.py pid PID`, `reach.py path PATH...`.

Prints one line for each attack: "NAME through ..." or "NAME refused ...". Only the standard library.
"""

import contextlib
import ctypes
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
PTRACE_SEIZE, PTRACE_DETACH = 0x4206, 17
PIDFD_OPEN, PIDFD_GETFD, PROCESS_VM_READV, PROCESS_VM_WRITEV = 434, 438, 310, 311


def call(number: int, *arguments: object) -> int:
    """Make a system call; OSError when it fails."""
    whole = (
        ctypes.c_long(a) if isinstance(a, int) else a for a in arguments
    )  # registers have 64 bits
    result = LIBC.syscall(ctypes.c_long(number), *whole)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return int(result)


def seize(pid: int) -> str:
    if LIBC.ptrace(PTRACE_SEIZE, pid, None, None) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    LIBC.ptrace(PTRACE_DETACH, pid, None, None)
    return "traced"


def moved(number: int) -> Callable[[int], str]:
    def attack(pid: int) -> str:
        there = ctypes.create_string_buffer(8)
        address = 0x400000
        with contextlib.suppress(OSError):
            text = Path(f"/proc/{pid}/maps").read_text()
            writable = next(line for line in text.splitlines() if " rw-p " in line)
            address = int(writable.split("-")[0], 16)
        ours = (ctypes.c_ulong * 2)(ctypes.addressof(there), 8)  # a struct iovec
        theirs = (ctypes.c_ulong * 2)(address, 8)
        call(number, pid, ctypes.byref(ours), 1, ctypes.byref(theirs), 1, 0)
        return "its memory"

    return attack


def steal_fd(pid: int) -> str:
    pidfd = call(PIDFD_OPEN, pid, 0)
    os.close(call(PIDFD_GETFD, pidfd, 0, 0))
    return "its descriptor 0"


def opened(name: str, flags: int = os.O_RDONLY) -> Callable[[int], str]:
    def attack(pid: int) -> str:
        fd = os.open(f"/proc/{pid}/{name}", flags)
        # The kernel decides about some of these only when they are read.
        if name != "mem" and flags == os.O_RDONLY:
            os.read(fd, 1)
        os.close(fd)
        return "open"

    return attack


def listed(name: str) -> Callable[[int], str]:
    return lambda pid: f"{len(os.listdir(f'/proc/{pid}/{name}'))} names"  # noqa: PTH208 - the names alone


def link(name: str) -> Callable[[int], str]:
    return lambda pid: os.readlink(f"/proc/{pid}/{name}")  # noqa: PTH115 - the text alone


def sent(number: int) -> Callable[[int], str]:
    def attack(pid: int) -> str:
        os.kill(pid, number)
        return "sent"

    return attack


def limit(pid: int) -> str:
    resource.prlimit(pid, resource.RLIMIT_CORE, resource.prlimit(pid, resource.RLIMIT_CORE))
    return "limits changed"


def slow(pid: int) -> str:
    os.setpriority(os.PRIO_PROCESS, pid, 19)
    return "priority changed"


def pinned(pid: int) -> str:
    os.sched_setaffinity(pid, {0})
    return "bound to a processor"


READING: dict[str, Callable[[int], str]] = {
    "ptrace": seize,
    "process_vm_readv": moved(PROCESS_VM_READV),
    "process_vm_writev": moved(PROCESS_VM_WRITEV),
    "pidfd_getfd": steal_fd,
    "mem": opened("mem"),
    "mem-write": opened("mem", os.O_WRONLY),
    "environ": opened("environ"),
    "maps": opened("maps"),
    "auxv": opened("auxv"),
    "fd": listed("fd"),
    "root": listed("root"),
    "cwd": link("cwd"),
    "exe": link("exe"),
}
TOUCHING: dict[str, Callable[[int], str]] = {
    "limits": limit,
    "priority": slow,
    "affinity": pinned,
    "stop": sent(signal.SIGSTOP),
    "continue": sent(signal.SIGCONT),
    "kill": sent(signal.SIGKILL),
}


def reach(path: str) -> Iterator[tuple[str, Callable[[], str]]]:
    def read() -> str:
        if Path(path).is_dir():
            return f"{len(os.listdir(path))} names"  # noqa: PTH208 - the names alone
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        os.close(fd)
        return "open"

    def write() -> str:
        if Path(path).is_dir():
            made = Path(path) / "planted"
            made.write_text("")
            made.unlink()
            return "a file made in it"
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY))
        return "open for writing"

    def connect() -> str:
        last: OSError | None = None
        for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
            with socket.socket(socket.AF_UNIX, kind) as one:
                try:
                    one.connect(path)
                except OSError as error:
                    last = error
                else:
                    return "connected"
        raise last or OSError("no socket")

    yield "read", read
    yield "write", write
    yield "connect", connect


def told(name: str, attack: Callable[[], str]) -> None:
    try:
        print(name, "through", attack())
    except OSError as error:
        print(name, "refused", error.strerror)


def main() -> None:
    kind, *targets = sys.argv[1:]
    for target in targets:
        if kind == "path":
            for name, attack in reach(target):
                told(f"{name}:{target}", attack)
            continue
        attacks = READING if kind == "memory" else {**READING, **TOUCHING}
        for name, aimed in attacks.items():
            told(f"{name}:{target}", lambda aimed=aimed, target=target: aimed(int(target)))  # type: ignore[misc]  # mypy cannot infer a default


if __name__ == "__main__":
    main()
