"""What an order that changes something has to say, line by line."""

import json
from collections.abc import Sequence
from typing import Final

from privyseal.wire.sanitise import fit

_WIDE: Final = 1000
_SOME: Final = 3


def print_lines(result: bytes, other: tuple[str, str] = ("", "")) -> None:
    """Print the `lines` of an order's result, with the second word of `other` for the first."""
    for line in json.loads(result)["lines"]:
        print(fit(line.replace(*other, 1) if other[0] else line, _WIDE))


def some(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    more = f" and {len(names) - _SOME} more" if len(names) > _SOME else ""
    return ", ".join(names[:_SOME]) + more


def count(number: int, what: str) -> str:
    """Return a number of things: `1 key`, `2 keys`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
