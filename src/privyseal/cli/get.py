"""`privy get`: print one secret."""

from __future__ import annotations

import os
import sys

from privyseal.cli.fetch import LONGEST_WAIT, TIMEOUT
from privyseal.cli.finding import fetch
from privyseal.cli.reach import reach
from privyseal.cli.ref import parse
from privyseal.cli.spec import Argument, Option, Spec, Values, number
from privyseal.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

FORCE: Final = Option("--force", "Print it to a terminal even when it is no text.")

NAMING: Final = (
    "REF names the secret: attribute=value[,attribute=value...], COLLECTION/LABEL, LABEL or "
    "item:COLLECTION/ID."
)


def run(values: Values) -> int:
    """Ask, wait for the decision, print the bytes."""
    ref = parse(values["ref"])
    seconds = number(values, TIMEOUT, 0, most=LONGEST_WAIT)
    with reach(wake=True) as keeper:
        [secret] = fetch(keeper, [ref], seconds or None)
    value = secret.expose()
    if os.isatty(sys.stdout.fileno()):
        if not values["force"] and not _is_text(value):
            raise UsageError(
                f"the secret holds control characters or binary data: {ref.text!r}",
                hint="pipe it somewhere, or use --force",
            )
        value += b"\n"
    view = memoryview(value)
    while view:
        view = view[os.write(sys.stdout.fileno(), view) :]
    return 0


def _is_text(value: bytes) -> bool:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return False
    return all(c.isprintable() or c in "\n\t" for c in text)


SPEC: Final = Spec(
    "Print a secret, after a person allowed it.",
    run,
    (TIMEOUT, FORCE),
    (Argument("ref"),),
    f"{NAMING} To a pipe it prints the exact bytes, to a terminal a newline more. "
    "Ctrl-C withdraws the request.",
)
