"""`privy watch`: the approval screen in this terminal, or what happens as JSON lines."""

import json
import os
import sys
from typing import Final

from privyseal.cli.approval import public, what, who
from privyseal.cli.reach import reach, way_in
from privyseal.cli.spec import JSON, Spec, Values
from privyseal.errors import UsageError
from privyseal.runtime.blocking import Json
from privyseal.wire.sanitise import fit


def run(values: Values) -> int:
    """Stream notices, or become the console."""
    if values["json"] or way_in() is not None:
        with reach() as keeper:
            keeper.watch(_print if values["json"] else _tell)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "the approval screen needs a terminal", hint="stream with `privy watch --json`"
        )
    os.execv(sys.executable, [sys.executable, "-I", "-m", "privyseal.console"])  # noqa: S606 - a shell is what must not stand between


def _print(notice: Json) -> None:
    approval = notice.get("approval")
    line = {"what": notice["what"], "request": public(approval) if approval else None}
    print(json.dumps(line), flush=True)


def _tell(notice: Json) -> None:
    approval = notice.get("approval")
    about = (
        f"{approval['id']}  {fit(what(approval), 60)}  {fit(who(approval), 60)}" if approval else ""
    )
    print(f"{notice['what']:8}  {about}".rstrip(), flush=True)


SPEC: Final = Spec(
    "Open the approval screen, or stream what happens.",
    run,
    (JSON,),
    (),
    "With --json, prints one JSON object a line for everything that happens, until interrupted. "
    "In companion mode there is no approval screen here: what happens is printed in words.",
)
