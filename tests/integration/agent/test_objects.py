"""Properties, introspection, aliases as objects, signals, and what is answered with no."""

from collections.abc import Sequence
from typing import Any

import pytest
from dbus_fast import Variant
from tests.fake_keeper import StoredCollection
from tests.integration.agent.stage import (
    DEFAULT,
    LOGIN,
    Signals,
    Stage,
    call,
    get,
    open_session,
)

from privyseal.errors import (
    NotFoundError,
    PrivysealError,
    ReadOnlyError,
    UnknownInterfaceError,
    UnknownMethodError,
    UnknownPropertyError,
    UnsupportedError,
    UsageError,
)
from privyseal.runtime.bus import Connection
from privyseal.wire.introspection import TABLE
from privyseal.wire.keeper import StoreChange
from privyseal.wire.secretservice import (
    COLLECTION,
    INTERNAL,
    INTROSPECTABLE,
    ITEM,
    PEER,
    PORTAL_PATH,
    PROPERTIES,
    ROOT,
    SERVICE,
    alias_path,
    collection_path,
    item_path,
)


async def test_the_standing_aliases_are_objects_even_with_nothing_behind(
    stage: Stage, bus: Connection
) -> None:
    stage.keeper.aliases.clear()
    stage.keeper.collections.clear()
    for alias in ("default", "login", "session"):
        path = alias_path(alias)
        (values,) = await call(bus, "GetAll", "s", [COLLECTION], path=path, interface=PROPERTIES)
        assert (values["Items"].value, values["Locked"].value) == ([], False)
        assert await call(bus, "SearchItems", "a{ss}", [{}], path=path, interface=COLLECTION) == [
            []
        ]
        assert await call(bus, "ReadAlias", "s", [alias]) == ["/"]
    with pytest.raises(NotFoundError):
        await get(bus, alias_path("other"), COLLECTION, "Label")


@pytest.mark.parametrize(
    ("member", "signature", "body", "error"),
    [
        ("Get", "ss", [ITEM, "Nothing"], UnknownPropertyError),
        ("Get", "ss", [SERVICE, "Collections"], UnknownInterfaceError),
        ("Get", "ss", ["com.example", "X"], UnknownInterfaceError),
        ("Get", "ss", [PROPERTIES, "X"], UnknownPropertyError),
        ("GetAll", "s", ["com.example"], UnknownInterfaceError),
        ("Set", "ssv", [ITEM, "Locked", Variant("b", True)], ReadOnlyError),  # noqa: FBT003 - the bus's shape
        ("Set", "ssv", [ITEM, "Nothing", Variant("s", "")], UnknownPropertyError),
        ("Set", "ssv", [ITEM, "Label", Variant("u", 1)], UsageError),
        ("Set", "ssv", [ITEM, "Attributes", Variant("a{sv}", {})], UsageError),
    ],
)
async def test_wrong_property_calls_say_what_is_wrong(
    stage: Stage,
    bus: Connection,
    member: str,
    signature: str,
    body: Sequence[Any],
    error: type[PrivysealError],
) -> None:
    path = item_path(stage.keeper.put("one"))
    with pytest.raises(error):
        await call(bus, member, signature, body, path=path, interface=PROPERTIES)
    assert stage.keeper.kinds() == []


async def test_get_all_without_an_interface_gives_everything(stage: Stage, bus: Connection) -> None:
    path = item_path(stage.keeper.put("one"))
    (values,) = await call(bus, "GetAll", "s", [""], path=path, interface=PROPERTIES)
    assert set(values) == set(TABLE[ITEM].properties)
    assert await call(bus, "GetAll", "s", [PEER], path=path, interface=PROPERTIES) == [{}]


async def test_reading_properties_asks_nobody(stage: Stage, bus: Connection) -> None:
    path = item_path(stage.keeper.put("one"))
    stage.keeper.collections["login"].locked = True
    for interface, where in ((SERVICE, ROOT), (COLLECTION, LOGIN), (ITEM, path)):
        (values,) = await call(bus, "GetAll", "s", [interface], path=where, interface=PROPERTIES)
        assert set(values) == set(TABLE[interface].properties)
        for name, shape in TABLE[interface].properties.items():
            assert values[name].signature == shape.signature
    assert stage.keeper.asked == []


