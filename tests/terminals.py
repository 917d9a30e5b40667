"""A terminal for tests: a pseudo-terminal that remembers what whole frames wrote into its lines."""

import fcntl
import os
import pty
import re
import struct
import termios
from collections.abc import Iterator
from contextlib import contextmanager

from tests.waiting import eventually

_LINE = re.compile(r"\x1b\[(\d+);1H(?:\x1b\[2K)?(.*?)(?=\x1b\[\d+;1H|\x1b\[\?|\Z)", re.DOTALL)
_BEGUN, _ENDED = b"\x1b[?2026h", b"\x1b[?2026l"
_STYLE = re.compile(r"\x1b\[[0-9;]*m")


class FakeTerminal:
    """Both ends of a pseudo-terminal; `fd` is the one for the program."""

    def __init__(self, columns: int = 80, rows: int = 25) -> None:
        self._person, self.fd = pty.openpty()
        os.set_blocking(self._person, False)
        self.resize(columns, rows)
        self.raw = b""

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, data: bytes) -> None:
        os.write(self._person, data)

    def output(self) -> bytes:
        """Return everything written so far."""
        while True:
            try:
                self.raw += os.read(self._person, 65536)
            except (BlockingIOError, OSError):
                return self.raw

    def lines(self) -> dict[int, str]:
        """Return what stands on each line of the last whole frames."""
        output = self.output()
        begun = output.rfind(_BEGUN)
        whole = output if output.rfind(_ENDED) >= begun else output[:begun]
        found = _LINE.findall(whole.decode(errors="replace"))
        return {int(number): _STYLE.sub("", text) for number, text in found}

    def text(self) -> str:
        return "\n".join(self.lines().values())

    def settings(self) -> list[object]:
        return list(termios.tcgetattr(self.fd))

    async def shows(self, *texts: str) -> None:
        """Return when a frame has all of these texts."""
        try:
            await eventually(lambda: all(text in self.text() for text in texts))
        except AssertionError:
            raise AssertionError(f"{texts} not in\n{self.text()}") from None

    async def read_on(self) -> None:
        """Page down, one page at a time, until a request was read to its end."""
        below = re.compile(r"[0-9]+ more lines")
        while before := below.search(self.text()):
            self.type(b"\x1b[6~")
            await eventually(lambda said=before[0]: said not in self.text())  # type: ignore[misc]  # mypy cannot infer a default

    async def type_pair(self) -> None:
        """Type the two letters that are on the screen, once they count."""
        pair = re.compile(r"type  ([a-z]) ([a-z]) ")
        found: list[tuple[str, str]] = []

        def drawn() -> bool:
            found[:] = pair.findall(self.text())
            return bool(found)

        await eventually(drawn)
        self.type("".join(found[0]).encode())

    def close(self) -> None:
        for fd in (self._person, self.fd):
            os.close(fd)


@contextmanager
def fake_terminal(columns: int = 80, rows: int = 25) -> Iterator[FakeTerminal]:
    terminal = FakeTerminal(columns, rows)
    try:
        yield terminal
    finally:
        terminal.close()
