"""The embedded store on a real file: what lies at rest, damage, copies, and the keys."""

import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from tests.fakes import FakeClock
from tests.waiting import PATIENCE

from privyseal.errors import (
    ConflictError,
    CorruptError,
    DeniedError,
    LimitError,
    LockedError,
    PrivysealError,
    UnsupportedError,
    UsageError,
)
from privyseal.model.keyring import ItemInfo, ItemRef
from privyseal.model.secret import Secret
from privyseal.model.value import MAX_SECRET
from privyseal.runtime import vault
from privyseal.runtime.vault import Vault
from privyseal.runtime.vaultcare import Exported, change_passphrase, contents, insert_many
from privyseal.runtime.vaultfile import index_path, store_path, translated
from privyseal.wire.vault import Cost

PASSPHRASE = Secret(b"correct horse")
CHEAP = Cost(log2_n=10)
VERSION_1 = Path(__file__).parents[1] / "vectors/store/version-1.sql"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(folder: Path, clock: FakeClock) -> Iterator[Vault]:
    made = vault.create(folder, PASSPHRASE, clock=clock, cost=CHEAP)
    yield made
    made.close()


def put(store: Vault, value: bytes = b"hunter2", /, **attributes: str) -> ItemRef:
    return store.create("login", "a label", attributes, Secret(value), replace=False)[0]


def reopened(folder: Path, passphrase: Secret = PASSPHRASE) -> Vault:
    again = vault.load(folder, clock=FakeClock())
    again.unlock(passphrase)
    return again


def edit(folder: Path, statement: str, *values: object) -> None:
    """Change the file as an attacker would who can write it but knows no key."""
    with closing(sqlite3.connect(store_path(folder), isolation_level=None)) as db:
        db.execute(statement, values)


# At rest.


def test_a_new_store_has_one_collection_with_two_aliases(store: Vault) -> None:
    (first,) = store.collections()
    assert (first.id, first.label, first.locked) == ("login", "Login", False)
    assert store.aliases() == {"default": "login", "login": "login"}


def test_only_the_owner_may_read_any_file(folder: Path, clock: FakeClock) -> None:
    before = os.umask(0)
    try:
        with closing(vault.create(folder, PASSPHRASE, clock=clock, cost=CHEAP)) as store:
            put(store)
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert set(modes) == {
        "vault.index-key",
        "vault.sqlite3",
        "vault.sqlite3-shm",
        "vault.sqlite3-wal",
    }
    assert set(modes.values()) == {0o600}


def test_a_store_restored_with_loose_modes_is_tightened(store: Vault, folder: Path) -> None:
    store.close()
    store_path(folder).chmod(0o644)
    vault.load(folder, clock=FakeClock()).close()
    assert stat.S_IMODE(store_path(folder).stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o1777])
def test_a_folder_that_others_can_write_is_refused_and_left_alone(
    folder: Path, mode: int, clock: FakeClock
) -> None:
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(UsageError, match="others can write") as caught:
        vault.create(folder, PASSPHRASE, clock=clock, cost=CHEAP)
    assert f"chmod 700 {folder}" in caught.value.hint
    assert list(folder.iterdir()) == []
    assert stat.S_IMODE(folder.stat().st_mode) == mode


def test_a_store_in_a_folder_opened_to_others_is_not_read(store: Vault, folder: Path) -> None:
    store.close()
    folder.chmod(0o777)
    with pytest.raises(UsageError, match="others can write"):
        vault.load(folder, clock=FakeClock())


def test_no_text_of_an_item_lies_readable_in_any_file(store: Vault, folder: Path) -> None:
    work = store.create_collection("Workplace", "shortcut")
    store.create(
        work, "Mailbox", {"service-name": "imap"}, Secret(b"hunter2", "app/x"), replace=False
    )
    words = (b"Workplace", b"shortcut", b"Mailbox", b"service-name", b"imap", b"hunter2", b"app/x")

    def readable() -> set[bytes]:
        content = b"".join(path.read_bytes() for path in folder.iterdir())
        return {word for word in (*words, PASSPHRASE.expose(), b"default") if word in content}

    assert readable() == set()
    store.close()
    assert readable() == set()


