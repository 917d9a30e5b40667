"""Reads evidence about one process, given by pidfd, and answers it; nothing else.

This program may run as root, so it loads nothing but the standard library. It takes datagrams from
a SOCK_SEQPACKET socket: a JSON object with `id` and `op` and one pidfd beside it, and answers each
with one JSON object that repeats the `id`. It interprets nothing: what cannot be read is null, and
what it all means is the keeper's business.

    --fd N                   one connected socket, from a keeper that runs as the same user
    --uid N --peer ACCOUNT   a listening socket from systemd (sd_listen_fds(3)): only that account is
                             answered, and only about processes whose real user is N

    check   is it alive, since when, which executable and mount namespace, what program image
    look    the same and everything else that /proc tells (proc(5))

Looking opens files that the requester chose, which may hang for ever (FUSE). So each look runs in a
child of its own that an alarm kills; the asker then gets no answer.
"""

# Paths are bytes here, which pathlib does not take.
# ruff: noqa: PTH115, PTH116, PTH120

import hashlib
import json
import os
import pwd
import select
import signal
import socket
import stat as modes
import struct
import sys
from contextlib import ExitStack, suppress
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
NOTHING: Final = Stat(b"", 0, 0, 0, 0, "")
FIRST_FD: Final = 3

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

    def read(self, name: str, limit: int = MAX_TEXT, owner: int | None = None) -> bytes | None:
        """Return at most `limit` bytes of a file of the folder, if it is that owner's."""
        try:
            fd = os.open(
                name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=self.folder
            )
        except OSError:
            return None
        try:
            data, foreign = b"", owner is not None and os.fstat(fd).st_uid != owner
            while not foreign and len(data) < limit and (piece := os.read(fd, limit - len(data))):
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


def look(process: Process, user: int | None) -> Facts:
    """Return all that can be read of a process."""
    numbers = process.numbers() or NOTHING
    status = process.status()
    tracer = first(status.get(b"TracerPid"))
    environment = process.read("environ", MAX_ENVIRONMENT)
    words = parse_arguments(process.read("cmdline") or b"")
    return {
        "uids": parse_numbers(status.get(b"Uid", b"")),
        "comm": text(numbers.comm),
        "arguments": [text(word, 1024) for word in words],
        "cwd": text(process.link("cwd")),
        "parents": parents(process.pid, numbers, user),
        "session": relative(numbers.session, user)[0] if numbers.session > 0 else None,
        "tty": numbers.tty,
        "cgroup": text(parse_cgroup(process.read("cgroup") or b"")),
        # A root of its own can hold what only we may read under that name.
        "flatpak": text(process.read("root/.flatpak-info", 1024, first(status.get(b"Uid")) or -1)),
        "label": text(process.read("attr/current", 256)),
        "tracer": relative(tracer, user)[0] if tracer else None,
        "taints": None if environment is None else parse_taints(environment),
        "environment_cut": len(environment or b"") >= MAX_ENVIRONMENT,
        "login": first(process.read("loginuid")),
        "audit_session": first(process.read("sessionid")),
        **program(process, words, status),
    }


def first(line: bytes | None) -> int | None:
    """Return the first number of a line."""
    return next(iter(parse_numbers(line or b"")), None)


def owner(process: Process) -> int | None:
    """Return the real UID of a process."""
    return first(process.status().get(b"Uid"))


def relative(pid: int, user: int | None) -> tuple[Facts, Stat]:
    """Return what is told of a process near the requester; `start` is 0 once it has exited.

    Of another user's process that is what the kernel tells everybody, and no path or argument.
    """
    try:
        with Process(pid) as process:
            numbers = process.numbers() or NOTHING
            uid = owner(process)
            told = user in {None, uid}
            path = process.link("exe") if told else None
            words = parse_arguments(process.read("cmdline", 256) or b"") if told else []
            return {
                "pid": pid,
                "start": numbers.start,
                "comm": text(numbers.comm),
                "path": text(path, 512),
                "genuine": path is not None and is_ours(process) and is_here(process, path),
                "arguments": [text(word) for word in words],
                "uid": uid,
                "session": numbers.session,
            }, numbers
    except OSError:
        return {"pid": pid, "start": 0}, NOTHING


