"""What is locked to whom, and how Unlock and its prompt change that."""

import pytest
from tests.fake_keeper import Verdict
from tests.integration.agent.stage import (
    DEFAULT,
    LOGIN,
    Signals,
    Stage,
    call,
    get,
    open_session,
    perform,
)

from privyseal.runtime.bus import Connection
from privyseal.wire.secretservice import (
    COLLECTION,
    ITEM,
    PROPERTIES,
    collection_path,
    item_path,
)


async def test_a_reader_sees_an_item_it_may_not_read_as_locked(
    stage: Stage, bus: Connection
) -> None:
    path = item_path(stage.keeper.put("one", service="demo"))
    await open_session(bus)

    unlocked, locked = await call(bus, "SearchItems", "a{ss}", [{"service": "demo"}])

    assert (unlocked, locked) == ([], [path])
    assert await get(bus, path, ITEM, "Locked") is True
    assert await get(bus, LOGIN, COLLECTION, "Locked") is False
    assert stage.keeper.kinds() == []


async def test_to_a_peer_without_a_session_an_item_is_as_locked_as_its_collection(
    stage: Stage, bus: Connection
) -> None:
    path = item_path(stage.keeper.put("one", service="demo"))
    assert await call(bus, "SearchItems", "a{ss}", [{}]) == [[path], []]
    assert await get(bus, path, ITEM, "Locked") is False
    stage.keeper.collections["login"].locked = True
    assert await call(bus, "SearchItems", "a{ss}", [{}]) == [[], [path]]
    assert await get(bus, path, ITEM, "Locked") is True
    assert await get(bus, LOGIN, COLLECTION, "Locked") is True


async def test_unlocking_an_item_opens_it_for_that_peer_alone(
    stage: Stage, bus: Connection, other: Connection
) -> None:
    path = item_path(stage.keeper.put("one", service="demo"))
    heard = Signals()
    await heard.listen(bus, (PROPERTIES, "PropertiesChanged"))
    unlocked, prompt = await call(bus, "Unlock", "ao", [[path]])

    assert unlocked == []
    assert await perform(bus, prompt) == (False, [path])
    assert await call(bus, "Unlock", "ao", [[path]]) == [[path], "/"]
    where, (interface, values, _) = await heard.next("PropertiesChanged")
    assert (where, interface, values["Locked"].value) == (path, ITEM, False)
    await open_session(other)
    assert await get(other, path, ITEM, "Locked") is True


async def test_unlock_leaves_out_what_does_not_exist(stage: Stage, bus: Connection) -> None:
    objects = [f"{LOGIN}/nothing", collection_path("nothing"), "/com/example", LOGIN]
    assert await call(bus, "Unlock", "ao", [objects]) == [[LOGIN], "/"]


async def test_unlocking_a_collection_asks_for_what_the_peer_searched_in_it(
    stage: Stage, bus: Connection
) -> None:
    item = stage.keeper.put("one", service="demo")
    stage.keeper.put("two", service="other")
    await open_session(bus)
    await call(bus, "SearchItems", "a{ss}", [{"service": "demo"}])
    _, prompt = await call(bus, "Unlock", "ao", [[DEFAULT]])

    assert await perform(bus, prompt) == (False, [DEFAULT])
    assert [getattr(asked.ask, "items", None) for asked in stage.keeper.asked[1:]] == [(item,)]


async def test_a_search_of_long_ago_is_not_asked_for(stage: Stage, bus: Connection) -> None:
    stage.keeper.put("one", service="demo")
    await call(bus, "SearchItems", "a{ss}", [{"service": "demo"}])
    stage.clock.advance(61)
    assert await call(bus, "Unlock", "ao", [[LOGIN]]) == [[LOGIN], "/"]


async def test_a_locked_collection_is_unlocked_through_a_prompt(
    stage: Stage, bus: Connection
) -> None:
    stage.keeper.collections["login"].locked = True
    _, prompt = await call(bus, "Unlock", "ao", [[LOGIN]])
    assert await perform(bus, prompt) == (False, [LOGIN])
    assert stage.keeper.kinds() == ["unlock"]


@pytest.mark.parametrize("verdict", ["deny", "refuse", "expire"])
async def test_a_prompt_that_ends_without_an_allow_is_dismissed(
    stage: Stage, bus: Connection, verdict: Verdict
) -> None:
    path = item_path(stage.keeper.put("one"))
    stage.keeper.verdicts["read"] = verdict
    _, prompt = await call(bus, "Unlock", "ao", [[path]])
    assert await perform(bus, prompt) == (True, [])
