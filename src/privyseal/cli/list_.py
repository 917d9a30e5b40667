"""`privy list`: the requests that wait for a person."""

import sys
from typing import Final

from privyseal.cli import approval as told
from privyseal.cli.reach import reach
from privyseal.cli.report import print_json, print_table
from privyseal.cli.spec import JSON, Spec, Values
from privyseal.runtime.clock import SystemClock


def run(values: Values) -> int:
    """Print one line a request, oldest first."""
    with reach() as keeper:
        pending = keeper.pending()
    if values["json"]:
        print_json([told.public(a) for a in pending])
        return 0
    now = SystemClock().wall()
    rows = [
        (short, told.what(a), told.who(a), told.left(a, now))
        for short, a in zip(told.short_ids(pending), pending, strict=True)
    ]
    if rows:
        print_table(("ID", "WHAT", "WHO", "LEFT"), rows, (64, 36, 44, 12))
    elif sys.stdout.isatty():
        print("nothing waits")
    return 0


SPEC: Final = Spec("List the requests that wait for a person.", run, (JSON,))
