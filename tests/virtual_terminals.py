"""A virtual terminal of the machine for tests: switch to it, type on it, read what it shows.

There is one set of virtual terminals per machine; a lock keeps several test runs apart. It needs
root, and typing with TIOCSTI needs CAP_SYS_ADMIN.
"""

import array
import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
from tests.waiting import eventually

NUMBER = 8
_VT_GETMODE, _VT_GETSTATE, _VT_ACTIVATE = 0x5601, 0x5603, 0x5606
_GIO_UNIMAP, _MOST_GLYPHS = 0x4B66, 4096
_LOCK_SECONDS = 150.0

_TAKE = """
import fcntl, os, sys, termios
os.setsid()
fd = os.open(sys.argv[1], os.O_RDWR)
fcntl.ioctl(fd, termios.TIOCSCTTY, 1)
for number in (0, 1):
    os.dup2(fd, number)
os.write(1, b"\\x1bc\\x1b%G")
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


class Seat:
    """Virtual terminal number 8, seen by a person in front of the machine."""

    def __init__(self) -> None:
        self._zero = os.open("/dev/tty0", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        for base, name in ((0, "vcs"), (64, "vcsu"), (128, "vcsa")):
            if not Path(f"/dev/{name}{NUMBER}").exists():
                os.mknod(f"/dev/{name}{NUMBER}", 0o20600, os.makedev(7, base + NUMBER))
        self._node = Path(f"/dev/tty{NUMBER}")
        self._before = self._node.stat()
        with self._open() as terminal:  # a run before this one may have stopped it
            termios.tcflow(terminal, termios.TCOOFF)
            termios.tcflow(terminal, termios.TCOON)
        self.write(b"\x1bc\x1b%G")

    def close(self) -> None:
        self.activate(1)
        os.close(self._zero)
        os.chown(self._node, self._before.st_uid, self._before.st_gid)
        self._node.chmod(self._before.st_mode & 0o777)

    def activate(self, number: int) -> None:
        """Ask for a switch, as chvt(1) does; it need not happen."""
        fcntl.ioctl(self._zero, _VT_ACTIVATE, number)

    @property
    def active(self) -> int:
        state = struct.unpack("HHH", fcntl.ioctl(self._zero, _VT_GETSTATE, bytes(6)))
        return int(state[0])

    async def shows(self, *texts: str) -> None:
        """Return when the terminal shows all of these texts."""
        try:
            await eventually(lambda: all(text in self.text() for text in texts))
        except AssertionError:
            raise AssertionError(f"{texts} not in\n{self.text()}") from None

    async def press(self, key: str, done: Callable[[], bool]) -> None:
        """Type a key until it was taken: a redraw throws away what is typed meanwhile."""
        for _ in range(20):
            self.type(key)
            try:
                await eventually(done, seconds=0.5)
            except AssertionError:
                continue
            return
        raise AssertionError(f"{key!r} was not taken at\n{self.text()}")

    async def changes(self, before: str) -> None:
        """Return when the terminal shows something else."""
        await eventually(lambda: self.text() != before)

    async def reaches(self, number: int) -> None:
        """Return when that virtual terminal is in front."""
        await eventually(lambda: self.active == number)

    async def comes(self) -> None:
        """Switch to the console."""
        self.activate(NUMBER)
        await self.reaches(NUMBER)

    async def leaves(self) -> None:
        """Switch away from it, or try to until it lets go."""

        def away() -> bool:
            self.activate(1)
            return self.active == 1

        await eventually(away)

    async def pair(self) -> str:
        """Return the two letters on the screen, once they count."""
        letters = re.compile(r"type  ([a-z]) ([a-z]) ")
        await eventually(lambda: letters.search(self.text()) is not None)
        match = letters.search(self.text())
        assert match is not None
        return match[1] + match[2]

    def text(self) -> str:
        """Return what stands on the terminal, in the characters that were written."""
        header = Path(f"/dev/vcsa{NUMBER}").read_bytes()[:2]
        cells = array.array("I", Path(f"/dev/vcsu{NUMBER}").read_bytes())
        rows, columns = header
        text = "".join(chr(cell or 0x20) for cell in cells)
        return "\n".join(text[row * columns : (row + 1) * columns] for row in range(rows))

    def write(self, data: bytes) -> None:
        with self._open() as terminal:
            terminal.write(data)

    def type(self, keys: str) -> None:
        """Put keys into the terminal's queue, as the keyboard does for the terminal in front."""
        with self._open() as terminal:
            for byte in keys.encode():
                fcntl.ioctl(terminal, termios.TIOCSTI, bytes([byte]))

    def stop_output(self) -> None:
        """Do what the Scroll Lock key does."""
        with self._open() as terminal:
            termios.tcflow(terminal, termios.TCOOFF)

    def mode(self) -> int:
        """Return 0 when the kernel switches by itself, 1 when it asks a process."""
        with self._open() as terminal:
            return fcntl.ioctl(terminal, _VT_GETMODE, bytes(8))[0]

    def glyphs(self) -> set[str]:
        """Return the characters that the font of this terminal can draw."""
        found = array.array("H", bytes(4 * _MOST_GLYPHS))
        address, _ = found.buffer_info()
        request = bytearray(struct.pack("HxxxxxxP", _MOST_GLYPHS, address))
        with self._open() as terminal:
            fcntl.ioctl(terminal, _GIO_UNIMAP, request)
        (count,) = struct.unpack_from("H", request)
        return {chr(code) for code in found[: 2 * count : 2]}

    def run(
        self, arguments: Sequence[str], environment: Mapping[str, str]
    ) -> "subprocess.Popen[bytes]":
        """Start a program whose controlling terminal this is, as systemd's TTYPath= does."""
        script = [sys.executable, "-I", "-c", _TAKE, f"/dev/tty{NUMBER}"]
        return subprocess.Popen(
            [*script, *arguments],
            env={"TERM": "linux", "LANG": "C.UTF-8", **environment},
            stderr=subprocess.DEVNULL,
        )

    @staticmethod
    def _open() -> IO[bytes]:
        fd = os.open(f"/dev/tty{NUMBER}", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        return os.fdopen(fd, "r+b", buffering=0)


@contextmanager
def seat() -> Iterator[Seat]:
    """Take the machine's virtual terminals; give them back with number 1 in front."""
    if os.getuid() != 0 or not Path("/dev/tty0").exists():
        pytest.skip("NO VIRTUAL TERMINAL TESTED: it takes root and a machine with /dev/tty0")
    with Path(f"/dev/tty{NUMBER}").open("rb") as lock:
        deadline = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                assert time.monotonic() < deadline, "another run has the virtual terminals"
                time.sleep(0.05)
        made = Seat()
        try:
            yield made
        finally:
            made.close()
