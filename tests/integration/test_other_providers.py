"""A provider without gnome-keyring's extras works through its prompts; one that lies is refused."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from dbus_fast import Variant
from tests.integration.fake_provider import HOME, ROOT, FakeProvider
from tests.integration.keyring_bus import open_backend, outcome
from tests.private_bus import private_bus
from tests.waiting import PATIENCE

from privyseal.errors import (
    CorruptError,
    DeniedError,
    LimitError,
    LockedError,
    UnreachableError,
    UnsupportedError,
    UsageError,
)
from privyseal.keeper.backends.secretservice import SecretServiceBackend
from privyseal.model.keyring import ItemRef
from privyseal.model.secret import Secret
from privyseal.model.value import MAX_SECRET
from privyseal.runtime.bus import Connection

ITEM = ItemRef(collection="home", item="1")


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    with private_bus(tmp_path) as made:
        yield made


@pytest.fixture
async def provider(address: str) -> AsyncIterator[FakeProvider]:
    async with asyncio.TaskGroup() as group:
        connection = await Connection.open(group, address)
        made = FakeProvider(connection)
        await made.serve()
        yield made
        connection.close()


@pytest.fixture
async def backend(address: str, provider: FakeProvider) -> AsyncIterator[SecretServiceBackend]:
    async with open_backend(address) as made:
        yield made


async def test_a_bus_without_a_provider_is_unreachable(address: str) -> None:
    async with open_backend(address) as backend:
        with pytest.raises(UnreachableError, match="no Secret Service provider"):
            await backend.locked()


async def test_a_bus_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    async with open_backend(f"unix:path={tmp_path}/nothing") as backend:
        with pytest.raises(UnreachableError):
            await backend.locked()


async def test_a_content_type_that_the_provider_keeps_is_returned(
    backend: SecretServiceBackend,
) -> None:
    value = await backend.read(ITEM)
    assert value.expose() == b"hunter2"
    assert value.content_type == "application/x-kept"


async def test_the_provider_s_own_prompt_unlocks_where_it_takes_no_passphrase(
    backend: SecretServiceBackend, provider: FakeProvider
) -> None:
    provider.locked = True
    with pytest.raises(LockedError):
        await backend.read(ITEM)
    await backend.unlock(Secret(b"unused"))
    assert provider.asked == [provider.prompt]
    assert (await backend.read(ITEM)).expose() == b"hunter2"


async def test_a_dismissed_prompt_leaves_it_locked(
    backend: SecretServiceBackend, provider: FakeProvider
) -> None:
    provider.locked = provider.dismisses = True
    with pytest.raises(DeniedError):
        await backend.unlock(Secret(b"unused"))
    assert await backend.locked()


async def test_everything_is_locked_by_name_where_there_is_no_lockservice(
    backend: SecretServiceBackend,
) -> None:
    await backend.lock()
    assert await backend.locked()


async def test_a_completion_from_another_program_completes_no_prompt(
    address: str, backend: SecretServiceBackend, provider: FakeProvider
) -> None:
    provider.locked = provider.silent = True
    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
        unlocking = group.create_task(backend.unlock(Secret(b"unused")))
        await provider.prompted.wait()
        connection = await Connection.open(group, address)
        FakeProvider(connection).complete(result=Variant("ao", [HOME]))
        await connection.owner("org.freedesktop.secrets")  # the bus has passed it on by then
        assert await backend.locked()
        assert not unlocking.done()
        provider.locked = False
        provider.complete(result=Variant("ao", [HOME]))
        await unlocking
        connection.close()


async def test_a_prompt_ends_with_its_provider(
    address: str, backend: SecretServiceBackend, provider: FakeProvider
) -> None:
    provider.locked = provider.silent = True
    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
        unlocking = group.create_task(outcome(backend.unlock(Secret(b"unused"))))
        await provider.prompted.wait()
        provider.close()
    assert isinstance(unlocking.result(), UnreachableError)


async def test_a_prompt_that_nobody_waits_for_any_more_is_dismissed(
    backend: SecretServiceBackend, provider: FakeProvider
) -> None:
    provider.locked = provider.silent = True
    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
        unlocking = group.create_task(backend.unlock(Secret(b"unused")))
        await provider.prompted.wait()
        unlocking.cancel()
    assert provider.asked == [provider.prompt, "dismissed"]


async def test_a_session_that_the_provider_forgot_is_opened_again(
    backend: SecretServiceBackend, provider: FakeProvider
) -> None:
    await backend.read(ITEM)
    provider.session = f"{ROOT}/session/s2"
    assert (await backend.read(ITEM)).expose() == b"hunter2"


PATHS = [
    "/",
    "/org/freedesktop/secrets",
    "/org/freedesktop/secrets/collection",
    "/org/freedesktop/secrets/aliases/default",
    "/org/freedesktop/secrets/collection/home/1/2",
    "/org/freedesktop/secrets/prompt/p1",
    "/etc/passwd",
    "/org/freedesktop/secretsX/collection/home",
    "/org/freedesktop/secrets/collection/" + "x" * 256,
]


@pytest.mark.parametrize("path", PATHS)
async def test_a_path_outside_the_collections_is_refused(
    backend: SecretServiceBackend, provider: FakeProvider, path: str
) -> None:
    provider.collections = provider.items = [path]
    provider.found = [path]
    provider.made = path if path != "/" else f"{ROOT}/prompt/p1"
    calls: list[Callable[[], Awaitable[object]]] = [
        backend.collections,
        lambda: backend.items("home"),
        lambda: backend.search({}),
        lambda: backend.create("home", "", {}, Secret(b""), replace=False),
    ]
    for call in calls:
        with pytest.raises(CorruptError):
            await call()


async def test_an_item_of_another_collection_is_refused(
    backend: SecretServiceBackend, provider: FakeProvider
) -> None:
    provider.items = [f"{ROOT}/collection/other/1"]
    provider.made = f"{ROOT}/collection/other/1"
    with pytest.raises(CorruptError):
        await backend.items("home")
    with pytest.raises(CorruptError):
        await backend.create("home", "", {}, Secret(b""), replace=False)


@pytest.mark.parametrize("path", ["/", HOME, "/tmp/prompt", f"{ROOT}/prompt/a/b"])
async def test_a_prompt_elsewhere_is_never_called(
    backend: SecretServiceBackend, provider: FakeProvider, path: str
) -> None:
    provider.prompt = path
    provider.locked = True
    with pytest.raises(DeniedError if path == "/" else CorruptError):
        await backend.unlock(Secret(b"unused"))
    assert provider.asked == []


async def test_a_session_elsewhere_is_refused(
    backend: SecretServiceBackend, provider: FakeProvider
) -> None:
    provider.session = HOME
    with pytest.raises(CorruptError):
        await backend.read(ITEM)


async def test_a_property_of_another_type_is_refused(
    backend: SecretServiceBackend, provider: FakeProvider
) -> None:
    provider.label = Variant("u", 7)
    with pytest.raises(CorruptError):
        await backend.describe(ITEM)


async def test_what_is_longer_than_ours_may_be_is_refused(
    backend: SecretServiceBackend, provider: FakeProvider
) -> None:
    provider.value = bytes(MAX_SECRET + 1)
    with pytest.raises(LimitError):
        await backend.read(ITEM)
    provider.attributes = {str(n): "" for n in range(66)}
    with pytest.raises(LimitError):
        await backend.describe(ITEM)
    provider.attributes = {"n" * 256: ""}
    with pytest.raises(LimitError):
        await backend.describe(ITEM)
    provider.attributes = {"n": "v" * 16385}
    with pytest.raises(LimitError):
        await backend.describe(ITEM)


async def test_a_delete_that_needs_a_prompt_waits_for_it(
    backend: SecretServiceBackend, provider: FakeProvider
) -> None:
    await backend.delete(ITEM)
    assert provider.asked == [provider.prompt]
    provider.dismisses = True
    with pytest.raises(DeniedError):
        await backend.delete(ITEM)


async def test_an_answer_of_another_shape_is_refused(
    backend: SecretServiceBackend, provider: FakeProvider
) -> None:
    provider.search_gives = "ao"
    await provider.serve()
    with pytest.raises(CorruptError, match="SearchItems"):
        await backend.search({})


async def test_a_provider_that_opens_no_session_is_named_in_few_words(
    backend: SecretServiceBackend, provider: FakeProvider
) -> None:
    provider.refuses_sessions = True
    with pytest.raises(UnsupportedError) as caught:
        await backend.read(ITEM)
    assert len(str(caught.value)) < 400
    provider.refuses_sessions = False
    assert (await backend.read(ITEM)).expose() == b"hunter2"


async def test_a_closed_backend_opens_nothing_any_more(backend: SecretServiceBackend) -> None:
    await backend.read(ITEM)
    await backend.close()
    with pytest.raises(UnreachableError):
        await backend.read(ITEM)


async def test_the_reserved_attribute_cannot_be_set(backend: SecretServiceBackend) -> None:
    reserved = {"privyseal:content-type": "text/html"}
    with pytest.raises(UsageError):
        await backend.create("home", "", reserved, Secret(b""), replace=False)
    with pytest.raises(UsageError):
        await backend.change(ITEM, label=None, attributes=reserved)
