"""The face by its D-Bus calls: what each answers, and what it refuses to whom."""

import asyncio
import os
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from dbus_fast import Variant
from tests.fake_keeper import Asked, FakeKeeper, StoredCollection, Verdict
from tests.integration.agent.conftest import Stage, call
from tests.waiting import eventually

from privyseal.errors import (
    ConflictError,
    DeniedError,
    ExpiredError,
    LimitError,
    LockedError,
    NoSessionError,
    NotFoundError,
    PrivysealError,
    ReadOnlyError,
    UnknownInterfaceError,
    UnknownMethodError,
    UnknownPropertyError,
    UnreachableError,
    UnsupportedError,
    UsageError,
)
from privyseal.model.keyring import ItemRef
from privyseal.runtime.bus import DBUS, DBUS_PATH, Connection
from privyseal.wire.introspection import TABLE
from privyseal.wire.keeper import StoreChange
from privyseal.wire.secretservice import (
    COLLECTION,
    INTERNAL,
    INTROSPECTABLE,
    ITEM,
    NAME,
    PEER,
    PORTAL,
    PORTAL_PATH,
    PORTAL_REQUEST,
    PROMPT,
    PROPERTIES,
    ROOT,
    SERVICE,
    SESSION,
    alias_path,
    collection_path,
    item_path,
)
from privyseal.wire.sessioncrypto import DH, PRIME

LOGIN = collection_path("login")
DEFAULT = alias_path("default")


