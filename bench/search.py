"""A search for one item among many, against gnome-keyring."""

import asyncio
import json
import sys
import tempfile
from asyncio.subprocess import PIPE
from pathlib import Path

from tests.integration.rig import PASSPHRASE, House, house
from tests.integration.stores import fill

from bench.figures import Figure, Report, percentile
from bench.leased_read import gnome_keyring

SIZES = (10_000, 100_000)
PEER_SIZES = (10_000,)
SEARCHES = 200


async def _searcher(home: House, *, fill_first: int = 0) -> list[float]:
    size = str(fill_first)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.searcher", str(SEARCHES), size,
        env=home.environment | {"PYTHONPATH": str(Path.cwd())}, stdout=PIPE, limit=2**24,
    )  # fmt: skip
    out, _ = await process.communicate()
    spent: list[float] = json.loads(out)
    return spent


async def _peer(size: int) -> list[float]:
    with tempfile.TemporaryDirectory() as folder:
        async with house(Path(folder)) as home:
            keyring = await gnome_keyring(home)
            spent = await _searcher(home, fill_first=size)
            keyring.kill()
            await keyring.wait()
    return spent


async def run() -> Report:
    """Measure each size on both."""
    figures: list[Figure] = []
    for size in SIZES:
        peer = await _peer(size) if size in PEER_SIZES else [0.0]
        with tempfile.TemporaryDirectory() as folder:
            fill(Path(folder) / "store", PASSPHRASE, size)
            async with house(Path(folder)) as home:
                await home.start_keeper()
                await home.start_agent()
                ours = await _searcher(home)
        figures += [
            Figure(f"{name} of {size:,}", percentile(ours, share), percentile(peer, share), "µs")
            for name, share in (("p50", 0.5), ("p99", 0.99))
        ]
    return Report(
        "Search",
        "make bench ARGS=search",
        f"`Service.SearchItems` for one item among many, {SEARCHES} times, each for another item."
        " gnome-keyring holds its items in its volatile collection, since filling its file-backed one"
        " writes the whole file for every item; filling even that with 100,000 takes it longer than"
        " all other benchmarks together, so that size has no peer.",
        figures,
    )