def test_everything_is_there_after_a_restart(store: Vault, folder: Path, clock: FakeClock) -> None:
    work = store.create_collection("Work", "work")
    item, _ = store.create(work, "Mail", {"a": "b"}, Secret(b"\0", "x/y"), replace=False)
    clock.advance(60)
    store.write(item, Secret(b"\1", "x/z"))
    before = store.collections(), store.aliases(), store.describe(item)
    store.close()

    with closing(reopened(folder)) as again:
        assert (again.collections(), again.aliases(), again.describe(item)) == before
        assert again.read(item) == Secret(b"\1")
        assert again.describe(item).content_type == "x/z"


def test_a_store_that_version_1_wrote_opens(folder: Path) -> None:
    folder.mkdir()
    with closing(sqlite3.connect(store_path(folder))) as db:
        db.executescript(VERSION_1.read_text())

    with closing(reopened(folder)) as old:
        labels = {found.id: found.label for found in old.collections()}
        assert [*labels.values()] == ["Login", "Work"]
        assert {alias: labels[name] for alias, name in old.aliases().items()} == {
            "default": "Login",
            "login": "Login",
            "work": "Work",
        }
        (mail,) = old.search({"user": "zoë"})
        assert old.describe(mail).label == "Mail of Zoë"
        assert old.read(mail) == Secret(b"hunter2")
        (key,) = old.search({"xdg:schema": "org.example.Key"})
        assert old.read(key) == Secret(bytes(range(8)))
        assert old.describe(key).content_type == "application/octet-stream"
        replaced = old.create(
            "login", "", {"user": "zoë", "service": "imap"}, Secret(b"new"), replace=True
        )
        assert replaced == (mail, False)


def test_a_store_is_closed_only_when_no_thread_reads_it_any_more(folder: Path) -> None:
    store = vault.create(folder, PASSPHRASE, clock=FakeClock(), cost=CHEAP)
    reading, go_on = threading.Event(), threading.Event()

    def read() -> int:
        with store.rows.reading() as db:
            reading.set()
            assert go_on.wait(PATIENCE)
            return len(db.execute("SELECT id FROM collection").fetchall())

    with ThreadPoolExecutor(2) as threads:
        reader = threads.submit(read)
        assert reading.wait(PATIENCE)
        closing_it = threads.submit(store.close)
        with pytest.raises(TimeoutError):
            closing_it.result(0.2)
        go_on.set()
        assert reader.result(PATIENCE) == 1
        closing_it.result(PATIENCE)


def test_times_come_from_the_clock(store: Vault, clock: FakeClock) -> None:
    start = int(clock.wall())
    item = put(store)
    clock.advance(60)
    store.change(item, label="new", attributes=None)
    info = store.describe(item)
    assert (info.created, info.modified) == (start, start + 60)

    clock.advance(-3600)
    store.write(item, Secret(b""))
    assert store.describe(item).modified == start


def test_a_second_store_does_not_overwrite_the_first(store: Vault, folder: Path) -> None:
    item = put(store)
    with pytest.raises(ConflictError):
        vault.create(folder, Secret(b"other"), clock=FakeClock(), cost=CHEAP)
    assert store.read(item) == Secret(b"hunter2")
    store.close()
    reopened(folder).close()


def test_an_empty_passphrase_makes_no_store(folder: Path) -> None:
    with pytest.raises(UsageError):
        vault.create(folder, Secret(b""), clock=FakeClock(), cost=CHEAP)
    assert not folder.exists()


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(PrivysealError, match="file"):
        vault.create(tmp_path / "file", PASSPHRASE, clock=FakeClock(), cost=CHEAP)


def test_two_programs_see_each_others_writes(store: Vault, folder: Path) -> None:
    with closing(reopened(folder)) as other:
        item = put(other, service="x")
        assert store.search({"service": "x"}) == (item,)
        store.write(item, Secret(b"new"))
        assert other.read(item) == Secret(b"new")


# The index key.


def test_without_its_index_key_a_locked_store_finds_nothing(store: Vault, folder: Path) -> None:
    put(store, service="x")
    store.close()
    index_path(folder).unlink()
    with closing(vault.load(folder, clock=FakeClock())) as again:
        with pytest.raises(LockedError, match="index key"):
            again.search({"service": "x"})
        with pytest.raises(LockedError, match="index key"):
            again.aliases()


