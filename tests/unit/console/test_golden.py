"""Whole frames, compared line by line with the files in golden/.

After an intended change of the screen write the files anew and read the difference:

    GOLDEN=write .venv/bin/pytest tests/unit/console/test_golden.py
"""

import os
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from tests.unit.console.sample import (
    COMPANION,
    GITHUB,
    NOW,
    PIN,
    RECENT,
    STATUS,
    approval,
    aws,
    companion,
    delete,
    hostile,
    item,
    screen,
    terraform,
)

from privyseal.console.keys import press
from privyseal.console.screen import frame_text
from privyseal.console.state import ScreenState, rearmed, told
from privyseal.model.approval import PinAsk
from privyseal.model.policy import AwsRules, Policy
from privyseal.wire.keeper import Notice

GOLDEN = Path(__file__).parent / "golden"
FOUR = tuple(item(f"Key {n}", n, service=f"s{n}.example.org") for n in range(1, 5))
LOCKED = msgspec.structs.replace(STATUS, locked=True)
NEW = msgspec.structs.replace(STATUS, locked=True, initialised=False)
COMPANION_LOCKED = msgspec.structs.replace(COMPANION, locked=True)
WATCHED_BY_NOBODY = msgspec.structs.replace(
    COMPANION,
    witness=False,
    troubles=("org.freedesktop.secrets is owned by \x1b[2Jkeepassxc (PID 4711)",),
)
KEY = PinAsk(id="p2", text="The secret access key of the key 'prod'", of="AWS")
ALWAYS = Policy(aws=AwsRules(always_ask=("prod*", "111122223333")))
ALLOWED = approval(state="allowed", resolved=NOW - 2)
NOBODY = replace(companion(recent=(), leases=()), status=None, linked=False)

FRAMES: dict[str, ScreenState] = {
    "read": screen(approval(), delete()),
    "read-wide": screen(approval(), delete(), columns=120, rows=40),
    "delete": screen(delete()),
    "several-items": replace(screen(approval(items=FOUR)), off=frozenset({FOUR[2].ref}), item=2),
    "hostile": screen(hostile()),
    "aws": screen(aws(terraform())),
    "aws-elsewhere": screen(
        aws(terraform(endpoints={"sts": "http://sts.evil.example"}), once=True),
        columns=100,
        rows=34,
    ),
    "ended": told(screen(approval(), delete()), Notice(what="resolved", approval=ALLOWED), b"\x11"),
    "disarmed": rearmed(screen(approval()), b"\x11", 3.0),
    "needs-unlock": screen(approval(needs_unlock=True), status=LOCKED),
    "no-store-yet": screen(approval(needs_unlock=True), status=NEW),
    "idle": screen(),
    "idle-locked": screen(leases=(), recent=(), status=LOCKED),
    "keeper-away": replace(screen(), status=None),
    "many-waiting": screen(*(approval(f"{n:04}") for n in range(40))),
    "history": replace(screen(), view="history", recent=RECENT),
    "leases": replace(screen(), view="leases", row=1),
    "unlock": replace(screen(status=LOCKED), view="unlock", entered="hunter2"),
    "unlock-new": replace(screen(status=NEW), view="unlock"),
    "help": replace(screen(), view="help"),
    "companion": companion(approval(), delete()),
    "companion-no-witness": companion(approval(), status=WATCHED_BY_NOBODY),
    "companion-idle": companion(),
    "companion-idle-troubles": companion(status=WATCHED_BY_NOBODY, pins=(PIN,)),
    "companion-nobody": NOBODY,
    "companion-logged-out": replace(NOBODY, logged_in=True),
    "companion-left": companion(approval(), front=False),
    "companion-locked": companion(status=COMPANION_LOCKED, leases=()),
    "companion-unlock": companion(status=COMPANION_LOCKED, view="unlock", entered="hunter2"),
    "companion-pins": companion(pins=(PIN, PIN), pin="p1", view="pins"),
    "companion-key": companion(pins=(KEY,), pin="p2", view="pins"),
    "companion-rules-aws": companion(policy=ALWAYS, view="rules"),
    "companion-rules": companion(policy=Policy(), view="rules"),
    "companion-log-out": rearmed(companion(view="log-out"), b"\x5a", 0),
    "companion-overview": companion(approval(), view="overview"),
    "companion-help": companion(view="help"),
    "companion-past": press(companion(view="history", row=1), "enter", b"\x11")[0],
    "too-small": screen(approval(), columns=60, rows=20),
    "kernel-font": replace(screen(approval(items=(item("Größe ✓ 中"), GITHUB))), console_font=True),
}


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_looks_as_it_was_approved(name: str) -> None:
    lines = frame_text(FRAMES[name])
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("GOLDEN") == "write":
        path.write_text("\n".join(lines) + "\n")
    assert lines == path.read_text().splitlines()
