"""Stepping in front of the real gnome-keyring, and back."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.private_bus import private_bus
from tests.waiting import PATIENCE

from privyseal.cli.owner import activation_command, step_in_front
from privyseal.errors import ConflictError
from privyseal.runtime.bus import Connection
from privyseal.runtime.names import SECRETS, Names


class Desk(NamedTuple):
    """A bus where gnome-keyring can be activated."""

    names: Names
    connection: Connection
    home: Path


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    keyring = shutil.which("gnome-keyring-daemon")
    assert keyring, "gnome-keyring is missing: scripts/setup.sh dev"
    services = tmp_path / "data" / "dbus-1" / "services"
    services.mkdir(parents=True)
    (services / f"{SECRETS}.service").write_text(
        f"[D-BUS Service]\nName={SECRETS}\n"
        f"Exec={keyring} --start --foreground --components=secrets\n"
    )
    home = {
        "HOME": str(tmp_path),
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "XDG_RUNTIME_DIR": str(tmp_path),
    }
    for variable, value in home.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.delenv("GNOME_KEYRING_CONTROL", raising=False)
    with private_bus(tmp_path, home) as found:
        yield found


@pytest.fixture
async def desk(address: str, tmp_path: Path) -> AsyncIterator[Desk]:
    async with asyncio.TaskGroup() as group:
        connection = await Connection.open(group, address)
        names = Names(connection)
        await names.start()
        yield Desk(names, connection, tmp_path)
        pid = await names.pid(SECRETS)
        if pid and pid != os.getpid():
            os.kill(pid, 15)
            await names.until(SECRETS, lambda owner: not owner, seconds=PATIENCE)
        connection.close()


async def test_a_locked_keyring_that_the_bus_started_steps_back_and_returns(desk: Desk) -> None:
    await desk.names.activate(SECRETS)
    before = await desk.names.pid(SECRETS)
    told: list[str] = []

    async with step_in_front(desk.names, desk.connection, told.append):
        assert await desk.names.pid(SECRETS) == 0
        await desk.connection.claim(SECRETS)
        await desk.connection.release(SECRETS)

    after = await desk.names.pid(SECRETS)
    assert after not in {0, before}
    assert [line.partition(" ")[0] for line in told] == ["gnome-keyring-daemon"] * 2


async def test_a_keyring_that_would_lose_something_is_left_alone(desk: Desk) -> None:
    await desk.names.activate(SECRETS)
    pid = await desk.names.pid(SECRETS)
    process = await asyncio.create_subprocess_exec(
        *["secret-tool", "store", "--collection=session", "--label=demo", "service", "demo"],
        stdin=asyncio.subprocess.PIPE,
        env={**os.environ, "DBUS_SESSION_BUS_ADDRESS": f"unix:path={desk.home}/bus"},
    )
    await process.communicate(b"volatile")
    assert process.returncode == 0

    with pytest.raises(ConflictError, match="lose the items of its session collection"):
        async with step_in_front(desk.names, desk.connection, print):
            pass
    assert await desk.names.pid(SECRETS) == pid


async def test_a_provider_that_the_bus_did_not_start_is_left_alone(desk: Desk) -> None:
    await desk.connection.claim(SECRETS)
    with pytest.raises(ConflictError, match="was not started by this bus") as caught:
        async with step_in_front(desk.names, desk.connection, print):
            pass
    assert "--own-bus" in caught.value.hint
    assert await desk.names.pid(SECRETS) == os.getpid()


async def test_nobody_to_step_in_front_of_means_nothing_to_put_back(desk: Desk) -> None:
    async with step_in_front(desk.names, desk.connection, print):
        pass
    assert await desk.names.pid(SECRETS) == 0


@pytest.mark.parametrize("text", ["", "[D-BUS Service]\nName=x\n", "Exec=/bin/x\n", "\x00["])
def test_a_broken_activation_file_names_no_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    (tmp_path / "dbus-1" / "services").mkdir(parents=True)
    (tmp_path / "dbus-1" / "services" / "org.example.X.service").write_text(text)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert activation_command("org.example.X") == []