@pytest.mark.parametrize("damage", [b"", b"nonsense", b"PSVI\x01" + bytes(48)])
def test_an_unlock_restores_the_index_key(store: Vault, folder: Path, damage: bytes) -> None:
    item = put(store, service="x")
    store.close()
    content = index_path(folder).read_bytes()
    index_path(folder).write_bytes(damage)

    with closing(reopened(folder)) as again:
        assert again.search({"service": "x"}) == (item,)
    assert index_path(folder).read_bytes() == content
    with closing(vault.load(folder, clock=FakeClock())) as locked:
        assert locked.search({"service": "x"}) == (item,)


# The passphrase.


def test_a_changed_passphrase_opens_and_the_old_one_does_not(store: Vault, folder: Path) -> None:
    item = put(store)
    with closing(sqlite3.connect(store_path(folder))) as db:
        (header,) = db.execute("SELECT header FROM vault").fetchone()

    change_passphrase(store, PASSPHRASE, Secret(b"battery staple"), CHEAP)

    assert store.read(item) == Secret(b"hunter2")
    store.lock()
    with pytest.raises(DeniedError):
        store.unlock(PASSPHRASE)
    store.unlock(Secret(b"battery staple"))
    assert store.read(item) == Secret(b"hunter2")
    assert not any(header[70:] in path.read_bytes() for path in folder.iterdir())


def test_the_passphrase_is_changed_only_by_who_knows_it(store: Vault, folder: Path) -> None:
    with pytest.raises(DeniedError):
        change_passphrase(store, Secret(b"not it"), Secret(b"new"), CHEAP)
    with pytest.raises(UsageError):
        change_passphrase(store, PASSPHRASE, Secret(b""), CHEAP)
    store.close()
    reopened(folder).close()


# Tampering.


@pytest.mark.parametrize(
    ("select", "update"),
    [
        ("SELECT about FROM item", "UPDATE item SET about = ?"),
        ("SELECT value FROM item", "UPDATE item SET value = ?"),
        ("SELECT about FROM collection", "UPDATE collection SET about = ?"),
        ("SELECT name FROM alias", "UPDATE alias SET name = ?"),
    ],
)
def test_an_altered_row_is_corrupt_and_the_file_is_named(
    store: Vault, folder: Path, select: str, update: str
) -> None:
    item = put(store)
    with closing(sqlite3.connect(store_path(folder))) as db:
        (sealed,) = db.execute(select).fetchone()
    for at in range(0, len(sealed), 5):
        altered = bytearray(sealed)
        altered[at] ^= 1
        edit(folder, update, bytes(altered))
        with pytest.raises(CorruptError, match=r"vault\.sqlite3"):
            _ = store.read(item), store.describe(item), store.collections(), store.aliases()


@pytest.mark.parametrize(
    "swap",
    [
        "UPDATE item SET about = (SELECT about FROM item WHERE id = ?) WHERE id = ?",
        "UPDATE item SET value = (SELECT value FROM item WHERE id = ?) WHERE id = ?",
    ],
)
def test_rows_swapped_between_items_are_corrupt(store: Vault, folder: Path, swap: str) -> None:
    cheap, dear = put(store, b"cheap", bank="no"), put(store, b"dear", bank="yes")
    edit(folder, swap, dear.item, cheap.item)
    with pytest.raises(CorruptError, match=cheap.item):
        store.read(cheap)
    assert store.read(dear) == Secret(b"dear")


def test_what_builds_on_an_altered_row_is_refused_too(store: Vault, folder: Path) -> None:
    item = put(store)
    edit(folder, "UPDATE item SET about = zeroblob(100)")
    with pytest.raises(CorruptError, match=r"vault\.sqlite3.*" + item.item):
        store.write(item, Secret(b"new"))
    with pytest.raises(CorruptError, match=r"vault\.sqlite3.*" + item.item):
        store.change(item, label="new", attributes=None)
    with pytest.raises(CorruptError, match=r"vault\.sqlite3.*" + item.item):
        next(contents(store))
    store.delete(item)
    assert store.search({}) == ()


def test_an_item_moved_to_another_collection_is_corrupt(store: Vault, folder: Path) -> None:
    item = put(store)
    work = store.create_collection("Work")
    edit(folder, "UPDATE item SET collection = (SELECT number FROM collection WHERE id = ?)", work)
    with pytest.raises(CorruptError):
        store.read(ItemRef(collection=work, item=item.item))


