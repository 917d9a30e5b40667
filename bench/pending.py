"""A thousand requests that wait at once: what they cost and how fast they are dealt with."""

import asyncio
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from pathlib import Path

from tests.integration.rig import PASSPHRASE, House, house
from tests.integration.stores import fill

from bench.figures import Figure, Report
from privyseal.model.decision import Decision
from privyseal.model.keyring import ItemRef

CONNECTIONS = 50
EACH = 20


async def _ask(home: House, items: list[ItemRef]) -> Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.asker", items[0].collection, *(item.item for item in items),
        env=home.environment | {"PYTHONPATH": str(Path.cwd())}, stdin=PIPE, stdout=PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert await process.stdout.readline() == b"asked\n"
    return process


def _megabytes(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise LookupError(pid)


async def run() -> Report:
    """Measure one keeper from empty to a thousand and back."""
    settings = {"PRIVYSEAL_LIMITS_PENDING_PER_REQUESTER": str(EACH)}
    with tempfile.TemporaryDirectory() as folder:
        items = fill(Path(folder) / "store", PASSPHRASE, EACH)
        async with house(Path(folder), settings) as home:
            await home.start_keeper()
            pid = home.processes["keeper"].pid
            before = _megabytes(pid)
            begun = time.perf_counter()
            askers = [await _ask(home, items) for _ in range(CONNECTIONS)]
            asked = time.perf_counter() - begun
            waiting = _megabytes(pid)
            begun = time.perf_counter()
            approvals = await home.person.pending()
            listed = time.perf_counter() - begun
            assert len(approvals) == CONNECTIONS * EACH, len(approvals)
            begun = time.perf_counter()
            for approval in approvals:
                await home.person.decide(
                    Decision(request=approval.id, digest=approval.digest, allow=True)
                )
            resolved = time.perf_counter() - begun
            for asker in askers:
                assert asker.stdin is not None
                asker.stdin.close()
                await asker.wait()
    return Report(
        "A thousand requests that wait",
        "make bench ARGS=pending",
        f"{CONNECTIONS} processes with a connection each ask for {EACH} items each; then a person"
        " lists all requests at once and allows them one after the other, each with its signed"
        " receipt on disk before the next. There is no peer that holds requests.",
        [
            Figure("memory of the keeper, idle", before, 0, "MiB"),
            Figure("memory of the keeper, 1,000 waiting", waiting, 0, "MiB"),
            Figure("start 50 processes and ask 1,000 times", asked, 0, "s"),
            Figure("list 1,000", listed * 1000, 0, "ms"),
            Figure("allow 1,000", resolved, 0, "s"),
        ],
    )
