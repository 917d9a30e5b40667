"""What a command takes, as data: one description for the quick parser, click and completion.

Commands that must start at once are described here and parsed by `quick`, which knows only the
plain cases. Whatever it does not understand goes to click, built from the same description, so
that help, completion and complaints have one source.
"""

from __future__ import annotations

from privyseal.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, Final

    Values = dict[str, Any]
else:
    Values = dict

_DIGITS: Final = 9  # int() refuses very long texts by a ValueError of its own


class Option:
    """A `--flag`; with a `metavar` it takes a value, with `many` it may be repeated.

    `short` is its form with one letter, `-d`, "" for none. The help lists options with the same
    `section` under that heading, after those that have none.
    """

    __slots__ = ("complete", "flag", "help", "many", "metavar", "section", "short")

    def __init__(
        self,
        flag: str,
        help: str,  # noqa: A002 - what click calls it
        metavar: str = "",
        *,
        many: bool = False,
        complete: str = "",
        short: str = "",
        section: str = "",
    ) -> None:
        self.flag = flag
        self.help = help
        self.metavar = metavar
        self.many = many
        self.complete = complete
        self.short = short
        self.section = section

    @property
    def name(self) -> str:
        """The key of its value: `--passphrase-fd` is `passphrase_fd`."""
        return self.flag.lstrip("-").replace("-", "_")

    @property
    def absent(self) -> Any:
        """Its value when it is not given."""
        if self.many:
            return ()
        return "" if self.metavar else False


class Argument:
    """A positional argument; `rest` takes all that follow, `optional` may be left out."""

    __slots__ = ("complete", "name", "optional", "rest")

    def __init__(
        self, name: str, *, complete: str = "", rest: bool = False, optional: bool = False
    ) -> None:
        self.name = name
        self.complete = complete
        self.rest = rest
        self.optional = optional


class Spec:
    """A command: its text for people, what it takes, and what it does.

    `run` gets every option and argument by name, as text, and returns the exit status. Where the
    last argument takes the rest, options of another command included, ours stand before it; with
    `interspersed` they stand anywhere before a `--`, and what follows that is the last argument's.
    """

    __slots__ = ("arguments", "details", "interspersed", "options", "run", "summary")

    def __init__(
        self,
        summary: str,
        run: Callable[[Values], int],
        options: tuple[Option, ...] = (),
        arguments: tuple[Argument, ...] = (),
        details: str = "",
        *,
        interspersed: bool = False,
    ) -> None:
        self.summary = summary
        self.run = run
        self.options = options
        self.arguments = arguments
        self.details = details
        self.interspersed = interspersed


class Group:
    """Commands under one name: for each the module that holds it, and its line in the help.

    A module is imported when its command runs. It defines `SPEC`, a `Spec`, or `GROUP`, another
    `Group`, or, where the comforts of click are wanted, `command`, a click command. A command with
    an empty line is another name for one, and not listed.
    """

    __slots__ = ("commands", "summary")

    def __init__(self, summary: str, commands: Mapping[str, tuple[str, str]]) -> None:
        self.summary = summary
        self.commands = commands

    def load(self, name: str) -> object:
        """Import the module of a command; return what it defines."""
        # With something to be had from it, the module itself and not its package is returned.
        module: Any = __import__(self.commands[name][0], fromlist=["SPEC"])
        return getattr(module, "SPEC", None) or getattr(module, "GROUP", None) or module.command


JSON = Option("--json", "Print JSON, in the schema of the guide.")


def quick(spec: Spec, words: list[str]) -> Values | None:
    """Return the values that `words` give, or None when click has to look at them.

    Raises:
        UsageError: The value of an option is empty: a variable of a script was not set.
    """
    values: Values = {option.name: option.absent for option in spec.options}
    flags = {name: option for option in spec.options for name in (option.flag, option.short)}
    ends = not spec.interspersed and bool(spec.arguments) and spec.arguments[-1].rest
    plain: list[str] = []
    fenced: list[str] = []
    left = list(words)
    while left:
        word = left.pop(0)
        if word == "--":
            (fenced if spec.interspersed else plain).extend(left)
            break
        if not word.startswith("-") or word == "-":
            plain.append(word)
            if ends and len(plain) == len(spec.arguments):
                plain += left
                break
            continue
        flag, equals, value = word.partition("=")
        option = flags.get(flag)
        if option is None or bool(equals) > (bool(option.metavar) and flag == option.flag):
            return None
        if not option.metavar:
            values[option.name] = True
            continue
        if not equals:
            if not left or (spec.interspersed and left[0] == "--"):
                return None
            value = left.pop(0)
        if not value:
            raise UsageError(f"{flag} wants {option.metavar}, and got an empty text")
        values[option.name] = (*values[option.name], value) if option.many else value
    return positional(spec, values, plain, fenced)


def positional(
    spec: Spec, values: Values, plain: list[str], fenced: Sequence[str] = ()
) -> Values | None:
    """Return the values with those of the arguments, or None when these are too few or too many.

    `fenced` are the words for the last argument alone.
    """
    for argument in spec.arguments:
        if not plain and not argument.optional:
            return None
        if argument.rest:
            values[argument.name], plain = (*plain, *fenced), []
        else:
            values[argument.name] = plain.pop(0) if plain else ""
    return None if plain else values


def number(values: Values, option: Option, absent: int, *, most: int) -> int:
    """Return the whole number given for `option`, between 0 and `most`.

    Raises:
        UsageError: It is none.
    """
    text = str(values[option.name])
    if not text:
        return absent
    if not (text.isascii() and text.isdigit()) or len(text) > _DIGITS or int(text) > most:
        raise UsageError(f"{option.flag} wants a whole number up to {most}, not {text!r}")
    return int(text)
