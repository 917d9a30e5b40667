"""The audit log's writer: durable groups, rotation, recovery, and an end after the first failure."""

import asyncio
import errno
import os
import resource
import stat
import threading
from pathlib import Path

import pytest
from tests.audit_log import ask, resolve, write_log
from tests.fakes import FakeClock
from tests.waiting import PATIENCE

from privyseal.errors import ConflictError, CorruptError, PrivysealError, UsageError
from privyseal.keeper.audit import AuditLog
from privyseal.runtime.audit import log_files, log_lines
from privyseal.wire.audit import GENESIS
from privyseal.wire.auditcheck import Verifier


def verified(folder: Path) -> list[int]:
    verifier = Verifier()
    return [
        entry.n
        for path in log_files(folder)
        for entry in verifier.verify(path.name, log_lines(path))
    ]


class GatedSync:
    """A sync that counts, and waits at each call until it is let through."""

    def __init__(self) -> None:
        self.calls = 0
        self.entered = threading.Event()
        self.gate = threading.Event()

    def __call__(self, fd: int) -> None:
        self.calls += 1
        self.entered.set()
        assert self.gate.wait(PATIENCE)


async def test_what_was_flushed_can_be_verified_by_a_reader(tmp_path):
    log = AuditLog.open(tmp_path / "audit", FakeClock())
    ask(log, "r1")
    resolve(log, "r1")
    await log.flush()

    assert verified(tmp_path / "audit") == [1, 2, 3]
    assert log.head[0] == 3
    await log.close()


async def test_files_and_folder_are_private(tmp_path):
    folder = tmp_path / "deep" / "audit"
    folder.parent.mkdir()
    folder.mkdir(mode=0o755)
    await write_log(folder)

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in log_files(folder)} == {0o600}


async def test_nothing_is_written_before_a_flush(tmp_path):
    log = AuditLog.open(tmp_path, FakeClock())
    assert log.head == (0, GENESIS)
    log.append("start")

    assert log_files(tmp_path) == []
    await log.close()
    assert verified(tmp_path) == [1]


async def test_what_nobody_flushes_is_written_soon(tmp_path):
    synced = threading.Event()
    log = AuditLog.open(tmp_path, FakeClock(), sync=lambda fd: synced.set())
    log.append("asked", request="r1")

    assert await asyncio.to_thread(synced.wait, PATIENCE)
    assert verified(tmp_path) == [1]
    await log.close()


async def test_many_flushes_share_one_sync(tmp_path):
    sync = GatedSync()
    log = AuditLog.open(tmp_path, FakeClock(), sync=sync)

    async def record(number: int) -> None:
        log.append("released", request=str(number), detail="x")
        await log.flush()

    async with asyncio.TaskGroup() as group:
        group.create_task(record(0))
        await asyncio.to_thread(sync.entered.wait, PATIENCE)
        for number in range(1, 50):
            group.create_task(record(number))
        await asyncio.sleep(0)
        sync.gate.set()

    assert sync.calls == 2
    assert len(list(log_lines(log_files(tmp_path)[0]))) == 50
    await log.close()


async def test_a_flush_waits_for_the_sync_that_carries_its_entries(tmp_path):
    sync = GatedSync()
    log = AuditLog.open(tmp_path, FakeClock(), sync=sync)
    log.append("start")

    async with asyncio.TaskGroup() as group:
        first = group.create_task(log.flush())
        await asyncio.to_thread(sync.entered.wait, PATIENCE)
        second = group.create_task(log.flush())
        await asyncio.sleep(0)
        assert not first.done()
        assert not second.done()
        sync.gate.set()

    assert sync.calls == 1
    await log.close()


async def test_a_cancelled_flush_leaves_the_others_alone(tmp_path):
    sync = GatedSync()
    log = AuditLog.open(tmp_path, FakeClock(), sync=sync)
    log.append("start")

    async with asyncio.TaskGroup() as group:
        leaving = group.create_task(log.flush())
        await asyncio.to_thread(sync.entered.wait, PATIENCE)
        log.append("stop")
        staying = group.create_task(log.flush())
        leaving.cancel()
        await asyncio.sleep(0)
        sync.gate.set()

    assert leaving.cancelled()
    assert staying.done()
    assert verified(tmp_path) == [1, 2]
    await log.close()


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
async def test_after_a_failed_sync_nothing_is_ever_acknowledged_again(tmp_path, number):
    failing = [True]

    def sync(fd: int) -> None:
        if failing.pop():
            raise OSError(number, os.strerror(number))

    log = AuditLog.open(tmp_path, FakeClock(), sync=sync)
    log.append("start")
    for _ in range(2):
        with pytest.raises(PrivysealError, match="cannot be written") as caught:
            await log.flush()
        assert os.strerror(number) in str(caught.value)
    log.append("released", request="r1")
    with pytest.raises(PrivysealError, match="cannot be written"):
        await log.flush()
    with pytest.raises(PrivysealError, match="cannot be written"):
        await log.close()


