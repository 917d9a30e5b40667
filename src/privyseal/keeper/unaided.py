"""Reads of a process what the kernel tells everybody: all there is where no witness answers.

Nothing here reads a process's memory, not even its command line: a page of that may lie in a file
system of its own making (FUSE), and the keeper would wait for it for ever.
"""

from contextlib import suppress
from pathlib import Path

from privyseal.errors import UsageError
from privyseal.keeper.testimony import Statement, absent, unaided
from privyseal.model.evidence import Evidence, ProcessRef
from privyseal.wire.procfs import (
    parse_arguments,
    parse_cgroup,
    parse_lines,
    parse_numbers,
    parse_stat,
    text,
)

_LIMIT = 16 * 1024
_PIDFDS = ("anon_inode:[pidfd]", "pidfd:")  # until Linux 6.8, and since


def pid_of(pidfd: int) -> int:
    """Return the PID of a process that has not been waited for; -1 once it has (pidfd_open(2)).

    Raises:
        UsageError: The descriptor is no pidfd.
    """
    # Its kind first: of an epoll descriptor the kernel may tell nothing for as long as its sender
    # likes, and whoever asks it cannot even be killed.
    with suppress(OSError, LookupError):
        if str(Path(f"/proc/self/fd/{pidfd}").readlink()).startswith(_PIDFDS):
            return parse_numbers(_lines(Path(f"/proc/self/fdinfo/{pidfd}"))[b"Pid"])[0]
    raise UsageError("the descriptor is no pidfd")


def read(pidfd: int) -> Statement:
    """Return what everybody may know of a process: user, control group, start and its own name."""
    pid = pid_of(pidfd)
    folder = Path(f"/proc/{pid}")
    try:
        numbers = parse_stat(_read(folder / "stat"))
        status, group = _lines(folder / "status"), parse_cgroup(_read(folder / "cgroup"))
    except OSError:
        return Statement(id=0, state="gone")
    if numbers is None or pid_of(pidfd) != pid:  # asked last: then every line was its own
        return Statement(id=0, state="gone")
    return Statement(
        id=0,
        state="alive",
        pid=pid,
        start=numbers.start,
        comm=text(numbers.comm),
        cgroup=text(group),
        uids=tuple(parse_numbers(status.get(b"Uid", b""))),
    )


def look(pidfd: int) -> Evidence:
    """Return the evidence on a process without a witness."""
    seen = read(pidfd)
    return absent("it has exited") if seen.state == "gone" else unaided(seen)


async def colleague(pidfd: int) -> Evidence:
    """Return what a process of our own user on our own bus is called: there is nobody to doubt."""
    seen = read(pidfd)
    try:
        words = parse_arguments(_read(Path(f"/proc/{seen.pid}/cmdline")))
    except OSError:
        return absent("it has exited")
    module = words[words.index(b"-m") + 1 :][:1] if b"-m" in words else words[:1]
    return Evidence(
        summary=Path(text(module[0], 200) or "").name if module else seen.comm or "",
        process=ProcessRef(pid=seen.pid, start_ticks=seen.start or 0),
    )


def _lines(path: Path) -> dict[bytes, bytes]:
    return parse_lines(_read(path))


def _read(path: Path) -> bytes:
    with path.open("rb", buffering=0) as file:
        return file.read(_LIMIT)