class Signals:
    """What one connection hears from the face."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, list[Any]]] = []
        self._new = asyncio.Event()

    async def listen(self, bus: Connection, *members: tuple[str, str]) -> None:
        sender = await bus.owner(NAME)
        for interface, member in members:

            def note(path: str, body: list[Any], member: str = member) -> None:
                self.heard.append((member, path, body))
                self._new.set()

            await bus.listen(sender, interface, member, note)

    async def next(self, member: str) -> tuple[str, list[Any]]:
        """Return path and body of the first such signal and take it out."""
        async with asyncio.timeout(10):
            while True:
                self._new.clear()
                for heard in self.heard:
                    if heard[0] == member:
                        self.heard.remove(heard)
                        return heard[1], heard[2]
                await self._new.wait()


async def open_session(bus: Connection) -> str:
    return str((await call(bus, "OpenSession", "sv", ["plain", Variant("s", "")]))[1])


async def get(bus: Connection, path: str, interface: str, name: str) -> Any:
    body = [interface, name]
    return (await call(bus, "Get", "ss", body, path=path, interface=PROPERTIES))[0].value


async def put(bus: Connection, path: str, interface: str, name: str, value: Variant) -> None:
    await call(bus, "Set", "ssv", [interface, name, value], path=path, interface=PROPERTIES)


async def create(
    bus: Connection, session: str, *, path: str = LOGIN, replace: bool = False, **attributes: str
) -> tuple[str, str]:
    properties = {
        f"{ITEM}.Label": Variant("s", "made"),
        f"{ITEM}.Attributes": Variant("a{ss}", attributes),
    }
    secret = [session, b"", b"value", "text/plain"]
    body = [properties, secret, replace]
    item, prompt = await call(
        bus, "CreateItem", "a{sv}(oayays)b", body, path=path, interface=COLLECTION
    )
    return item, prompt


async def perform(bus: Connection, prompt: str) -> tuple[bool, Any]:
    """Use a prompt as clients do; return whether it was dismissed, and its result."""
    signals = Signals()
    await signals.listen(bus, (PROMPT, "Completed"))
    await call(bus, "Prompt", "s", [""], path=prompt, interface=PROMPT)
    path, body = await signals.next("Completed")
    assert path == prompt
    return body[0], body[1].value


@pytest.fixture
async def bus(stage: Stage) -> Connection:
    return await stage.connect()


@pytest.fixture
async def other(stage: Stage) -> Connection:
    return await stage.connect()


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


async def test_unlock_asks_nobody_before_its_prompt_is_used(stage: Stage, bus: Connection) -> None:
    path = item_path(stage.keeper.put("one"))
    await call(bus, "Unlock", "ao", [[path]])
    assert stage.keeper.kinds() == []


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


async def test_a_prompt_is_used_once_and_vanishes(stage: Stage, bus: Connection) -> None:
    path = item_path(stage.keeper.put("one"))
    stage.keeper.verdicts["read"] = "wait"
    _, prompt = await call(bus, "Unlock", "ao", [[path]])
    signals = Signals()
    await signals.listen(bus, (PROMPT, "Completed"))
    await call(bus, "Prompt", "s", [""], path=prompt, interface=PROMPT)
    with pytest.raises(ConflictError):
        await call(bus, "Prompt", "s", [""], path=prompt, interface=PROMPT)

    stage.keeper.resolve(await stage.keeper.waiting("read"), "allowed")
    await signals.next("Completed")
    with pytest.raises(NotFoundError):
        await call(bus, "Prompt", "s", [""], path=prompt, interface=PROMPT)
    assert signals.heard == []


async def test_dismissing_a_prompt_withdraws_its_request(stage: Stage, bus: Connection) -> None:
    path = item_path(stage.keeper.put("one"))
    stage.keeper.verdicts["read"] = "wait"
    _, prompt = await call(bus, "Unlock", "ao", [[path]])
    signals = Signals()
    await signals.listen(bus, (PROMPT, "Completed"))
    await call(bus, "Prompt", "s", [""], path=prompt, interface=PROMPT)
    asked = await stage.keeper.waiting("read")
    await call(bus, "Dismiss", path=prompt, interface=PROMPT)

    _, body = await signals.next("Completed")
    assert body[0] is True
    await eventually(lambda: asked.state == "cancelled")
    assert len(stage.face.prompts) == 0


async def test_a_prompt_obeys_and_answers_its_own_peer_only(
    stage: Stage, bus: Connection, other: Connection
) -> None:
    path = item_path(stage.keeper.put("one"))
    spy = Signals()
    await spy.listen(other, (PROMPT, "Completed"))
    _, prompt = await call(bus, "Unlock", "ao", [[path]])
    for member, signature, body in (("Prompt", "s", [""]), ("Dismiss", "", [])):
        with pytest.raises(DeniedError):
            await call(other, member, signature, body, path=prompt, interface=PROMPT)

    assert await perform(bus, prompt) == (False, [path])
    await call(other, "Ping", interface=PEER)
    assert spy.heard == []


async def test_sessions_obey_their_own_peer_only(
    stage: Stage, bus: Connection, other: Connection
) -> None:
    path = item_path(stage.keeper.put("one"))
    mine, theirs = await open_session(bus), await open_session(other)

    assert mine != theirs
    with pytest.raises(NoSessionError):
        await call(other, "GetSecret", "o", [mine], path=path, interface=ITEM)
    with pytest.raises(NoSessionError):
        await call(other, "GetSecrets", "aoo", [[path], mine])
    with pytest.raises(NoSessionError):
        await call(other, "Close", path=mine, interface=SESSION)
    with pytest.raises(NoSessionError):
        await create(other, mine)
    assert stage.keeper.kinds() == []


async def test_a_closed_session_is_gone(stage: Stage, bus: Connection) -> None:
    path = item_path(stage.keeper.put("one"))
    session = await open_session(bus)
    await call(bus, "Close", path=session, interface=SESSION)
    with pytest.raises(NoSessionError):
        await call(bus, "GetSecret", "o", [session], path=path, interface=ITEM)
    with pytest.raises(NoSessionError):
        await call(bus, "Close", path=session, interface=SESSION)


async def test_a_peer_that_leaves_takes_everything_with_it(
    stage: Stage, bus: Connection, other: Connection
) -> None:
    path = item_path(stage.keeper.put("one"))
    stage.keeper.verdicts |= {"read": "wait", "delete": "wait"}
    await open_session(bus)
    _, prompt = await call(bus, "Unlock", "ao", [[path]])
    await call(bus, "Prompt", "s", [""], path=prompt, interface=PROMPT)
    reading = await stage.keeper.waiting("read")
    await call(bus, "Delete", path=path, interface=ITEM)
    deleting = await stage.keeper.waiting("delete")
    assert (len(stage.face.sessions), len(stage.face.prompts)) == (1, 2)
    bus.close()

    await eventually(lambda: (reading.state, deleting.state) == ("cancelled", "cancelled"))
    await eventually(lambda: not len(stage.face.sessions) and not len(stage.face.prompts))
    await eventually(lambda: not len(stage.face.peers))


@pytest.mark.parametrize(
    ("algorithm", "offer"),
    [
        ("rot13", Variant("s", "")),
        ("plain", Variant("ay", b"")),
        (DH, Variant("s", "")),
        (DH, Variant("ay", b"")),
        (DH, Variant("ay", b"\1")),
        (DH, Variant("ay", (PRIME - 1).to_bytes(128, "big"))),
    ],
)
async def test_an_unusable_algorithm_or_key_is_not_supported(
    stage: Stage, bus: Connection, algorithm: str, offer: Variant
) -> None:
    with pytest.raises(UnsupportedError):
        await call(bus, "OpenSession", "sv", [algorithm, offer])
    assert len(stage.face.sessions) == 0


async def test_a_peer_may_not_open_sessions_without_end(stage: Stage, bus: Connection) -> None:
    for _ in range(64):
        await open_session(bus)
    with pytest.raises(LimitError):
        await open_session(bus)


async def test_a_peer_may_not_hold_prompts_without_end(stage: Stage, bus: Connection) -> None:
    path = item_path(stage.keeper.put("one"))
    for _ in range(64):
        await call(bus, "Unlock", "ao", [[path]])
    with pytest.raises(LimitError):
        await call(bus, "Unlock", "ao", [[path]])
    with pytest.raises(LimitError):
        await call(bus, "Delete", path=path, interface=ITEM)
    assert stage.keeper.kinds() == []


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


async def test_a_person_sees_a_create_before_its_prompt_is_used(
    stage: Stage, bus: Connection
) -> None:
    stage.keeper.verdicts["create"] = "wait"
    _, prompt = await create(bus, await open_session(bus))
    stage.keeper.resolve(await stage.keeper.waiting("create"), "allowed")
    dismissed, path = await perform(bus, prompt)
    assert (dismissed, path.startswith(LOGIN)) == (False, True)


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


async def retrieve(bus: Connection, application: str) -> tuple[int, bytes]:
    """Ask for an application's master secret as the portal does."""
    reader, writer = os.pipe()
    handle = f"{PORTAL_PATH}/request/1_1/t"
    try:
        reply = await bus.call(
            *(NAME, PORTAL_PATH, PORTAL, "RetrieveSecret", "osha{sv}"),
            [handle, application, 0, {}],
            fds=[writer],
        )
    finally:
        os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        return reply.body[0], pipe.read()


