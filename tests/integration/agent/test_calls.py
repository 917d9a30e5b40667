"""Reading, creating, writing, deleting: what each call answers."""

import pytest
from dbus_fast import Variant
from tests.fake_keeper import StoredCollection, Verdict
from tests.integration.agent.stage import (
    DEFAULT,
    LOGIN,
    Stage,
    call,
    create,
    get,
    open_session,
    perform,
    put,
)

from privyseal.errors import (
    DeniedError,
    ExpiredError,
    NotFoundError,
    PrivysealError,
    UsageError,
)
from privyseal.model.keyring import ItemRef
from privyseal.runtime.bus import Connection
from privyseal.wire.secretservice import (
    COLLECTION,
    ITEM,
    alias_path,
    collection_path,
    item_path,
)


async def test_get_secrets_leaves_out_what_is_locked_unknown_or_held_back(
    stage: Stage, bus: Connection
) -> None:
    good = stage.keeper.put("good", b"good")
    held_back = stage.keeper.put("held", b"held")
    stage.keeper.collections["shut"] = StoredCollection("Shut", locked=True)
    shut = stage.keeper.put("shut", collection="shut")
    stage.keeper.narrowed.add(held_back)
    session = await open_session(bus)
    alias = f"{DEFAULT}/good"
    unknown = [f"{LOGIN}/none", collection_path("none"), "/com/example"]
    paths = [item_path(good), alias, item_path(held_back), item_path(shut)]

    (secrets,) = await call(bus, "GetSecrets", "aoo", [paths + unknown, session])

    secret = (session, b"", b"good", "text/plain")
    assert secrets == {item_path(good): secret, alias: secret}
    assert stage.keeper.kinds() == ["read"]


async def test_get_secrets_of_denied_items_is_empty(stage: Stage, bus: Connection) -> None:
    path = item_path(stage.keeper.put("one"))
    stage.keeper.verdicts["read"] = "deny"
    session = await open_session(bus)
    assert await call(bus, "GetSecrets", "aoo", [[path], session]) == [{}]


@pytest.mark.parametrize(
    ("verdict", "error"),
    [("deny", DeniedError), ("refuse", DeniedError), ("expire", ExpiredError)],
)
async def test_get_secret_waits_and_ends_in_the_right_error(
    stage: Stage, bus: Connection, verdict: Verdict, error: type[PrivysealError]
) -> None:
    path = item_path(stage.keeper.put("one"))
    stage.keeper.verdicts["read"] = verdict
    session = await open_session(bus)
    with pytest.raises(error):
        await call(bus, "GetSecret", "o", [session], path=path, interface=ITEM)


async def test_get_secret_of_nothing_is_no_such_object(bus: Connection) -> None:
    session = await open_session(bus)
    for path in (f"{LOGIN}/none", alias_path("none") + "/x", collection_path("none") + "/x"):
        with pytest.raises(NotFoundError):
            await call(bus, "GetSecret", "o", [session], path=path, interface=ITEM)


async def test_a_created_item_is_answered_at_once_when_no_person_is_needed(
    stage: Stage, bus: Connection
) -> None:
    stage.keeper.verdicts["create"] = "at-once"
    session = await open_session(bus)
    path, prompt = await create(bus, session, path=DEFAULT, service="demo")
    assert prompt == "/"
    assert path.startswith(f"{LOGIN}/")
    again, _ = await create(bus, session, replace=True, service="demo")
    another, _ = await create(bus, session, service="demo")
    assert again == path
    assert another != path


async def test_a_created_item_comes_with_the_prompt_when_a_person_is_needed(
    stage: Stage, bus: Connection
) -> None:
    session = await open_session(bus)
    path, prompt = await create(bus, session, service="demo")
    assert path == "/"
    dismissed, path = await perform(bus, prompt)
    assert not dismissed
    assert path.startswith(f"{LOGIN}/")
    stage.keeper.verdicts["create"] = "deny"
    _, prompt = await create(bus, session)
    assert await perform(bus, prompt) == (True, "/")


async def test_attributes_may_come_as_variants(stage: Stage, bus: Connection) -> None:
    stage.keeper.verdicts["create"] = "at-once"
    session = await open_session(bus)
    properties = {
        f"{ITEM}.Attributes": Variant("a{sv}", {"a": Variant("s", "b")}),
        f"{ITEM}.Type": Variant("s", "org.example"),
    }
    body = [properties, [session, b"", b"x", "text/plain"], False]
    path, _ = await call(
        bus, "CreateItem", "a{sv}(oayays)b", body, path=LOGIN, interface=COLLECTION
    )
    wanted = {"a": "b", "xdg:schema": "org.example"}
    assert await get(bus, path, ITEM, "Attributes") == wanted
    assert await get(bus, path, ITEM, "Type") == "org.example"


async def test_creating_in_a_collection_that_is_not_there_asks_nobody(
    stage: Stage, bus: Connection
) -> None:
    stage.keeper.aliases.clear()
    session = await open_session(bus)
    for path in (DEFAULT, alias_path("other"), collection_path("none")):
        with pytest.raises(NotFoundError):
            await create(bus, session, path=path)
    assert stage.keeper.kinds() == []


