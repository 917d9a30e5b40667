"""One of many programs that want the same credentials at the same instant.

Arguments: the folder of the store, the plan as JSON, the seed of the device in hexadecimal, and
what the person does when a code is asked for: "answers", "refuses", or "never".
"""

import os
import signal
import sys
from pathlib import Path

from tests.fakes_aws import browser
from tests.fakes_aws.people import Device
from tests.waiting import until

from privyseal.aws.engine import Engine
from privyseal.aws.flights import Flights
from privyseal.aws.means import Means
from privyseal.aws.stores.file import FileStore
from privyseal.aws.talk import TerminalTalk
from privyseal.errors import DeniedError, PrivysealError
from privyseal.model.aws import Plan
from privyseal.model.secret import Secret
from privyseal.model.value import decode
from privyseal.runtime.clock import SystemClock

BROWSER = {"BROWSER": f"{sys.executable} {browser.__file__}"}


def main() -> None:
    folder, plan, seed, person = (
        Path(sys.argv[1]),
        sys.argv[2],
        bytes.fromhex(sys.argv[3]),
        sys.argv[4],
    )
    clock = SystemClock()

    def code(serial: str, again: str) -> str:
        with (folder / "prompts").open("a") as log:
            log.write(f"{os.getpid()} {serial} {again}\n")
        if person == "never":
            signal.pause()
        if person == "refuses":
            queue = int(sys.argv[5])
            until(lambda: waiting(folder / "flights") == queue)
            raise DeniedError("she closed the window")
        return Device(serial, clock, seed).code()

    store = FileStore(folder / "keys", lambda *, new: Secret(b"words"), clock, rounds=1000)
    talk = TerminalTalk(code, clock, BROWSER, sys.stderr)
    engine = Engine(Means(store, talk, clock, Flights(folder / "flights")))
    say("ready")
    sys.stdin.readline()
    try:
        made = engine.obtain(decode(plan, Plan, what="the plan"))
    except PrivysealError as error:
        say(f"{type(error).__name__} {error}")
    else:
        say(f"{made.access_key_id} {int(made.expires)}")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def waiting(flights: Path) -> int:
    """Return how many processes wait for a lock in a folder (proc(5), /proc/locks)."""
    inodes = {path.stat().st_ino for path in flights.glob("*.lock")}
    lines = (line.split() for line in Path("/proc/locks").read_text().splitlines())
    return sum("->" in line and int(line[-3].rpartition(":")[2]) in inodes for line in lines)


if __name__ == "__main__":
    main()
