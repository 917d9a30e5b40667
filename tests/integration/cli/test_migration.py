"""Moving secrets from one gnome-keyring into another, by couriers on private buses."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from tests.integration.keyring_bus import keyring_bus, open_backend
from tests.integration.prompter import Prompter
from tests.waiting import eventually

from privyseal.cli.migration import Sides, Wishes, import_secrets
from privyseal.errors import LockedError, NotFoundError, UnreachableError
from privyseal.keeper.backends.secretservice import SecretServiceBackend
from privyseal.model.keyring import ItemRef
from privyseal.model.secret import Secret
from privyseal.runtime.bus import Connection
from privyseal.runtime.clock import SystemClock
from privyseal.runtime.privatebus import PrivateBus

PASSPHRASE = Secret(b"old and new")
PLAIN_RUN = Wishes()


class Stage:
    """Two keyrings on buses of their own, both open."""

    def __init__(self, folder: Path, old: PrivateBus, new: PrivateBus) -> None:
        self.folder = folder
        self.sides = Sides(
            old_uid=os.getuid(),
            old_bus=old.address,
            home=folder / "home",
            new_uid=os.getuid(),
            new_bus=new.address,
            way_in="Ctrl+Alt+F8",
        )

    async def run(self, wishes: Wishes = PLAIN_RUN) -> int:
        return await asyncio.to_thread(import_secrets, self.sides, wishes)

    @asynccontextmanager
    async def old(self) -> AsyncIterator[SecretServiceBackend]:
        async with open_backend(self.sides.old_bus) as backend:
            yield backend

    @asynccontextmanager
    async def new(self) -> AsyncIterator[SecretServiceBackend]:
        async with open_backend(self.sides.new_bus) as backend:
            yield backend


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        old = await stack.enter_async_context(keyring_bus(tmp_path / "old"))
        new = await stack.enter_async_context(keyring_bus(tmp_path / "new"))
        made = Stage(tmp_path, old, new)
        for side in (made.old, made.new):
            async with side() as backend:
                await backend.unlock(PASSPHRASE)
        yield made


async def put(
    backend: SecretServiceBackend, n: int, value: bytes, collection: str = "login"
) -> None:
    attributes = {"service": "test", "number": str(n)}
    await backend.create(collection, f"item {n}", attributes, Secret(value), replace=False)


async def contents(backend: SecretServiceBackend) -> dict[tuple[str, str], tuple[bytes, str]]:
    found = {}
    collections = {c.id: c.label for c in await backend.collections()}
    for collection, label in collections.items():
        for name in await backend.items(collection):
            ref = ItemRef(collection=collection, item=name)
            info, secret = await backend.describe(ref), await backend.read(ref)
            found[label, info.label] = (secret.expose(), secret.content_type)
    return found


async def test_every_item_arrives_the_same_and_the_old_ones_stay(
    stage: Stage, capfd: pytest.CaptureFixture[str]
) -> None:
    async with stage.old() as old:
        await put(old, 1, b"one")
        await put(old, 2, bytes(range(256)))
        await old.create(
            "login", "typed", {"a": "b"}, Secret(b"{}", "application/json"), replace=False
        )
        await old.create("login", "bare", {}, Secret(b""), replace=False)
        before = await contents(old)
    assert await stage.run() == 0
    async with stage.new() as new, stage.old() as old:
        assert await contents(new) == before
        assert await contents(old) == before
    out, err = capfd.readouterr()
    assert out.count("moved") == 4
    assert "4 moved" in err
    assert "--delete-old" in err
    assert "{}" not in out + err


async def test_a_second_run_makes_no_duplicates(
    stage: Stage, capfd: pytest.CaptureFixture[str]
) -> None:
    async with stage.old() as old:
        for number in range(3):
            await put(old, number, b"same")
        # Two that only their values tell apart.
        await put(old, 7, b"first")
        await put(old, 7, b"second")
    assert await stage.run() == 0
    capfd.readouterr()
    assert await stage.run(Wishes(as_json=True)) == 0
    assert json.loads(capfd.readouterr().out)["counts"] == {"there": 5}
    async with stage.new() as new:
        assert len(await new.items("login")) == 5


async def test_what_an_interrupted_run_left_out_is_moved_by_the_next(
    stage: Stage, capfd: pytest.CaptureFixture[str]
) -> None:
    async with stage.old() as old, stage.new() as new:
        for number in range(4):
            await put(old, number, b"v%d" % number)
        for number in range(2):
            await put(new, number, b"v%d" % number)
    assert await stage.run(Wishes(as_json=True)) == 0
    assert json.loads(capfd.readouterr().out)["counts"] == {"there": 2, "moved": 2}


async def test_the_newer_of_two_values_stays(
    stage: Stage, capfd: pytest.CaptureFixture[str]
) -> None:
    async with stage.old() as old:
        await put(old, 1, b"old value")
    written = SystemClock().wall()
    await eventually(lambda: SystemClock().wall() >= written + 1)  # times are whole seconds
    async with stage.new() as new:
        await put(new, 1, b"new value")
    assert await stage.run(Wishes(as_json=True, delete_old=True)) == 1
    assert json.loads(capfd.readouterr().out)["counts"] == {"newer": 1}
    async with stage.new() as new, stage.old() as old:
        assert [value for value, _ in (await contents(new)).values()] == [b"new value"]
        assert len(await old.items("login")) == 1


async def test_collections_keep_their_labels(stage: Stage) -> None:
    async with stage.old() as old, stage.new() as new:
        await put(old, 1, b"mine")
        for backend in (old, new):
            await backend.lock()
            await backend.unlock(PASSPHRASE)
            await backend.create_collection("Work", "")
        work = next(c.id for c in await old.collections() if c.label == "Work")
        await put(old, 2, b"theirs", work)
    assert await stage.run() == 0
    async with stage.new() as new:
        assert set(await contents(new)) == {("Login", "item 1"), ("Work", "item 2")}


async def test_old_copies_are_deleted_only_on_request(stage: Stage) -> None:
    async with stage.old() as old:
        await put(old, 1, b"one")
        await put(old, 2, b"two")
    assert await stage.run(Wishes(delete_old=True)) == 0
    async with stage.new() as new, stage.old() as old:
        assert len(await contents(new)) == 2
        assert await contents(old) == {}


@pytest.mark.parametrize(("answer", "left"), [(b"y\n", 0), (b"\n", 1), (b"n\n", 1)])
async def test_on_a_terminal_deletion_is_offered_and_no_is_the_default(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, answer: bytes, left: int
) -> None:
    async with stage.old() as old:
        await put(old, 1, b"one")
    ours, theirs = os.openpty()
    with os.fdopen(theirs) as terminal, os.fdopen(ours, "wb", buffering=0) as keyboard:
        monkeypatch.setattr("sys.stdin", terminal)
        keyboard.write(answer)
        assert await stage.run() == 0
    async with stage.old() as old:
        assert len(await contents(old)) == left


async def test_one_item_that_fails_keeps_every_old_copy(
    stage: Stage, capfd: pytest.CaptureFixture[str]
) -> None:
    async with stage.old() as old:
        await put(old, 1, b"one")
        # In a collection that cannot be made without somebody to ask.
        await old.lock()
        await old.unlock(PASSPHRASE)
        work = await old.create_collection("Work", "")
        await put(old, 2, b"two", work)
    assert await stage.run(Wishes(delete_old=True, as_json=True)) == 1
    assert json.loads(capfd.readouterr().out)["counts"] == {"moved": 1, "failed": 1}
    async with stage.old() as old:
        assert len(await contents(old)) == 2


async def test_a_dry_run_lists_names_and_moves_nothing(
    stage: Stage, capfd: pytest.CaptureFixture[str]
) -> None:
    async with stage.old() as old:
        await put(old, 1, b"hidden value")
    assert await stage.run(Wishes(dry_run=True)) == 0
    out, err = capfd.readouterr()
    assert "item 1" in out
    assert "hidden value" not in out + err
    async with stage.new() as new:
        assert await contents(new) == {}


async def test_a_locked_store_of_the_companion_says_the_way_in(stage: Stage) -> None:
    async with stage.new() as new:
        await new.lock()
    with pytest.raises(LockedError) as refused:
        await stage.run()
    assert "Ctrl+Alt+F8" in refused.value.hint


async def test_a_companion_that_does_not_run_is_told_apart(stage: Stage) -> None:
    stage.sides = stage.sides._replace(new_bus="unix:path=/nowhere/bus")
    with pytest.raises(UnreachableError):
        await stage.run()


async def test_a_locked_old_keyring_opens_with_its_passphrase(
    stage: Stage, capfd: pytest.CaptureFixture[str]
) -> None:
    async with stage.old() as old:
        await put(old, 1, b"one")
        await old.lock()
    assert await stage.run() == 7
    assert "--passphrase-fd" in capfd.readouterr().out
    read, write = os.pipe()
    os.write(write, PASSPHRASE.expose())
    os.close(write)
    assert await stage.run(Wishes(passphrase_fd=read)) == 0
    os.close(read)
    async with stage.new() as new:
        assert len(await contents(new)) == 1


async def test_without_a_passphrase_the_old_provider_asks_for_it_itself(stage: Stage) -> None:
    async with stage.old() as old:
        await put(old, 1, b"one")
        await old.lock()
    async with asyncio.TaskGroup() as group:
        connection = await Connection.open(group, stage.sides.old_bus)
        prompter = Prompter(group, connection, [PASSPHRASE.expose().decode()])
        await prompter.serve()
        assert await stage.run() == 0
        assert len(prompter.questions) == 1
        connection.close()
    async with stage.new() as new:
        assert len(await contents(new)) == 1


async def test_keyring_files_are_read_where_no_old_provider_runs(
    stage: Stage, tmp_path: Path
) -> None:
    share = tmp_path / "home" / ".local" / "share"
    share.mkdir(parents=True, mode=0o755)
    async with keyring_bus(tmp_path / "files") as bus, open_backend(bus.address) as backend:
        await backend.unlock(PASSPHRASE)
        await put(backend, 1, b"from files")
    (tmp_path / "files" / "data" / "keyrings").rename(share / "keyrings")
    stage.sides = stage.sides._replace(old_bus="unix:path=/nowhere/bus")
    read, write = os.pipe()
    os.write(write, PASSPHRASE.expose())
    os.close(write)
    assert await stage.run(Wishes(passphrase_fd=read, delete_old=True)) == 0
    os.close(read)
    async with stage.new() as new:
        assert [value for value, _ in (await contents(new)).values()] == [b"from files"]
    assert share.stat().st_mode & 0o777 == 0o755
    assert b"from files" not in (share / "keyrings" / "login.keyring").read_bytes()


async def test_no_old_keyring_at_all_is_said(stage: Stage) -> None:
    stage.sides = stage.sides._replace(old_bus="unix:path=/nowhere/bus")
    with pytest.raises(NotFoundError):
        await stage.run()
