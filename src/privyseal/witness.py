"""Reads evidence about one process, given by pidfd, and answers it; nothing else.

This program may run as root, so it loads nothing but the standard library. It takes datagrams from
one connected SOCK_SEQPACKET socket, `--fd N`: a JSON object with `id` and `op` and one pidfd beside
it, and answers each with one JSON object that repeats the `id`. It interprets nothing: what cannot
be read is null, and what it all means is the keeper's business.

    check   is it alive, since when, which executable and mount namespace, what program image
    look    the same and everything else that /proc tells (proc(5))

Looking opens files that the requester chose, which may hang for ever (FUSE). So each look runs in a
child of its own that an alarm kills; the asker then gets no answer.
"""

# ruff: noqa: PTH  # paths are bytes here, which pathlib does not take

import errno
import hashlib
import json
import os
import select
import signal
import socket
import stat as modes
import sys
from typing import Final, Self

from privyseal.wire.procfs import (
    Stat,
    find_script,
    interpreter,
    parse_arguments,
    parse_cgroup,
    parse_lines,
    parse_numbers,
    parse_stat,
    parse_taints,
    text,
)

MAX_REQUEST: Final = 256
LOOK_SECONDS: Final = 2
MAX_TEXT: Final = 4096
MAX_ENVIRONMENT: Final = 1024 * 1024
MAX_SCRIPT: Final = 8 * 1024 * 1024
MAX_PARENTS: Final = 16
ATTEMPTS: Final = 3

Facts = dict[str, object]


class Process:
    """A process by a descriptor of its /proc folder, which never comes to mean another process."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.folder = os.open(f"/proc/{pid}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.folder)

    def read(self, name: str, limit: int = MAX_TEXT) -> bytes | None:
        """Return at most `limit` bytes of a file of the folder."""
        try:
            fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=self.folder)
        except OSError:
            return None
        try:
            data = b""
            while len(data) < limit and (piece := os.read(fd, limit - len(data))):
                data += piece
        except OSError:
            return None
        finally:
            os.close(fd)
        return data

    def link(self, name: str) -> bytes | None:
        """Return where a link of the folder points to, by the kernel's own words."""
        try:
            return os.fsencode(os.readlink(name, dir_fd=self.folder))
        except OSError:
            return None

    def stat(self, name: str) -> os.stat_result | None:
        """Return the status of what a link of the folder leads to."""
        try:
            return os.stat(name, dir_fd=self.folder)
        except OSError:
            return None

    def numbers(self) -> Stat | None:
        """Return what /proc/PID/stat holds."""
        return parse_stat(self.read("stat", 1024) or b"")

    def status(self) -> dict[bytes, bytes]:
        """Return the lines of /proc/PID/status."""
        return parse_lines(self.read("status", 16384) or b"")


def check(process: Process) -> Facts:
    """Return what names a process and the program in it."""
    numbers, exe, mounts = process.numbers(), process.stat("exe"), process.stat("ns/mnt")
    return {
        "pid": process.pid,
        "start": numbers and numbers.start,
        "image": numbers.image if numbers else "",
        "exe": exe and (exe.st_dev, exe.st_ino),
        "mounts": mounts and mounts.st_ino,
    }


def look(process: Process) -> Facts:
    """Return all that can be read of a process."""
    numbers = process.numbers() or Stat(b"", 0, 0, 0, 0, "")
    status = process.status()
    uids = parse_numbers(status.get(b"Uid", b""))
    environment = process.read("environ", MAX_ENVIRONMENT)
    arguments = process.read("cmdline")
    tracer = parse_numbers(status.get(b"TracerPid", b""))
    return {
        "uids": uids,
        "comm": text(numbers.comm),
        "arguments": [text(word, 1024) for word in parse_arguments(arguments or b"")],
        "cwd": text(process.link("cwd")),
        "parents": parents(process, numbers),
        "session": relative(numbers.session),
        "tty": numbers.tty,
        "cgroup": text(parse_cgroup(process.read("cgroup") or b"")),
        "flatpak": text(process.read("root/.flatpak-info")),
        "label": text(process.read("attr/current", 256)),
        "tracer": relative(tracer[0]) if tracer else None,
        "taints": None if environment is None else parse_taints(environment),
        "environment_cut": len(environment or b"") >= MAX_ENVIRONMENT,
        "login": next(iter(parse_numbers(process.read("loginuid") or b"")), None),
        "audit_session": next(iter(parse_numbers(process.read("sessionid") or b"")), None),
        **program(process, parse_arguments(arguments or b""), status),
    }


