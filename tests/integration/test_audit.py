"""The audit log of real days: what really happens passes the check, and no kill loses an entry."""

import asyncio
import random
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.fakes import FakeClock
from tests.integration.rig import House, ended, house
from tests.soak import times
from tests.waiting import eventually

from privyseal.cli.audit import command
from privyseal.errors import CorruptError
from privyseal.keeper.audit import AuditLog
from privyseal.model.receipt import Entry
from privyseal.runtime.audit import log_files, log_lines
from privyseal.wire.auditcheck import Verifier

KILLS = times(12, soak=1000)

WRITER = """
import asyncio, sys
from pathlib import Path
from privyseal.keeper.audit import AuditLog
from privyseal.runtime.clock import SystemClock
from tests.soak import times

async def work(log, name):
    while True:
        n = log.append("asked", request=name, detail="x" * (hash(name) % 3000))
        await log.flush()
        print(n, flush=True)

async def main():
    log = AuditLog.open(Path(sys.argv[1]), SystemClock(), rotate_bytes=100_000)
    async with asyncio.TaskGroup() as group:
        for number in range(8):
            group.create_task(work(log, f"r{number}"))

asyncio.run(main())
"""


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as made:
        await made.start_keeper()
        await made.start_agent()
        yield made


def checked(folder: Path) -> list[Entry]:
    verifier = Verifier()
    return [
        entry for path in log_files(folder) for entry in verifier.verify(path.name, log_lines(path))
    ]


def verify(folder: Path) -> str:
    result = CliRunner().invoke(command, ["verify", "--folder", str(folder)], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.output


def asked_last(folder: Path) -> bool:
    return b'"event":"asked"' in log_files(folder)[-1].read_bytes().splitlines()[-1]


async def test_a_day_with_every_ending_passes_the_check(home: House) -> None:
    await home.store(b"s3cret", service="demo")
    client = await home.client("secret-tool", "lookup", "service", "demo")
    await home.decide(scope="5m")
    assert (await ended(client)).out == b"s3cret"
    assert (await home.run("secret-tool", "lookup", "service", "demo")).out == b"s3cret"
    client = await home.client("secret-tool", "clear", "service", "demo")
    await home.decide(allow=False)
    await ended(client)
    client = await home.client("secret-tool", "store", "--label=x", "a", "b", value=b"x")
    await home.waiting()
    await eventually(lambda: asked_last(home.folder / "state" / "audit"))
    await home.kill("keeper")
    await ended(client)
    await home.start_keeper()
    assert await home.stop("keeper") == 0

    entries = checked(home.folder / "state" / "audit")

    assert verify(home.folder / "state" / "audit") == ""
    assert {"allowed", "denied", "abandoned"} <= {entry.outcome for entry in entries}
    released = [entry for entry in entries if entry.event == "released"]
    assert len(released) >= 2
    assert all(entry.via.startswith("lease") for entry in released)


async def test_a_flipped_byte_in_a_real_log_is_named_and_stops_the_next_keeper(home: House) -> None:
    await home.store(b"s3cret", service="demo")
    await home.stop("keeper")
    path = home.folder / "state" / "audit" / "audit-000001.jsonl"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    line = data.count(b"\n", 0, len(data) // 2) + 1

    with pytest.raises(CorruptError, match=rf"^audit-000001\.jsonl, line {line}, entry {line}: "):
        verify(path.parent)


async def test_a_writer_killed_at_any_instant_loses_nothing_that_it_acknowledged(
    tmp_path: Path,
) -> None:
    choice = random.Random(KILLS)  # noqa: S311 - a test repeats, it keeps no secret
    folder = tmp_path / "audit"
    acknowledged = 0
    for _ in range(KILLS):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", WRITER, str(folder), stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        said = [await process.stdout.readline() for _ in range(choice.randrange(1, 400))]
        process.kill()
        said += (await process.stdout.read()).splitlines(keepends=True)
        await process.wait()
        acknowledged = max(int(line) for line in said if line.endswith(b"\n"))
        lines = sum(path.read_bytes().count(b"\n") for path in log_files(folder)[-2:])
        assert lines > 0
    log = AuditLog.open(folder, FakeClock())
    assert log.head[0] >= acknowledged
    await log.close()
    assert verify(folder) == ""
