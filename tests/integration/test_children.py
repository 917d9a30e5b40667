"""Children start in order, are watched, and are gone when their block ends."""

import asyncio
import os
import select
import sys
from pathlib import Path

import pytest
from tests.waiting import eventually

from privyseal.errors import PrivysealError
from privyseal.runtime.children import Children, Interrupted

_IDLE = "import signal; print('up', flush=True); signal.pause()"
_STUBBORN = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True);"
    "[signal.pause() for _ in iter(int, 1)]"
)


def _python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


async def _has_written(log: Path, text: str) -> None:
    await eventually(lambda: log.exists() and text in log.read_text())


def _gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def test_a_child_is_gone_when_its_block_ends(tmp_path: Path) -> None:
    children = Children(tmp_path, asyncio.Event())
    async with children.child("idle", _python(_IDLE), env=os.environ) as process:
        await _has_written(tmp_path / "idle.log", "up")
    assert _gone(process.pid)


async def test_a_child_that_ignores_terminate_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("privyseal.runtime.processes.STOP_SECONDS", 0.1)
    children = Children(tmp_path, asyncio.Event())
    async with children.child("stubborn", _python(_STUBBORN), env=os.environ) as process:
        await _has_written(tmp_path / "stubborn.log", "up")
    assert _gone(process.pid)


async def test_work_is_given_up_when_a_child_ends_and_its_last_lines_are_told(
    tmp_path: Path,
) -> None:
    children = Children(tmp_path, asyncio.Event())
    code = "import sys; sys.exit('no room \\x1b[2J left')"
    async with children.child("keeper", _python(code), env=os.environ):
        with pytest.raises(PrivysealError) as caught:
            await children.guard(asyncio.Event().wait())
    assert str(caught.value) == "the keeper ended with status 1: no room ?[2J left"


async def test_the_reason_of_an_end_is_told_without_the_stamps_of_a_log(tmp_path: Path) -> None:
    children = Children(tmp_path, asyncio.Event())
    (tmp_path / "keeper.log").write_text("2026-03-01 09:00:00,123 ERROR no room left\n")
    assert str(children.ended("keeper", 2)) == "the keeper ended with status 2: no room left"


async def test_work_is_given_up_when_somebody_stops_us(tmp_path: Path) -> None:
    stop = asyncio.Event()
    children = Children(tmp_path, stop)
    stop.set()
    with pytest.raises(Interrupted):
        await children.guard(asyncio.Event().wait())


async def test_work_that_ends_returns_its_result_while_children_live(tmp_path: Path) -> None:
    children = Children(tmp_path, asyncio.Event())
    async with children.child("idle", _python(_IDLE), env=os.environ) as process:
        assert await children.guard(asyncio.sleep(0, "done")) == "done"
        assert process.returncode is None


async def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    children = Children(tmp_path, asyncio.Event())
    with pytest.raises(PrivysealError, match=r"No such file|ended with status"):
        async with children.child("ghost", [str(tmp_path / "ghost")], env=os.environ):
            await children.guard(asyncio.Event().wait())


async def test_a_child_ends_when_we_are_killed(tmp_path: Path) -> None:
    parent = (
        "import asyncio, os, sys\n"
        "from pathlib import Path\n"
        "from privyseal.runtime.children import Children\n"
        "async def main():\n"
        f"    children = Children(Path({str(tmp_path)!r}), asyncio.Event())\n"
        f"    async with children.child('idle', [sys.executable, '-c', {_IDLE!r}], env=os.environ) as p:\n"
        "        print(p.pid, flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(*_python(parent), stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    child = int(await process.stdout.readline())
    await _has_written(tmp_path / "idle.log", "up")
    pidfd = os.pidfd_open(child)
    process.kill()
    await process.wait()
    ended, _, _ = await asyncio.to_thread(select.select, [pidfd], [], [], 5)
    os.close(pidfd)
    assert ended
