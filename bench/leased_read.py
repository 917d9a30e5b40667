"""A leased read through us against the same read on gnome-keyring: what the gate costs."""

import asyncio
import json
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from pathlib import Path

from tests.integration.rig import SECRETS, House, house

from bench.figures import Figure, Report, percentile
from privyseal.errors import PrivysealError
from privyseal.model.decision import Decision, Scope

READS = 2000


async def gnome_keyring(home: House) -> Process:
    """Start the peer with an unlocked keyring and wait until it answers."""
    process = await asyncio.create_subprocess_exec(
        "gnome-keyring-daemon", "--foreground", "--components=secrets", "--unlock",
        env=home.environment, stdin=PIPE, stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(b"bench")
    process.stdin.close()
    await home.owned(SECRETS, process)
    return process


async def _approve_all(home: House) -> None:
    """Allow whatever is asked, until cancelled."""
    while True:
        for approval in await home.person.pending():
            decision = Decision(
                request=approval.id,
                digest=approval.digest,
                allow=True,
                scope=Scope(kind="until-exit"),
            )
            try:
                await home.person.decide(decision)
            except PrivysealError as error:
                print("approving:", error, file=sys.stderr)
        await asyncio.sleep(0.02)


async def _readers(home: House, number: int, count: int) -> list[float]:
    environment = home.environment | {"PYTHONPATH": str(Path.cwd())}
    readers = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.reader", str(count),
            env=environment, stdin=PIPE, stdout=PIPE, limit=2**24,
        )
        for _ in range(number)
    ]  # fmt: skip
    spent: list[float] = []
    for reader in readers:
        assert reader.stdout is not None
        assert await reader.stdout.readline() == b"ready\n"
    for reader in readers:
        assert reader.stdin is not None
        reader.stdin.write(b"go\n")
        await reader.stdin.drain()
    for reader in readers:
        assert reader.stdout is not None
        spent += json.loads(await reader.stdout.readline())
        await reader.wait()
    return spent


async def _measure(home: House) -> dict[int, list[float]]:
    return {number: await _readers(home, number, READS // number) for number in (1, 16)}


async def run() -> Report:
    """Measure both, one after the other, on buses of their own."""
    with tempfile.TemporaryDirectory() as folder:
        async with house(Path(folder)) as home:
            keyring = await gnome_keyring(home)
            stored = await home.run(
                "secret-tool", "store", "--label=bench", "service", "bench", value=b"x" * 32
            )
            assert stored.status == 0, stored.err
            peer = await _measure(home)
            keyring.kill()
            await keyring.wait()
    with tempfile.TemporaryDirectory() as folder:
        async with house(Path(folder)) as home:
            await home.start_keeper()
            await home.start_agent()
            await home.store(b"x" * 32, "bench", service="bench")
            async with asyncio.TaskGroup() as group:
                approving = group.create_task(_approve_all(home))
                ours = await _measure(home)
                approving.cancel()
    figures = [
        Figure(
            f"{name}, {number} client{'s' * (number > 1)}",
            percentile(ours[number], share),
            percentile(peer[number], share),
            "µs",
            goal=2.5 if name == "p50" else 0.0,
        )
        for number in (1, 16)
        for name, share in (("p50", 0.5), ("p99", 0.99))
    ]
    return Report(
        "Leased read",
        "make bench ARGS=leased-read",
        "One item of 32 bytes read over and over with `Item.GetSecret` in a DH session by Python"
        f" secretstorage, {READS} reads in all: directly from gnome-keyring, and through Privyseal"
        " (agent, keeper, embedded store) with a lease until the reader exits. Through us the process"
        " that holds the lease is looked at again once a second, and the audit entry of every read"
        " is on disk before the value leaves.",
        figures,
    )
