"""Programs that connect a private network with the machine's, without root: pasta, slirp4netns."""

import os
import select
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

_SECONDS: Final = 5.0
_STEP_MILLISECONDS: Final = 20
_SAID: Final = 4096
_SHOWN: Final = 200


class WayOut(NamedTuple):
    """A program to run beside the namespaces, and the name server that it offers in there."""

    name: str
    command: tuple[str, ...]
    resolver: str


# The words in braces are filled in when the namespaces are there.
_PASTA: Final = WayOut(
    "pasta",
    (
        *("--config-net", "--no-map-gw", "--foreground", "--dns-forward", "169.254.169.253"),
        *("-t", "none", "-u", "none", "-T", "auto", "-U", "auto"),
        *("--userns", "{user}", "--netns", "{network}"),
    ),
    "169.254.169.253",
)
_SLIRP: Final = WayOut(
    "slirp4netns",
    (
        *("--configure", "--mtu=65520", "--netns-type=path", "--userns-path={user}"),
        *("{network}", "tap0"),
    ),
    "10.0.2.3",
)


def find(path: str) -> list[WayOut]:
    """Return the programs that are installed in one of the folders of `path`, the best first.

    pasta gives the private network the machine's own addresses, and its loopback ports; in what
    slirp4netns makes, the machine's loopback is 10.0.2.2. Neither opens a way in.
    """
    found = ((way, shutil.which(way.name, path=path)) for way in (_PASTA, _SLIRP))
    return [way._replace(command=(name, *way.command)) for way, name in found if name]


@contextmanager
def connected(way: WayOut, process: int, asked: socket.socket) -> Iterator[str]:
    """Run the program for the namespaces of a process; lend "", or why it does not work.

    It is given up when the other end of `asked` closes.
    """
    spaces = f"/proc/{process}/ns"
    command = [word.format(user=f"{spaces}/user", network=f"{spaces}/net") for word in way.command]
    with tempfile.TemporaryFile() as said:
        try:
            running = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said
            )
        except OSError as error:
            yield f"{way.name}: {error.strerror}"
            return
        try:
            if _ready(running, process, asked):
                yield ""
                return
            running.kill()
            running.wait()
            said.seek(max(said.seek(0, os.SEEK_END) - _SAID, 0))
            lines = said.read(_SAID).decode(errors="replace").split("\n")
            last = next(filter(None, reversed(lines)), "it gave no connection")
            yield f"{way.name}: {last[:_SHOWN]}"
        finally:
            running.kill()
            running.wait()


def _ready(running: subprocess.Popen[bytes], process: int, asked: socket.socket) -> bool:
    until = time.monotonic() + _SECONDS
    hung_up = select.poll()  # that an end is closed is told without being asked for
    hung_up.register(asked, 0)
    while time.monotonic() < until and running.poll() is None:
        if _routed(process):
            return True
        if hung_up.poll(_STEP_MILLISECONDS):
            return False
    return False


def _routed(process: int) -> bool:
    table = _lines(f"/proc/{process}/net/route")[1:]
    modern = _lines(f"/proc/{process}/net/ipv6_route")
    return bool(table) or any(not line.endswith(" lo") for line in modern)


def _lines(table: str) -> list[str]:
    try:
        return Path(table).read_text(encoding="ascii").splitlines()
    except OSError:  # the process has ended, or the kernel has no IPv6
        return []
