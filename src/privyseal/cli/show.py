"""`privy show`: one request, with everything a person may know of it."""

import sys
from typing import Final

from privyseal.cli import approval as told
from privyseal.cli.reach import reach
from privyseal.cli.report import ago, outcome, print_json
from privyseal.cli.spec import JSON, Argument, Spec, Values
from privyseal.runtime.blocking import Json
from privyseal.runtime.clock import SystemClock
from privyseal.wire.sanitise import fit


def run(values: Values) -> int:
    """Print what was put before a person, and how it stands."""
    with reach() as keeper:
        approval = keeper.show(values["id"])
    if values["json"]:
        print_json(told.public(approval))
        return 0
    for line in told.lines(approval):
        print(told.coloured(line, sys.stdout))
    print(f"request {approval['id']}: {_standing(approval, SystemClock().wall())}")
    return 0


def _standing(approval: Json, now: float) -> str:
    if approval["state"] == "pending":
        locked = ", can be allowed once the store is unlocked" if approval["needs_unlock"] else ""
        return f"waits, {told.left(approval, now)} left{locked}"
    by = f" by {fit(approval['decided_by'], 200)}" if approval["decided_by"] else ""
    why = f": {fit(approval['reason'], 400)}" if approval["reason"] else ""
    return f"{outcome(approval['state'])}{by} {ago(now - approval['resolved'])} ago{why}"


SPEC: Final = Spec(
    "Show one request, waiting or past.",
    run,
    (JSON,),
    (Argument("id", complete="requests"),),
    "ID is any unique beginning of a request's identifier.",
)
