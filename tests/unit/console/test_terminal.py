"""The terminal: keys from bytes, whole frames, and everything put back."""

import os
import re
from collections.abc import Iterator

import pytest
from hypothesis import given, strategies as st
from tests.terminals import FakeTerminal, fake_terminal
from tests.unit.console.sample import approval, hostile, screen

from privyseal.console.screen import frame_text, render
from privyseal.console.terminal import Keys, Terminal


@pytest.fixture
def tty() -> Iterator[FakeTerminal]:
    with fake_terminal() as terminal:
        yield terminal


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        (b"a", ["a"]),
        (b"\x1b[A\x1bOB", ["up", "down"]),
        (b"\x1b[5~\x1b[6~", ["page-up", "page-down"]),
        (b"\x1b", ["esc"]),
        (b"\t\r\x7f\x03\x15", ["tab", "enter", "backspace", "ctrl-c", "ctrl-u"]),
        ("é中".encode(), ["é", "中"]),
        (b"\x1b[1;5D\x1b[15~\x00\x01\xff", []),
        (b"\x1ba", []),
        (b"\x1b[200~kr\nq\x1b[201~x", ["x"]),
        (b"\x9bA", ["A"]),
    ],
)
def test_bytes_become_keys(data: bytes, keys: list[str]) -> None:
    assert Keys().feed(data) == keys


@pytest.mark.parametrize("data", [b"\x1b[A", b"\x1b[6~", "中".encode()])
def test_a_key_may_come_in_two_parts(data: bytes) -> None:
    for cut in range(2, len(data)):
        keys = Keys()
        assert len(keys.feed(data[:cut]) + keys.feed(data[cut:])) == 1


def test_a_paste_over_several_reads_is_ignored() -> None:
    keys = Keys()
    assert keys.feed(b"\x1b[200~kr") + keys.feed(b"kr") + keys.feed(b"\x1b[201~k") == ["k"]


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_no_bytes_break_the_decoder(reads: list[bytes]) -> None:
    keys = Keys()
    for data in reads:
        for key in keys.feed(data):
            assert key.isprintable()


def test_an_endless_sequence_is_not_kept() -> None:
    keys = Keys()
    for _ in range(100):
        keys.feed(b"\x1b[" + b"1;" * 100)
    assert len(keys._rest) < 64


def test_the_terminal_is_put_back_exactly(tty: FakeTerminal) -> None:
    before = tty.settings()
    with Terminal(tty.fd, {}):
        assert tty.settings() != before
    assert tty.settings() == before
    assert tty.output().endswith(b"\x1b[?1049l")


def test_the_terminal_is_put_back_after_a_crash(tty: FakeTerminal) -> None:
    before = tty.settings()
    with pytest.raises(ZeroDivisionError), Terminal(tty.fd, {}):
        raise ZeroDivisionError
    assert tty.settings() == before


def test_a_frame_is_painted_whole_each_time(tty: FakeTerminal) -> None:
    state = screen(hostile())
    with Terminal(tty.fd, {}) as terminal:
        for _ in range(2):
            tty.raw = b""
            terminal.draw(render(state), flush=False)
            assert list(tty.lines().values()) == list(frame_text(state))


def test_a_frame_moves_nothing_but_the_cursor(tty: FakeTerminal) -> None:
    with Terminal(tty.fd, {}) as terminal:
        tty.output()
        tty.raw = b""
        terminal.draw(render(screen(hostile())), flush=False)
        rest = re.sub(rb"\x1b\[[0-9;]*m|\x1b\[\d+;1H|\x1b\[2K|\x1b\[\?2026[hl]", b"", tty.output())
    assert rest.decode().isprintable()


def test_the_kernel_console_is_told_every_colour_in_each_frame(tty: FakeTerminal) -> None:
    with Terminal(tty.fd, {"TERM": "linux"}) as terminal:
        tty.output()
        tty.raw = b""
        terminal.draw(render(screen(approval())), flush=False)
        told = re.findall(rb"\x1b\]P([0-9a-f])([0-9a-f]{6})", tty.output())
        assert [number for number, _ in told] == [b"%x" % number for number in range(16)]
        assert told[0][1] == b"000000" != told[7][1]


def test_no_color_leaves_no_colour(tty: FakeTerminal) -> None:
    with Terminal(tty.fd, {"NO_COLOR": "1"}) as terminal:
        terminal.draw(render(screen(approval())), flush=False)
        styles = set(re.findall(rb"\x1b\[([0-9;]*)m", tty.output()))
    assert styles <= {b"0", b"0;1", b"0;7"}


@pytest.mark.parametrize(("flush", "kept"), [(True, b""), (False, b"kr")])
def test_what_was_typed_at_another_picture_is_thrown_away(
    tty: FakeTerminal, *, flush: bool, kept: bytes
) -> None:
    with Terminal(tty.fd, {}) as terminal:
        tty.type(b"kr")
        terminal.draw(render(screen(approval())), flush=flush)
        os.set_blocking(tty.fd, False)
        assert terminal.read() == kept


def test_no_key_is_thrown_away_that_answers_a_whole_frame(tty: FakeTerminal) -> None:
    class Noting(Terminal):
        def flush(self) -> None:
            super().flush()
            self.at_flush = tty.output()

    with Noting(tty.fd, {}) as terminal:
        terminal.draw(render(screen(approval())), flush=True)
        assert b"GitHub token" in terminal.at_flush
        assert b"\x1b[?2026l" not in terminal.at_flush
        assert tty.output().endswith(b"\x1b[?2026l")
