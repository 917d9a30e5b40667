"""What every backend promises to the keeper; one run for each factory below.

To add a backend, write an async context manager that takes a fresh folder and yields a `Rig` whose
backend is unlocked and has an alias `default`, and name it in `FACTORIES`. Where a backend differs by
design, its rig says so in `differs`, and the test that meets the difference says what holds instead.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

import pytest
from tests.integration.gnupg_folder import gnupg_folder
from tests.integration.keyring_bus import keyring_bus, open_backend
from tests.integration.provider_bus import served
from tests.waiting import PATIENCE

from privyseal.errors import (
    DeniedError,
    LimitError,
    LockedError,
    NotFoundError,
    PrivysealError,
)
from privyseal.model.keyring import ItemRef
from privyseal.model.secret import Secret
from privyseal.model.value import MAX_SECRET
from privyseal.provider.stores import open_store
from privyseal.runtime.backend import Backend
from privyseal.runtime.clock import SystemClock
from privyseal.runtime.embedded import EmbeddedBackend
from privyseal.wire.keeper import StoreChange
from privyseal.wire.vault import Cost

Difference: TypeAlias = Literal[
    "content-type",  # every value comes back as text/plain
    "no-size-limit",  # a value over 1 MiB is not refused here
    "names-return",  # the name of a deleted item may be given to a new one
    "no-order",  # items are listed in the order of their names
]


@dataclass(frozen=True, kw_only=True)
class Rig:
    """One backend under test: unlocked, with what a test needs to lock and open it again."""

    backend: Backend
    passphrase: Secret
    differs: frozenset[Difference] = frozenset()


@asynccontextmanager
async def embedded(folder: Path) -> AsyncIterator[Rig]:
    passphrase = Secret(b"correct horse")
    backend = EmbeddedBackend(folder / "store", clock=SystemClock(), cost=Cost(log2_n=10))
    await backend.unlock(passphrase)
    yield Rig(backend=backend, passphrase=passphrase)
    await backend.close()


@asynccontextmanager
async def gnome_keyring(folder: Path) -> AsyncIterator[Rig]:
    passphrase = Secret(b"correct horse")
    async with keyring_bus(folder) as bus, open_backend(bus.address) as backend:
        await backend.unlock(passphrase)
        yield Rig(backend=backend, passphrase=passphrase)


@asynccontextmanager
async def provider_of_embedded(folder: Path) -> AsyncIterator[Rig]:
    passphrase = Secret(b"correct horse")
    async with (
        asyncio.TaskGroup() as group,
        open_store("embedded", folder / "store", group, SystemClock(), Cost(log2_n=10)) as store,
        served(folder, store) as address,
        open_backend(address) as backend,
    ):
        await backend.unlock(passphrase)
        yield Rig(backend=backend, passphrase=passphrase, differs=frozenset({"no-order"}))


@asynccontextmanager
async def provider_of_pass(folder: Path) -> AsyncIterator[Rig]:
    passphrase = Secret(b"correct horse")
    with gnupg_folder() as home:
        async with (
            asyncio.TaskGroup() as group,
            open_store("pass", home / "store", group, SystemClock()) as store,
            served(folder, store) as address,
            open_backend(address) as backend,
        ):
            await backend.unlock(passphrase)
            differs: frozenset[Difference] = frozenset({"names-return", "no-order"})
            yield Rig(backend=backend, passphrase=passphrase, differs=differs)


FACTORIES: Final[Mapping[str, Callable[[Path], AbstractAsyncContextManager[Rig]]]] = {
    "embedded": embedded,
    "gnome-keyring": gnome_keyring,
    "provider-embedded": provider_of_embedded,
    "provider-pass": provider_of_pass,
}

TEXTS: Final = [
    "Zürich 東京 🔑",
    "e\u0301 is not \u00e9",
    "line\nline\ttab",
    "\x1b]52;c;AAAA\x07\x1b[2J",
    "\u202egnp.exe\u2066\u200b\U000e0041",
    "' OR 1=1; DROP TABLE item; --",
    "../../etc/passwd",
    "%s{0}$(id)`id`",
    "x" * 10_000,
]


@pytest.fixture(params=sorted(FACTORIES))
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rig]:
    async with FACTORIES[request.param](tmp_path) as made:
        yield made


@pytest.fixture
def backend(rig: Rig) -> Backend:
    return rig.backend


@pytest.fixture
async def home(backend: Backend) -> str:
    """The collection that `default` means."""
    return (await backend.aliases())["default"]


class Changes:
    """What a backend told its listener, to be awaited: some backends learn of a change by signal."""

    def __init__(self, backend: Backend) -> None:
        self._seen: list[StoreChange] = []
        self._arrived = asyncio.Event()
        backend.listen(self._note)

    def _note(self, change: StoreChange) -> None:
        self._seen.append(change)
        self._arrived.set()

    async def include(
        self, what: Literal["created", "deleted", "changed"], collection: str, item: str = ""
    ) -> None:
        """Return once this change was told; fail after five seconds."""
        wanted = StoreChange(what=what, collection=collection, item=item)
        async with asyncio.timeout(PATIENCE):
            while wanted not in self._seen:
                self._arrived.clear()
                await self._arrived.wait()


async def store(
    backend: Backend, collection: str, value: bytes = b"hunter2", /, **attributes: str
) -> ItemRef:
    return await backend.create(collection, "a label", attributes, Secret(value), replace=False)


def nowhere(collection: str) -> ItemRef:
    return ItemRef(collection=collection, item="0123456789abcdef")


async def refused(error: type[PrivysealError], *calls: Awaitable[object]) -> None:
    for call in calls:
        with pytest.raises(error):
            await call


# Items: create, read, replace.


async def test_a_created_item_can_be_read_and_described(backend: Backend, home: str) -> None:
    item = await backend.create(
        home, "Mail", {"service": "imap", "user": "eve"}, Secret(b"hunter2"), replace=False
    )

    assert item.collection == home
    assert (await backend.read(item)).expose() == b"hunter2"
    info = await backend.describe(item)
    assert info.ref == item
    assert info.label == "Mail"
    assert dict(info.attributes) == {"service": "imap", "user": "eve"}
    assert info.content_type == "text/plain"
    assert not info.locked
    assert 0 < info.created <= info.modified


@pytest.mark.parametrize(
    "value",
    [b"", b"\0", b"a\0b\0", b"\x80\0\0", bytes(range(256)), b"\xff\xfe\r\n \t"],
    ids=repr,
)
async def test_binary_values_come_back_exactly(backend: Backend, home: str, value: bytes) -> None:
    item = await store(backend, home, value, a="b")
    assert (await backend.read(item)).expose() == value

    await backend.write(item, Secret(value + b"\0"))
    assert (await backend.read(item)).expose() == value + b"\0"


async def test_a_value_of_one_mebibyte_comes_back_exactly(backend: Backend, home: str) -> None:
    value = bytes(range(256)) * (MAX_SECRET // 256)
    item = await store(backend, home, value, a="b")
    assert (await backend.read(item)).expose() == value


async def test_a_value_over_one_mebibyte_is_refused(rig: Rig, home: str) -> None:
    if "no-size-limit" in rig.differs:
        assert (await store(rig.backend, home, bytes(MAX_SECRET + 1), a="b")).collection == home
        return
    item = await store(rig.backend, home, a="b")
    with pytest.raises(LimitError):
        await store(rig.backend, home, bytes(MAX_SECRET + 1), a="c")
    with pytest.raises(LimitError):
        await rig.backend.write(item, Secret(bytes(MAX_SECRET + 1)))
    assert await rig.backend.items(home) == (item.item,)
    assert (await rig.backend.read(item)).expose() == b"hunter2"


async def test_the_content_type_stays_with_the_value(rig: Rig, home: str) -> None:
    png, der = ("image/png", "application/x-x509-ca-cert")
    item = await rig.backend.create(home, "", {"a": "b"}, Secret(b"\x89PNG", png), replace=False)
    kept = (lambda _: "text/plain") if "content-type" in rig.differs else str
    assert (await rig.backend.read(item)).content_type == kept(png)

    await rig.backend.write(item, Secret(b"0", der))
    assert (await rig.backend.read(item)).content_type == kept(der)
    assert (await rig.backend.describe(item)).content_type == kept(der)


async def test_without_replace_equal_attributes_make_a_second_item(
    rig: Rig, backend: Backend, home: str
) -> None:
    first = await store(backend, home, b"1", service="x")
    second = await store(backend, home, b"2", service="x")

    assert first != second
    assert (await backend.read(first)).expose() == b"1"
    assert (await backend.read(second)).expose() == b"2"
    made, listed = (first.item, second.item), await backend.items(home)
    assert set(listed) == set(made)
    assert listed == made or "no-order" in rig.differs


async def test_replace_overwrites_the_item_with_exactly_these_attributes(
    backend: Backend, home: str
) -> None:
    smaller = await store(backend, home, b"smaller", service="x")
    exact = await store(backend, home, b"exact", service="x", user="u")
    larger = await store(backend, home, b"larger", service="x", user="u", host="h")

    attributes = {"user": "u", "service": "x"}
    replaced = await backend.create(home, "new", attributes, Secret(b"new"), replace=True)

    assert replaced == exact
    assert (await backend.read(exact)).expose() == b"new"
    assert (await backend.describe(exact)).label == "new"
    assert (await backend.read(smaller)).expose() == b"smaller"
    assert (await backend.read(larger)).expose() == b"larger"
    assert len(await backend.items(home)) == 3


async def test_replace_creates_where_nothing_matches(backend: Backend, home: str) -> None:
    other = await store(backend, home, b"old", service="x", user="u")
    made = await backend.create(home, "", {"service": "x"}, Secret(b"new"), replace=True)
    assert made != other
    assert (await backend.read(other)).expose() == b"old"


async def test_replace_looks_into_one_collection_only(backend: Backend, home: str) -> None:
    elsewhere = await store(backend, await backend.create_collection("Work", ""), service="x")
    made = await backend.create(home, "", {"service": "x"}, Secret(b"new"), replace=True)
    assert made.collection == home
    assert (await backend.read(elsewhere)).expose() == b"hunter2"


async def test_a_deleted_item_is_gone_and_its_name_is_not_used_again(
    rig: Rig, backend: Backend, home: str
) -> None:
    gone = await store(backend, home, service="x")
    await backend.delete(gone)

    assert await backend.items(home) == ()
    assert await backend.search({"service": "x"}) == ()
    with pytest.raises(NotFoundError):
        await backend.read(gone)
    again = await store(backend, home, service="x")
    assert again != gone or "names-return" in rig.differs


# Search.


async def test_search_matches_items_that_have_all_the_given_pairs(
    backend: Backend, home: str
) -> None:
    both = await store(backend, home, service="x", user="u")
    one = await store(backend, home, service="x")
    other = await store(backend, home, user="u", host="h")

    assert set(await backend.search({"service": "x"})) == {both, one}
    assert set(await backend.search({"user": "u"})) == {both, other}
    assert await backend.search({"user": "u", "service": "x"}) == (both,)
    assert await backend.search({"service": "x", "user": "other"}) == ()
    assert await backend.search({"user": "u", "host": ""}) == ()


async def test_search_compares_whole_values_and_case(backend: Backend, home: str) -> None:
    await store(backend, home, service="Mail", empty="")

    for attributes in (
        {"service": "mail"},
        {"Service": "Mail"},
        {"service": "Mai"},
        {"service": ""},
    ):
        assert await backend.search(attributes) == ()
    assert len(await backend.search({"empty": ""})) == 1
    # A key and a value that run into each other the same way are still two different pairs.
    assert await backend.search({"serviceM": "ail"}) == ()


async def test_an_empty_search_matches_everything(backend: Backend, home: str) -> None:
    work = await backend.create_collection("Work", "")
    made = {
        await store(backend, home, a="1"),
        await store(backend, home),
        await store(backend, work),
    }
    assert set(await backend.search({})) == made


async def test_search_can_stay_in_one_collection(backend: Backend, home: str) -> None:
    work = await backend.create_collection("Work", "")
    here = await store(backend, home, service="x")
    there = await store(backend, work, service="x")

    assert set(await backend.search({"service": "x"})) == {here, there}
    assert await backend.search({"service": "x"}, home) == (here,)
    assert await backend.search({}, work) == (there,)


async def test_many_attributes_are_kept_and_searched_together(backend: Backend, home: str) -> None:
    attributes = {f"key{number}": f"value{number}" for number in range(64)}
    item = await backend.create(home, "", attributes, Secret(b""), replace=False)
    await store(backend, home, key0="value0")
    assert await backend.search(attributes) == (item,)


# Changes.


async def test_a_new_label_leaves_the_rest(backend: Backend, home: str) -> None:
    item = await store(backend, home, service="x")
    await backend.change(item, label="renamed", attributes=None)

    info = await backend.describe(item)
    assert info.label == "renamed"
    assert dict(info.attributes) == {"service": "x"}
    assert (await backend.read(item)).expose() == b"hunter2"
    assert info.modified >= info.created


async def test_new_attributes_are_searched_and_the_old_ones_no_longer(
    backend: Backend, home: str
) -> None:
    item = await store(backend, home, service="x", user="u")
    await backend.change(item, label=None, attributes={"service": "y", "user": "u"})

    assert (await backend.describe(item)).label == "a label"
    assert await backend.search({"service": "x"}) == ()
    assert await backend.search({"service": "y", "user": "u"}) == (item,)
    replaced = await backend.create(
        home, "", {"user": "u", "service": "y"}, Secret(b"new"), replace=True
    )
    assert replaced == item


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
async def test_foreign_text_is_kept_as_it_is(backend: Backend, home: str, text: str) -> None:
    value = Secret(text.encode())
    name = text[:200]
    item = await backend.create(home, text, {name: text}, value, replace=False)

    info = await backend.describe(item)
    assert info.label == text
    assert dict(info.attributes) == {name: text}
    assert await backend.search({name: text}) == (item,)
    assert await backend.read(item) == value
    collection = await backend.create_collection(text, "")
    assert text in {c.label for c in await backend.collections() if c.id == collection}


# Collections and aliases.


async def test_collections_are_made_renamed_and_deleted(backend: Backend) -> None:
    before = [c.id for c in await backend.collections()]
    work = await backend.create_collection("Work", "")
    assert work not in before
    assert work.isascii()
    assert work.replace("_", "").isalnum()

    await backend.change_collection(work, "Office")
    labels = {c.id: c.label for c in await backend.collections()}
    assert labels[work] == "Office"

    item = await store(backend, work, service="x")
    await backend.delete_collection(work)
    assert [c.id for c in await backend.collections()] == before
    assert await backend.search({"service": "x"}) == ()
    with pytest.raises(NotFoundError):
        await backend.read(item)


async def test_an_alias_is_set_moved_and_removed(backend: Backend, home: str) -> None:
    work = await backend.create_collection("Work", "")

    await backend.set_alias("default", work)
    assert (await backend.aliases())["default"] == work
    await backend.set_alias("default", "")
    assert "default" not in await backend.aliases()
    await backend.set_alias("default", home)
    assert (await backend.aliases())["default"] == home


async def test_a_taken_alias_returns_its_collection(backend: Backend, home: str) -> None:
    before = await backend.collections()
    assert await backend.create_collection("Another", "default") == home
    assert await backend.collections() == before


async def test_a_new_collection_takes_a_free_alias(backend: Backend) -> None:
    await backend.set_alias("default", "")
    fresh = await backend.create_collection("Fresh", "default")
    assert (await backend.aliases())["default"] == fresh


async def test_aliases_go_with_their_collection(backend: Backend) -> None:
    await backend.set_alias("default", "")
    work = await backend.create_collection("Work", "default")
    await backend.delete_collection(work)
    assert "default" not in await backend.aliases()


# What is not there.


async def test_what_does_not_exist_is_not_found(backend: Backend, home: str) -> None:
    there = await store(backend, home)
    elsewhere = ItemRef(collection="no_such_collection", item=there.item)
    for item in (nowhere(home), nowhere("no_such_collection"), elsewhere):
        await refused(
            NotFoundError,
            backend.read(item),
            backend.describe(item),
            backend.write(item, Secret(b"")),
            backend.change(item, label="x", attributes=None),
            backend.delete(item),
        )
    await refused(
        NotFoundError,
        backend.items("no_such_collection"),
        backend.search({}, "no_such_collection"),
        backend.create("no_such_collection", "", {}, Secret(b""), replace=False),
        backend.change_collection("no_such_collection", "x"),
        backend.delete_collection("no_such_collection"),
        backend.set_alias("default", "no_such_collection"),
        backend.lock(["no_such_collection"]),
    )
    assert (await backend.read(there)).expose() == b"hunter2"
    assert (await backend.aliases())["default"] == home


# Listeners.


async def test_every_change_of_an_item_is_told(backend: Backend, home: str) -> None:
    changes = Changes(backend)
    item = await store(backend, home, service="x")
    await changes.include("created", home, item.item)
    await backend.change(item, label="renamed", attributes=None)
    await changes.include("changed", home, item.item)
    await backend.delete(item)
    await changes.include("deleted", home, item.item)


async def test_every_change_of_a_collection_is_told(backend: Backend) -> None:
    changes = Changes(backend)
    work = await backend.create_collection("Work", "")
    await changes.include("created", work)
    await backend.change_collection(work, "Office")
    await changes.include("changed", work)
    await backend.delete_collection(work)
    await changes.include("deleted", work)


# Locking.


async def test_a_locked_store_finds_items_but_opens_none(
    rig: Rig, backend: Backend, home: str
) -> None:
    item = await store(backend, home, service="x")
    await backend.lock()

    assert await backend.locked()
    assert await backend.initialised()
    assert {c.id: c.locked for c in await backend.collections()}[home]
    assert (await backend.aliases())["default"] == home
    assert await backend.items(home) == (item.item,)
    assert await backend.search({"service": "x"}) == (item,)
    assert await backend.search({"service": "y"}) == ()
    info = await backend.describe(item)
    assert info.locked
    assert "a label" not in info.label
    await refused(
        LockedError,
        backend.read(item),
        backend.write(item, Secret(b"")),
        backend.change(item, label="x", attributes=None),
        backend.delete(item),
        backend.create(home, "", {"service": "x"}, Secret(b""), replace=True),
    )

    await backend.unlock(rig.passphrase)
    assert not await backend.locked()
    assert (await backend.read(item)).expose() == b"hunter2"
    assert (await backend.describe(item)).label == "a label"


async def test_one_collection_can_be_locked_by_name(rig: Rig, backend: Backend, home: str) -> None:
    item = await store(backend, home)
    await backend.lock([home])
    with pytest.raises(LockedError):
        await backend.read(item)
    await backend.unlock(rig.passphrase, [home])
    assert (await backend.read(item)).expose() == b"hunter2"


async def test_a_wrong_passphrase_opens_nothing(rig: Rig, backend: Backend, home: str) -> None:
    item = await store(backend, home)
    await backend.lock()
    with pytest.raises(DeniedError):
        await backend.unlock(Secret(b"not it"))
    assert await backend.locked()
    with pytest.raises(LockedError):
        await backend.read(item)

    await backend.unlock(rig.passphrase)
    assert (await backend.read(item)).expose() == b"hunter2"


async def test_calls_may_run_at_the_same_time(backend: Backend, home: str) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(store(backend, home, b"%d" % n, n=str(n))) for n in range(20)]
    for number, task in enumerate(tasks):
        assert (await backend.read(task.result())).expose() == b"%d" % number
        assert await backend.search({"n": str(number)}) == (task.result(),)