def relative(pid: int) -> Facts | None:
    """Return what is told of a process near the requester; `start` is 0 once it has exited."""
    if pid <= 0:
        return None
    try:
        with Process(pid) as process:
            numbers = process.numbers()
            if numbers is None:
                return {"pid": pid, "start": 0}
            path = process.link("exe")
            words = parse_arguments(process.read("cmdline", 256) or b"")
            status = process.status()
            return {
                "pid": pid,
                "start": numbers.start,
                "comm": text(numbers.comm),
                "path": text(path, 512),
                "ours": path is not None and is_here(path, process.stat("exe")),
                "arguments": [text(word) for word in words],
                "uid": next(iter(parse_numbers(status.get(b"Uid", b""))), None),
                "session": numbers.session,
            }
    except OSError:
        return {"pid": pid, "start": 0}


def parents(process: Process, numbers: Stat) -> list[Facts]:
    """Return the parents, nearest first, up to the first process of the system."""
    chain: list[Facts] = []
    ppid = numbers.ppid
    while ppid > 0 and len(chain) < MAX_PARENTS:
        parent = relative(ppid) or {}
        chain.append(parent)
        try:
            with Process(ppid) as above:
                ppid = (above.numbers() or numbers).ppid if parent["start"] else 0
        except OSError:
            break
    # A parent that exited while it was read was replaced: the chain was that of nobody.
    current = process.numbers()
    return chain if current and current.ppid == numbers.ppid else []


def is_here(path: bytes, found: os.stat_result | None) -> bool:
    """Return whether `path` means that very file in the mount namespace of this program."""
    try:
        here = os.stat(path)
    except (OSError, ValueError):
        return False
    return found is not None and (here.st_dev, here.st_ino) == (found.st_dev, found.st_ino)


def program(process: Process, words: list[bytes], status: dict[bytes, bytes]) -> Facts:
    """Return what is known of the executable and, if it is an interpreter, of its script."""
    path, exe, mounts = process.link("exe"), process.stat("exe"), process.stat("ns/mnt")
    if path is None or exe is None:
        return {"path": None}
    uid = next(iter(parse_numbers(status.get(b"Uid", b""))), -1)
    gids = parse_numbers(status.get(b"Gid", b"") + b" " + status.get(b"Groups", b""))
    root, our_root = process.stat("root"), os.stat("/")
    ours = (
        mounts is not None
        and mounts.st_ino == os.stat("/proc/self/ns/mnt").st_ino
        and root is not None
        and (root.st_dev, root.st_ino) == (our_root.st_dev, our_root.st_ino)
    )
    here = is_here(path, exe)
    facts: Facts = {
        "path": text(path),
        "ours": mounts and ours,
        "here": here,
        "deleted": exe.st_nlink == 0,
        "memory": exe.st_nlink == 0 and path.startswith(b"/memfd:"),
        "owner": exe.st_uid,
        "mode": modes.S_IMODE(exe.st_mode),
        "writers": writers(path, uid, gids) if ours and here else None,
    }
    if not (family := interpreter(path)):
        return facts
    kind, word = find_script(family, words[1:])
    facts |= {"interpreter": family, "code": kind, "word": text(word)}
    if kind == "file" and ours:
        facts["script"] = script(process, word, uid, gids)
    return facts