def parents(pid: int, numbers: Stat, user: int | None) -> list[Facts]:
    """Return the parents, nearest first, up to the first process of the system."""
    chain: list[Facts] = []
    while numbers.ppid > 0 and len(chain) < MAX_PARENTS:
        parent, above = relative(numbers.ppid, user)
        now = relative(pid, user)[1]
        # Its number may have been given away before we read it, but not while it is the parent.
        if (now.start, now.ppid) != (numbers.start, numbers.ppid):
            parent, above = {"pid": numbers.ppid, "start": 0}, NOTHING
        chain.append(parent)
        pid, numbers = numbers.ppid, above
    return chain


def is_ours(process: Process) -> bool:
    """Return whether a process sees the files that this program sees: same mounts, same root."""
    # So this program must see what the system sees: its unit has no sandbox of mounts, or every
    # requester would look as if it hid in one.
    for name in ("ns/mnt", "root"):
        theirs, ours = process.stat(name), os.stat(f"/proc/self/{name}")
        if theirs is None or not os.path.samestat(theirs, ours):
            return False
    return True


def is_here(process: Process, path: bytes) -> bool:
    """Return whether `path`, read by this program, is the very file that the process runs."""
    exe = process.stat("exe")
    try:
        return exe is not None and os.path.samestat(exe, os.stat(path))
    except (OSError, ValueError):
        return False


def program(process: Process, words: list[bytes], status: dict[bytes, bytes]) -> Facts:
    """Return what is known of the executable and, if it is an interpreter, of its script."""
    path, exe = process.link("exe"), process.stat("exe")
    if path is None or exe is None:
        return {}
    uid = next(iter(parse_numbers(status.get(b"Uid", b""))), -1)
    gids = parse_numbers(status.get(b"Gid", b"") + b" " + status.get(b"Groups", b""))
    ours, here = is_ours(process), is_here(process, path)
    facts: Facts = {
        "path": text(path),
        "ours": ours,
        "here": here,
        "deleted": exe.st_nlink == 0,
        "memory": exe.st_nlink == 0 and path.startswith(b"/memfd:"),
        "owner": exe.st_uid,
        "mode": modes.S_IMODE(exe.st_mode),
        "writers": writers(path, uid, gids) if ours and here else None,
    }
    if family := interpreter(path):
        kind, word = find_script(family, words[1:])
        facts |= {"interpreter": family, "code": kind, "word": text(word)}
        if kind == "file" and ours:
            facts["script"] = script(process, word, uid, gids)
    return facts


def script(process: Process, word: bytes, uid: int, gids: list[int]) -> Facts | None:
    """Return path, hash and age of the file that `word` means in the process's folder."""
    if word.startswith((b"/proc/", b"/dev/")):  # means something else to each who reads it
        return None
    with ExitStack() as stack:

        def opened(path: bytes | str, flags: int, folder: int | None = None) -> int:
            fd = os.open(path, flags | os.O_CLOEXEC, dir_fd=folder)
            stack.callback(os.close, fd)
            return fd

        try:
            # Opening a device or a pipe acts on it, so see what it is before reading.
            folder = opened("cwd", os.O_PATH, process.folder)
            link = f"/proc/self/fd/{opened(word, os.O_PATH, folder)}"
            status, path = os.stat(link), os.fsencode(os.readlink(link))
            if not modes.S_ISREG(status.st_mode) or not readable(path, uid, gids):
                return None
            content = opened(link, os.O_RDONLY)
            digest, size = hashlib.sha256(), 0
            while size <= MAX_SCRIPT and (piece := os.read(content, 256 * 1024)):
                digest.update(piece)
                size += len(piece)
        except (OSError, ValueError):
            return None
    return {
        "path": text(path),
        "sha256": digest.hexdigest() if size <= MAX_SCRIPT else "",
        "modified": int(status.st_mtime),
        "writers": writers(path, uid, gids),
    }


