import pytest
from hypothesis import given, strategies as st

from privyseal.errors import LimitError
from privyseal.wire import assuan
from privyseal.wire.assuan import Command, Commands


@given(st.binary(max_size=3000), st.lists(st.integers(1, 400), min_size=1, max_size=40))
def test_any_bytes_in_any_pieces_are_commands_or_too_long(stream: bytes, cuts: list[int]) -> None:
    whole, pieces = Commands(), Commands()
    try:
        expected = whole.feed(stream)
    except LimitError:
        assert any(len(line) >= assuan.MAX_LINE for line in stream.split(b"\n"))
        return
    found = []
    at = 0
    for cut in cuts:
        found += pieces.feed(stream[at : at + cut])
        at += cut
    found += pieces.feed(stream[at:])
    assert found == expected


@given(st.binary(min_size=1, max_size=5000))
def test_data_comes_back_from_its_lines(raw: bytes) -> None:
    lines = assuan.data(raw).splitlines(keepends=True)
    assert all(len(line) <= assuan.MAX_LINE and line.startswith(b"D ") for line in lines)
    assert b"".join(assuan.unescape(line[2:-1]) for line in lines) == raw


@given(st.text(max_size=3000))
def test_what_a_line_says_stays_on_one_line(text: str) -> None:
    for line in (assuan.done(text), assuan.failed(assuan.GENERAL, text)):
        assert line.count(b"\n") == 1
        assert line.endswith(b"\n")
        assert len(line) <= assuan.MAX_LINE


def test_a_command_has_a_verb_and_an_argument_without_escapes() -> None:
    assert Commands().feed(b"setdesc Two%0Alines %25 %zz\r\n# comment\n\n!x\n") == [
        Command("SETDESC", "Two\nlines % %zz"),
        Command(""),
    ]


def test_a_line_that_never_ends_is_refused_early() -> None:
    commands = Commands()
    commands.feed(b"x" * 999)
    with pytest.raises(LimitError):
        commands.feed(b"x")


def test_errors_name_pinentry_as_their_source() -> None:
    assert assuan.failed(assuan.CANCELLED, "cancelled") == b"ERR 83886179 cancelled\n"