def test_an_alias_pointed_elsewhere_under_another_name_is_corrupt(
    store: Vault, folder: Path
) -> None:
    edit(folder, "UPDATE alias SET token = zeroblob(16) WHERE rowid = 1")
    with pytest.raises(CorruptError):
        store.aliases()


def test_an_altered_header_is_corrupt_and_the_file_is_named(store: Vault, folder: Path) -> None:
    edit(folder, "UPDATE vault SET header = zeroblob(122)")
    store.lock()
    with pytest.raises(CorruptError, match=r"vault\.sqlite3"):
        store.unlock(PASSPHRASE)


# Files that are not ours.


@pytest.mark.parametrize("content", [b"", b"nonsense" * 1000, b"SQLite format 3\0" + bytes(4080)])
def test_a_file_that_is_no_store_is_refused_and_left_alone(folder: Path, content: bytes) -> None:
    folder.mkdir()
    store_path(folder).write_bytes(content)
    with pytest.raises(CorruptError, match=r"vault\.sqlite3"):
        vault.load(folder, clock=FakeClock())
    assert store_path(folder).read_bytes() == content


def test_the_database_of_another_program_is_refused_and_left_alone(folder: Path) -> None:
    folder.mkdir()
    edit(folder, "CREATE TABLE t (x)")
    content = store_path(folder).read_bytes()
    with pytest.raises(CorruptError, match="not a store"):
        vault.load(folder, clock=FakeClock())
    assert store_path(folder).read_bytes() == content


def test_the_store_of_a_newer_program_is_refused(store: Vault, folder: Path) -> None:
    store.close()
    edit(folder, "PRAGMA user_version = 2")
    with pytest.raises(UnsupportedError, match=r"newer .*schema 2"):
        vault.load(folder, clock=FakeClock())


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER t AFTER INSERT ON item BEGIN DELETE FROM item; END",
        "CREATE VIEW v AS SELECT 1",
        "DROP INDEX token_item",
        "ALTER TABLE item ADD COLUMN more TEXT",
    ],
)
def test_planted_schema_objects_are_refused(store: Vault, folder: Path, statement: str) -> None:
    store.close()
    edit(folder, statement)
    with pytest.raises(CorruptError, match="tables"):
        vault.load(folder, clock=FakeClock())


def test_a_store_without_its_header_is_refused(store: Vault, folder: Path) -> None:
    store.close()
    edit(folder, "DELETE FROM vault")
    with pytest.raises(CorruptError, match="header is missing"):
        vault.load(folder, clock=FakeClock())


def test_a_damaged_page_is_corrupt_and_the_file_is_named(store: Vault, folder: Path) -> None:
    items = [put(store, bytes(3000), n=str(n)) for n in range(50)]
    store.close()
    content = bytearray(store_path(folder).read_bytes())
    content[8 * 4096 :] = b"\xee" * (len(content) - 8 * 4096)
    store_path(folder).write_bytes(content)
    with pytest.raises(CorruptError, match=r"vault\.sqlite3"):
        read_all(folder, items)


def test_a_damaged_schema_is_corrupt_whatever_letters_it_got(store: Vault, folder: Path) -> None:
    store.close()
    content = store_path(folder).read_bytes()
    assert b"header BLOB" in content
    store_path(folder).write_bytes(content.replace(b"header BLOB", b"header BL\xcfB"))
    with pytest.raises(CorruptError, match=r"vault\.sqlite3"):
        vault.load(folder, clock=FakeClock())


def test_a_truncated_file_is_corrupt(store: Vault, folder: Path) -> None:
    items = [put(store, bytes(3000), n=str(n)) for n in range(50)]
    store.close()
    os.truncate(store_path(folder), 12 * 4096)
    with pytest.raises(CorruptError, match=r"vault\.sqlite3"):
        read_all(folder, items)


def read_all(folder: Path, items: list[ItemRef]) -> None:
    with closing(reopened(folder)) as again:
        for item in items:
            again.read(item)


# Failing writes.


