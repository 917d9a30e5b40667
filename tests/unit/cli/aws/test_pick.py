from functools import reduce

import pytest

from privyseal.cli.aws.pick import SHOWN, Choice

NAMES = ("default", "dev", "production", "prod-eu", "sandbox")
UP, DOWN, BACK = b"\x1b[A", b"\x1b[B", b"\x7f"


def pressed(*keys: bytes, names: tuple[str, ...] = NAMES) -> Choice:
    return reduce(Choice.press, keys, Choice(names))


def test_typing_keeps_the_names_that_hold_the_text_and_prefers_a_beginning() -> None:
    assert pressed(b"p", b"r", b"o", b"d").fitting == ["production", "prod-eu"]
    assert pressed(b"D").fitting == ["default", "dev", "production", "prod-eu", "sandbox"]
    assert pressed(b"e").fitting == ["default", "dev", "prod-eu"]


def test_the_mark_goes_round_and_returns_to_the_top_with_every_letter() -> None:
    assert pressed(UP).marked == len(NAMES) - 1
    assert pressed(DOWN, DOWN).marked == 2
    assert pressed(DOWN, b"d").marked == 0


def test_a_letter_too_many_can_be_taken_back() -> None:
    assert pressed(b"z").fitting == []
    assert pressed(b"z").lines(40) == ["  (nothing fits)"]
    assert pressed(b"z", BACK).fitting == list(NAMES)


@pytest.mark.parametrize("key", [b"\x1b[5~", b"\x01", b"\xff", b"\t"])
def test_other_keys_do_nothing(key: bytes) -> None:
    assert pressed(key) == Choice(NAMES)


def test_a_long_list_is_shown_around_the_mark() -> None:
    many = tuple(f"p{number:03}" for number in range(100))
    lines = pressed(*[DOWN] * 50, names=many).lines(40)

    assert len(lines) == SHOWN
    assert "> p050" in lines


def test_a_name_with_escapes_draws_none() -> None:
    assert "\x1b" not in "".join(Choice(("a\x1b[2J",)).lines(40))
