"""The sanitiser: whatever comes in, one harmless line of known width goes out."""

import time
import unicodedata

import pytest
from hypothesis import given, strategies as st

from privyseal.wire.sanitise import clean, fit, width, wrap

# Weighted towards what does harm: controls, bidi, zero width, tags, marks, wide, lone surrogates.
NASTY = "\x00\x07\x08\t\n\r\x1b\x7f\x85\x9b\x9d\u00ad\u061c\u200b\u200d\u200e\u202a\u202e\u2066\u2069\ufeff"
NASTY += (
    "\u0301\u0489\u20dd\ufe0f\U000e0041\ue000\ud800\u3000\u2028\u2500\u2588\u4e2d\uac00\u1160\u0430"
)
FOREIGN = st.text(st.one_of(st.sampled_from(NASTY), st.characters(categories=None)), max_size=80)


def harmless(text: str) -> bool:
    return all(unicodedata.category(char)[0] not in "CZ" or char == " " for char in text)


@given(text=FOREIGN, console=st.booleans())
def test_nothing_harmful_is_left_and_a_second_pass_changes_nothing(
    text: str, *, console: bool
) -> None:
    shown = clean(text, console=console)
    assert harmless(shown)
    assert clean(shown, console=console) == shown


@given(text=FOREIGN, cells=st.integers(0, 100), console=st.booleans())
def test_the_width_is_never_exceeded(text: str, cells: int, *, console: bool) -> None:
    shown = fit(text, cells, console=console)
    assert harmless(shown)
    assert width(shown) <= cells


@given(text=FOREIGN, cells=st.integers(16, 60), lines=st.integers(1, 4), console=st.booleans())
def test_wrapped_lines_fit_and_lose_nothing_silently(
    text: str, cells: int, lines: int, *, console: bool
) -> None:
    rows = wrap(text, cells, lines, console=console)
    assert len(rows) <= lines
    assert all(width(row) <= cells for row in rows)
    cut = ".." if console else "…"
    assert "".join(rows) == clean(text, console=console) or cut in "".join(rows)


@pytest.mark.parametrize(
    ("foreign", "shown"),
    [
        ("\x1b]52;c;AAAA\x07", "‹U+001B›]52;c;AAAA‹U+0007›"),
        ("\x9b2J", "‹U+009B›2J"),
        ("a\nb\tc", "a‹U+000A›b‹U+0009›c"),
        ("invoice\u202efdp.exe", "invoice‹U+202E›fdp.exe"),
        ("pass\u200bword", "pass‹U+200B›word"),
        ("\ud800", "‹U+D800›"),
        ("\U000e0041", "‹U+E0041›"),
        ("│ = verified", "‹U+2502› = verified"),
        ("e\u0301", "é"),
        ("q\u0301\u0302\u0303\u0304", "q\u0301\u0302‹+2 marks›"),
        ("\u0301x", "‹U+0301›x"),
        ("Größe 中文 Пароль", "Größe 中文 Пароль"),
        ("p\u0430ypal.com", "p‹U+0430›ypal.com"),
        ("\u0441\u043e\u0441\u043e", "‹U+0441›‹U+043E›‹U+0441›‹U+043E›"),
        ("Пароль от \u0441\u043e\u0441\u043e", "Пароль от \u0441\u043e\u0441\u043e"),
        ("\uff47ithub.com", "‹U+FF47›ithub.com"),
        ("github.com\u2215login", "github.com‹U+2215›login"),
    ],
)
def test_each_trick_is_named(foreign: str, shown: str) -> None:
    assert clean(foreign) == shown


def test_the_kernel_font_gets_only_glyphs_that_it_has() -> None:
    assert clean("Größe ✓ 中", console=True) == "Größe «U+2713» «U+4E2D»"
    assert clean("cut…", console=True) == "cut..."
    assert fit("a long word", 8, console=True) == "a l..ord"


def test_a_cut_keeps_both_ends_and_says_the_length() -> None:
    shown = fit("https://" + "a" * 9980 + ".example.com", 40)
    assert shown.startswith("https://")
    assert shown.endswith(".example.com")
    assert "…‹10000 long›…" in shown


def test_a_cut_never_tears_a_marker() -> None:
    shown = fit("\u202e" * 100, 40)
    assert shown.replace("‹U+202E›", "") == "…‹100 long›…"


def test_lines_break_at_a_slash_where_there_is_one() -> None:
    assert wrap("/usr/lib/node_modules/agent/dist/agent.js", 24, 3) == [
        "/usr/lib/node_modules/",
        "agent/dist/agent.js",
    ]


@pytest.mark.parametrize("text", ["a" * 16384, "\u202e" * 16384, "\u0301" * 16384, "中" * 16384])
def test_a_huge_text_costs_little(text: str) -> None:
    fit(text, 60)
    start = time.thread_time()
    fit(text, 61)
    assert time.thread_time() - start < 0.05
