"""The program `python -m privyseal.console`: the approval screen on this terminal."""

import argparse
import os
import sys

from privyseal.console.opening import paint, phrase
from privyseal.console.terminal import Terminal
from privyseal.console.vt import VirtualTerminal
from privyseal.errors import PrivysealError, UsageError, leaves


def main() -> int:
    """Run until the person quits, or the companion ends; return the exit status."""
    parser = argparse.ArgumentParser(prog="privyseal.console", description="The approval screen.")
    parser.add_argument("--companion", type=int, metavar="UID", help="user whose companion it is")
    parser.add_argument("--keeper-name", help="bus name of the keeper")
    parser.add_argument("--banner", default="", help="words for the first line of the screen")
    parser.add_argument("--note", action="append", default=[], help="a line while nothing waits")
    options = parser.parse_args()
    status = 0
    try:
        if not sys.stdin.isatty():
            raise UsageError("standard input is not a terminal")
        if options.companion is None:
            _own_session(options)
        else:
            _companion(options.companion)
    except* PrivysealError as group:
        error = leaves(group)[0]
        sys.stderr.write(f"privy: {error}\n" + (f"  try: {error.hint}\n" if error.hint else ""))
        status = error.exit_status
    return status


def _own_session(options: argparse.Namespace) -> None:
    from privyseal.console import start  # noqa: PLC0415 - see opening.py

    start.own_session(options.keeper_name, options.banner, tuple(options.note))


def _companion(uid: int) -> None:
    vt, words = VirtualTerminal(), phrase()
    with Terminal(environ={**os.environ, "TERM": "linux"}) as terminal:
        paint(terminal, vt.number, words)
        from privyseal.console import start  # noqa: PLC0415 - the first frame is there before it

        start.companion(uid, terminal, vt, words)


if __name__ == "__main__":
    sys.exit(main())