def test_a_full_disk_is_said_with_a_hint(tmp_path: Path) -> None:
    path = tmp_path / "full"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("CREATE TABLE t (x)")
        db.execute("PRAGMA max_page_count = 2")
        with pytest.raises(PrivysealError, match="full") as caught, translated(path):
            db.execute("INSERT INTO t VALUES (zeroblob(100000))")
    assert "free some space" in caught.value.hint


def test_a_refused_write_changes_nothing(store: Vault) -> None:
    item = put(store, a="b")
    before = store.describe(item), store.search({}), store.collections()

    with pytest.raises(LimitError):
        store.create("login", "x", {"a": "b"}, Secret(bytes(MAX_SECRET + 1)), replace=True)
    with pytest.raises(UsageError):
        store.change(item, label="x" * 20_000, attributes={"c": "d"})
    with pytest.raises(UsageError):
        store.change(item, label="\ud800", attributes=None)
    with pytest.raises(UsageError):
        store.set_alias("x" * 256, "login")

    assert (store.describe(item), store.search({}), store.collections()) == before
    assert store.read(item) == Secret(b"hunter2")
    assert store.search({"c": "d"}) == ()


def test_names_that_are_no_text_are_refused(store: Vault) -> None:
    with pytest.raises(UsageError):
        store.items("\ud800")


# Export and import.


def test_an_export_inserted_elsewhere_is_the_same_store(
    store: Vault, tmp_path: Path, clock: FakeClock
) -> None:
    work = store.create_collection("Work")
    put(store, b"1", a="b")
    store.create(work, "Key", {"c": "d"}, Secret(bytes(range(256)), "x/y"), replace=False)
    clock.advance(60)

    with closing(vault.create(tmp_path / "b", PASSPHRASE, clock=clock, cost=CHEAP)) as other:
        assert insert_many(other, contents(store), replace=False) == 2
        assert known(other) == known(store)
        assert insert_many(other, contents(store), replace=True) == 2
        assert len(other.search({})) == 3  # what went to a new collection has no name to meet


def known(store: Vault) -> list[tuple[object, ...]]:
    """Everything but the names, which an import gives anew."""
    return [
        (label, info.label, info.attributes, info.content_type, info.created, value.expose())
        for _, label, info, value in contents(store)
    ]


def test_an_export_is_one_moment(store: Vault) -> None:
    items = [put(store, n=str(n)) for n in range(5)]
    export = contents(store)
    first = next(export)
    store.delete(items[1])
    store.write(items[2], Secret(b"changed"))
    rest = list(export)
    assert [found.info.ref for found in (first, *rest)] == items
    assert {found.value.expose() for found in rest} == {b"hunter2"}


def test_an_import_that_fails_inserts_nothing(store: Vault) -> None:
    def rows() -> Iterator[Exported]:
        info = ItemInfo(ref=ItemRef(collection="new", item="x"), label="x", attributes={"a": "b"})
        yield Exported("new", "New", info, Secret(b"1"))
        yield Exported("login", "Login", info, Secret(bytes(MAX_SECRET + 1)))

    with pytest.raises(LimitError):
        insert_many(store, rows(), replace=False)
    assert store.search({}) == ()
    assert [found.id for found in store.collections()] == ["login"]


def test_an_import_keeps_the_words_of_a_failing_source(store: Vault) -> None:
    put(store)

    def rows() -> Iterator[Exported]:
        yield from contents(store)
        raise CorruptError("line 3 of the export is damaged")

    with pytest.raises(CorruptError, match=r"^line 3 of the export is damaged$"):
        insert_many(store, rows(), replace=False)
    assert len(store.search({})) == 1


def test_a_locked_store_exports_nothing(store: Vault) -> None:
    store.lock()
    with pytest.raises(LockedError):
        next(contents(store))


def test_a_deleted_collection_takes_its_rows_along(store: Vault, folder: Path) -> None:
    work = store.create_collection("Work", "work")
    store.create(work, "", {"a": "b"}, Secret(b""), replace=False)
    store.delete_collection(work)
    with closing(sqlite3.connect(store_path(folder))) as db:
        assert db.execute("SELECT count(*) FROM item").fetchone() == (0,)
        assert db.execute("SELECT count(*) FROM token").fetchone() == (0,)
        assert db.execute("SELECT count(*) FROM alias").fetchone() == (2,)
