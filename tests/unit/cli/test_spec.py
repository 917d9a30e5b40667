from collections.abc import Iterator

import click
import pytest
from hypothesis import given, strategies as st

from privyseal.cli import get, history, run
from privyseal.cli.spec import Spec, Values, quick
from privyseal.cli.table import COMMANDS, load
from privyseal.cli.tree import build
from privyseal.errors import UsageError

SPECS = [found for name in COMMANDS if isinstance(found := load(name), Spec)]


def by_click(spec: Spec, words: list[str]) -> Values | None:
    """Return what click passes on for the same words; None where it refuses them."""
    seen: list[Values] = []

    def note(values: Values) -> int:
        seen.append(values)
        return 0

    try:
        build("it", spec._replace(run=note)).main(words, standalone_mode=False)
    except click.ClickException:
        return None
    return seen[0] if seen else None


def vocabulary() -> Iterator[str]:
    yield from ("", "-", "--", "a", "b=c", "--nonsense", "-x", "--json=1", "--timeout=")
    for spec in SPECS:
        for option in spec.options:
            yield from (option.flag, f"{option.flag}=v")


@given(st.sampled_from(SPECS), st.lists(st.sampled_from(sorted(set(vocabulary()))), max_size=6))
def test_the_quick_parser_agrees_with_click_on_all_that_it_takes(
    spec: Spec, words: list[str]
) -> None:
    try:
        values = quick(spec, words)
    except UsageError:
        assert any(not word or word.endswith("=") for word in words)
        return

    if values is not None:
        assert values == by_click(spec, words)


@pytest.mark.parametrize("words", [["--help"], [], ["a", "b"], ["a", "--nope"], ["--timeout"]])
def test_whatever_is_not_plain_is_left_to_click(words: list[str]) -> None:
    assert quick(get.SPEC, words) is None


def test_the_plain_cases_are_taken() -> None:
    assert quick(history.SPEC, ["--limit", "5", "--json"]) == {"limit": "5", "json": True}
    assert quick(get.SPEC, ["--timeout=5", "--", "--force"]) == {
        "ref": "--force",
        "timeout": "5",
        "force": False,
    }


@pytest.mark.parametrize("words", [["--timeout", "", "a"], ["--timeout=", "a"]])
def test_an_option_without_text_is_refused(words: list[str]) -> None:
    with pytest.raises(UsageError, match="--timeout wants SECONDS, and got an empty text"):
        quick(get.SPEC, words)


def test_options_after_the_command_belong_to_the_command() -> None:
    values = quick(run.SPEC, ["--secret", "A=b", "ls", "--secret", "--", "-l"])

    assert values is not None
    assert values["secret"] == ("A=b",)
    assert values["command"] == ("ls", "--secret", "--", "-l")


def test_every_command_of_the_table_loads_and_has_a_line_of_help() -> None:
    for name, (_, summary) in COMMANDS.items():
        found = load(name)
        assert summary.endswith(".")
        assert isinstance(found, Spec | click.Command)
        if isinstance(found, Spec):
            assert found.summary == summary