async def test_the_portal_gives_each_application_one_lasting_secret(
    stage: Stage, bus: Connection
) -> None:
    first = await retrieve(bus, "org.example.App")
    again = await retrieve(bus, "org.example.App")
    other = await retrieve(bus, "org.example.Other")

    assert first == again
    assert (first[0], len(first[1])) == (0, 64)
    assert other[1] != first[1]
    assert stage.keeper.kinds() == ["create", "read", "create"]
    facts = [fact.value for facts in stage.keeper.reported.values() for fact in facts]
    assert sorted(facts) == ["org.example.App", "org.example.Other"]
    assert await get(bus, PORTAL_PATH, PORTAL, "version") == 1


async def test_a_denied_portal_request_is_cancelled_and_writes_nothing(
    stage: Stage, bus: Connection
) -> None:
    stage.keeper.verdicts["create"] = "deny"
    assert await retrieve(bus, "org.example.App") == (1, b"")
    with pytest.raises(UsageError):
        await retrieve(bus, "no application")


async def test_a_portal_request_can_be_closed(
    stage: Stage, bus: Connection, other: Connection
) -> None:
    stage.keeper.verdicts["create"] = "wait"
    handle = f"{PORTAL_PATH}/request/1_1/t"
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(retrieve(bus, "org.example.App"))
        asked = await stage.keeper.waiting("create")
        with pytest.raises(NotFoundError):
            await call(other, "Close", path=handle, interface=PORTAL_REQUEST)
        await call(bus, "Close", path=handle, interface=PORTAL_REQUEST)
    assert waiting.result() == (1, b"")
    await eventually(lambda: asked.state == "cancelled")


