"""What holds for every frame, whatever foreign text it shows and however large it is."""

import unicodedata
from dataclasses import replace
from functools import partial
from typing import get_args

import msgspec
import pytest
from hypothesis import given, strategies as st
from tests.unit.console.sample import (
    COMPANION,
    NODE,
    PIN,
    approval,
    companion,
    hostile,
    item,
    screen,
)

from privyseal.console.keys import press
from privyseal.console.layout import GUTTER, plain
from privyseal.console.screen import frame_text, render
from privyseal.console.state import ScreenState, View, shown, told
from privyseal.model.approval import Approval
from privyseal.model.evidence import Evidence, Fact, ProcessRef
from privyseal.wire.keeper import Notice
from privyseal.wire.sanitise import width

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


def assert_whole(lines: list[str], columns: int, rows: int) -> None:
    assert len(lines) == rows
    assert {width(line) for line in lines} == {columns}
    bad = {c for line in lines for c in line if unicodedata.category(c)[0] in "CZ" and c != " "}
    assert bad == set()


@pytest.mark.parametrize("view", get_args(View))
@pytest.mark.parametrize(
    ("columns", "rows"), [(80, 24), (80, 25), (81, 26), (120, 40), (300, 100), (20, 5)]
)
def test_a_frame_fills_its_terminal_exactly(view: View, columns: int, rows: int) -> None:
    state = replace(
        screen(hostile(), recent=(hostile("old"),), columns=columns, rows=rows), view=view
    )
    assert_whole(frame_text(state), columns, rows)


@given(label=TEXT, name=TEXT, value=TEXT, console=st.booleans())
def test_no_foreign_text_disturbs_a_frame(
    label: str, name: str, value: str, *, console: bool
) -> None:
    state = screen(approval(items=(item(label, k=value),), before=name))
    assert_whole(frame_text(replace(state, console_font=console)), 80, 25)


def test_foreign_text_is_never_outside_its_column() -> None:
    for row in render(screen(hostile(), recent=(hostile("old"),))):
        for before, span in zip((("", "plain"), *row), row, strict=False):
            if span[1] == "foreign":
                assert before[0] == GUTTER
            assert span[1] == "foreign" or "AAAA" not in span[0]


def test_the_help_is_whole_on_the_smallest_screen() -> None:
    def words(columns: int) -> list[str]:
        rows = frame_text(replace(screen(columns=columns, rows=24), view="help"))[2:-3]
        return [row.strip("│ ") for row in rows]

    assert words(80) == words(120)


@pytest.mark.parametrize("name", ["program file", "control group", "asked through", "coding agent"])
def test_the_names_of_facts_are_whole(name: str) -> None:
    evidence = Evidence(summary="x", facts=(Fact(grade="verified", name=name, value="x"),))
    rows = frame_text(screen(approval(evidence=evidence)))
    assert any(f" = {name} " in row for row in rows)


def drawn(state: ScreenState) -> str:
    """Return a frame as one text, and make sure that what has to be seen together is."""
    text = "\n".join(frame_text(state))
    for seen in ("GitHub token", "service: github.com", "= program ", "! tracer"):
        assert seen in text, text
    return text


def test_what_is_asked_and_who_asks_stand_beside_the_pair_without_a_key() -> None:
    verified, reported = partial(Fact, grade="verified"), partial(Fact, grade="reported")
    facts = (
        verified(name="program", value="/usr/bin/secret-tool"),
        verified(name="program file", value="owned by uid 0, mode 755"),
        reported(name="command", value="secret-tool lookup service github.com"),
        verified(name="folder", value="/home/alice"),
        verified(name="unit", value="session-1.scope"),
        verified(name="parents", value="bash < login (uid 0) <new session< systemd (uid 0)"),
        verified(name="started in", value="the terminal session of login on tty1"),
        verified(name="user", value="uid 1000; login uid 1000, session 1"),
        reported(name="asked through", value="/opt/privyseal/bin/python"),
        Fact(grade="warning", name="tracer", value="gdb (4711) is attached"),
    )
    evidence = Evidence(summary="secret-tool lookup", trusted=True, facts=facts)
    state = companion(approval(evidence=evidence, before="allowed 2 times, denied 0 times"))
    assert "Allow once: type " in drawn(state)


@pytest.mark.parametrize("rows", [24, 25, 30])
def test_paging_keeps_what_is_asked_the_program_and_the_warnings(rows: int) -> None:
    more = tuple(Fact(grade="reported", name=f"claim {n}", value="x" * 90) for n in range(9))
    evidence = msgspec.structs.replace(NODE, facts=(*NODE.facts, *more))
    state = screen(approval(evidence=evidence), rows=rows)
    pages = [drawn(state)]
    while "more lines: space" in pages[-1]:
        assert "Allow once" not in pages[-1]
        state = replace(press(state, " ", b"x")[0], mono=state.mono + 10)
        pages.append(drawn(state))
    assert "Allow once: type " in pages[-1]
    assert all(any(f"? claim {n} " in page for page in pages) for n in range(9))


