"""The `aws-vault` command: that program's command line, for the same modules as `privy aws`."""

import sys
from collections.abc import Sequence
from typing import Final

from privyseal.cli.aws.extra import missing
from privyseal.cli.aws.kingpin import Flag, Line, Reader
from privyseal.cli.aws.options import STORE
from privyseal.cli.aws.table import GROUP
from privyseal.cli.barrier import guard
from privyseal.cli.spec import Option, Spec, positional
from privyseal.errors import PrivysealError, UsageError
from privyseal.wire.sanitise import fit

_PROGRAM: Final = "aws-vault"

FAILED: Final = 1
"""The one exit status of every error there."""

_ALONE: Final = (
    "debug",
    "help",
    "help-long",
    "help-man",
    "version",
    "completion-bash",
    "completion-script-bash",
    "completion-script-zsh",
)
_UNUSED: Final = (
    "proton-pass-share-id",
    "proton-pass-item-title-prefix",
    "proton-pass-api-base",
    "proton-pass-timeout",
)
"""Options of a store that is none of ours; it is refused where it is chosen, not these."""

_WIDE: Final = 2000


def main() -> int:
    """Run what the command line says; return the exit status."""
    words = sys.argv[1:]

    def told(error: Exception) -> int:
        if isinstance(error, _CommandError):
            return _complain(f"{error.command}: {error.cause}", error.cause.hint)
        if isinstance(error, UsageError):
            return _complain(f"{error}, try --help", "")
        if isinstance(error, PrivysealError):
            return _complain(str(error), error.hint)
        if "--debug" in words:
            raise error
        return _complain(f"internal error: {type(error).__name__}", "")

    return guard(lambda: run(words), told)


class _CommandError(Exception):
    """An error that the command itself met, not the reading of its line."""

    def __init__(self, command: str, cause: PrivysealError) -> None:
        super().__init__(str(cause))
        self.command = command
        self.cause = cause


def run(words: Sequence[str]) -> int:
    """Run one command line.

    Raises:
        UsageError: It cannot be understood.
    """
    if words[:1] == ["--completion-bash"]:
        return _complete(list(words[1:]))
    flags = _flags(STORE) | {f"--{name}": Flag(name, takes_value=False) for name in _ALONE}
    flags |= {f"--{name}": Flag(name, takes_value=True) for name in _UNUSED}
    flags["-v"] = flags["--version"]
    reader = Reader(words)
    command = reader.command(flags)
    if not command or command == "help":
        return _alone(reader.rest(flags))
    if command not in GROUP.commands and command != "version":
        raise UsageError(f'expected command but got "{command}"')
    if command == "version":
        return _alone(Line({"version": True}, []))
    found = GROUP.load(command)
    command = _own_name(command)
    if not isinstance(found, Spec):
        return _by_click(command, reader.rest(flags | _click_flags(found)))
    line = reader.rest(flags | _flags(found.options))
    if _is_alone(line):
        return _alone(line, command)
    return _run(command, found, line)


def _own_name(command: str) -> str:
    module = GROUP.commands[command][0]
    return next(name for name, (its, line) in GROUP.commands.items() if its == module and line)


def _run(command: str, spec: Spec, line: Line) -> int:
    needed = sum(not argument.optional for argument in spec.arguments)
    if len(line.words) < needed:
        first = spec.arguments[len(line.words)].name
        raise UsageError(f"required argument '{first}' not provided")
    values = {option.name: option.absent for option in (*STORE, *spec.options)}
    filled = positional(spec, values, list(line.words))
    if filled is None:
        raise UsageError(f"unexpected argument '{line.words[len(spec.arguments)]}'")
    names = {name.replace("-", "_"): value for name, value in line.values.items()}
    filled |= {name: value for name, value in names.items() if name in values}
    try:
        return spec.run(filled)
    except PrivysealError as error:
        raise _CommandError(command, error) from error
    except ModuleNotFoundError as error:
        if (told := missing(error)) is None:
            raise
        raise _CommandError(command, told) from error


def _flags(options: Sequence[Option]) -> dict[str, Flag]:
    found: dict[str, Flag] = {}
    for option in options:
        flag = Flag(option.flag.removeprefix("--"), bool(option.metavar), option.many)
        found[option.flag] = flag
        if option.short:
            found[option.short] = flag
    return found


def _click_flags(command: object) -> dict[str, Flag]:
    from click import Command, Option as ClickOption  # noqa: PLC0415 - only for what needs it

    if not isinstance(command, Command):
        return {}
    found: dict[str, Flag] = {}
    for option in command.params:
        if not isinstance(option, ClickOption):
            continue
        name = next(opt for opt in option.opts if opt.startswith("--")).removeprefix("--")
        for given in option.opts:
            found[given] = Flag(name, takes_value=not option.is_flag, many=option.multiple)
    return found


def _by_click(command: str, line: Line) -> int:
    from privyseal.cli.tree import run as run_tree  # noqa: PLC0415 - click is slow to load

    words: list[str] = []
    for name, value in line.values.items():
        if isinstance(value, bool):
            words += [f"--{name}"] * value
        else:
            given = value if isinstance(value, tuple) else (value,)
            words += [f"--{name}={one}" for one in given]
    try:
        return run_tree([command, *words, "--", *line.words], _PROGRAM, GROUP)
    except PrivysealError as error:
        raise _CommandError(command, error) from error


def _is_alone(line: Line) -> bool:
    return any(line.values.get(name) for name in _ALONE if name != "debug")


def _alone(line: Line, command: str = "") -> int:
    if line.values.get("version"):
        from privyseal.cli.version import run as print_version  # noqa: PLC0415 - only here

        return print_version({"json": False})
    if shell := next((s for s in ("bash", "zsh") if line.values.get(f"completion-script-{s}")), ""):
        from privyseal.cli.aws.completion import script  # noqa: PLC0415 - only here

        print(script(shell))
        return 0
    from privyseal.cli.tree import run as run_tree  # noqa: PLC0415 - click is slow to load

    command = command or (line.words[0] if line.words else "")
    return run_tree([*([command] if command else []), "--help"], _PROGRAM, GROUP)


def _complete(words: list[str]) -> int:
    from privyseal.cli.aws.completion import candidates  # noqa: PLC0415 - only while completing

    print("\n".join(candidates(words)))
    return 0


def _complain(text: str, hint: str) -> int:
    print(f"aws-vault: error: {fit(text, _WIDE)}", file=sys.stderr)
    if hint:
        print(f"  try: {fit(hint, _WIDE)}", file=sys.stderr)
    return FAILED