async def test_waiting_calls_end_when_the_keeper_goes_and_work_when_it_is_back(
    stage: Stage, bus: Connection
) -> None:
    path = item_path(stage.keeper.put("one"))
    stage.keeper.verdicts["read"] = "wait"
    session = await open_session(bus)
    _, prompt = await call(bus, "Unlock", "ao", [[path]])

    async def leave() -> None:
        await eventually(lambda: len([a for a in stage.keeper.asked if a.state == "pending"]) == 2)
        stage.keeper_bus.close()

    async def read() -> None:
        with pytest.raises(UnreachableError, match="keeper"):
            await call(bus, "GetSecret", "o", [session], path=path, interface=ITEM)

    async with asyncio.TaskGroup() as group:
        group.create_task(read())
        group.create_task(leave())
        prompted = group.create_task(perform(bus, prompt))
    assert prompted.result() == (True, [])
    with pytest.raises(UnreachableError, match="keeper"):
        await get(bus, ROOT, SERVICE, "Collections")

    await stage.new_keeper()
    stage.keeper.verdicts["read"] = "allow"
    (secret,) = await call(bus, "GetSecret", "o", [session], path=path, interface=ITEM)
    assert secret[2] == b"s3cret"


async def test_a_second_provider_is_told_that_the_name_is_taken(stage: Stage) -> None:
    ran = await stage.run(sys.executable, "-m", "privyseal.agent")
    assert (ran.status, "owns the bus name" in ran.err) == (1, True)


async def test_an_error_of_the_keeper_keeps_its_name(
    stage: Stage, bus: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(_keeper: FakeKeeper, _asked: Asked) -> None:
        raise LockedError("the store is locked")

    path = item_path(stage.keeper.put("one"))
    stage.keeper.verdicts["delete"] = "at-once"
    monkeypatch.setattr(FakeKeeper, "_perform", locked)
    with pytest.raises(LockedError):
        await call(bus, "Delete", path=path, interface=ITEM)


async def test_a_foreign_bus_signal_ends_no_peer(
    stage: Stage, bus: Connection, other: Connection
) -> None:
    session = await open_session(bus)
    path = item_path(stage.keeper.put("one"))
    me = bus.unique_name
    other.emit(DBUS_PATH, DBUS, "NameOwnerChanged", "sss", [me, me, ""])
    await call(other, "Ping", interface=PEER)
    (secret,) = await call(bus, "GetSecret", "o", [session], path=path, interface=ITEM)
    assert secret[2] == b"s3cret"


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


async def test_a_child_that_kept_the_connection_of_an_exited_program_is_refused(
    stage: Stage,
) -> None:
    stage.keeper.put("one", service="demo")
    script = """
import os, jeepney, jeepney.io.blocking as io
bus = io.open_dbus_connection()
address = jeepney.DBusAddress(
    "/org/freedesktop/secrets", "org.freedesktop.secrets", "org.freedesktop.Secret.Service")
search = jeepney.new_method_call(address, "SearchItems", "a{ss}", ({},))
print(bus.send_and_get_reply(search).header.message_type.name, flush=True)
parent = os.pidfd_open(os.getpid())
if os.fork():
    os._exit(0)
import select
select.select([parent], [], [])
reply = bus.send_and_get_reply(search)
print(reply.header.message_type.name, *reply.body)
"""
    ran = await stage.run(sys.executable, "-c", script)

    assert ran.err == ""
    assert ran.out.splitlines() == [
        "method_return",
        "error the program that opened this connection has exited",
    ]