def test_of_what_is_too_long_to_stay_its_beginning_and_the_program_do() -> None:
    many = tuple(item(f"key {n}", n) for n in range(20))
    state = screen(approval(items=many))
    for _ in range(20):
        state = replace(press(state, "page-down", b"x")[0], mono=state.mono + 10)
    text = "\n".join(frame_text(state))
    for seen in ("Allow once: type ", "= program ", "! tracer", "What is asked for", "key 0"):
        assert seen in text, text


def test_notes_stand_there_only_while_nothing_waits() -> None:
    note = "    secret-tool lookup service demo"
    assert any(note in row for row in frame_text(replace(screen(), notes=(note,))))
    assert not any(note in row for row in frame_text(replace(screen(approval()), notes=(note,))))


def test_marks_say_what_colours_say() -> None:
    text = "\n".join(frame_text(screen(approval())))
    assert " = program" in text
    assert " ? says" in text
    assert " ! tracer" in text


def test_a_passphrase_leaves_no_trace_in_a_frame() -> None:
    frames = [
        render(replace(screen(), view="unlock", entered=entered)) for entered in ("", "x", "x" * 99)
    ]
    assert frames[0] == frames[1] == frames[2]


def test_a_frame_says_that_own_session_mode_is_no_boundary() -> None:
    assert any("could approve this" in plain(row) for row in render(screen(approval())))


@pytest.mark.parametrize("view", get_args(View))
def test_no_frame_of_a_companion_holds_foreign_text_outside_its_column(view: View) -> None:
    evil = "\x1b[2J\u202e" + "A" * 2000
    pin = msgspec.structs.replace(PIN, text=evil)
    status = msgspec.structs.replace(COMPANION, troubles=(evil, evil), witness=False)
    state = companion(hostile(), status=status, pins=(pin, pin), pin="p1", view=view)
    assert_whole(frame_text(state), 80, 25)
    for row in render(state)[1:]:
        for before, span in zip((("", "plain"), *row), row, strict=False):
            assert span[1] != "foreign" or before[0] == GUTTER
            assert span[1] == "foreign" or "AAAA" not in span[0]


def test_the_phrase_is_whole_however_long_the_name_of_the_user_is() -> None:
    status = msgspec.structs.replace(COMPANION, witness=False)
    state = companion(status=status, user="a" * 200)
    assert "maple.harbor.ninth" in frame_text(state)[0]


@pytest.mark.parametrize(("letters", "told"), [(18, True), (26, False)])
def test_the_phrase_is_whole_and_stands_apart_from_what_follows(
    letters: int, *, told: bool
) -> None:
    phrase = "p" * letters  # three words of `privy provision` have 26 at most
    status = msgspec.structs.replace(COMPANION, witness=False)
    frame = frame_text(companion(status=status, phrase=phrase))
    assert f" vt8   {phrase} " in frame[0]
    assert (
        frame[0]
        .rstrip()
        .endswith(" 0 waiting   no witness   unlocked" if told else " 0 waiting   unlocked")
    )
    assert "no witness: facts are only reported" in "".join(frame)


def test_a_frame_says_that_nobody_verifies() -> None:
    alone = msgspec.structs.replace(COMPANION, witness=False)
    assert "no witness" in frame_text(companion(approval(), status=alone))[0]
    assert "no witness" not in "".join(frame_text(companion(approval())))


def test_a_terminal_that_was_left_shows_nothing_of_a_request() -> None:
    text = "".join(frame_text(companion(approval(), front=False)))
    assert "GitHub" not in text
    assert "node" not in text


def test_the_help_of_a_companion_is_whole_on_the_smallest_screen() -> None:
    def words(columns: int, rows: int) -> list[str]:
        state = replace(companion(view="help"), columns=columns, rows=rows)
        text = (row.strip("│ ") for row in frame_text(state)[2:-3])
        return [row for row in text if row]

    assert words(80, 24) == words(120, 40)


def test_one_process_that_asks_much_leaves_the_others_a_place_in_the_list() -> None:
    def asked(process: int, number: int) -> Approval:
        evidence = Evidence(summary="node", process=ProcessRef(pid=process, start_ticks=1))
        return approval(f"{process}-{number}", evidence=evidence)

    state = screen(*(asked(1, number) for number in range(16)))
    for other in (asked(2, 0), asked(3, 0), asked(2, 1), asked(1, 16)):
        state = told(state, Notice(what="asked", approval=other), b"x")
    order = [one.id for one in state.listed]
    assert order[:5] == ["1-0", "2-0", "3-0", "1-1", "2-1"]
    assert (order[-1], len(order)) == ("1-16", 20)
    assert state.subject is not None
    assert state.subject.id == "1-0"


def test_a_new_request_moves_nothing_above_the_one_that_is_read() -> None:
    def asked(process: int, number: int) -> Approval:
        evidence = Evidence(summary="node", process=ProcessRef(pid=process, start_ticks=1))
        return approval(f"{process}-{number}", evidence=evidence)

    state = screen(*(asked(1, number) for number in range(4)))
    state = shown(state, state.listed[2], b"x")
    state = told(state, Notice(what="asked", approval=asked(2, 0)), b"y")
    assert [one.id for one in state.listed] == ["1-0", "1-1", "1-2", "2-0", "1-3"]
