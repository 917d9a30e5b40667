"""Short questions on the controlling terminal, wherever standard input and output go."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Final

from privyseal.aws.asking import hidden
from privyseal.errors import LockedError, UsageError

_TERMINAL: Final = "/dev/tty"
_LONGEST: Final = 4096


def line(prompt: str, *, hint: str) -> str:
    """Return the line that a person types, without the blanks around it.

    Raises:
        UsageError: There is no terminal; `hint` says what to do then.
    """
    with _terminal(prompt, hint) as terminal:
        terminal.write(prompt.encode())
        answer = terminal.readline(_LONGEST)
    if not answer:
        raise UsageError("nothing was typed")
    return str(answer.decode(errors="replace").strip())


def agreed(question: str, *, hint: str) -> bool:
    """Return whether a person says yes; no is what anything else means."""
    return line(f"{question} (y|N) ", hint=hint).lower() in {"y", "yes"}


def secret(prompt: str, *, hint: str) -> str:
    """Return what a person types unseen, without the blanks around it.

    Raises:
        UsageError: She typed nothing, or there is no terminal; `hint` says what to do then.
    """
    try:
        return hidden(prompt).expose().decode(errors="replace").strip()
    except LockedError as error:  # which it is for a store's passphrase
        raise UsageError(str(error), hint=hint) from error


@contextmanager
def _terminal(prompt: str, hint: str) -> Iterator[IO[bytes]]:
    try:
        terminal = open(_TERMINAL, "r+b", buffering=0)  # noqa: PTH123, SIM115 - pathlib costs 6 ms; closed below
    except OSError as error:
        raise UsageError(
            f"there is no terminal to ask on: {prompt.strip()!r}", hint=hint
        ) from error
    with terminal:
        yield terminal
