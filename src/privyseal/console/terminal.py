"""The terminal under the screen: raw keys in, whole frames out, and everything put back at the end.

A frame is always painted whole, each line at its absolute place after erasing it, so that nothing
that somebody else wrote on the terminal survives and no misjudged width can move another line.
"""

import contextlib
import fcntl
import os
import re
import signal
import struct
import termios
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Self

from privyseal.console.layout import Line, Style

BURST: Final = 4
"""More keys than this in one read come from a paste or a program, not from fingers."""

_MAX_SEQUENCE: Final = 32
_READ: Final = 4096
_DRAIN: Final = 4096

# Alternate screen, no cursor, no wrapping, bracketed paste, and explicit direction (ECMA-48 BDSM):
# a terminal that reorders right-to-left text by itself would move it across our frame.
_ENTER: Final = b"\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[?2004h\x1b[8l\x1b[2J"
# The kernel's console besides: UTF-8, the built-in character set, its whole height, no insert,
# origin or reverse mode, and every colour by its value: whoever is logged in on another terminal
# may change what the colours are at first (PIO_CMAP of console_ioctl(4)), so that black is on black.
_COLOUR_VALUES: Final = (
    "000000 aa0000 00aa00 aa5500 0000aa aa00aa 00aaaa aaaaaa "
    "555555 ff5555 55ff55 ffff55 5555ff ff55ff 55ffff ffffff"
)
_PALETTE: Final = "".join(f"\x1b]P{n:x}{rgb}" for n, rgb in enumerate(_COLOUR_VALUES.split()))
_SETTLE: Final = "\x1b%G\x0f\x1b(B\x1b[r\x1b[?5l\x1b[?6l\x1b[4l\x1b[?7l\x1b[?25l" + _PALETTE
_FORGET: Final = b"\x1b]R\x1b[0m\x1b[2J\x1b[3J"
_LEAVE: Final = b"\x1b[0m\x1b[8h\x1b[?2004l\x1b[?7h\x1b[?25h\x1b[?1049l"

_COLOURS: Final[Mapping[Style, str]] = {
    "plain": "0",
    "strong": "0;1",
    "faint": "0;2",
    "frame": "0;2",
    "foreign": "0;36",
    "good": "0;32",
    "bad": "0;31",
    "warn": "0;33",
    "bar": "0;7",
}
_NO_COLOURS: Final[Mapping[Style, str]] = {
    **dict.fromkeys(_COLOURS, "0"),
    "strong": "0;1",
    "warn": "0;1",
    "bar": "0;7",
}
_KEYS: Final = {
    b"\x1b[A": "up",
    b"\x1b[B": "down",
    b"\x1b[C": "right",
    b"\x1b[D": "left",
    b"\x1bOA": "up",
    b"\x1bOB": "down",
    b"\x1bOC": "right",
    b"\x1bOD": "left",
    b"\x1b[5~": "page-up",
    b"\x1b[6~": "page-down",
    b"\x1b": "esc",
    b"\t": "tab",
    b"\r": "enter",
    b"\n": "enter",
    b"\x7f": "backspace",
    b"\x08": "backspace",
    b"\x03": "ctrl-c",
    b"\x0c": "ctrl-l",
    b"\x15": "ctrl-u",
}
_PASTE_START: Final = b"\x1b[200~"
_PASTE_END: Final = b"\x1b[201~"
_TOKEN: Final = re.compile(
    rb"\x1b\[[0-?]{0,28}[ -/]{0,2}[@-~]|\x1bO[@-~]|\x1b(?=\x1b|$)|\x1b[^\[O]"
    rb"|[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}|[\x00-\xff]",
    re.DOTALL,
)


class Keys:
    """Turns bytes of a terminal into names of keys; what it does not know it drops."""

    def __init__(self) -> None:
        self._rest = b""
        self._pasting = False

    def feed(self, data: bytes) -> list[str]:
        """Return the keys that these bytes complete: a character, or a name such as `page-up`."""
        data, self._rest = self._rest + data, b""
        cut = re.search(rb"\x1b\[[0-?]*[ -/]*$|\x1bO$|[\xc2-\xf4][\x80-\xbf]{0,2}$", data)
        if cut and len(data) - cut.start() < _MAX_SEQUENCE and not self._complete(cut[0]):
            data, self._rest = data[: cut.start()], cut[0]
        return list(self._names(data))

    @staticmethod
    def _complete(tail: bytes) -> bool:
        with contextlib.suppress(UnicodeDecodeError):
            return tail[:1] != b"\x1b" and len(tail.decode()) == 1
        return False

    def _names(self, data: bytes) -> Iterator[str]:
        for token in _TOKEN.findall(data):
            if token in {_PASTE_START, _PASTE_END}:
                self._pasting = token == _PASTE_START
            elif not self._pasting and (name := _name(token)):
                yield name


