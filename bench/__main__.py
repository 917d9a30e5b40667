"""Run benchmarks and write docs/benchmarks.md: `python -m bench [NAME...]`.

With names only these are run and printed; without, all are run and the page is written.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from bench import aws_exec, coldstart, leased_read, pending, search
from bench.figures import Report, machine

BENCHMARKS: Final[Mapping[str, Callable[[], Awaitable[Report]]]] = {
    "leased-read": leased_read.run,
    "pending": pending.run,
    "search": search.run,
    "cold-start": coldstart.run,
    "aws-exec": aws_exec.run,
}
PAGE: Final = Path("docs/benchmarks.md")


async def _run(name: str) -> Report:
    return await BENCHMARKS[name]()


def main() -> int:
    """Run what the command line names; return the exit status."""
    names = sys.argv[1:]
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"bench: unknown benchmark {unknown[0]!r}: use {', '.join(BENCHMARKS)}")
        return 2
    sections: list[str] = []
    for name in names or BENCHMARKS:
        print(f"{name} ...", file=sys.stderr, flush=True)
        sections.append(asyncio.run(_run(name)).markdown())
        print(sections[-1], flush=True)
    if not names:
        head = [
            "# Benchmarks",
            "",
            "Each figure stands beside the peer's from the same run; what counts is the ratio.",
            f"Made with `make bench` on {machine()}.",
            "",
        ]
        PAGE.write_text("\n".join([*head, *sections]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
