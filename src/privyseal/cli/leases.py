"""`privy leases`: what may be read without asking again."""

from typing import Final

from privyseal.cli.approval import find, short_ids
from privyseal.cli.reach import deciding
from privyseal.cli.report import print_json, print_table, say, span
from privyseal.cli.spec import JSON, Option, Spec, Values
from privyseal.runtime.blocking import Json
from privyseal.runtime.clock import SystemClock

REVOKE: Final = Option("--revoke", "End this lease now.", "ID", complete="leases")


def run(values: Values) -> int:
    """List the leases in force, or end one."""
    with deciding("leases can only be seen and ended") as keeper:
        leases = keeper.leases()
        if values["revoke"]:
            lease = find(
                leases, values["revoke"], what="lease", where="list them with `privy leases`"
            )
            keeper.revoke(lease["id"])
            say(f"lease {lease['id']} has ended")
            return 0
    if values["json"]:
        print_json(leases)
        return 0
    now = SystemClock().wall()
    rows = [
        (short, ", ".join(lease["labels"]), lease["holder"], lease["scope"], _left(lease, now))
        for short, lease in zip(short_ids(leases), leases, strict=True)
    ]
    if rows:
        print_table(("ID", "WHAT", "WHO", "SCOPE", "LEFT"), rows, (64, 36, 36, 24, 12))
    return 0


def _left(lease: Json, now: float) -> str:
    if lease["uses_left"] >= 0:
        return f"{lease['uses_left']}x"
    return span(lease["expires"] - now) if lease["expires"] else "-"


SPEC: Final = Spec("List what may be read without asking, or end a lease.", run, (REVOKE, JSON))
