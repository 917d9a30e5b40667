"""The backend over a Secret Service provider: gnome-keyring's prompts, ends and returns, and lies."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from tests.integration.keyring_bus import keyring_bus, open_backend, outcome
from tests.integration.prompter import Prompter
from tests.waiting import PATIENCE

from privyseal.errors import (
    DeniedError,
    LockedError,
    NotFoundError,
    PrivysealError,
    UnreachableError,
)
from privyseal.keeper.backends.secretservice import SecretServiceBackend
from privyseal.model.keyring import ItemRef
from privyseal.model.secret import Secret
from privyseal.runtime.bus import Connection
from privyseal.runtime.privatebus import PrivateBus
from privyseal.wire.keeper import StoreChange

PASSPHRASE = Secret(b"correct horse")
COLLECTION = "org.freedesktop.Secret.Collection"
LOGIN = "/org/freedesktop/secrets/collection/login"

_T = TypeVar("_T")


@asynccontextmanager
async def stranger(address: str) -> AsyncIterator[Connection]:
    """Another program on the private bus."""
    async with asyncio.TaskGroup() as group:
        connection = await Connection.open(group, address)
        try:
            yield connection
        finally:
            connection.close()


@asynccontextmanager
async def prompter(address: str, *answers: str | None) -> AsyncIterator[Prompter]:
    async with asyncio.TaskGroup() as group:
        connection = await Connection.open(group, address)
        try:
            made = Prompter(group, connection, answers)
            await made.serve()
            yield made
            await made.idle()
        finally:
            connection.close()


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[PrivateBus]:
    async with keyring_bus(tmp_path) as made:
        yield made


@pytest.fixture
async def backend(bus: PrivateBus) -> AsyncIterator[SecretServiceBackend]:
    async with open_backend(bus.address) as made:
        yield made


async def stored(backend: SecretServiceBackend, **attributes: str) -> ItemRef:
    return await backend.create("login", "demo", attributes, Secret(b"hunter2"), replace=False)


async def again(call: Callable[[], Awaitable[_T]]) -> _T:
    """Call until the provider is back; anything but `UnreachableError` before that is a failure."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await call()
            except UnreachableError:
                await asyncio.sleep(0.01)  # nothing tells when a killed daemon is back


async def unreachable(call: Callable[[], Awaitable[object]]) -> None:
    """Call until the provider's end shows."""
    async with asyncio.timeout(PATIENCE):
        while not isinstance(await outcome(call()), UnreachableError):
            pass


class Heard:
    """The changes a backend told, in order."""

    def __init__(self, backend: SecretServiceBackend) -> None:
        self._changes: asyncio.Queue[StoreChange] = asyncio.Queue()
        backend.listen(self._changes.put_nowait)

    async def next(self) -> StoreChange:
        async with asyncio.timeout(PATIENCE):
            return await self._changes.get()


# Prompts.


async def test_a_collection_gets_its_passphrase_from_the_prompter_where_ours_is_unknown(
    bus: PrivateBus, backend: SecretServiceBackend
) -> None:
    # The second answer is to "Store passwords unencrypted?", which gnome-keyring asks of every
    # prompter that does not rate passwords.
    async with prompter(bus.address, "from a person", "yes") as person:
        name = await backend.create_collection("Work", "default")

    assert person.questions[0] == "password: Choose password for new keyring"
    assert await backend.aliases() == {"default": name, "session": "session"}
    await backend.lock()
    with pytest.raises(DeniedError):
        await backend.unlock(PASSPHRASE)
    await backend.unlock(Secret(b"from a person"))
    assert not await backend.locked()


async def test_a_cancelled_prompt_is_a_denial_and_makes_nothing(
    bus: PrivateBus, backend: SecretServiceBackend
) -> None:
    async with prompter(bus.address, None) as person:
        with pytest.raises(DeniedError, match="dismissed"):
            await backend.create_collection("Work", "default")

    assert len(person.questions) == 1
    assert not await backend.initialised()


async def test_without_a_prompter_a_prompt_is_a_denial(backend: SecretServiceBackend) -> None:
    with pytest.raises(DeniedError, match="dismissed"):
        await backend.create_collection("Work", "")


async def test_an_empty_passphrase_is_refused_before_it_makes_a_plain_store(
    backend: SecretServiceBackend,
) -> None:
    with pytest.raises(PrivysealError, match="empty"):
        await backend.unlock(Secret(b""))
    assert not await backend.initialised()


# The first unlock, and passphrases.


async def test_before_the_first_unlock_there_is_one_locked_empty_collection(
    backend: SecretServiceBackend,
) -> None:
    listed = {c.id: (c.label, c.locked) for c in await backend.collections()}
    assert listed["login"] == ("Login", True)
    assert (await backend.aliases())["default"] == "login"
    assert await backend.items("login") == ()
    assert await backend.search({}) == await backend.search({"a": "b"}, "login") == ()
    for nowhere in (backend.items("work"), backend.search({}, "work")):
        with pytest.raises(NotFoundError):
            await nowhere
    await backend.unlock(PASSPHRASE)
    listed = {c.id: (c.label, c.locked) for c in await backend.collections()}
    assert listed["login"] == ("Login", False)
    await backend.delete_collection("login")
    with pytest.raises(NotFoundError):
        await backend.items("work")


async def test_the_first_unlock_makes_the_login_collection_the_default(
    backend: SecretServiceBackend,
) -> None:
    assert not await backend.initialised()
    assert await backend.locked()

    await backend.unlock(PASSPHRASE)

    assert await backend.initialised()
    assert not await backend.locked()
    aliases = await backend.aliases()
    assert aliases == {"default": "login", "login": "login", "session": "session"}


