"""Lengths of time as Go programs and aws-vault write them: `1h30m`, `900s`, `12h`."""

import re
from typing import Final

from privyseal.errors import UsageError

MAX: Final = 366 * 24 * 3600
"""Longest length of time in seconds that is read: more is a slip of the keyboard."""

_PIECE: Final = re.compile(r"(\d{1,18}(?:\.\d{0,9})?|\.\d{1,9})(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_SECONDS: Final = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,  # the micro sign
    "μs": 1e-6,  # the Greek letter, which Go takes as well
    "ms": 1e-3,
    "s": 1,
    "m": 60,
    "h": 3600,
}
_LONGEST: Final = 64


def parse(text: str, what: str) -> int:
    """Return the whole seconds of a Go duration; `what` names the flag or variable in errors.

    Fractions of a second are cut off, as AWS knows none.

    Raises:
        UsageError: It is no duration, negative or longer than a year.
    """
    number = text.removeprefix("+")
    if number == "0":
        return 0
    seconds, end = 0.0, 0
    if len(number) <= _LONGEST:
        while piece := _PIECE.match(number, end):
            seconds += float(piece[1]) * _SECONDS[piece[2]]
            end = piece.end()
    if not end or end != len(number) or seconds > MAX:
        raise UsageError(
            f"{what} wants a length of time, not {text[:_LONGEST]!r}",
            hint="write it as `900s`, `1h30m` or `12h`",
        )
    return int(seconds + 1e-9)


def written(seconds: int) -> str:
    """Return a length of time as Go prints it: `1h0m0s`, `15m0s`, `59s`."""
    minutes, rest = divmod(max(0, seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def spoken(seconds: int) -> str:
    """Return a length of time in the shortest form that `parse` reads: `1h`, `1h30m`, `900s`."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    pieces = ((hours, "h"), (minutes, "m"), (rest, "s"))
    return "".join(f"{count}{unit}" for count, unit in pieces if count) or "0s"