async def test_item_paths_work_under_an_alias(stage: Stage, bus: Connection) -> None:
    stage.keeper.put("one", b"v", service="demo")
    session = await open_session(bus)
    path = f"{DEFAULT}/one"
    assert await get(bus, path, ITEM, "Label") == "One"
    await put(bus, path, ITEM, "Label", Variant("s", "new"))
    assert stage.keeper.collections["login"].items["one"].label == "new"
    (secret,) = await call(bus, "GetSecret", "o", [session], path=path, interface=ITEM)
    assert secret[2] == b"v"
    (prompt,) = await call(bus, "Delete", path=path, interface=ITEM)
    assert await perform(bus, prompt) == (False, "")
    assert stage.keeper.collections["login"].items == {}


async def test_aliases_are_set_read_and_removed(stage: Stage, bus: Connection) -> None:
    await call(bus, "SetAlias", "so", ["mine", LOGIN])
    assert await call(bus, "ReadAlias", "s", ["mine"]) == [LOGIN]
    await call(bus, "SetAlias", "so", ["mine", "/"])
    assert await call(bus, "ReadAlias", "s", ["mine"]) == ["/"]
    with pytest.raises(NotFoundError):
        await call(bus, "SetAlias", "so", ["mine", collection_path("none")])
    with pytest.raises(UsageError):
        await call(bus, "SetAlias", "so", ["no/alias", LOGIN])
    stage.keeper.verdicts["alias"] = "deny"
    with pytest.raises(DeniedError):
        await call(bus, "SetAlias", "so", ["mine", LOGIN])


async def test_creating_a_collection_with_a_known_alias_returns_that_one(
    stage: Stage, bus: Connection
) -> None:
    properties = {f"{COLLECTION}.Label": Variant("s", "New")}
    body = [properties, "default"]
    assert await call(bus, "CreateCollection", "a{sv}s", body) == [LOGIN, "/"]
    assert stage.keeper.kinds() == []
    path, prompt = await call(bus, "CreateCollection", "a{sv}s", [properties, "work"])
    assert path == "/"
    dismissed, path = await perform(bus, prompt)
    assert not dismissed
    assert await get(bus, path, COLLECTION, "Label") == "New"
    assert await call(bus, "ReadAlias", "s", ["work"]) == [path]


async def test_locking_locks_the_collections_of_what_is_named(
    stage: Stage, bus: Connection
) -> None:
    path = item_path(stage.keeper.put("one"))
    stage.keeper.verdicts["lock"] = "at-once"
    assert await call(bus, "Lock", "ao", [[path, "/com/example"]]) == [[path], "/"]
    assert stage.keeper.collections["login"].locked
    stage.keeper.collections["login"].locked = False
    await call(bus, "LockService")
    assert stage.keeper.collections["login"].locked
    assert await call(bus, "Lock", "ao", [["/com/example"]]) == [[], "/"]


async def test_writing_waits_for_the_decision(stage: Stage, bus: Connection) -> None:
    path = item_path(stage.keeper.put("one", b"old", a="b"))
    session = await open_session(bus)
    secret = [session, b"", b"new", "text/plain"]
    await call(bus, "SetSecret", "(oayays)", [secret], path=path, interface=ITEM)
    await put(bus, path, ITEM, "Label", Variant("s", "label"))
    await put(bus, path, ITEM, "Attributes", Variant("a{ss}", {"c": "d"}))
    await put(bus, LOGIN, COLLECTION, "Label", Variant("s", "ring"))
    item = stage.keeper.collections["login"].items["one"]
    assert (item.value.expose(), item.label, item.attributes) == (b"new", "label", {"c": "d"})
    assert stage.keeper.collections["login"].label == "ring"
    stage.keeper.verdicts |= {"write": "deny", "change": "deny", "change-collection": "deny"}
    with pytest.raises(DeniedError):
        await call(bus, "SetSecret", "(oayays)", [secret], path=path, interface=ITEM)
    with pytest.raises(DeniedError):
        await put(bus, path, ITEM, "Label", Variant("s", "other"))
    with pytest.raises(DeniedError):
        await put(bus, LOGIN, COLLECTION, "Label", Variant("s", "other"))


async def test_items_of_one_collection_are_searched_by_its_path_or_alias(
    stage: Stage, bus: Connection
) -> None:
    stage.keeper.collections["other"] = StoredCollection("Other")
    here = item_path(stage.keeper.put("one", service="demo"))
    there = item_path(stage.keeper.put("two", collection="other", service="demo"))
    for path, found in ((LOGIN, here), (DEFAULT, here), (collection_path("other"), there)):
        body = [{"service": "demo"}]
        assert await call(bus, "SearchItems", "a{ss}", body, path=path, interface=COLLECTION) == [
            [found]
        ]
    assert ItemRef(collection="other", item="two") in {
        ItemRef(collection=name, item=item)
        for name, collection in stage.keeper.collections.items()
        for item in collection.items
    }
