"""The program `python -m privyseal.console`: the approval screen on this terminal."""

import argparse
import asyncio
import sys

from privyseal.console.app import run
from privyseal.console.state import ScreenState
from privyseal.console.terminal import Terminal
from privyseal.errors import PrivysealError, UsageError, leaves
from privyseal.runtime import serve
from privyseal.runtime.clock import SystemClock
from privyseal.wire.keeper import BUS_NAME


def main() -> int:
    """Run until the person quits; return the exit status."""
    parser = argparse.ArgumentParser(prog="privyseal.console", description="The approval screen.")
    parser.add_argument("--keeper-name", default=BUS_NAME, help="bus name of the keeper")
    parser.add_argument("--banner", default="", help="words for the first line of the screen")
    parser.add_argument("--note", action="append", default=[], help="a line while nothing waits")
    options = parser.parse_args()
    serve.harden()
    status = 0
    try:
        if not sys.stdin.isatty():
            raise UsageError("standard input is not a terminal")
        first = ScreenState(banner=options.banner, notes=tuple(options.note))
        asyncio.run(run(Terminal(), options.keeper_name, SystemClock(), first))
    except* PrivysealError as group:
        error = leaves(group)[0]
        sys.stderr.write(f"privy: {error}\n" + (f"  try: {error.hint}\n" if error.hint else ""))
        status = error.exit_status
    return status


if __name__ == "__main__":
    sys.exit(main())