async def test_everybody_who_waits_learns_of_a_full_disk(tmp_path):
    log = AuditLog.open(tmp_path, FakeClock())
    log.append("start")
    await log.flush()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (700, hard))
    try:

        async def record() -> str:
            log.append("asked", request="r", detail="x" * 400)
            try:
                await log.flush()
            except PrivysealError as error:
                return str(error)
            return "acknowledged"

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(record()) for _ in range(5)]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert all("cannot be written: File too large" in task.result() for task in tasks)
    with pytest.raises(PrivysealError):
        await log.close()
    again = AuditLog.open(tmp_path, FakeClock())
    assert again.head[0] == 1
    assert again.dropped > 0
    await again.close()


async def test_the_chain_goes_on_across_files_and_restarts(tmp_path):
    for _ in range(3):
        log = AuditLog.open(tmp_path, FakeClock(), rotate_bytes=2000)
        for number in range(5):
            ask(log, f"r{number}")
            await log.flush()
        await log.close()

    assert len(log_files(tmp_path)) > 3
    assert verified(tmp_path) == list(range(1, 16))


async def test_an_empty_newest_file_follows_the_one_before(tmp_path):
    await write_log(tmp_path, requests=1, rotate_bytes=10**6)
    (tmp_path / "audit-000002.jsonl").touch(0o600)

    log = AuditLog.open(tmp_path, FakeClock())
    log.append("start")
    await log.close()

    assert verified(tmp_path) == [1, 2, 3, 4, 5, 6]


async def test_every_torn_end_is_cut_back_to_the_last_whole_entry(tmp_path):
    await write_log(tmp_path / "whole", requests=1, rotate_bytes=10**6)
    whole = (tmp_path / "whole" / "audit-000001.jsonl").read_bytes()
    lines = whole.splitlines(keepends=True)
    start = len(whole) - len(lines[-1])

    for cut in [*range(start, len(whole)), *range(0, start, 97)]:
        folder = tmp_path / str(cut)
        folder.mkdir()
        (folder / "audit-000001.jsonl").write_bytes(whole[:cut])
        log = AuditLog.open(folder, FakeClock())
        survivors = whole[:cut].count(b"\n")
        assert log.head[0] == survivors
        assert log.dropped == cut - len(b"".join(lines[:survivors]))
        log.append("start")
        await log.close()
        assert verified(folder) == list(range(1, survivors + 2))


async def test_zeros_after_a_power_failure_are_cut_off(tmp_path):
    await write_log(tmp_path, requests=1, rotate_bytes=10**6)
    with (tmp_path / "audit-000001.jsonl").open("ab") as file:
        file.write(bytes(5000))

    log = AuditLog.open(tmp_path, FakeClock())

    assert log.dropped == 5000
    await log.close()
    assert verified(tmp_path) == [1, 2, 3, 4, 5]


async def test_a_broken_entry_that_was_acknowledged_is_refused_by_name(tmp_path):
    await write_log(tmp_path, requests=1, rotate_bytes=10**6)
    path = tmp_path / "audit-000001.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(b'"n":3', b'"n":7')
    path.write_bytes(b"".join(lines))
    before = path.read_bytes()

    with pytest.raises(CorruptError, match=r"audit-000001\.jsonl', line 3, entry 3: ") as caught:
        AuditLog.open(tmp_path, FakeClock())

    assert "move its folder away" in caught.value.hint
    assert path.read_bytes() == before


async def test_a_newest_file_that_does_not_follow_the_one_before_is_refused(tmp_path):
    await write_log(tmp_path, requests=6, rotate_bytes=4096)
    paths = log_files(tmp_path)
    paths[-2].unlink()

    with pytest.raises(CorruptError, match="must follow"):
        AuditLog.open(tmp_path, FakeClock())


async def test_a_second_writer_is_refused_until_the_first_has_closed(tmp_path):
    log = AuditLog.open(tmp_path, FakeClock())
    with pytest.raises(ConflictError, match="another keeper"):
        AuditLog.open(tmp_path, FakeClock())
    await log.close()

    await AuditLog.open(tmp_path, FakeClock()).close()


async def test_requests_without_an_end_are_found_even_in_the_file_before(tmp_path):
    log = AuditLog.open(tmp_path, FakeClock(), rotate_bytes=3000)
    ask(log, "left")
    for number in range(2):
        ask(log, f"r{number}")
        resolve(log, f"r{number}", "denied")
        await log.flush()
    ask(log, "last")
    await log.close()
    assert len(log_files(tmp_path)) == 2

    again = AuditLog.open(tmp_path, FakeClock())
    assert [entry.request for entry in again.unfinished()] == ["left", "last"]
    for entry in again.unfinished():
        again.append("resolved", request=entry.request, outcome="abandoned")
    await again.close()

    third = AuditLog.open(tmp_path, FakeClock())
    assert third.unfinished() == []
    await third.close()


async def test_an_entry_that_no_reader_would_accept_is_not_begun(tmp_path):
    log = AuditLog.open(tmp_path, FakeClock())
    with pytest.raises(UsageError, match="audit entry is malformed"):
        log.append("asked", request="r" * 300)
    log.append("start")
    await log.close()

    assert verified(tmp_path) == [1]


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(PrivysealError, match=r"cannot open the audit log in '.*': Not a directory"):
        AuditLog.open(tmp_path / "file" / "audit", FakeClock())
