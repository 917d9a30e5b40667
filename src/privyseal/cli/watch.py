"""`privy watch`: the approval screen in this terminal, or what happens as JSON lines."""

import json
import os
import sys
from typing import Final

from privyseal.cli.approval import public
from privyseal.cli.spec import JSON, Spec, Values
from privyseal.errors import UsageError
from privyseal.runtime.blocking import Json, Keeper


def run(values: Values) -> int:
    """Stream notices, or become the console."""
    if values["json"]:
        with Keeper.open() as keeper:
            keeper.watch(_print)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "the approval screen needs a terminal", hint="stream with `privy watch --json`"
        )
    os.execv(sys.executable, [sys.executable, "-I", "-m", "privyseal.console"])  # noqa: S606 - a shell is what must not stand between


def _print(notice: Json) -> None:
    approval = notice.get("approval")
    line = {"what": notice["what"], "request": public(approval) if approval else None}
    print(json.dumps(line), flush=True)


SPEC: Final = Spec(
    "Open the approval screen, or stream what happens.",
    run,
    (JSON,),
    (),
    "With --json, prints one JSON object a line for everything that happens, until interrupted.",
)