def _name(token: bytes) -> str:
    if token in _KEYS:
        return _KEYS[token]
    text = token.decode(errors="ignore")
    return text if len(text) == 1 and text.isprintable() else ""


class Terminal:
    """The terminal while the screen has it: a context manager that gives it back as it was."""

    def __init__(self, fd: int = 0, environ: Mapping[str, str] | None = None) -> None:
        environ = os.environ if environ is None else environ
        self.fd = fd
        self.kernel_console = environ.get("TERM") == "linux"
        self._styles = _NO_COLOURS if environ.get("NO_COLOR") else _COLOURS
        self._before = termios.tcgetattr(fd)
        self._inside = False

    def __enter__(self) -> Self:
        self.enter()
        return self

    def __exit__(self, *_error: object) -> None:
        self.leave()

    def enter(self) -> None:
        """Take the terminal: raw keys, the alternate screen."""
        raw = termios.tcgetattr(self.fd)
        raw[0] &= ~(termios.ICRNL | termios.INLCR | termios.IGNCR | termios.IXON | termios.ISTRIP)
        raw[1] &= ~termios.OPOST
        raw[3] &= ~(termios.ECHO | termios.ICANON | termios.ISIG | termios.IEXTEN)
        raw[6] = [*raw[6]]
        raw[6][termios.VMIN], raw[6][termios.VTIME] = 1, 0
        termios.tcsetattr(self.fd, termios.TCSAFLUSH, raw)
        os.set_blocking(self.fd, not self.kernel_console)
        self._inside = True
        self._write(_ENTER + (_FORGET if self.kernel_console else b""))

    def leave(self) -> None:
        """Give the terminal back as it was before; safe to call twice, or when it is gone."""
        if not self._inside:
            return
        self._inside = False
        with contextlib.suppress(OSError, termios.error):
            self._write((_FORGET if self.kernel_console else b"") + _LEAVE)
            os.set_blocking(self.fd, True)
            termios.tcsetattr(self.fd, termios.TCSAFLUSH, self._before)

    def suspend(self) -> None:
        """Give the terminal back, stop this process as SIGTSTP would, and take it when woken."""
        self.leave()
        os.kill(os.getpid(), signal.SIGSTOP)
        self.enter()

    def size(self) -> tuple[int, int]:
        """Return columns and rows."""
        rows, columns, *_ = struct.unpack(
            "HHHH", fcntl.ioctl(self.fd, termios.TIOCGWINSZ, b" " * 8)
        )
        return columns or 80, rows or 25

    def read(self) -> bytes | None:
        """Return what was typed, which may have been thrown away; None: the terminal is gone."""
        try:
            return os.read(self.fd, _READ) or None
        except BlockingIOError:
            return b""
        except OSError:
            return None

    def draw(self, lines: Sequence[Line], *, flush: bool) -> None:
        """Paint one whole frame; with `flush`, throw away what was typed before it appeared."""
        out = ["\x1b[?2026h\x1b[0m"]  # shown at once where the terminal knows how
        if self.kernel_console:
            # It knows not how; but all of its glyphs have one width, so a line needs no erasing.
            out = ["\x1b[0m", _SETTLE]
        erase = "" if self.kernel_console else "\x1b[2K"
        for number, row in enumerate(lines, 1):
            out.append(f"\x1b[{number};1H{erase}")
            out += [f"\x1b[{self._styles[style]}m{text}" for text, style in row if text]
            out.append("\x1b[0m")
        self._write("".join(out).encode("utf-8", "replace"))
        if flush:
            self.flush()
        if not self.kernel_console:
            self._write(b"\x1b[?2026l")  # last: no key is lost that answers what is shown by now

    def flush(self) -> None:
        """Throw away what was typed until now."""
        termios.tcflush(self.fd, termios.TCIFLUSH)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self.fd, view[:_DRAIN]) :]
            except BlockingIOError:
                # Scroll Lock stopped it. Whoever waited for it here could not let go of the
                # terminal, and nobody could switch away: start it again (tcflow(3)).
                termios.tcflow(self.fd, termios.TCOOFF)
                termios.tcflow(self.fd, termios.TCOON)
