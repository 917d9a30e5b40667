"""The private bus: who may come in, what refuses to start, and what starts again."""

import asyncio
import os
import signal
from functools import partial
from pathlib import Path

import pytest
from tests.integration.keyring_bus import keyring_bus, open_backend
from tests.waiting import eventually

from privyseal.errors import ConflictError, PrivysealError, UnsupportedError, UsageError
from privyseal.model.secret import Secret
from privyseal.runtime.bus import Connection
from privyseal.runtime.privatebus import PrivateBus


async def start(folder: Path, data_home: Path) -> PrivysealError | None:
    """Start and stop a bus; return what it said against that."""
    async with asyncio.TaskGroup() as group:
        bus = PrivateBus(group, folder, data_home)
        try:
            await bus.start()
        except PrivysealError as error:
            return error
        await bus.stop()
    return None


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def replaced(bus: PrivateBus, pid: int) -> bool:
    return all(bus.pids) and pid not in bus.pids


async def test_nobody_else_may_enter_the_folders(tmp_path: Path) -> None:
    (tmp_path / "bus").mkdir(mode=0o755)
    async with keyring_bus(tmp_path):
        assert mode(tmp_path / "bus") == 0o700
        assert mode(tmp_path / "data") == 0o700


async def test_a_folder_with_an_awkward_name_is_fine(tmp_path: Path) -> None:
    folder = tmp_path / "a <b> & 100% 'c',d;e=é"
    folder.mkdir()
    async with keyring_bus(folder) as bus, open_backend(bus.address) as backend:
        await backend.unlock(Secret(b"correct horse"))
        assert await backend.initialised()


async def test_nothing_runs_and_no_socket_is_left_after_the_stop(tmp_path: Path) -> None:
    async with keyring_bus(tmp_path) as bus:
        pids = bus.pids
        assert all(pids)
    assert bus.pids == (0, 0)
    assert not (tmp_path / "bus" / "bus").exists()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_two_keepers_do_not_work_on_the_same_files(tmp_path: Path) -> None:
    async with keyring_bus(tmp_path) as bus:
        assert isinstance(await start(tmp_path / "other", tmp_path / "data"), ConflictError)
        assert all(bus.pids)
    assert await start(tmp_path / "other", tmp_path / "data") is None


async def test_a_path_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    error = await start(tmp_path / ("x" * 100), tmp_path / "data")
    assert isinstance(error, UsageError)
    assert "too long" in str(error)


async def test_a_link_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o755)
    (tmp_path / "bus").symlink_to(tmp_path / "elsewhere")
    assert isinstance(await start(tmp_path / "bus", tmp_path / "data"), UsageError)
    assert mode(tmp_path / "elsewhere") == 0o755


async def test_a_missing_program_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    error = await start(tmp_path / "bus", tmp_path / "data")
    assert isinstance(error, UnsupportedError)
    assert "gnome-keyring" in error.hint


async def test_each_daemon_is_started_again_at_the_same_address(tmp_path: Path) -> None:
    async with keyring_bus(tmp_path) as bus:
        address = bus.address
        for which in (1, 0):
            before = bus.pids
            os.kill(before[which], signal.SIGKILL)
            await eventually(partial(replaced, bus, before[which]))
        assert bus.address == address
        async with asyncio.TaskGroup() as group:
            connection = await Connection.open(group, address)
            connection.close()


async def test_the_bus_starts_no_services_of_its_own(tmp_path: Path) -> None:
    async with keyring_bus(tmp_path) as bus, asyncio.TaskGroup() as group:
        connection = await Connection.open(group, bus.address)
        reply = await connection.call(
            "org.freedesktop.DBus",
            "/org/freedesktop/DBus",
            "org.freedesktop.DBus",
            "ListActivatableNames",
        )
        connection.close()
    assert reply.body[0] == ["org.freedesktop.DBus"]
