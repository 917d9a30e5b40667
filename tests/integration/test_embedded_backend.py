"""What the embedded store promises beyond the contract of every backend."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.fakes import FakeClock

from privyseal.errors import (
    CorruptError,
    DeniedError,
    LockedError,
    NotFoundError,
    UnsupportedError,
    UsageError,
)
from privyseal.model.keyring import ItemRef
from privyseal.model.secret import Secret
from privyseal.runtime import vault
from privyseal.runtime.embedded import EmbeddedBackend
from privyseal.runtime.vaultcare import change_passphrase
from privyseal.runtime.vaultfile import store_path
from privyseal.wire.vault import Cost

PASSPHRASE = Secret(b"correct horse")


def backend_in(folder: Path) -> EmbeddedBackend:
    return EmbeddedBackend(folder, clock=FakeClock(), cost=Cost(log2_n=10))


@pytest.fixture
async def fresh(tmp_path: Path) -> AsyncIterator[EmbeddedBackend]:
    """A backend whose store nobody has made yet."""
    made = backend_in(tmp_path / "store")
    yield made
    await made.close()


@pytest.fixture
async def backend(fresh: EmbeddedBackend) -> EmbeddedBackend:
    await fresh.unlock(PASSPHRASE)
    return fresh


async def put(backend: EmbeddedBackend, collection: str) -> ItemRef:
    return await backend.create(collection, "x", {"a": "b"}, Secret(b"hunter2"), replace=False)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def damage(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"nonsense")


# Before the first unlock.


async def test_a_store_that_is_not_made_yet_is_one_locked_empty_collection(
    fresh: EmbeddedBackend, tmp_path: Path
) -> None:
    assert not await fresh.initialised()
    assert await fresh.locked()
    assert [(c.id, c.locked) for c in await fresh.collections()] == [
        ("login", True),
        ("session", False),
    ]
    assert (await fresh.aliases())["default"] == "login"
    assert await fresh.items("login") == ()
    assert await fresh.search({}) == await fresh.search({"a": "b"}, "login") == ()
    with pytest.raises(LockedError, match="no store yet"):
        await put(fresh, "login")
    with pytest.raises(LockedError, match="no store yet"):
        await fresh.create_collection("Work", "")
    with pytest.raises(NotFoundError):
        await put(fresh, "work")
    await fresh.lock()
    assert files(tmp_path) == {}


async def test_the_first_unlock_makes_the_store(fresh: EmbeddedBackend) -> None:
    await fresh.unlock(PASSPHRASE)
    assert await fresh.initialised()
    assert not await fresh.locked()
    assert [c.id for c in await fresh.collections()] == ["login", "session"]


async def test_an_empty_passphrase_makes_no_store(fresh: EmbeddedBackend) -> None:
    with pytest.raises(UsageError):
        await fresh.unlock(Secret(b""))
    assert not await fresh.initialised()


async def test_unlocks_at_the_same_time_make_one_store(fresh: EmbeddedBackend) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(fresh.unlock(PASSPHRASE))
    await put(fresh, "login")
    assert len(await fresh.items("login")) == 1


async def test_a_restarted_keeper_finds_the_store_locked(
    backend: EmbeddedBackend, tmp_path: Path
) -> None:
    item = await put(backend, "login")
    await backend.close()

    again = backend_in(tmp_path / "store")
    assert await again.initialised()
    assert await again.locked()
    with pytest.raises(DeniedError):
        await again.unlock(Secret(b"not it"))
    await again.unlock(PASSPHRASE)
    assert await again.read(item) == Secret(b"hunter2")
    await again.close()


async def test_a_damaged_store_is_never_made_anew(fresh: EmbeddedBackend, tmp_path: Path) -> None:
    path = store_path(tmp_path / "store")
    damage(path)
    with pytest.raises(CorruptError):
        await fresh.unlock(PASSPHRASE)
    assert files(tmp_path) == {path.name: b"nonsense"}


async def test_the_passphrase_can_be_changed_beside_a_running_keeper(
    backend: EmbeddedBackend, tmp_path: Path
) -> None:
    with closing(vault.load(tmp_path / "store", clock=FakeClock())) as store:
        change_passphrase(store, PASSPHRASE, Secret(b"new"), Cost(log2_n=10))
    await backend.lock()
    with pytest.raises(DeniedError):
        await backend.unlock(PASSPHRASE)
    await backend.unlock(Secret(b"new"))
    assert not await backend.locked()


# The session collection.


async def test_the_session_collection_is_used_while_the_store_is_locked(
    fresh: EmbeddedBackend,
) -> None:
    item = await put(fresh, "session")
    await fresh.lock()
    await fresh.lock(["session"])

    assert await fresh.read(item) == Secret(b"hunter2")
    assert (await fresh.describe(item)).label == "x"
    assert await fresh.search({"a": "b"}) == (item,)
    assert await fresh.search({"a": "b"}, "session") == (item,)
    await fresh.unlock(Secret(b"anything"), ["session"])
    assert not await fresh.initialised()


async def test_a_search_covers_the_store_and_the_session(backend: EmbeddedBackend) -> None:
    kept, volatile = await put(backend, "login"), await put(backend, "session")
    assert await backend.search({"a": "b"}) == (kept, volatile)
    assert await backend.search({}, "login") == (kept,)


async def test_the_session_collection_ends_with_the_keeper(
    backend: EmbeddedBackend, tmp_path: Path
) -> None:
    item = await put(backend, "session")
    assert not any(b"session" in content for content in files(tmp_path).values())
    await backend.close()

    again = backend_in(tmp_path / "store")
    assert await again.items("session") == ()
    with pytest.raises(NotFoundError):
        await again.read(item)
    await again.close()


async def test_the_session_collection_stays_what_it_is(backend: EmbeddedBackend) -> None:
    with pytest.raises(UnsupportedError):
        await backend.delete_collection("session")
    for alias, collection in (("session", "login"), ("session", ""), ("default", "session")):
        with pytest.raises(UnsupportedError):
            await backend.set_alias(alias, collection)
    assert await backend.create_collection("Another", "session") == "session"
    assert (await backend.aliases())["session"] == "session"


# Locking.


async def test_locking_one_stored_collection_locks_them_all(backend: EmbeddedBackend) -> None:
    work = await backend.create_collection("Work", "")
    item = await put(backend, "login")
    await backend.lock([work])
    with pytest.raises(LockedError):
        await backend.read(item)


async def test_nothing_sealed_is_told_while_locked(backend: EmbeddedBackend) -> None:
    item = await put(backend, "login")
    await backend.lock()

    info = await backend.describe(item)
    assert (info.label, dict(info.attributes), info.content_type) == ("", {}, "")
    assert info.created > 0
    assert {c.label for c in await backend.collections()} == {"", "Session"}
    with pytest.raises(LockedError):
        await backend.delete_collection("login")
    with pytest.raises(LockedError):
        await backend.change_collection("login", "x")
    with pytest.raises(LockedError):
        await backend.set_alias("default", "")
