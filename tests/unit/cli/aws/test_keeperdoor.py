"""A command as an order carries it: enough to know it by, and never too much for an order."""

import pytest

from privyseal.cli.aws.keeperdoor import COMMAND_SHOWN, COMMAND_WORDS, shown
from privyseal.keeper.orders import order_facts
from privyseal.model.aws import Obtain, Plan, StoredKey
from privyseal.model.value import decode, encode


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["true"], ["true"]),
        (["a"] * COMMAND_WORDS, ["a"] * COMMAND_WORDS),
        (["a"] * (COMMAND_WORDS + 1), [*["a"] * (COMMAND_WORDS - 1), "… and 2 more"]),
        (["x" * COMMAND_SHOWN, "y", "z"], ["x" * COMMAND_SHOWN, "… and 2 more"]),
        (["sh", "-c", "x" * 10**6], ["sh", "-c", "x" * (COMMAND_SHOWN - 4)]),
        (["cp", "d\udce9v", "dév"], ["cp", r"d\xe9v", "dév"]),
        ([], []),
    ],
)
def test_a_long_command_is_cut(command: list[str], words: list[str]):
    assert shown(command) == words


@pytest.mark.parametrize("letter", ["a", '"', "\x01", "\U0001f511"])
def test_every_command_fits_into_an_order(letter: str):
    plan = Plan(profile="prod", source=StoredKey(name="prod"))
    order = Obtain(plan=plan, command=tuple(shown([letter * 40_000, *[letter] * 100])))

    assert order_facts(decode(encode(order), Obtain, what="an order"))