def readable(path: bytes, uid: int, gids: list[int], wanted: int = modes.S_IROTH) -> bool:
    """Return whether the requester may read a file and search the folders above, if we may more."""
    status = os.stat(path)
    shift = 6 if status.st_uid == uid else 3 if status.st_gid in gids else 0
    denied = uid not in {0, os.geteuid()} and not status.st_mode >> shift & wanted
    above = os.path.dirname(path)
    return not denied and (path == above or readable(above, uid, gids, modes.S_IXOTH))


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


def pid_of(pidfd: int) -> int:
    """Return the number of a process by its pidfd: -1 once it has exited, 0 if it is no pidfd."""
    fd = os.open(f"/proc/self/fdinfo/{pidfd}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return first(parse_lines(os.read(fd, 1024)).get(b"Pid")) or 0
    finally:
        os.close(fd)


def answer(op: object, pidfd: int, user: int | None) -> Facts:
    """Return the facts of the process behind `pidfd`, all of them of the same program.

    `user`: whose process it has to be, by its real UID; None where the kernel sees to that.

    The descriptor of the /proc folder is opened first and the pidfd asked last: if it still is the
    process then, its number was never free in between, and every line read was its own.

    Raises:
        OSError: This system does not let us look.
    """
    exited = select.poll()
    exited.register(pidfd, select.POLLIN)
    facts: Facts = {}
    for _ in range(ATTEMPTS):
        pid = pid_of(pidfd)
        if pid <= 0 or op not in {"look", "check"}:
            return {"state": "gone" if pid < 0 else "refused"}
        try:
            with Process(pid) as process:
                facts = check(process)
                steady, told = op == "check", user in {None, owner(process)}
                if op == "look" and told:
                    facts |= look(process, user)
                    steady = check(process).items() <= facts.items()
                told = told and user in {None, owner(process)}
        except (FileNotFoundError, ProcessLookupError):
            return {"state": "gone"}
        if exited.poll(0):
            return {"state": "gone"}
        if not told:
            return {"state": "refused"}
        facts["state"] = "alive" if steady else "unsteady"
        if steady:
            break
    return facts


def reply(peer: socket.socket, request: dict[str, object], pidfd: int, user: int | None) -> None:
    """Answer one request, as far as this system lets us."""
    try:
        facts = answer(request.get("op"), pidfd, user)
    except OSError:
        facts = {"state": "refused"}
    peer.send(json.dumps({"id": request.get("id"), **facts}).encode())


def serve(peer: socket.socket, user: int | None) -> None:
    """Answer requests until the peer hangs up or breaks the rules."""
    while True:
        message, fds, flags, _ = socket.recv_fds(peer, MAX_REQUEST, 2)
        try:
            if not message or flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC) or len(fds) != 1:
                return
            request = json.loads(message)
            if request["op"] != "look":
                reply(peer, request, fds[0], user)
            elif os.fork() == 0:
                signal.alarm(LOOK_SECONDS)
                reply(peer, request, fds[0], user)
                os._exit(0)
        finally:
            for fd in fds:
                os.close(fd)


def welcome(listener: socket.socket, user: int, peer: int) -> None:
    """Answer each connection of `peer` in a child of its own, so that none can stop the others."""
    while True:
        with suppress(OSError), listener.accept()[0] as connection:
            size = struct.calcsize("3i")
            credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
            if struct.unpack("3i", credentials)[1] == peer and os.fork() == 0:
                listener.close()
                with suppress(Exception):  # a peer that breaks the rules is hung up on
                    serve(connection, user)
                os._exit(0)


def main() -> None:
    """Serve the socket that the command line or systemd gives."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    options = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
    if "--fd" in options:
        serve(socket.socket(fileno=int(options["--fd"])), None)
    elif (os.environ.get("LISTEN_PID"), os.environ.get("LISTEN_FDS")) != (str(os.getpid()), "1"):
        sys.exit("systemd has passed no socket to the witness; start its socket unit")
    else:
        peer = pwd.getpwnam(options["--peer"]).pw_uid
        welcome(socket.socket(fileno=FIRST_FD), int(options["--uid"]), peer)


if __name__ == "__main__":
    main()
