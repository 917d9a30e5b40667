from collections.abc import Iterator

import click
import pytest
from hypothesis import given, strategies as st

from privyseal.cli import get, history, run
from privyseal.cli.spec import Argument, Group, Option, Spec, Values, quick
from privyseal.cli.table import ROOT
from privyseal.cli.tree import build
from privyseal.errors import UsageError


def everything(group: Group) -> Iterator[tuple[str, object]]:
    """Yield the line in the help of every command, and what its module defines."""
    for name, (_, summary) in group.commands.items():
        found = group.load(name)
        yield summary, found
        if isinstance(found, Group):
            yield from everything(found)


FREE = Spec(
    "Take options anywhere.",
    lambda _: 0,
    (
        Option("--duration", "How long.", "TIME", short="-d"),
        Option("--json", "A flag.", short="-j"),
    ),
    (Argument("profile", optional=True), Argument("command", rest=True, optional=True)),
    interspersed=True,
)
SPECS = [FREE, *(found for _, found in everything(ROOT) if isinstance(found, Spec))]


def by_click(spec: Spec, words: list[str]) -> Values | None:
    """Return what click passes on for the same words; None where it refuses them."""
    seen: list[Values] = []

    def note(values: Values) -> int:
        seen.append(values)
        return 0

    try:
        noted = Spec(
            spec.summary, note, spec.options, spec.arguments, interspersed=spec.interspersed
        )
        build("it", noted).main(words, standalone_mode=False)
    except click.ClickException:
        return None
    return seen[0] if seen else None


def vocabulary() -> Iterator[str]:
    yield from ("", "-", "--", "a", "b=c", "--nonsense", "-x", "--json=1", "--timeout=")
    for spec in SPECS:
        for option in spec.options:
            yield from (option.flag, f"{option.flag}=v")
    yield from ("-d", "-j", "-d5", "-jd")


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
    for summary, found in everything(ROOT):
        assert isinstance(found, Spec | Group | click.Command)
        assert not summary or summary.endswith(".")
        if summary and isinstance(found, Spec | Group):
            assert found.summary == summary


def test_where_options_may_stand_anywhere_a_double_dash_begins_the_last_argument() -> None:
    nothing = {"duration": "", "json": False}
    command = ("ls", "--json")

    assert quick(FREE, ["prod", "-d", "1h", "--", *command]) == {
        "duration": "1h",
        "json": False,
        "profile": "prod",
        "command": command,
    }
    assert quick(FREE, ["--", *command]) == {**nothing, "profile": "", "command": command}
    assert quick(FREE, []) == {"duration": "", "json": False, "profile": "", "command": ()}
