"""The embedded store: sealed rows in SQLite, found by keyed hashes, opened by one passphrase.

docs/store-format.md is its specification. Every method is short and synchronous; those that write
return once the change is durable and may run in a worker thread, while reads stay in the event
loop. Locked means that the data key is not in memory: names, times and matches are known then,
labels, attributes and values are not.
"""

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from hmac import compare_digest
from pathlib import Path
from typing import Final, NamedTuple, NoReturn, final

import msgspec

from privyseal.errors import CorruptError, LimitError, LockedError, NotFoundError, UsageError
from privyseal.model.clock import Clock
from privyseal.model.keyring import CollectionInfo, ItemInfo, ItemRef
from privyseal.model.secret import Secret
from privyseal.model.value import MAX_SECRET
from privyseal.runtime.vaultfile import (
    make_file,
    make_in_memory,
    open_file,
    open_reader,
    translated,
    write_file,
)
from privyseal.wire.vault import (
    KEY,
    About,
    Cost,
    Index,
    Random,
    Sealer,
    pack_about,
    unpack_about,
    unpack_index,
    unwrap,
)

FIRST: Final = "login"
"""The collection of a new store; the aliases `default` and `login` point to it."""

SESSION: Final = "session"
"""The only collection of a volatile store."""

_MAX_ALIAS: Final = 255

_COLLECTIONS: Final = "SELECT id, created, modified, about FROM collection ORDER BY number"
_ALIASES: Final = """
SELECT a.token, a.name, c.id FROM alias a JOIN collection c ON c.number = a.collection
"""
_ITEM: Final = """
SELECT i.number, i.created, i.modified, i.about
FROM item i JOIN collection c ON c.number = i.collection WHERE i.id = ? AND c.id = ?
"""
_VALUE: Final = """
SELECT i.about, i.value
FROM item i JOIN collection c ON c.number = i.collection WHERE i.id = ? AND c.id = ?
"""
_EXPORT: Final = """
SELECT c.id, i.id, i.value, i.number, i.created, i.modified, i.about
FROM item i JOIN collection c ON c.number = i.collection ORDER BY i.number
"""
_EVERY: Final = """
SELECT c.id, i.id, i.number FROM item i JOIN collection c ON c.number = i.collection WHERE 1
"""
# CROSS JOIN keeps SQLite from starting anywhere else than at the rarest token.
_MATCH: Final = """
SELECT c.id, i.id, i.number FROM token t CROSS JOIN item i ON i.number = t.item
JOIN collection c ON c.number = i.collection WHERE t.token = ?
"""
_AND_ALSO: Final = " AND EXISTS (SELECT 1 FROM token WHERE token = ? AND item = t.item)"
_WITHIN: Final = " AND c.id = ?"
_COUNT: Final = "SELECT count(*) FROM (SELECT 1 FROM token WHERE token = ? LIMIT 1000)"


class Exported(NamedTuple):
    """One item with its value, as an export lists it and an import takes it."""

    collection: str
    collection_label: str
    info: ItemInfo
    value: Secret


class _Row(NamedTuple):
    number: int
    created: int
    modified: int
    about: bytes


