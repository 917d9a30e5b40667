"""The command line of aws-vault, read by the rules of the Go library that reads it there.

Options stand anywhere before a `--`, those of a command after its name. `-d1h` and `-ns` are forms
of `-d 1h` and `-n -s`. Every switch has an opposite, `--no-NAME`, and the last one given holds.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from privyseal.errors import UsageError


class Flag(NamedTuple):
    """An option by its long name, without hyphens; a switch when it takes no value."""

    name: str
    takes_value: bool
    many: bool = False


Flags = Mapping[str, Flag]
"""Options by what stands for them on the command line: `--name`, `-n`."""


class Line(NamedTuple):
    """What a command line says: the values of options, and the words that are none."""

    values: dict[str, str | bool | tuple[str, ...]]
    words: list[str]


class Reader:
    """Reads one command line in two steps, since a command's options are known by its name."""

    def __init__(self, words: Sequence[str]) -> None:
        self._left = list(words)
        self._plain_only = False
        self._values: dict[str, str | bool | tuple[str, ...]] = {}

    def command(self, flags: Flags) -> str:
        """Return the first word that is no option, "" when there is none.

        Raises:
            UsageError: An option before it is unknown, or lacks its value.
        """
        return self._word(flags) or ""

    def rest(self, flags: Flags) -> Line:
        """Return all that follows, and the options that stood before the command.

        Raises:
            UsageError: An option is unknown, or lacks its value.
        """
        words: list[str] = []
        while (word := self._word(flags)) is not None:
            words.append(word)
        return Line(self._values, words)

    def _word(self, flags: Flags) -> str | None:
        while self._left:
            word = self._left.pop(0)
            if self._plain_only:
                return word
            if word == "--":
                self._plain_only = True
            elif word.startswith("--"):
                self._long(word, flags)
            elif word.startswith("-"):
                self._short(word, flags)
            else:
                return word
        return None

    def _long(self, word: str, flags: Flags) -> None:
        given, equals, value = word.partition("=")
        flag, on = flags.get(given), True
        if flag is None and given.startswith(_NO):
            flag, on = flags.get(f"--{given.removeprefix(_NO)}"), False
        if flag is None or (flag.takes_value and not on):
            raise UsageError(f"unknown long flag '{given}'")
        if equals and not flag.takes_value:
            # The library there takes it for the next word, and so do scripts.
            self._left.insert(0, value)
        self._note(flag, given, [value] if equals and flag.takes_value else [], on=on)

    def _short(self, word: str, flags: Flags) -> None:
        letter, more = word[:2], word[2:]
        flag = flags.get(letter)
        if flag is None:
            raise UsageError(f"unknown short flag '{letter}'")
        if more and not flag.takes_value:
            self._left.insert(0, f"-{more}")
            more = ""
        self._note(flag, letter, [more] if more else [], on=True)

    def _note(self, flag: Flag, given: str, value: list[str], *, on: bool) -> None:
        if not flag.takes_value:
            self._values[flag.name] = on
            return
        if not value:
            if not self._left or (self._left[0].startswith("-") and self._left[0] != "--"):
                raise UsageError(f"expected argument for flag '{given}'")
            value = [self._left.pop(0)]
        before = self._values.get(flag.name, ())
        more = isinstance(before, tuple) and flag.many
        self._values[flag.name] = (*before, value[0]) if more else value[0]  # type: ignore[misc]  # a tuple, as `more` says


_NO: Final = "--no-"