async def test_a_passphrase_that_opened_nothing_protects_no_new_collection(
    bus: PrivateBus, backend: SecretServiceBackend
) -> None:
    await backend.unlock(PASSPHRASE)
    async with open_backend(bus.address) as second:
        await second.unlock(Secret(b"never checked, all is open"))
        with pytest.raises(DeniedError, match="dismissed"):
            await second.create_collection("Work", "")


async def test_new_collections_open_with_the_passphrase_of_the_store(
    backend: SecretServiceBackend,
) -> None:
    await backend.unlock(PASSPHRASE)
    await backend.create_collection("../Work \u202e" * 20, "")
    await backend.lock()
    assert sum(info.locked for info in await backend.collections()) == 2
    await backend.unlock(PASSPHRASE)
    assert not any(info.locked for info in await backend.collections())


# Its end and its return.


async def test_a_killed_provider_is_unreachable_until_it_is_back_and_then_locked(
    bus: PrivateBus, backend: SecretServiceBackend
) -> None:
    await backend.unlock(PASSPHRASE)
    item = await stored(backend, service="x")
    assert (await backend.read(item)).expose() == b"hunter2"

    os.kill(bus.pids[1], signal.SIGKILL)
    await unreachable(lambda: backend.read(item))

    assert await again(backend.locked)
    with pytest.raises(LockedError):
        await backend.read(item)
    assert (await backend.describe(item)).attributes == {}
    assert await backend.search({"service": "x"}) == (item,)
    await backend.unlock(PASSPHRASE)
    assert (await backend.read(item)).expose() == b"hunter2"


async def test_the_return_of_the_provider_is_told(
    bus: PrivateBus, backend: SecretServiceBackend
) -> None:
    await backend.unlock(PASSPHRASE)
    heard = Heard(backend)
    os.kill(bus.pids[1], signal.SIGKILL)
    told = {await heard.next(), await heard.next()}
    assert told == {
        StoreChange(what="changed", collection="login"),
        StoreChange(what="changed", collection="session"),
    }


async def test_the_end_of_the_whole_bus_is_survived(
    bus: PrivateBus, backend: SecretServiceBackend
) -> None:
    await backend.unlock(PASSPHRASE)
    item = await stored(backend, service="x")
    os.kill(bus.pids[0], signal.SIGKILL)
    await unreachable(lambda: backend.describe(item))
    assert await again(lambda: backend.search({"service": "x"})) == (item,)


async def test_a_call_that_was_waiting_when_the_provider_died_ends_at_once(
    bus: PrivateBus, backend: SecretServiceBackend
) -> None:
    await backend.locked()
    os.kill(bus.pids[1], signal.SIGSTOP)
    # Half of the time that any call is given up after.
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        waiting = group.create_task(outcome(backend.locked()))
        async with stranger(bus.address) as other:
            await other.owner("org.freedesktop.secrets")
        os.kill(bus.pids[1], signal.SIGKILL)
    assert isinstance(waiting.result(), UnreachableError)


# Signals.


async def test_what_others_change_at_the_provider_is_told(
    bus: PrivateBus, backend: SecretServiceBackend
) -> None:
    await backend.unlock(PASSPHRASE)
    heard = Heard(backend)
    async with open_backend(bus.address) as other:
        item = await stored(other, service="x")
        assert await heard.next() == StoreChange(what="created", collection="login", item=item.item)
        await other.delete(item)
        assert await heard.next() == StoreChange(what="deleted", collection="login", item=item.item)


async def test_a_signal_forged_by_another_program_is_ignored(
    bus: PrivateBus, backend: SecretServiceBackend
) -> None:
    await backend.unlock(PASSPHRASE)
    heard = Heard(backend)
    async with stranger(bus.address) as forger:
        for to in (None, *await _peers(forger)):
            forger.emit(LOGIN, COLLECTION, "ItemDeleted", "o", [f"{LOGIN}/66"], to=to)
        await forger.owner("org.freedesktop.secrets")  # by then the bus has passed them on

    item = await stored(backend, service="x")
    assert await heard.next() == StoreChange(what="created", collection="login", item=item.item)


async def _peers(connection: Connection) -> list[str]:
    bus = "org.freedesktop.DBus"
    reply = await connection.call(bus, "/org/freedesktop/DBus", bus, "ListNames")
    return [name for name in reply.body[0] if name.startswith(":")]


# Differences of gnome-keyring that the backend evens out.


async def test_replace_does_not_overwrite_an_item_that_merely_has_these_attributes(
    backend: SecretServiceBackend,
) -> None:
    await backend.unlock(PASSPHRASE)
    precious = await stored(backend, service="x", user="u")
    made = await backend.create("login", "", {}, Secret(b"new"), replace=True)
    assert made != precious
    assert (await backend.read(precious)).expose() == b"hunter2"


async def test_content_types_survive_a_restart(
    bus: PrivateBus, backend: SecretServiceBackend
) -> None:
    await backend.unlock(PASSPHRASE)
    value = Secret(b"\x89PNG", "image/png")
    item = await backend.create("login", "", {"a": "b"}, value, replace=False)
    os.kill(bus.pids[1], signal.SIGKILL)
    await again(lambda: backend.unlock(PASSPHRASE))
    async with open_backend(bus.address) as fresh:
        assert (await fresh.read(item)).content_type == "image/png"
        assert (await fresh.describe(item)).attributes == {"a": "b"}


async def test_replacing_at_the_same_time_makes_one_item(backend: SecretServiceBackend) -> None:
    await backend.unlock(PASSPHRASE)
    async with asyncio.TaskGroup() as group:
        for number in range(10):
            value = Secret(b"%d" % number)
            group.create_task(backend.create("login", "", {"a": "b"}, value, replace=True))
    assert len(await backend.items("login")) == 1
