"""How long a command takes from its start to its end, as a multiple of an empty Python."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.integration.rig import House, house

from bench.figures import Figure, Report, percentile

RUNS = 40


def _time(argv: list[str], environment: dict[str, str]) -> float:
    spent: list[float] = []
    for _ in range(RUNS):
        begun = time.perf_counter()
        subprocess.run(argv, env=environment, check=True, stdout=subprocess.DEVNULL)
        spent.append(1000 * (time.perf_counter() - begun))
    return percentile(spent, 0.5)


async def _prepare(home: House) -> None:
    await home.start_keeper()
    await home.start_agent()
    await home.store(b"x" * 32, "bench", service="bench")
    client = await home.client("privy", "get", "service=bench")
    await home.decide(scope="1000x")
    await client.communicate()


async def run() -> Report:
    """Measure `privy list` with one request waiting, and `privy get` with a lease."""
    with tempfile.TemporaryDirectory() as folder:
        async with house(Path(folder)) as home:
            home.environment["PATH"] = f"{Path(sys.executable).parent}:{home.environment['PATH']}"
            await _prepare(home)
            waiting = await home.client("secret-tool", "lookup", "service", "bench")
            await home.waiting()
            bare = _time([sys.executable, "-c", "pass"], home.environment)
            listed = _time(["privy", "list"], home.environment)
            got = _time(["privy", "get", "service=bench"], home.environment)
            waiting.kill()
            await waiting.wait()
    return Report(
        "Cold start",
        "make bench ARGS=cold-start",
        f"Median of {RUNS} runs of the installed command, process start to process end, against"
        " `python3 -c pass` with the same interpreter.",
        [
            Figure("`privy list`, one request waiting", listed, bare, "ms", goal=4),
            Figure("`privy get`, leased", got, bare, "ms", goal=4),
        ],
    )