@final
class Vault:
    """One open store, locked or not; made by `create`, `load` and `volatile` below.

    Every method raises `NotFoundError` for what is not there, `LockedError` when it needs the data
    key and has none, and `CorruptError` or `PrivysealError` naming the file when the file fails.
    """

    def __init__(
        self,
        reader: sqlite3.Connection,
        writer: sqlite3.Connection,
        path: Path,
        *,
        sealer: Sealer | None,
        index: Index | None,
        clock: Clock,
        random: Random,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._path = path
        self._sealer = sealer
        self._index = index
        self._clock = clock
        self._random = random
        self._writing = threading.Lock()

    # The store as a whole.

    def found(self, header: bytes, first: str, aliases: Iterable[str]) -> None:
        """Fill a store that has only empty tables: the header, the index key, one collection."""
        sealer, index = self._opened(), self._indexed()
        copy = sealer.seal("index", (), index.pack(), self._random)
        with self._transaction() as db:
            db.execute("INSERT INTO vault VALUES (1, ?, ?, ?)", (header, copy, index.check()))
            self._put_collection(db, first, first.capitalize())
            for alias in aliases:
                self._put_alias(db, alias, first)

    @property
    def locked(self) -> bool:
        """Whether the data key is not in memory."""
        return self._sealer is None

    def unlock(self, passphrase: Secret) -> None:
        """Get the data key; takes the time and memory of scrypt.

        Raises:
            DeniedError: The passphrase is wrong.
        """
        with translated(self._path):
            header, copy = self._one("SELECT header, index_key FROM vault")
            sealer = unwrap(header, passphrase)
            if self._index is None:
                index = unpack_index(sealer.open("index", (), copy))
                write_file(_index_path(self._path.parent), index.pack())
                self._index = index
            self._sealer = sealer

    def lock(self) -> None:
        """Forget the data key."""
        self._sealer = None

    def change_passphrase(self, old: Secret, new: Secret, cost: Cost | None = None) -> None:
        """Wrap the data key anew; older copies of the file still open with the old passphrase.

        Raises:
            DeniedError: `old` is wrong.
            UsageError: `new` is empty.
        """
        with translated(self._path):
            (header,) = self._one("SELECT header FROM vault")
            fresh = unwrap(header, old).wrap(new, cost or Cost(), self._random)
        with self._transaction() as db:
            db.execute("UPDATE vault SET header = ?", (fresh,))
        with translated(self._path):
            # Otherwise the old header would stay readable in the log until it is overwritten.
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Forget the keys and close the file."""
        self._sealer = self._index = None
        self._reader.close()
        self._writer.close()

    # Collections and aliases.

    def collections(self) -> tuple[CollectionInfo, ...]:
        """Return every collection, in order of creation; labels are empty while locked."""
        sealer = self._sealer
        with translated(self._path):
            return tuple(
                CollectionInfo(
                    id=name,
                    label=unpack_about(sealer.open("collection.about", (name,), about)).label
                    if sealer
                    else "",
                    created=created,
                    modified=modified,
                    locked=sealer is None,
                )
                for name, created, modified, about in self._reader.execute(_COLLECTIONS)
            )

    def create_collection(self, label: str, alias: str = "") -> str:
        """Make a collection and return its new name."""
        name = self._random(8).hex()
        with self._transaction() as db:
            self._put_collection(db, name, label)
            if alias:
                self._put_alias(db, alias, name)
        return name

    def change_collection(self, name: str, label: str) -> None:
        """Change the label of a collection."""
        with self._transaction() as db:
            self._number(name, db)
            db.execute(
                "UPDATE collection SET about = ?, modified = max(created, ?) WHERE id = ?",
                (self._seal_label(name, label), self._now(), name),
            )

    def delete_collection(self, name: str) -> None:
        """Delete a collection with its items and aliases."""
        with self._transaction() as db:
            number = self._number(name, db)
            self._opened()
            db.execute("DELETE FROM collection WHERE number = ?", (number,))

    def aliases(self) -> dict[str, str]:
        """Return what each alias points to."""
        index = self._indexed()
        with translated(self._path):
            return {
                index.open_alias(token, name): collection
                for token, name, collection in self._reader.execute(_ALIASES)
            }

    def set_alias(self, alias: str, collection: str) -> None:
        """Let an alias point to a collection; the empty name removes it."""
        with self._transaction() as db:
            self._opened()
            if collection:
                self._put_alias(db, alias, collection)
            else:
                token = self._indexed().alias(alias)
                db.execute("DELETE FROM alias WHERE token = ?", (token,))

    # Items.

    def items(self, collection: str) -> tuple[str, ...]:
        """Return the names of the items of a collection, in order of creation."""
        with translated(self._path):
            number = self._number(collection, self._reader)
            rows = self._reader.execute(
                "SELECT id FROM item WHERE collection = ? ORDER BY number", (number,)
            )
            return tuple(name for (name,) in rows)

    def describe(self, ref: ItemRef) -> ItemInfo:
        """Return what is known of an item."""
        with translated(self._path):
            row, sealer = self._row(ref, self._reader), self._sealer
            about = _open_about(sealer, ref, row.about) if sealer else None
            return _info(ref, row, about)

    def search(self, attributes: Mapping[str, str], collection: str = "") -> tuple[ItemRef, ...]:
        """Return the items that have all these attributes, in order of creation."""
        with translated(self._path):
            query, values = _EVERY, list[bytes | str]()
            if attributes:
                values += self._rarest_first(attributes)
                query = _MATCH + _AND_ALSO * (len(attributes) - 1)
            if collection:
                self._number(collection, self._reader)
                query += _WITHIN
                values.append(collection)
            rows = self._reader.execute(f"{query} ORDER BY i.number", values)
            return tuple(ItemRef(collection=where, item=item) for where, item, _ in rows)

    def read(self, ref: ItemRef) -> Secret:
        """Return the value of an item."""
        with translated(self._path):
            about, value = self._one(_VALUE, (ref.item, ref.collection)) or _missing(ref)
            sealer = self._opened()
            content_type = _open_about(sealer, ref, about).content_type
            return Secret(sealer.open("item.value", _place(ref), value), content_type)

    def create(
        self,
        collection: str,
        label: str,
        attributes: Mapping[str, str],
        value: Secret,
        *,
        replace: bool,
    ) -> tuple[ItemRef, bool]:
        """Store an item; return its name, and whether it is new.

        With `replace`, an item of the collection with exactly these attributes is overwritten.

        Raises:
            LimitError: The value is longer than 1 MiB.
            UsageError: Label or attributes are out of bounds.
        """
        about = About(label=label, attributes=dict(attributes), content_type=value.content_type)
        now = self._now()
        with self._transaction() as db:
            return self._put(db, collection, about, value, (now, now), replace=replace)

    def write(self, ref: ItemRef, value: Secret) -> None:
        """Overwrite the value of an item.

        Raises:
            LimitError: The value is longer than 1 MiB.
        """
        with self._transaction() as db:
            row = self._row(ref, db)
            about = _open_about(self._opened(), ref, row.about)
            about = msgspec.structs.replace(about, content_type=value.content_type)
            self._set_about(db, ref, row, about)
            self._set_value(db, ref, row, value)

    def change(
        self, ref: ItemRef, *, label: str | None, attributes: Mapping[str, str] | None
    ) -> None:
        """Change label or attributes of an item; None leaves them as they are.

        Raises:
            UsageError: Label or attributes are out of bounds.
        """
        with self._transaction() as db:
            row = self._row(ref, db)
            about = _open_about(self._opened(), ref, row.about)
            if label is not None:
                about = msgspec.structs.replace(about, label=label)
            if attributes is not None:
                about = msgspec.structs.replace(about, attributes=dict(attributes))
                db.execute("DELETE FROM token WHERE item = ?", (row.number,))
                self._put_tokens(db, row.number, attributes)
            self._set_about(db, ref, row, about)

    def delete(self, ref: ItemRef) -> None:
        """Delete an item."""
        with self._transaction() as db:
            row = self._row(ref, db)
            self._opened()
            db.execute("DELETE FROM item WHERE number = ?", (row.number,))

    # Whole stores.

    def export(self) -> Iterator[Exported]:
        """Yield every item with its value, as they are at this moment, while others may write."""
        sealer = self._opened()
        with translated(self._path), closing(open_reader(self._path)) as reader:
            labels = {found.id: found.label for found in self.collections()}
            for collection, item, value, *cells in reader.execute(_EXPORT):
                ref, row = ItemRef(collection=collection, item=item), _Row(*cells)
                about = _open_about(sealer, ref, row.about)
                secret = Secret(sealer.open("item.value", _place(ref), value), about.content_type)
                label = labels.get(collection, "")
                yield Exported(collection, label, _info(ref, row, about), secret)

    def insert_many(self, items: Iterable[Exported], *, replace: bool) -> int:
        """Store all of `items` or, when one fails, none; return how many.

        Each goes to the collection of that name or, when there is none, to a new one with that
        label. Items get new names and keep their times; with `replace`, those with exactly the
        attributes of an item of that collection overwrite it.

        Raises:
            LimitError: A value is longer than 1 MiB.
            UsageError: A text is out of bounds.
        """
        names: dict[str, str] = {}
        count = 0
        with self._transaction() as db:
            names.update((name, name) for (name,) in db.execute("SELECT id FROM collection"))
            for count, (collection, label, info, value) in enumerate(items, 1):
                if collection not in names:
                    names[collection] = self._random(8).hex()
                    self._put_collection(db, names[collection], label)
                about = About(
                    label=info.label,
                    attributes=info.attributes,
                    content_type=value.content_type,
                )
                times = (info.created, max(info.created, info.modified))
                self._put(db, names[collection], about, value, times, replace=replace)
        return count

    # What the above is made of; writers run inside a transaction.

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._writing, translated(self._path):
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            finally:
                # After some errors, a full disk among them, SQLite has rolled back by itself.
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")

    def _opened(self) -> Sealer:
        if self._sealer is None:
            raise LockedError("the store is locked", hint="unlock it with `privy unlock`")
        return self._sealer

    def _indexed(self) -> Index:
        if self._index is None:
            raise LockedError(
                f"the index key {str(_index_path(self._path.parent))!r} is missing or damaged",
                hint="unlock the store with `privy unlock`, which restores it",
            )
        return self._index

    def _now(self) -> int:
        return int(self._clock.wall())

    def _one(self, query: str, values: Sequence[str | bytes] = ()) -> tuple[bytes, ...]:
        row: tuple[bytes, ...] = self._reader.execute(query, values).fetchone()
        return row

    def _number(self, collection: str, db: sqlite3.Connection) -> int:
        row = db.execute("SELECT number FROM collection WHERE id = ?", (collection,)).fetchone()
        if row is None:
            raise NotFoundError(f"no collection {collection!r}")
        return int(row[0])

    def _row(self, ref: ItemRef, db: sqlite3.Connection) -> _Row:
        row = db.execute(_ITEM, (ref.item, ref.collection)).fetchone()
        return _Row(*(row or _missing(ref)))

    def _rarest_first(self, attributes: Mapping[str, str]) -> list[bytes]:
        tokens = [self._indexed().token(*pair) for pair in attributes.items()]
        if len(tokens) > 1:
            tokens.sort(key=lambda token: self._one(_COUNT, (token,))[0])
        return tokens

    def _seal_label(self, name: str, label: str) -> bytes:
        about = pack_about(About(label=label))
        return self._opened().seal("collection.about", (name,), about, self._random)

    def _put_collection(self, db: sqlite3.Connection, name: str, label: str) -> None:
        now = self._now()
        db.execute(
            "INSERT INTO collection (id, created, modified, about) VALUES (?, ?, ?, ?)",
            (name, now, now, self._seal_label(name, label)),
        )

    def _put_alias(self, db: sqlite3.Connection, alias: str, collection: str) -> None:
        if not 0 < len(alias) <= _MAX_ALIAS:
            raise UsageError(f"an alias has 1 to {_MAX_ALIAS} characters")
        index = self._indexed()
        sealed = index.seal_alias(alias, self._random)
        db.execute(
            "INSERT OR REPLACE INTO alias (token, name, collection) VALUES (?, ?, ?)",
            (index.alias(alias), sealed, self._number(collection, db)),
        )

    def _put(
        self,
        db: sqlite3.Connection,
        collection: str,
        about: About,
        value: Secret,
        times: tuple[int, int],
        *,
        replace: bool,
    ) -> tuple[ItemRef, bool]:
        number = self._number(collection, db)
        self._opened()
        exact = self._indexed().exact(about.attributes)
        if replace:
            old = db.execute(
                "SELECT id FROM item WHERE collection = ? AND exact = ? ORDER BY number LIMIT 1",
                (number, exact),
            ).fetchone()
            if old:
                ref = ItemRef(collection=collection, item=old[0])
                row = self._row(ref, db)
                self._set_about(db, ref, row, about)
                self._set_value(db, ref, row, value)
                return ref, False
        ref = ItemRef(collection=collection, item=self._random(8).hex())
        inserted = db.execute(
            "INSERT INTO item (id, collection, created, modified, exact, about, value)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (ref.item, number, *times, exact, self._seal_about(ref, about), self._seal(ref, value)),
        )
        self._put_tokens(db, inserted.lastrowid or 0, about.attributes)
        return ref, True

    def _set_about(self, db: sqlite3.Connection, ref: ItemRef, row: _Row, about: About) -> None:
        db.execute(
            "UPDATE item SET about = ?, exact = ?, modified = max(created, ?) WHERE number = ?",
            (
                self._seal_about(ref, about),
                self._indexed().exact(about.attributes),
                self._now(),
                row.number,
            ),
        )

    def _set_value(self, db: sqlite3.Connection, ref: ItemRef, row: _Row, value: Secret) -> None:
        sealed = self._seal(ref, value)
        db.execute("UPDATE item SET value = ? WHERE number = ?", (sealed, row.number))

    def _put_tokens(
        self, db: sqlite3.Connection, number: int, attributes: Mapping[str, str]
    ) -> None:
        index = self._indexed()
        db.executemany(
            "INSERT INTO token (token, item) VALUES (?, ?)",
            [(index.token(*pair), number) for pair in attributes.items()],
        )

    def _seal_about(self, ref: ItemRef, about: About) -> bytes:
        return self._opened().seal("item.about", _place(ref), pack_about(about), self._random)

    def _seal(self, ref: ItemRef, value: Secret) -> bytes:
        if len(value) > MAX_SECRET:
            raise LimitError(f"a value of {len(value)} bytes exceeds the limit of {MAX_SECRET}")
        return self._opened().seal("item.value", _place(ref), value.expose(), self._random)


def exists(folder: Path) -> bool:
    """Return whether `folder` holds a store."""
    return _store_path(folder).exists()


def create(
    folder: Path,
    passphrase: Secret,
    *,
    clock: Clock,
    random: Random = os.urandom,
    cost: Cost | None = None,
) -> Vault:
    """Make a store in `folder` with one empty collection, and return it unlocked.

    Raises:
        ConflictError: There is one already.
        UsageError: The passphrase is empty.
    """
    sealer, index = _keys(random)
    header = sealer.wrap(passphrase, cost or Cost(), random)
    path = _store_path(folder)
    with closing(make_in_memory()) as memory:
        fresh = Vault(memory, memory, path, sealer=sealer, index=index, clock=clock, random=random)
        fresh.found(header, FIRST, ("default", FIRST))
        make_file(path, memory.serialize())
    write_file(_index_path(folder), index.pack())
    reader, writer = open_file(path)
    return Vault(reader, writer, path, sealer=sealer, index=index, clock=clock, random=random)


def load(folder: Path, *, clock: Clock, random: Random = os.urandom) -> Vault:
    """Return the store in `folder`, locked.

    Raises:
        CorruptError: The file is damaged, or no store of ours.
        UnsupportedError: A newer program wrote it.
    """
    path = _store_path(folder)
    reader, writer = open_file(path)
    with translated(path):
        (check,) = reader.execute("SELECT index_check FROM vault").fetchone()
    index = _load_index(_index_path(folder), check)
    return Vault(reader, writer, path, sealer=None, index=index, clock=clock, random=random)


def volatile(*, clock: Clock, random: Random = os.urandom) -> Vault:
    """Return a store in memory with the collection `SESSION`; its keys are nowhere else."""
    sealer, index = _keys(random)
    memory = make_in_memory()
    path = Path(":memory:")
    vault = Vault(memory, memory, path, sealer=sealer, index=index, clock=clock, random=random)
    vault.found(b"", SESSION, ())
    return vault


def _store_path(folder: Path) -> Path:
    return folder / "vault.sqlite3"


def _index_path(folder: Path) -> Path:
    return folder / "vault.index-key"


def _keys(random: Random) -> tuple[Sealer, Index]:
    store = random(16)
    return Sealer(store, random(KEY)), Index(store, random(KEY))


def _load_index(path: Path, check: bytes) -> Index | None:
    # A key that is missing, damaged or another store's is no error: the next unlock restores it.
    try:
        index = unpack_index(path.read_bytes())
    except (OSError, CorruptError):
        return None
    return index if compare_digest(index.check(), check) else None


def _place(ref: ItemRef) -> tuple[str, str]:
    return ref.collection, ref.item


def _open_about(sealer: Sealer, ref: ItemRef, about: bytes) -> About:
    return unpack_about(sealer.open("item.about", _place(ref), about))


def _info(ref: ItemRef, row: _Row, about: About | None) -> ItemInfo:
    known = about or About()
    return ItemInfo(
        ref=ref,
        label=known.label,
        attributes=known.attributes,
        content_type=known.content_type,
        created=row.created,
        modified=row.modified,
        locked=about is None,
    )


def _missing(ref: ItemRef) -> NoReturn:
    raise NotFoundError(f"no item {ref.item!r} in collection {ref.collection!r}")
