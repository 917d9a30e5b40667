"""Font, characters and size of the text screen: put back when somebody changes them for all."""

import ctypes
import fcntl
import os
import struct
from pathlib import Path

import pytest

from privyseal.console import looks
from privyseal.console.looks import Keeping, Looks

_FONT = struct.Struct("@IIIIIP")
_UNIMAP = struct.Struct("@HP")


class FakeScreen:
    """The kernel's side of console_ioctl(4) for one VGA text screen."""

    def __init__(self) -> None:
        self.height = 16
        self.glyphs = bytes(range(256)) * 32
        self.characters = struct.pack("4H", 33, 33, 97, 97)
        self.size = os.terminal_size((80, 25))

    def ioctl(self, _fd: int, request: int, argument: bytes | bytearray) -> int:
        if request == 0x4B72:
            kind, _, width, height, count, at = _FONT.unpack(argument)
            if kind == 1:
                ctypes.memmove(at, self.glyphs, len(self.glyphs))
                count = len(self.glyphs) // 32
                argument[:] = _FONT.pack(1, 0, width, self.height, count, at)  # type: ignore[index]  # asked with a bytearray
            else:
                self.height, self.glyphs = height, ctypes.string_at(at, count * 32)
                self.size = os.terminal_size((80, 400 // height))
        elif request == 0x4B66:
            _, at = _UNIMAP.unpack(argument)
            ctypes.memmove(at, self.characters, len(self.characters))
            argument[:] = _UNIMAP.pack(len(self.characters) // 4, at)  # type: ignore[index]  # as above
        elif request == 0x4B68:
            self.characters = b""
        elif request == 0x4B67:
            count, at = _UNIMAP.unpack(argument)
            self.characters = ctypes.string_at(at, count * 4)
        elif request == 0x5609:
            rows, columns, _ = struct.unpack("HHH", argument)
            self.size = os.terminal_size((columns, rows))
        return 0


@pytest.fixture
def vga(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeScreen:
    made = FakeScreen()
    driver = tmp_path / "class" / "vtcon0"
    driver.mkdir(parents=True)
    (driver / "name").write_text("(S) VGA+\n")
    (driver / "bind").write_text("1\n")
    monkeypatch.setattr(looks, "_DRIVERS", driver.parent)
    monkeypatch.setattr(fcntl, "ioctl", made.ioctl)
    monkeypatch.setattr(os, "get_terminal_size", lambda _fd: made.size)
    return made


def test_what_was_changed_for_all_terminals_is_put_back(vga: FakeScreen) -> None:
    keeping = Keeping(0, "")
    before = Looks.of(0)
    vga.height, vga.glyphs = 8, bytes(512 * 32)
    vga.characters = struct.pack("4H", 33, 32, 97, 98)
    vga.size = os.terminal_size((20, 10))

    assert keeping.restore()
    assert Looks.of(0) == before
    assert not keeping.restore()


def test_a_console_that_starts_anew_learns_nothing_that_was_changed(
    vga: FakeScreen, tmp_path: Path
) -> None:
    Keeping(0, f"{tmp_path}")
    before = Looks.of(0)
    vga.glyphs = bytes(256 * 32)

    assert Keeping(0, f"{tmp_path}").restore()
    assert Looks.of(0) == before


def test_a_memory_that_was_cut_is_made_anew(vga: FakeScreen, tmp_path: Path) -> None:
    (tmp_path / "looks").write_bytes(b"12")
    keeping = Keeping(0, f"{tmp_path}")
    vga.size = os.terminal_size((20, 10))

    assert keeping.restore()
    assert vga.size == (80, 25)


def test_where_each_terminal_has_its_own_font_nothing_is_touched(
    vga: FakeScreen, tmp_path: Path
) -> None:
    (tmp_path / "class" / "vtcon0" / "name").write_text("(M) frame buffer device\n")
    keeping = Keeping(0, "")
    vga.glyphs = bytes(256 * 32)

    assert not keeping.restore()
    assert vga.glyphs == bytes(256 * 32)