def script(process: Process, word: bytes, uid: int, gids: list[int]) -> Facts | None:
    """Return path, hash and age of the file that `word` means in the process's folder."""
    fds: list[int] = []
    try:
        fds.append(os.open("cwd", os.O_PATH | os.O_CLOEXEC, dir_fd=process.folder))
        fds.append(os.open(word, os.O_PATH | os.O_CLOEXEC, dir_fd=fds[0]))
        status = os.fstat(fds[1])
        if not modes.S_ISREG(status.st_mode):
            return None
        link = f"/proc/self/fd/{fds[1]}"
        path = os.fsencode(os.readlink(link))
        fds.append(os.open(link, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
        digest, size = hashlib.sha256(), 0
        while size <= MAX_SCRIPT and (piece := os.read(fds[2], 256 * 1024)):
            digest.update(piece)
            size += len(piece)
        return {
            "path": text(path),
            "sha256": digest.hexdigest() if size <= MAX_SCRIPT else "",
            "modified": int(status.st_mtime),
            "writers": writers(path, uid, gids),
        }
    except (OSError, ValueError):
        return None
    finally:
        for fd in fds:
            os.close(fd)


def writers(path: bytes, uid: int, gids: list[int]) -> tuple[str, str | None] | None:
    """Return who below root can change a file or swap it: nobody (``), its `user` or `others`.

    The second value is the file or folder that lets them. Access control lists count as far as the
    mode shows them: its group bits are then the mask (acl(5)).
    """
    found: tuple[str, str | None] = ("", None)
    while True:
        try:
            status = os.stat(path)
        except OSError:
            return None
        guarded = modes.S_ISDIR(status.st_mode) and status.st_mode & modes.S_ISVTX
        by_group = status.st_mode & modes.S_IWGRP and status.st_gid and not guarded
        by_all = status.st_mode & modes.S_IWOTH and not guarded
        if by_all or status.st_uid not in {0, uid} or (by_group and status.st_gid not in gids):
            return "others", text(path)
        if not found[0] and uid and (status.st_uid == uid or by_group):
            found = "user", text(path)
        if path == b"/":
            return found
        path = os.path.dirname(path)


def answer(op: object, pidfd: int) -> Facts:
    """Return the facts of the process behind `pidfd`, all of them of the same instant.

    The descriptor of the /proc folder is opened first and the pidfd asked last: if it still is the
    process then, its number was never free in between, and every line read was its own.
    """
    reader = {"check": None, "look": look}
    if op not in reader:
        return {"state": "refused"}
    exited = select.poll()
    exited.register(pidfd, select.POLLIN)
    facts: Facts = {"state": "gone"}
    for _ in range(ATTEMPTS):
        pid = parse_numbers(parse_lines(read_fdinfo(pidfd)).get(b"Pid", b"")) or [0]
        if pid[0] <= 0:
            return {"state": "gone" if pid[0] < 0 else "refused"}
        try:
            with Process(pid[0]) as process:
                facts = check(process)
                if op == "look":
                    facts |= look(process)
                    steady = check(process).items() <= facts.items()
                else:
                    steady = True
        except OSError as error:
            if error.errno not in {errno.ENOENT, errno.ESRCH}:
                raise
            return {"state": "gone"}
        if exited.poll(0):
            return {"state": "gone"}
        facts["state"] = "alive" if steady else "unsteady"
        if steady:
            break
    return facts


def read_fdinfo(fd: int) -> bytes:
    """Return /proc/self/fdinfo of a descriptor; a pidfd has a `Pid` line, -1 after its exit."""
    info = os.open(f"/proc/self/fdinfo/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(info, 1024)
    finally:
        os.close(info)


def reply(peer: socket.socket, request: dict[str, object], pidfd: int) -> None:
    """Answer one request, as far as this system lets us."""
    try:
        facts = answer(request.get("op"), pidfd)
    except OSError:
        facts = {"state": "refused"}
    peer.send(json.dumps({"id": request.get("id"), **facts}).encode())


def serve(peer: socket.socket) -> None:
    """Answer requests until the peer hangs up or breaks the rules."""
    while True:
        message, fds, flags, _ = socket.recv_fds(peer, MAX_REQUEST, 2)
        try:
            if not message or flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC) or len(fds) != 1:
                return
            request = json.loads(message)
            if request["op"] != "look":
                reply(peer, request, fds[0])
            elif os.fork() == 0:
                signal.alarm(LOOK_SECONDS)
                reply(peer, request, fds[0])
                os._exit(0)
        finally:
            for fd in fds:
                os.close(fd)


def main() -> None:
    """Serve the socket named on the command line."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    serve(socket.socket(fileno=int(sys.argv[sys.argv.index("--fd") + 1])))


if __name__ == "__main__":
    main()
