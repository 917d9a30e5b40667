"""The rows of the embedded store: how each is sealed, found, written and opened again.

Whoever writes does it inside `transaction`; what was put there is durable when that ends.
"""

import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple, final

from privyseal.errors import LimitError, LockedError, NotFoundError, UsageError
from privyseal.model.clock import Clock
from privyseal.model.keyring import ItemInfo, ItemRef
from privyseal.model.secret import Secret
from privyseal.model.value import MAX_SECRET
from privyseal.runtime.vaultfile import index_path, named, translated
from privyseal.wire.vault import About, Index, Random, Sealer, pack_about, unpack_about

_MAX_ALIAS: Final = 255
# Counting stops here: a rare token is found cheaply, two common ones are worth a closer look.
_LIMITS: Final = (100, 20_000)
_TYPES: Final = 1024

_ITEM: Final = """
SELECT i.number, i.created, i.modified, i.about
FROM item i JOIN collection c ON c.number = i.collection WHERE i.id = ? AND c.id = ?
"""
_VALUE: Final = """
SELECT i.about, i.value
FROM item i JOIN collection c ON c.number = i.collection WHERE i.id = ? AND c.id = ?
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
_COUNT: Final = "SELECT count(*) FROM (SELECT 1 FROM token WHERE token = ? LIMIT ?)"


class Row(NamedTuple):
    """An item but for its value."""

    number: int
    created: int
    modified: int
    about: bytes


@final
@dataclass(kw_only=True, eq=False, repr=False)
class Rows:
    """The tables of one store, and the keys to them as far as they are in memory.

    Of the two connections one reads and one writes, in any thread.
    """

    connections: tuple[sqlite3.Connection, sqlite3.Connection]
    path: Path
    clock: Clock
    random: Random
    sealer: Sealer | None = None
    index: Index | None = None
    _writing: threading.Lock = field(default_factory=threading.Lock)
    _unused: threading.Condition = field(default_factory=threading.Condition)
    _readers: int = 0
    _types: dict[tuple[ItemRef, bytes], str] = field(default_factory=dict)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection that reads; it is not closed before it is given back."""
        with self._unused:
            self._readers += 1
        try:
            with translated(self.path), named(self.path):
                yield self.connections[0]
        finally:
            with self._unused:
                self._readers -= 1
                self._unused.notify_all()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection that writes; commit at the end, or change nothing."""
        writer = self.connections[1]
        with self._writing, translated(self.path):
            writer.execute("BEGIN IMMEDIATE")
            try:
                yield writer
                writer.execute("COMMIT")
            finally:
                # After some errors, a full disk among them, SQLite has rolled back by itself.
                if writer.in_transaction:
                    writer.execute("ROLLBACK")

    def clear_log(self) -> None:
        """Move the log into the file, so that nothing overwritten can be read in it."""
        with self._writing, translated(self.path):
            self.connections[1].execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Forget the keys and close the connections once no thread uses them: SQLite would crash."""
        self.sealer = self.index = None
        with self._writing, self._unused:
            self._unused.wait_for(lambda: not self._readers)
            for connection in self.connections:
                connection.close()

    def opened(self) -> Sealer:
        """Return the data key; LockedError without one."""
        if self.sealer is None:
            raise LockedError("the store is locked", hint="unlock it with `privy unlock`")
        return self.sealer

    def indexed(self) -> Index:
        """Return the index key; LockedError when its file was unusable and nobody unlocked yet."""
        if self.index is None:
            raise LockedError(
                f"the index key {str(index_path(self.path.parent))!r} is missing or damaged",
                hint="unlock the store with `privy unlock`, which restores it",
            )
        return self.index

    def now(self) -> int:
        """Return the time that rows carry."""
        return int(self.clock.wall())

    # Reading.

    def number(self, db: sqlite3.Connection, collection: str) -> int:
        """Return the row number of a collection."""
        row = db.execute("SELECT number FROM collection WHERE id = ?", (collection,)).fetchone()
        if row is None:
            raise NotFoundError(f"no collection {collection!r}")
        return int(row[0])

    def find(self, db: sqlite3.Connection, ref: ItemRef) -> Row:
        """Return the row of an item."""
        row = db.execute(_ITEM, (ref.item, ref.collection)).fetchone()
        if row is None:
            raise _missing(ref)
        return Row(*row)

    def about(self, ref: ItemRef, row: Row) -> About:
        """Return what is sealed of an item beside its value."""
        with named(self.path):
            return open_about(self.opened(), ref, row.about)

    def value(self, db: sqlite3.Connection, ref: ItemRef) -> Secret:
        """Return the value of an item."""
        row = db.execute(_VALUE, (ref.item, ref.collection)).fetchone()
        if row is None:
            raise _missing(ref)
        sealed, sealer = row[0], self.opened()
        # Of all that is sealed beside a value its reader wants the type alone, which rarely changes.
        if (ref, sealed) not in self._types:
            if len(self._types) >= _TYPES:
                self._types.clear()
            self._types[ref, sealed] = open_about(sealer, ref, sealed).content_type
        return open_value(sealer, ref, self._types[ref, sealed], row[1])

    def match(
        self, db: sqlite3.Connection, attributes: Mapping[str, str], collection: str
    ) -> sqlite3.Cursor:
        """Return collection, item and number of what has all these attributes."""
        query, values = _EVERY, list[bytes | str]()
        if attributes:
            values += self._rarest_first(db, attributes)
            query = _MATCH + _AND_ALSO * (len(attributes) - 1)
        if collection:
            self.number(db, collection)
            query += _WITHIN
            values.append(collection)
        return db.execute(f"{query} ORDER BY i.number", values)

    def _rarest_first(self, db: sqlite3.Connection, attributes: Mapping[str, str]) -> list[bytes]:
        tokens = [self.indexed().token(*pair) for pair in attributes.items()]
        if len(tokens) == 1:
            return tokens
        counts: dict[bytes, int] = {}
        for limit in _LIMITS:
            counts = {token: db.execute(_COUNT, (token, limit)).fetchone()[0] for token in tokens}
            if min(counts.values()) < limit:
                break
        return sorted(tokens, key=counts.__getitem__)

    # Writing.

    def put_collection(self, db: sqlite3.Connection, name: str, label: str) -> None:
        """Add a collection."""
        now = self.now()
        db.execute(
            "INSERT INTO collection (id, created, modified, about) VALUES (?, ?, ?, ?)",
            (name, now, now, self.seal_label(name, label)),
        )

    def put_alias(self, db: sqlite3.Connection, alias: str, collection: str) -> None:
        """Add an alias, or turn it to another collection."""
        if not 0 < len(alias) <= _MAX_ALIAS:
            raise UsageError(f"an alias has 1 to {_MAX_ALIAS} characters")
        index = self.indexed()
        sealed = index.seal_alias(alias, self.random)
        db.execute(
            "INSERT OR REPLACE INTO alias (token, name, collection) VALUES (?, ?, ?)",
            (index.alias(alias), sealed, self.number(db, collection)),
        )

    def put(
        self,
        db: sqlite3.Connection,
        collection: str,
        about: About,
        value: Secret,
        times: tuple[int, int],
        *,
        replace: bool,
    ) -> tuple[ItemRef, bool]:
        """Add an item or, with `replace`, overwrite the first one with exactly these attributes."""
        number = self.number(db, collection)
        self.opened()
        exact = self.indexed().exact(about.attributes)
        if replace:
            old = db.execute(
                "SELECT id FROM item WHERE collection = ? AND exact = ? ORDER BY number LIMIT 1",
                (number, exact),
            ).fetchone()
            if old:
                ref = ItemRef(collection=collection, item=old[0])
                row = self.find(db, ref)
                self.put_about(db, ref, row, about)
                self.put_value(db, ref, row, value)
                return ref, False
        ref = ItemRef(collection=collection, item=self.random(8).hex())
        sealed = self._seal_about(ref, about), self._seal_value(ref, value)
        inserted = db.execute(
            "INSERT INTO item (id, collection, created, modified, exact, about, value)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (ref.item, number, *times, exact, *sealed),
        )
        self.put_tokens(db, inserted.lastrowid or 0, about.attributes)
        return ref, True

    def put_about(self, db: sqlite3.Connection, ref: ItemRef, row: Row, about: About) -> None:
        """Overwrite all but the value and the tokens of an item."""
        sealed, exact = self._seal_about(ref, about), self.indexed().exact(about.attributes)
        db.execute(
            "UPDATE item SET about = ?, exact = ?, modified = max(created, ?) WHERE number = ?",
            (sealed, exact, self.now(), row.number),
        )

    def put_value(self, db: sqlite3.Connection, ref: ItemRef, row: Row, value: Secret) -> None:
        """Overwrite the value of an item."""
        sealed = self._seal_value(ref, value)
        db.execute("UPDATE item SET value = ? WHERE number = ?", (sealed, row.number))

    def put_tokens(
        self, db: sqlite3.Connection, number: int, attributes: Mapping[str, str]
    ) -> None:
        """Set what an item is found by."""
        tokens = [self.indexed().token(*pair) for pair in attributes.items()]
        db.execute("DELETE FROM token WHERE item = ?", (number,))
        db.executemany(
            "INSERT INTO token (token, item) VALUES (?, ?)", [(token, number) for token in tokens]
        )

    def seal_label(self, collection: str, label: str) -> bytes:
        """Return the sealed label of a collection."""
        about = pack_about(About(label=label))
        return self.opened().seal("collection.about", (collection,), about, self.random)

    def _seal_about(self, ref: ItemRef, about: About) -> bytes:
        place = ref.collection, ref.item
        return self.opened().seal("item.about", place, pack_about(about), self.random)

    def _seal_value(self, ref: ItemRef, value: Secret) -> bytes:
        if len(value) > MAX_SECRET:
            raise LimitError(f"a value of {len(value)} bytes exceeds the limit of {MAX_SECRET}")
        place = ref.collection, ref.item
        return self.opened().seal("item.value", place, value.expose(), self.random)


def open_about(sealer: Sealer, ref: ItemRef, sealed: bytes) -> About:
    """Return what is sealed of an item beside its value."""
    return unpack_about(sealer.open("item.about", (ref.collection, ref.item), sealed))


def open_label(sealer: Sealer, collection: str, sealed: bytes) -> str:
    """Return the label of a collection."""
    return unpack_about(sealer.open("collection.about", (collection,), sealed)).label


def open_value(sealer: Sealer, ref: ItemRef, content_type: str, sealed: bytes) -> Secret:
    """Return the value of an item."""
    return Secret(sealer.open("item.value", (ref.collection, ref.item), sealed), content_type)


def described(ref: ItemRef, row: Row, about: About | None) -> ItemInfo:
    """Return an item as other processes know it; without `about` it is locked."""
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


def _missing(ref: ItemRef) -> NotFoundError:
    return NotFoundError(f"no item {ref.item!r} in collection {ref.collection!r}")
