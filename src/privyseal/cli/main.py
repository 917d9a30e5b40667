"""The `privy` command: find the module of a command, run it, turn errors into one line."""

import os
import sys

from privyseal.cli.barrier import guard
from privyseal.cli.spec import Group, Spec, quick
from privyseal.cli.table import ROOT
from privyseal.errors import PrivysealError


def main() -> int:
    """Run what the command line says; return the exit status."""
    words = sys.argv[1:]
    debug = words[:1] == ["--debug"]

    def told(error: Exception) -> int:
        if debug:
            raise error
        from privyseal.cli.report import complain, defect  # noqa: PLC0415 - only after an error

        known = error if isinstance(error, PrivysealError) else _not_installed(error)
        return complain(known) if known else defect(error)

    return guard(lambda: dispatch(words[1:] if debug else words), told)


def _not_installed(error: Exception) -> PrivysealError | None:
    from privyseal.cli.aws.extra import missing  # noqa: PLC0415 - only after a defect

    return missing(error) if isinstance(error, ModuleNotFoundError) else None


def dispatch(words: list[str]) -> int:
    """Run one command by the quick path when it allows that, else through click."""
    if words[:1] == ["--version"]:
        words = ["version"]
    if "_PRIVY_COMPLETE" not in os.environ:
        spec, left = _find(words)
        values = quick(spec, left) if isinstance(spec, Spec) else None
        if isinstance(spec, Spec) and values is not None:
            status = spec.run(values)
            sys.stdout.flush()
            # Taking the interpreter apart would be a tenth of the time of `privy list`.
            os._exit(status)
    from privyseal.cli.tree import run  # noqa: PLC0415 - click costs as much as all of `privy list`

    return run(words)


def _find(words: list[str]) -> tuple[object, list[str]]:
    found: object = ROOT
    while isinstance(found, Group) and words and words[0] in found.commands:
        found, words = found.load(words[0]), words[1:]
    return found, words
