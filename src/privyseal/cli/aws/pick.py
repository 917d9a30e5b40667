"""A list to choose one line from, with the arrow keys or by typing a part of it."""

import os
import select
import sys
import termios
import tty
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple, Self

from privyseal.wire.sanitise import fit

SHOWN: Final = 12
_UP: Final = frozenset({b"\x1b[A", b"\x1bOA", b"\x10"})
_DOWN: Final = frozenset({b"\x1b[B", b"\x1bOB", b"\x0e"})
_ENTER: Final = frozenset({b"\r", b"\n"})
_ERASE: Final = frozenset({b"\x7f", b"\x08"})
_LEAVE: Final = frozenset({b"\x03", b"\x04", b"\x1b"})
_WIDE: Final = 80  # where the terminal does not say
_PAUSE: Final = 0.05  # an escape sequence comes at once; a key that a person pressed does not


class Choice(NamedTuple):
    """What stands on the screen: the names, what was typed, which line is marked."""

    names: tuple[str, ...]
    typed: str = ""
    marked: int = 0

    @property
    def fitting(self) -> list[str]:
        """Return the names that hold what was typed, those that begin with it first."""
        typed = self.typed.lower()
        found = [name for name in self.names if typed in name.lower()]
        return sorted(found, key=lambda name: not name.lower().startswith(typed))

    def press(self, key: bytes) -> Self:
        """Return the choice after a key."""
        if key in _UP or key in _DOWN:
            number = max(1, len(self.fitting))
            return self._replace(marked=(self.marked + (1 if key in _DOWN else -1)) % number)
        if key in _ERASE:
            return self._replace(typed=self.typed[:-1], marked=0)
        text = key.decode(errors="ignore")
        return self._replace(typed=self.typed + text, marked=0) if text.isprintable() else self

    def lines(self, wide: int) -> list[str]:
        """Return what to draw, in so many columns."""
        found = self.fitting
        first = max(0, min(self.marked - SHOWN // 2, len(found) - SHOWN))
        drawn = [
            f"{'>' if number == self.marked else ' '} {fit(name, max(1, wide - 3))}"
            for number, name in enumerate(found)
        ][first : first + SHOWN]
        return [*drawn, *(["  (nothing fits)"] if not found else [])]


def terminal() -> bool:
    """Return whether a person can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def pick(title: str, names: Sequence[str]) -> str:
    """Return the name that a person picks, on the terminal of stdin and stderr.

    Raises:
        KeyboardInterrupt: She left.
    """
    choice = Choice(tuple(names))
    with _raw(sys.stdin.fileno()) as fd:
        drawn = 0
        try:
            while True:
                drawn = _draw(title, choice, drawn)
                key = _key(fd)
                if key in _LEAVE or not key:
                    raise KeyboardInterrupt
                if key in _ENTER and choice.fitting:
                    return choice.fitting[choice.marked]
                choice = choice.press(key)
        finally:
            _erase(drawn)


def _draw(title: str, choice: Choice, before: int) -> int:
    wide = os.get_terminal_size(sys.stderr.fileno()).columns or _WIDE
    lines = [f"{title} {fit(choice.typed, 60)}", *choice.lines(wide)]
    _erase(before)
    sys.stderr.write("\r\n".join(lines) + "\r")
    sys.stderr.flush()
    return len(lines)


def _erase(lines: int) -> None:
    if lines:
        sys.stderr.write((f"\x1b[{lines - 1}A" if lines > 1 else "") + "\r\x1b[J")
        sys.stderr.flush()


def _key(fd: int) -> bytes:
    key = os.read(fd, 1)
    if key == b"\x1b":
        while len(key) < 3 and select.select([fd], [], [], _PAUSE)[0]:  # noqa: PLR2004 - ESC [ A
            key += os.read(fd, 1)
    elif key >= b"\xc0":
        key += os.read(fd, 3 if key >= b"\xf0" else 2 if key >= b"\xe0" else 1)
    return key


@contextmanager
def _raw(fd: int) -> Iterator[int]:
    before = termios.tcgetattr(fd)
    try:
        tty.setraw(fd)
        yield fd
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)
