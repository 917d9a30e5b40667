"""The whole house with gnome-keyring behind it: real clients, its death, and nothing left over."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.integration.keyring_bus import outcome
from tests.integration.rig import PASSPHRASE, House, ended, house
from tests.waiting import PATIENCE, eventually

from privyseal.model.approval import Status


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as made:
        await made.start_keeper("--backend", "gnome-keyring")
        await made.start_agent()
        yield made


def children(home: House) -> dict[str, int]:
    """The daemons that the keeper runs, by name."""
    pid = home.processes["keeper"].pid
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {Path(f"/proc/{child}/comm").read_text().strip(): int(child) for child in found}


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def given(pid: int) -> bytes:
    """What a process got when it was started."""
    return b"".join(Path(f"/proc/{pid}/{name}").read_bytes() for name in ("environ", "cmdline"))


async def back_and_locked(home: House) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            status = await outcome(home.person.status())
            if isinstance(status, Status) and status.locked:
                return
            await asyncio.sleep(0.05)  # nothing tells when the new one answers


async def read(home: House) -> bytes:
    client = await home.client("secret-tool", "lookup", "service", "demo")
    await home.decide()
    return (await ended(client)).out


async def test_a_secret_goes_into_gnome_keyring_and_comes_back(home: House) -> None:
    await home.store(b"s3cret", service="demo")
    assert await read(home) == b"s3cret"
    assert (home.folder / "gnome-keyring" / "keyrings" / "login.keyring").is_file()
    status = await home.person.status()
    assert "gnome-keyring" in status.backend


async def test_what_is_asked_before_there_is_a_store_is_one_request(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        await home.start_keeper("--backend", "gnome-keyring", unlock=False)
        await home.start_agent()
        client = await home.client("secret-tool", "store", "--label=demo", "a", "b", value=b"x")
        (asked,) = await home.waiting()
        assert (asked.content.title, asked.needs_unlock) == ("Store a new secret", True)
        await home.person.unlock(PASSPHRASE)
        (shown,) = await home.person.pending()
        assert (shown.digest, shown.needs_unlock) == (asked.digest, False)
        await home.decide()
        assert (await ended(client)).status == 0
        assert [past.content.title for past in await home.person.history(9)] == [
            asked.content.title
        ]


async def test_a_killed_gnome_keyring_comes_back_and_opens_again(home: House) -> None:
    await home.store(b"s3cret", service="demo")
    first = children(home)["gnome-keyring-d"]
    os.kill(first, signal.SIGKILL)
    await eventually(lambda: children(home).get("gnome-keyring-d", first) != first)
    await back_and_locked(home)

    client = await home.client("secret-tool", "lookup", "service", "demo")
    assert (await home.waiting())[0].needs_unlock
    await home.person.unlock(PASSPHRASE)
    await home.decide()
    assert (await ended(client)).out == b"s3cret"


@pytest.mark.parametrize("way", ["stopped", "killed"])
async def test_its_daemons_end_with_the_keeper(home: House, way: str) -> None:
    daemons = children(home)
    assert {"dbus-daemon", "gnome-keyring-d"} <= daemons.keys()
    if way == "stopped":
        assert await home.stop("keeper") == 0
        assert not list((home.folder / "privyseal").glob("backend-*"))
    else:
        await home.kill("keeper")
    await eventually(lambda: all(gone(pid) for pid in daemons.values()))


async def test_the_daemons_are_given_no_secret_and_nothing_of_our_environment(home: House) -> None:
    inherited = home.environment["DBUS_SESSION_BUS_ADDRESS"].encode()
    for pid in children(home).values():
        assert PASSPHRASE.expose() not in given(pid)
        assert inherited not in given(pid)
        assert b"LC_ALL" not in given(pid)
