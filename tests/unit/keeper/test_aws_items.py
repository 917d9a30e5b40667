"""What the keeper tells a broker of its AWS items: in pages, each item looked at once."""

from pathlib import Path

import pytest
from tests.fakes import FakeClock

from privyseal.errors import PrivysealError
from privyseal.keeper.awsitems import AwsItems
from privyseal.model.keyring import ItemInfo, ItemRef
from privyseal.model.secret import Secret
from privyseal.runtime.embedded import EmbeddedBackend
from privyseal.wire.broker import MAX_PACKET, PROFILE, Drop, List, Reply, Store
from privyseal.wire.vault import Cost

NOTES = {"source": "base" * 100}


@pytest.fixture
async def backend(tmp_path: Path) -> EmbeddedBackend:
    made = EmbeddedBackend(tmp_path / "store", clock=FakeClock(), cost=Cost(log2_n=10))
    await made.unlock(Secret(b"correct horse battery"))
    return made


async def listed(items: AwsItems, after: str = "") -> list[str]:
    """Return the keys of all pages from one on."""
    found: list[str] = []
    while page := await the_page(items, after):
        found += page
        after = page[-1]
    return found


async def the_page(items: AwsItems, after: str) -> list[str]:
    reply, _ = await items.answer(List(after=after), None)
    assert isinstance(reply, Reply)
    return [entry.key for entry in reply.entries]


async def keep(items: AwsItems, *keys: str) -> None:
    for key in keys:
        await items.answer(Store(key=key, label=key, notes=NOTES), Secret(b"{}"))


async def test_a_list_of_many_pages_looks_at_each_item_once(
    backend: EmbeddedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    items, keys = AwsItems(backend), [f"key-{number:04}" for number in range(300)]
    await keep(items, *keys)
    described: list[ItemRef] = []
    describe = EmbeddedBackend.describe

    async def counted(of: EmbeddedBackend, item: ItemRef) -> ItemInfo:
        described.append(item)
        return await describe(of, item)

    monkeypatch.setattr(EmbeddedBackend, "describe", counted)

    first = await the_page(items, "")
    rest = await listed(items, first[-1])

    assert 0 < len(first) < len(keys)
    assert first + rest == keys
    assert len(described) == len(keys)


async def test_a_list_that_begins_tells_what_has_changed(backend: EmbeddedBackend) -> None:
    items = AwsItems(backend)
    await keep(items, "a", "c")
    assert await the_page(items, "") == ["a", "c"]

    await keep(items, "b")
    await items.answer(Drop(key="c"), None)

    assert await listed(items) == ["a", "b"]


async def test_an_entry_that_fits_in_no_packet_ends_no_list(backend: EmbeddedBackend) -> None:
    items = AwsItems(backend)
    await keep(items, "a", "c")
    [collection] = [c.id for c in await backend.collections() if c.label == "awsvault"]
    huge = {PROFILE: "b"} | {f"note-{n}": "x" * 16_000 for n in range(MAX_PACKET // 16_000 + 1)}
    await backend.create(collection, "b", huge, Secret(b"{}"), replace=False)

    assert await listed(items) == ["a", "c"]


async def test_a_list_of_a_locked_store_is_refused(backend: EmbeddedBackend) -> None:
    items = AwsItems(backend)
    await keep(items, "a")
    await backend.lock()

    with pytest.raises(PrivysealError):
        await listed(items)
