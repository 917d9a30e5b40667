"""`privy status`: the keeper in one glance."""

from typing import Final

from privyseal.cli.reach import reach
from privyseal.cli.report import ago, print_json
from privyseal.cli.spec import JSON, Spec, Values
from privyseal.runtime.blocking import Json
from privyseal.runtime.clock import SystemClock
from privyseal.wire.sanitise import fit


def run(values: Values) -> int:
    """Print how the keeper is."""
    with reach() as keeper:
        status = keeper.status()
    if values["json"]:
        print_json(status)
        return 0
    up = ago(SystemClock().wall() - status["since"])
    print(f"keeper    {status['version']}, {status['mode']} mode, for {up}")
    if status["mode"] == "companion":
        print(f"console   Ctrl+Alt+F{status['vt']}, of {fit(status['user'], 60)}")
    print(f"store     {_store(status)}")
    print(f"waiting   {status['pending']}")
    print(f"leases    {status['leases']}")
    print(f"audit     {status['audit_entries']} entries, receipts by {status['receipt_key'][:16]}")
    if not status.get("witness", True):
        print("witness   does not answer: no fact about a requester is verified")
    for trouble in status.get("troubles", ()):
        print(f"trouble   {fit(trouble, 200)}")
    return 0


def _store(status: Json) -> str:
    if not status["initialised"]:
        state = "not made yet"
    else:
        state = "locked" if status["locked"] else "unlocked"
    return f"{state}, {fit(status['backend'], 60)}"


SPEC: Final = Spec("Say in one glance how the keeper is.", run, (JSON,))
