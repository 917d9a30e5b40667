"""How the command speaks: errors, tables, colours, times, JSON."""

import json
import os
import sys
from collections.abc import Sequence
from typing import Any, Final, TextIO

from privyseal.errors import PrivysealError
from privyseal.wire.sanitise import fit, width

GREEN: Final = "32"
RED: Final = "31"
AMBER: Final = "33"

_OUTCOMES: Final = {
    "allowed": GREEN,
    "leased": GREEN,
    "ruled": GREEN,
    "denied": RED,
    "expired": AMBER,
    "abandoned": AMBER,
}


def complain(error: PrivysealError) -> int:
    """Print an error for a person; return its exit status."""
    print(f"{paint('privy:', RED, sys.stderr)} {fit(str(error), 1000)}", file=sys.stderr)
    if error.hint:
        print(f"  try: {fit(error.hint, 1000)}", file=sys.stderr)
    return error.exit_status


def defect(error: Exception) -> int:
    """Print that the program itself is at fault; return the exit status."""
    print(f"privy: internal error: {type(error).__name__}", file=sys.stderr)
    print("  try: run it again as `privy --debug …` and report what it prints", file=sys.stderr)
    return 1


def say(text: str) -> None:
    """Print a remark that is no result, to stderr."""
    print(f"privy: {text}", file=sys.stderr)


def paint(text: str, colour: str, stream: TextIO) -> str:
    """Return `text` in a colour when `stream` is a terminal that wants one."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty():
        return text
    return f"\x1b[{colour}m{text}\x1b[0m"


def outcome(state: str) -> str:
    """Return the state of a request, coloured for stdout."""
    colour = _OUTCOMES.get(state)
    return paint(state, colour, sys.stdout) if colour else state


def print_json(value: Any) -> None:
    """Print one JSON value; escapes make foreign text harmless to the terminal."""
    print(json.dumps(value, indent=2 if sys.stdout.isatty() else None))


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]], most: Sequence[int]) -> None:
    """Print aligned columns of foreign text, each cut to its greatest width, in cells."""
    cells = [[fit(text, limit) for text, limit in zip(row, most, strict=True)] for row in rows]
    wide = [max(map(width, column)) for column in zip(head, *cells, strict=True)]
    for row in (head, *cells):
        padded = [
            (outcome(text) if text in _OUTCOMES else text) + " " * (room - width(text))
            for text, room in zip(row, wide, strict=True)
        ]
        print("  ".join(padded).rstrip())


def span(seconds: float) -> str:
    """Return a length of time as a person reads it: `4:12`, `1:02:03`."""
    whole = max(0, int(seconds))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def ago(seconds: float) -> str:
    """Return how long something is ago, in one unit: `12 s`, `3 min`, `2 h`, `5 d`."""
    whole = max(0, int(seconds))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if whole >= size:
            return f"{whole // size} {unit}"
    return f"{whole} s"
