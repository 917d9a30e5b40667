"""The commands against the keeper itself: what a fake could get wrong."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.integration.cli.conftest import Shell, Transcript

from privyseal.model.ask import Create, Delete, Search
from privyseal.model.secret import Secret
from privyseal.runtime.bus import Connection
from privyseal.runtime.requestlink import RequestLink
from privyseal.wire.keeper import BUS_NAME, Found


@pytest.fixture
async def real(shell: Shell, connection: Connection, tmp_path: Path) -> AsyncIterator[None]:
    words = [sys.executable, "-I", "-m", "privyseal.keeper"]
    process = await asyncio.create_subprocess_exec(
        *words, env=shell.environment, stderr=asyncio.subprocess.DEVNULL
    )
    owned = asyncio.Event()

    def changed(_path: str, body: list[object]) -> None:
        if body[0] == BUS_NAME and body[2]:
            owned.set()

    dbus = "org.freedesktop.DBus"
    await connection.listen(dbus, dbus, "NameOwnerChanged", changed)
    if not await connection.owner(BUS_NAME):
        await owned.wait()
    reader, writer = os.pipe()
    os.write(writer, b"open sesame")
    os.close(writer)
    made = await shell.privy("unlock", "--passphrase-fd", str(reader), fds=[reader])
    os.close(reader)
    assert made == Transcript(0, "", "privy: made and unlocked\n")
    yield
    process.terminate()
    await process.wait()


async def store(connection: Connection, shell: Shell) -> None:
    """Put one item into the store, approved from the command line."""
    link = RequestLink(connection)
    ended = asyncio.Event()
    await link.subscribe(lambda _request, _state: ended.set(), lambda _change: None)
    pidfd = os.pidfd_open(os.getppid())
    requester = await link.register(pidfd)
    os.close(pidfd)
    ask = Create(collection="login", label="GitHub token", attributes={"service": "github.com"})
    ticket, _ = await link.submit(requester, ask, Secret(b"hunter2"))
    allowed = await shell.privy("approve", ticket.id)
    assert allowed.status == 0, allowed.err
    await ended.wait()


async def test_a_secret_is_stored_asked_for_approved_and_printed(
    shell: Shell, connection: Connection, real: None
) -> None:
    await store(connection, shell)
    process = await shell.start("get", "service=github.com")
    assert process.stderr is not None
    request = (await process.stderr.readline()).decode().split()[-1]

    listed = await shell.privy("list")
    shown = await shell.privy("show", request)
    allowed = await shell.privy("approve", request, "--scope", "15m")
    out, err = await process.communicate()

    assert (out, err, process.returncode) == (b"hunter2", b"", 0)
    assert "read GitHub token" in listed.out
    assert "READ  Read a secret\n" in shown.out
    assert "service = github.com" in shown.out
    assert allowed.status == 0
    assert allowed.err == f"privy: allowed {request}\n"
    assert "GitHub token" in (await shell.privy("leases")).out
    [newest, *_] = json.loads((await shell.privy("history", "--json")).out)
    assert (newest["id"], newest["state"]) == (request, "allowed")
    assert json.loads((await shell.privy("status", "--json")).out)["pending"] == 0


async def test_a_denial_and_a_lock_reach_the_one_who_asks(
    shell: Shell, connection: Connection, real: None
) -> None:
    await store(connection, shell)
    process = await shell.start("get", "GitHub token")
    assert process.stderr is not None
    request = (await process.stderr.readline()).decode().split()[-1]

    denied = await shell.privy("deny", request)
    run = await shell.finish(process)

    assert denied.status == 0
    assert (run.status, run.out) == (4, "")
    assert run.err.endswith(f": {request}\n")
    assert (await shell.privy("lock")).status == 0
    labels = await shell.privy("get", "GitHub token")
    assert (labels.status, labels.err.splitlines()[1:]) == (
        7,
        ["  try: unlock it with `privy unlock`"],
    )


async def test_a_wrong_passphrase_is_denied_and_not_companion_mode(
    shell: Shell, real: None
) -> None:
    await shell.privy("lock")
    reader, writer = os.pipe()
    os.write(writer, b"wrong")
    os.close(writer)

    run = await shell.privy("unlock", "--passphrase-fd", str(reader), fds=[reader])
    os.close(reader)

    assert run.status == 4
    assert "passphrase" in run.err


@pytest.mark.usefixtures("real")
async def test_approve_says_when_what_was_allowed_could_not_be_done(
    connection: Connection, shell: Shell
) -> None:
    await store(connection, shell)
    link = RequestLink(connection)
    tokens = []
    for pid in (os.getpid(), os.getppid()):  # two processes, or the second would join the first
        pidfd = os.pidfd_open(pid)
        tokens.append(await link.register(pidfd))
        os.close(pidfd)
    ticket, _ = await link.submit(tokens[0], Search(attributes={}))
    assert isinstance(ticket.result, Found)
    (item,) = (*ticket.result.open, *ticket.result.closed)
    first, second = [(await link.submit(t, Delete(item=item)))[0] for t in tokens]
    assert (await shell.privy("approve", first.id)).status == 0

    failed = await shell.privy("approve", second.id)

    assert failed.status == 1
    assert failed.err.startswith("privy: it was allowed, but failed: no item"), failed.err
