"""The provider as its bus sees it: a process, its peers, its objects, real clients."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from dbus_fast import Variant
from tests.integration.gnupg_folder import gnupg_folder
from tests.integration.keyring_bus import open_backend
from tests.integration.provider_bus import served
from tests.private_bus import private_bus
from tests.waiting import PATIENCE, eventually

from privyseal.errors import (
    ConflictError,
    DeniedError,
    LockedError,
    NoSessionError,
    NotFoundError,
    PrivysealError,
    ReadOnlyError,
    UnknownInterfaceError,
    UnknownMethodError,
    UnreachableError,
    UnsupportedError,
    UsageError,
)
from privyseal.model.keyring import ItemRef
from privyseal.model.secret import Secret
from privyseal.provider.stores import Store, open_store
from privyseal.runtime.bus import Connection
from privyseal.runtime.clock import SystemClock
from privyseal.runtime.names import Names
from privyseal.wire.secretservice import (
    COLLECTION,
    INTERNAL,
    INTROSPECTABLE,
    ITEM,
    NAME,
    PEER,
    PORTAL,
    PORTAL_PATH,
    PROPERTIES,
    ROOT,
    SERVICE,
    SESSION,
    item_path,
)
from privyseal.wire.vault import Cost

PASSPHRASE = Secret(b"correct horse")
LOGIN = f"{ROOT}/collection/login"


@dataclass
class Client:
    """One connection with a plain session."""

    connection: Connection
    session: str = ""

    async def call(
        self, path: str, interface: str, member: str, signature: str = "", *body: Any
    ) -> list[Any]:
        reply = await self.connection.call(NAME, path, interface, member, signature, body)
        return reply.body

    async def open(self) -> None:
        _, self.session = await self.call(
            ROOT, SERVICE, "OpenSession", "sv", "plain", Variant("s", "")
        )

    def struct(self, value: bytes) -> list[Any]:
        return [self.session, b"", value, "text/plain"]


@dataclass(frozen=True)
class Scene:
    """An open embedded store, its provider, and a client."""

    store: Store
    address: str
    client: Client
    item: ItemRef
    group: asyncio.TaskGroup

    @asynccontextmanager
    async def another(self) -> AsyncIterator[Client]:
        with closing(await Connection.open(self.group, self.address)) as connection:
            client = Client(connection)
            await client.open()
            yield client

    def environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "DBUS_SESSION_BUS_ADDRESS": self.address}


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    cost = Cost(log2_n=10)
    async with (
        asyncio.TaskGroup() as group,
        open_store("embedded", tmp_path / "store", group, SystemClock(), cost) as store,
        served(tmp_path, store) as address,
    ):
        await store.backend.unlock(PASSPHRASE)
        item = await store.backend.create(
            "login", "Mail", {"a": "b"}, Secret(b"hunter2"), replace=False
        )
        with closing(await Connection.open(group, address)) as connection:
            client = Client(connection)
            await client.open()
            yield Scene(store, address, client, item, group)


async def refused(error: type[PrivysealError], client: Client, *call: Any) -> None:
    with pytest.raises(error) as caught:
        await client.call(*call)
    assert type(caught.value) is error


async def test_a_session_belongs_to_its_peer_alone(scene: Scene) -> None:
    path = item_path(scene.item)
    async with scene.another() as other:
        foreign = scene.client.session
        await refused(NoSessionError, other, path, ITEM, "GetSecret", "o", foreign)
        await refused(NoSessionError, other, foreign, SESSION, "Close")
        await refused(NoSessionError, other, ROOT, SERVICE, "GetSecrets", "aoo", [path], foreign)
        (secret,) = await other.call(path, ITEM, "GetSecret", "o", other.session)
    assert bytes(secret[2]) == b"hunter2"
    await refused(NoSessionError, scene.client, path, ITEM, "GetSecret", "o", other.session)


async def test_root_or_another_user_is_not_served(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    async with served(tmp_path / "theirs", scene.store, uid=os.getuid() + 1) as address:
        with closing(await Connection.open(scene.group, address)) as connection:
            stranger = Client(connection)
            plain = ("plain", Variant("s", ""))
            await refused(DeniedError, stranger, ROOT, SERVICE, "OpenSession", "sv", *plain)
            await refused(DeniedError, stranger, ROOT, INTROSPECTABLE, "Introspect")


async def test_two_providers_do_not_share_a_bus(scene: Scene, tmp_path: Path) -> None:
    done = await _run(_command(scene.address, tmp_path / "other", "embedded"), os.environ)
    assert done.returncode == ConflictError.exit_status
    assert b"another program owns the bus name" in done.stderr


async def test_locked_items_are_left_out_or_refused(scene: Scene) -> None:
    path, client = item_path(scene.item), scene.client
    locked, prompt = await client.call(ROOT, SERVICE, "Lock", "ao", [path])
    assert (locked, prompt) == ([path], "/")
    (secrets,) = await client.call(ROOT, SERVICE, "GetSecrets", "aoo", [path], client.session)
    assert secrets == {}
    assert await client.call(ROOT, SERVICE, "SearchItems", "a{ss}", {"a": "b"}) == [[], [path]]
    assert await client.call(ROOT, SERVICE, "Unlock", "ao", [path]) == [[], "/"]
    struct = client.struct(b"x")
    calls: list[tuple[Any, ...]] = [
        (path, ITEM, "GetSecret", "o", client.session),
        (path, ITEM, "SetSecret", "(oayays)", struct),
        (path, ITEM, "Delete"),
        (path, PROPERTIES, "Set", "ssv", ITEM, "Label", Variant("s", "x")),
        (LOGIN, COLLECTION, "CreateItem", "a{sv}(oayays)b", {}, struct, False),
    ]
    for call in calls:
        await refused(LockedError, client, *call)
    wrong, right = client.struct(b"wrong"), client.struct(PASSPHRASE.expose())
    unlock = (ROOT, INTERNAL, "UnlockWithMasterPassword", "o(oayays)", LOGIN)
    await refused(DeniedError, client, *unlock, wrong)
    await client.call(*unlock, right)
    assert await client.call(ROOT, SERVICE, "Unlock", "ao", [path]) == [[path], "/"]


async def test_a_new_passphrase_opens_the_store_and_the_old_one_does_not(scene: Scene) -> None:
    client = scene.client
    old, new = client.struct(PASSPHRASE.expose()), client.struct(b"new")
    change = (ROOT, INTERNAL, "ChangeWithMasterPassword", "o(oayays)(oayays)", LOGIN)
    await refused(DeniedError, client, *change, new, new)
    await client.call(*change, old, new)
    await client.call(ROOT, SERVICE, "LockService")
    unlock = (ROOT, INTERNAL, "UnlockWithMasterPassword", "o(oayays)", LOGIN)
    await refused(DeniedError, client, *unlock, old)
    await client.call(*unlock, new)


async def test_what_is_not_there_or_not_right_has_its_error(scene: Scene) -> None:
    client, path = scene.client, item_path(scene.item)
    wrong: list[tuple[type[PrivysealError], tuple[Any, ...]]] = [
        (NotFoundError, ("/elsewhere", SERVICE, "LockService")),
        (NotFoundError, (f"{LOGIN}/none", ITEM, "GetSecret", "o", client.session)),
        (NotFoundError, (f"{ROOT}/collection/none", COLLECTION, "Delete")),
        (NotFoundError, (ROOT, SERVICE, "SetAlias", "so", "default", f"{ROOT}/collection/none")),
        (UnknownMethodError, (path, SERVICE, "LockService")),
        (UnsupportedError, (ROOT, SERVICE, "ChangeLock", "o", LOGIN)),
        (UnsupportedError, (ROOT, SERVICE, "OpenSession", "sv", "rot13", Variant("s", ""))),
        (UnsupportedError, (f"{ROOT}/collection/session", COLLECTION, "Delete")),
        (ReadOnlyError, (path, PROPERTIES, "Set", "ssv", ITEM, "Created", Variant("t", 1))),
        (UsageError, (path, PROPERTIES, "Set", "ssv", ITEM, "Label", Variant("u", 1))),
        (UsageError, (ROOT, SERVICE, "SetAlias", "so", "a/b", LOGIN)),
    ]
    for error, call in wrong:
        await refused(error, client, *call)


async def test_a_keeper_has_room_for_a_type_beside_all_its_attributes(scene: Scene) -> None:
    attributes = {f"name{number}": "x" for number in range(64)}
    async with open_backend(scene.address) as keeper:
        ref = await keeper.create(
            "login", "", attributes, Secret(b"\x89PNG", "image/png"), replace=False
        )
        assert dict((await keeper.describe(ref)).attributes) == attributes
        assert (await keeper.describe(ref)).content_type == "image/png"
    info = await scene.store.backend.describe(ref)
    assert (dict(info.attributes), info.content_type) == (attributes, "image/png")


async def test_every_object_can_be_walked_to(scene: Scene) -> None:
    async def introspect(path: str) -> str:
        (xml,) = await scene.client.call(path, INTROSPECTABLE, "Introspect")
        return str(xml)

    assert 'name="collection"' in await introspect(ROOT)
    assert 'name="login"' in await introspect(f"{ROOT}/collection")
    assert 'name="default"' in await introspect(f"{ROOT}/aliases")
    assert scene.item.item in await introspect(LOGIN)
    assert "GetSecret" in await introspect(item_path(scene.item))
    (values,) = await scene.client.call(item_path(scene.item), PROPERTIES, "GetAll", "s", ITEM)
    assert values["Label"] == Variant("s", "Mail")
    assert values["Attributes"] == Variant("a{ss}", {"a": "b"})
    assert values["Locked"].value is False


async def test_it_has_no_portal_and_no_prompts(scene: Scene) -> None:
    call = scene.client.call
    for path in (ROOT, "/org/freedesktop"):
        (xml,) = await call(path, INTROSPECTABLE, "Introspect")
        assert "prompt" not in str(xml).partition("<node name")[2]
        assert "portal" not in str(xml).partition("<node name")[2]
    with pytest.raises(UnknownInterfaceError):
        await call(PORTAL_PATH, PROPERTIES, "Get", "ss", PORTAL, "version")
    assert await call(PORTAL_PATH, PROPERTIES, "GetAll", "s", "") == [{}]


async def test_it_answers_what_every_program_on_a_bus_answers(scene: Scene) -> None:
    assert await scene.client.call(ROOT, PEER, "Ping") == []
    (machine,) = await scene.client.call(ROOT, PEER, "GetMachineId")
    assert machine == Path("/etc/machine-id").read_text().strip()


async def test_secret_tool_works_with_it(scene: Scene) -> None:
    environment = scene.environment()
    pair = ("service", "imap")
    await _tool(environment, "store", "--label=Post", *pair, value=b"p\xc3\xa4ss")
    assert await _tool(environment, "lookup", *pair) == b"p\xc3\xa4ss"
    assert b"label = Post" in await _tool(environment, "search", "--all", *pair)
    await _tool(environment, "clear", *pair)
    assert await scene.store.backend.search({"service": "imap"}) == ()


@pytest.mark.parametrize("kind", ["embedded", "gopass"])
async def test_the_process_ends_within_a_second_and_finds_everything_again(
    kind: str, tmp_path: Path
) -> None:
    with gnupg_folder() as folder, private_bus(tmp_path) as address:
        for life in range(2):
            async with _provider(address, folder / "store", kind), open_backend(address) as backend:
                assert await backend.initialised() == bool(life)
                assert await backend.locked()
                await backend.unlock(PASSPHRASE)
                home = (await backend.aliases())["default"]
                if life:
                    (ref,) = await backend.search({"a": "b"})
                    assert (await backend.read(ref)).expose() == b"hunter2"
                else:
                    await backend.create(home, "x", {"a": "b"}, Secret(b"hunter2"), replace=False)
        assert not list(folder.glob(".gnupg/S.gpg-agent"))


async def test_the_process_waits_for_no_gpg_that_hangs(tmp_path: Path) -> None:
    binaries, marks = tmp_path / "bin", tmp_path / "started"
    binaries.mkdir()
    (binaries / "gpg").write_text(f"#!/bin/sh\necho $$ >>{marks}\nexec sleep 60\n")
    (binaries / "gpg").chmod(0o700)
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / ".gpg-id").write_text("somebody\n")
    path = f"{binaries}:{os.environ['PATH']}"
    with private_bus(tmp_path) as address:
        async with asyncio.TaskGroup() as group:
            with closing(await Connection.open(group, address)) as connection:
                async with _provider(address, tmp_path / "store", "pass", path):
                    call = (LOGIN, PROPERTIES, "Get", "ss", COLLECTION, "Locked")
                    asking = group.create_task(refused(UnreachableError, Client(connection), *call))
                    await eventually(marks.exists)
                await asking
    for pid in marks.read_text().split():
        assert not Path(f"/proc/{pid}").exists()


@asynccontextmanager
async def _provider(
    address: str, store: Path, kind: str, path: str = os.environ["PATH"]
) -> AsyncIterator[None]:
    begun = monotonic()
    process = await asyncio.create_subprocess_exec(
        *_command(address, store, kind), stderr=subprocess.DEVNULL, env={**os.environ, "PATH": path}
    )
    async with asyncio.TaskGroup() as group:
        with closing(await Connection.open(group, address)) as connection:
            names = Names(connection)
            await names.start()
            await names.until(NAME, bool, seconds=PATIENCE)
    started = monotonic() - begun
    yield
    asked = monotonic()
    process.terminate()
    assert await process.wait() == 0
    # A machine that is too busy for that took as long to start it.
    assert monotonic() - asked < max(1, started)


def _command(address: str, store: Path, kind: str) -> list[str]:
    return [
        *(sys.executable, "-I", "-m", "privyseal.provider", "--bus-address", address),
        *("--store", str(store), "--kind", kind),
    ]


async def _run(
    argv: list[str], env: Mapping[str, str], value: bytes = b""
) -> "subprocess.CompletedProcess[bytes]":
    return await asyncio.to_thread(
        subprocess.run,
        argv,
        env=env,
        input=value,
        capture_output=True,
        check=False,
        timeout=PATIENCE,
    )


async def _tool(env: Mapping[str, str], *words: str, value: bytes = b"") -> bytes:
    done = await _run(["secret-tool", *words], env, value)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr
