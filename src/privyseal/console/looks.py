"""What all virtual terminals have in common, kept as it was: the font, its characters, the size.

A VGA text screen has one font, and whoever is logged in on any of its terminals may change it for
all (console_ioctl(4): KDFONTOP, PIO_UNIMAP, VT_RESIZE); a blank "!" would hide each warning. On a
frame buffer every terminal has a font of its own, and there is nothing to do.
"""

import array
import fcntl
import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple, Self

_DRIVERS: Final = Path("/sys/class/vtconsole")
_SHARED: Final = "VGA"

_KDFONTOP: Final = 0x4B72
_FONT_SET: Final = 0
_FONT_GET: Final = 1
_FONT: Final = struct.Struct("@IIIIIP")
_WIDTH: Final = 8
_GLYPHS: Final = 512
_GLYPH: Final = 32
"""Bytes of a glyph, however high it is."""
_GIO_UNIMAP: Final = 0x4B66
_PIO_UNIMAP: Final = 0x4B67
_PIO_UNIMAPCLR: Final = 0x4B68
_UNIMAP: Final = struct.Struct("@HP")
_PAIR: Final = 4
_PAIRS: Final = 16384
_VT_RESIZE: Final = 0x5609
_SIZE: Final = struct.Struct("HHH")
_HEADER: Final = struct.Struct("HHHH")


class Looks(NamedTuple):
    """How the text screen looks."""

    columns: int
    rows: int
    height: int
    glyphs: bytes
    characters: bytes

    @classmethod
    def of(cls, fd: int) -> Self:
        """Read them; OSError where the screen has no font."""
        pixels = array.array("B", bytes(_GLYPHS * _GLYPH))
        asked = bytearray(
            _FONT.pack(_FONT_GET, 0, _WIDTH, _GLYPH, _GLYPHS, pixels.buffer_info()[0])
        )
        fcntl.ioctl(fd, _KDFONTOP, asked)
        *_, height, count, _ = _FONT.unpack(asked)
        pairs = array.array("B", bytes(_PAIRS * _PAIR))
        wanted = bytearray(_UNIMAP.pack(_PAIRS, pairs.buffer_info()[0]))
        fcntl.ioctl(fd, _GIO_UNIMAP, wanted)
        columns, rows = os.get_terminal_size(fd)
        glyphs = pixels.tobytes()[: count * _GLYPH]
        characters = pairs.tobytes()[: _UNIMAP.unpack(wanted)[0] * _PAIR]
        return cls(columns, rows, height, glyphs, characters)

    @classmethod
    def unpacked(cls, data: bytes) -> Self:
        """Return what `packed` made; struct.error when it was cut."""
        columns, rows, height, count = _HEADER.unpack_from(data)
        end = _HEADER.size + count * _GLYPH
        return cls(columns, rows, height, data[_HEADER.size : end], data[end:])

    def packed(self) -> bytes:
        """Return the bytes for a file."""
        header = (self.columns, self.rows, self.height, len(self.glyphs) // _GLYPH)
        return _HEADER.pack(*header) + self.glyphs + self.characters

    def put_back(self, fd: int, now: Self) -> None:
        """Make the screen look so again where it differs from `now`."""
        if (now.height, now.glyphs) != (self.height, self.glyphs):
            pixels = array.array("B", self.glyphs)
            count = len(self.glyphs) // _GLYPH
            font = (_FONT_SET, 0, _WIDTH, self.height, count, pixels.buffer_info()[0])
            fcntl.ioctl(fd, _KDFONTOP, _FONT.pack(*font))
        if now.characters != self.characters:
            pairs = array.array("B", self.characters)
            fcntl.ioctl(fd, _PIO_UNIMAPCLR, bytes(6))
            wanted = _UNIMAP.pack(len(self.characters) // _PAIR, pairs.buffer_info()[0])
            fcntl.ioctl(fd, _PIO_UNIMAP, wanted)
        # Another font may have brought the size back already.
        if os.get_terminal_size(fd) != (self.columns, self.rows):
            fcntl.ioctl(fd, _VT_RESIZE, _SIZE.pack(self.rows, self.columns, 0))


class Keeping:
    """Keeps the looks of the screen under terminal `fd` as they were when the machine came up.

    Args:
        fd: The controlling terminal.
        folder: Where they are remembered until the next boot, so that a console that starts anew
            does not learn what was changed since; empty: this process alone remembers them.
    """

    def __init__(self, fd: int, folder: str) -> None:
        self._fd = fd
        self._first: Looks | None = None
        if not shared():
            return
        with suppress(OSError):
            self._first = _remembered(fd, Path(folder) / "looks" if folder else None)

    def restore(self) -> bool:
        """Put back what somebody changed; return whether anything was changed."""
        if self._first is None or not shared():
            return False
        with suppress(OSError):
            now = Looks.of(self._fd)
            if now != self._first:
                self._first.put_back(self._fd, now)
                return True
        return False


def shared() -> bool:
    """Return whether all terminals have one font (kernel: Documentation/ABI, vtconsole)."""
    with suppress(OSError):
        for driver in _DRIVERS.iterdir():
            if (driver / "bind").read_text().strip() == "1":
                return _SHARED in (driver / "name").read_text()
    return False


def _remembered(fd: int, file: Path | None) -> Looks:
    if file is not None:
        with suppress(OSError, struct.error):
            return Looks.unpacked(file.read_bytes())
    looks = Looks.of(fd)
    if file is not None:
        new = file.with_suffix(".new")
        new.write_bytes(looks.packed())
        new.replace(file)
    return looks
