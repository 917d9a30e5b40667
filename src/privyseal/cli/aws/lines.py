"""What an order that changes something has to say, line by line."""

import json
from typing import Final

from privyseal.wire.sanitise import fit

_WIDE: Final = 1000


def print_lines(result: bytes) -> None:
    """Print the `lines` of an order's result."""
    for line in json.loads(result)["lines"]:
        print(fit(line, _WIDE))
