"""`privy history`: what was asked and how it ended."""

from typing import Final

from privyseal.cli import approval as told
from privyseal.cli.reach import deciding
from privyseal.cli.report import ago, print_json, print_table
from privyseal.cli.spec import JSON, Option, Spec, Values, number
from privyseal.runtime.clock import SystemClock

LIMIT: Final = Option("--limit", "Show at most so many (20).", "N")


def run(values: Values) -> int:
    """Print one line an ended request, newest first."""
    limit = number(values, LIMIT, 20, most=100_000)
    with deciding("past requests can only be seen") as keeper:
        ended = keeper.history(limit)
    if values["json"]:
        print_json([told.public(a) for a in ended])
        return 0
    now = SystemClock().wall()
    rows = [
        (short, told.what(a), told.who(a), a["state"], f"{ago(now - a['resolved'])} ago")
        for short, a in zip(told.short_ids(ended), ended, strict=True)
    ]
    if rows:
        print_table(("ID", "WHAT", "WHO", "RESULT", "WHEN"), rows, (64, 36, 36, 12, 12))
    return 0


SPEC: Final = Spec("List requests that have ended, newest first.", run, (LIMIT, JSON))