async def test_every_object_can_be_introspected(stage: Stage, bus: Connection) -> None:
    item = item_path(stage.keeper.put("one"))
    for path in (
        *("/", "/org", "/org/freedesktop", "/org/freedesktop/portal", PORTAL_PATH, ROOT),
        *(f"{ROOT}/collection", f"{ROOT}/aliases", f"{ROOT}/session", f"{ROOT}/prompt"),
        *(LOGIN, item, DEFAULT, f"{DEFAULT}/one", await open_session(bus)),
    ):
        (xml,) = await call(bus, "Introspect", path=path, interface=INTROSPECTABLE)
        assert PROPERTIES in xml
    (xml,) = await call(bus, "Introspect", path=LOGIN, interface=INTROSPECTABLE)
    assert '<node name="one"/>' in xml
    with pytest.raises(NotFoundError):
        await call(bus, "Introspect", path=collection_path("none"), interface=INTROSPECTABLE)


async def test_a_method_at_the_wrong_kind_of_object_is_unknown(
    stage: Stage, bus: Connection
) -> None:
    path = item_path(stage.keeper.put("one"))
    with pytest.raises(UnknownMethodError):
        await call(bus, "Delete", path=path, interface=COLLECTION)
    with pytest.raises(UnknownMethodError):
        await call(bus, "LockService", path=LOGIN)
    with pytest.raises(NotFoundError):
        await call(bus, "LockService", path="/com/example")


@pytest.mark.parametrize("member", list(TABLE[INTERNAL].methods))
async def test_passphrases_are_never_taken_from_the_desktop(bus: Connection, member: str) -> None:
    secret = ["/", b"", b"pw", ""]
    bodies: dict[str, list[Any]] = {
        "ChangeWithMasterPassword": [LOGIN, secret, secret],
        "ChangeWithPrompt": [LOGIN],
        "CreateWithMasterPassword": [{}, secret],
        "UnlockWithMasterPassword": [LOGIN, secret],
    }
    signature = TABLE[INTERNAL].methods[member].signatures()[0]
    with pytest.raises(UnsupportedError, match="own screen"):
        await call(bus, member, signature, bodies[member], interface=INTERNAL)
    with pytest.raises(UnsupportedError, match="own screen"):
        await call(bus, "ChangeLock", "o", [LOGIN])


async def test_peer_interface_answers(bus: Connection) -> None:
    assert await call(bus, "Ping", interface=PEER) == []
    (identifier,) = await call(bus, "GetMachineId", interface=PEER)
    assert isinstance(identifier, str)


async def test_changes_of_the_store_become_signals(stage: Stage, bus: Connection) -> None:
    signals = Signals()
    await signals.listen(
        bus,
        *((SERVICE, f"Collection{verb}") for verb in ("Created", "Deleted", "Changed")),
        *((COLLECTION, f"Item{verb}") for verb in ("Created", "Deleted", "Changed")),
        (PROPERTIES, "PropertiesChanged"),
    )
    path = item_path(stage.keeper.put("one"))
    whats: list[Any] = ["created", "changed", "deleted"]
    for what in whats:
        stage.keeper.announce(StoreChange(what=what, collection="login", item="one"))
        assert await signals.next(f"Item{what.title()}") == (LOGIN, [path])
        stage.keeper.announce(StoreChange(what=what, collection="login"))
        assert await signals.next(f"Collection{what.title()}") == (ROOT, [LOGIN])

    wanted = {SERVICE: "Collections", COLLECTION: "Items", ITEM: "Label"}
    while wanted:
        _, (interface, values, invalidated) = await signals.next("PropertiesChanged")
        if interface in wanted:
            assert wanted.pop(interface) in values
        assert (invalidated, "Locked" in values) == ([], interface == COLLECTION)


async def test_a_long_list_of_items_is_invalidated_and_not_sent_each_time(
    stage: Stage, bus: Connection
) -> None:
    signals = Signals()
    await signals.listen(bus, (PROPERTIES, "PropertiesChanged"))
    for number in range(5001):
        stage.keeper.put(f"i{number}")
    stage.keeper.announce(StoreChange(what="created", collection="login", item="i5000"))
    _, (interface, values, invalidated) = await signals.next("PropertiesChanged")
    assert (interface, invalidated) == (COLLECTION, ["Items"])
    assert "Items" not in values


async def test_a_flood_of_changes_is_logged_once_and_ends_with_the_right_lists(
    stage: Stage, bus: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    stage.keeper.collections["other"] = StoredCollection("Other")
    signals = Signals()
    await signals.listen(bus, (PROPERTIES, "PropertiesChanged"))
    for _ in range(12_000):
        stage.face.changes.note(StoreChange(what="changed", collection="other"))
    stage.keeper.put("one", collection="other")

    _, (_, values, _) = await signals.next("PropertiesChanged")

    assert values["Items"].value == [f"{collection_path('other')}/one"]
    assert len(signals.heard) == 0
    assert len([r for r in caplog.records if "too many changes" in r.getMessage()]) == 1
