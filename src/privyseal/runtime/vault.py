"""The embedded store: sealed rows in SQLite, found by keyed hashes, opened by one passphrase.

docs/store-format.md is its specification. Every method is short and synchronous; those that write
return once the change is durable and may run in a worker thread, while reads stay in the event
loop. Locked means that the data key is not in memory: names, times and matches are known then,
labels, attributes and values are not.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from hmac import compare_digest
from pathlib import Path
from typing import Final, NamedTuple, final

import msgspec

from privyseal.errors import CorruptError
from privyseal.model.clock import Clock
from privyseal.model.keyring import CollectionInfo, ItemInfo, ItemRef
from privyseal.model.secret import Secret
from privyseal.runtime import vaultfile
from privyseal.runtime.vaultrows import Row, Rows, described, open_about, open_value
from privyseal.wire.vault import (
    KEY,
    About,
    Cost,
    Index,
    Random,
    Sealer,
    unpack_about,
    unpack_index,
    unwrap,
)

FIRST: Final = "login"
"""The collection of a new store; the aliases `default` and `login` point to it."""

SESSION: Final = "session"
"""The only collection of a volatile store."""

_ALIASES: Final = """
SELECT a.token, a.name, c.id FROM alias a JOIN collection c ON c.number = a.collection
"""
_EXPORT: Final = """
SELECT c.id, i.id, i.value, i.number, i.created, i.modified, i.about
FROM item i JOIN collection c ON c.number = i.collection ORDER BY i.number
"""


class Exported(NamedTuple):
    """One item with its value, as an export lists it and an import takes it."""

    collection: str
    collection_label: str
    info: ItemInfo
    value: Secret


@final
class Vault:
    """One open store, locked or not; made by `create`, `load` and `volatile` below.

    Every method raises `NotFoundError` for what is not there, `LockedError` when it needs the data
    key and has none, and `CorruptError` or `PrivysealError` naming the file when the file fails.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    # The store as a whole.

    @property
    def locked(self) -> bool:
        """Whether the data key is not in memory."""
        return self._rows.sealer is None

    def unlock(self, passphrase: Secret) -> None:
        """Get the data key; takes the time and memory of scrypt.

        Raises:
            DeniedError: The passphrase is wrong.
        """
        rows = self._rows
        with rows.reading() as db:
            header, copy = db.execute("SELECT header, index_key FROM vault").fetchone()
            sealer = unwrap(header, passphrase)
            if rows.index is None:
                index = unpack_index(sealer.open("index", (), copy))
                vaultfile.write_file(vaultfile.index_path(rows.path.parent), index.pack())
                rows.index = index
            rows.sealer = sealer

    def lock(self) -> None:
        """Forget the data key."""
        self._rows.sealer = None

    def change_passphrase(self, old: Secret, new: Secret, cost: Cost | None = None) -> None:
        """Wrap the data key anew; older copies of the file still open with the old passphrase.

        Raises:
            DeniedError: `old` is wrong.
            UsageError: `new` is empty.
        """
        with self._rows.transaction() as db, vaultfile.named(self._rows.path):
            (header,) = db.execute("SELECT header FROM vault").fetchone()
            fresh = unwrap(header, old).wrap(new, cost or Cost(), self._rows.random)
            db.execute("UPDATE vault SET header = ?", (fresh,))
        self._rows.clear_log()

    def close(self) -> None:
        """Forget the keys and close the file."""
        self._rows.close()

    # Collections and aliases.

    def collections(self) -> tuple[CollectionInfo, ...]:
        """Return every collection, in order of creation; labels are empty while locked."""
        sealer = self._rows.sealer
        with self._rows.reading() as db:
            found = db.execute(
                "SELECT id, about, created, modified FROM collection ORDER BY number"
            )
            return tuple(
                CollectionInfo(
                    id=name,
                    label=_open_label(sealer, name, about) if sealer else "",
                    created=created,
                    modified=modified,
                    locked=sealer is None,
                )
                for name, about, created, modified in found
            )

    def create_collection(self, label: str, alias: str = "") -> str:
        """Make a collection and return its new name."""
        name = self._rows.random(8).hex()
        with self._rows.transaction() as db:
            self._rows.put_collection(db, name, label)
            if alias:
                self._rows.put_alias(db, alias, name)
        return name

    def change_collection(self, name: str, label: str) -> None:
        """Change the label of a collection."""
        with self._rows.transaction() as db:
            number = self._rows.number(db, name)
            db.execute(
                "UPDATE collection SET about = ?, modified = max(created, ?) WHERE number = ?",
                (self._rows.seal_label(name, label), self._rows.now(), number),
            )

    def delete_collection(self, name: str) -> None:
        """Delete a collection with its items and aliases."""
        with self._rows.transaction() as db:
            number = self._rows.number(db, name)
            self._rows.opened()
            db.execute("DELETE FROM collection WHERE number = ?", (number,))

    def aliases(self) -> dict[str, str]:
        """Return what each alias points to."""
        index = self._rows.indexed()
        with self._rows.reading() as db:
            return {
                index.open_alias(token, name): collection
                for token, name, collection in db.execute(_ALIASES)
            }

    def set_alias(self, alias: str, collection: str) -> None:
        """Let an alias point to a collection; the empty name removes it."""
        with self._rows.transaction() as db:
            self._rows.opened()
            if collection:
                self._rows.put_alias(db, alias, collection)
            else:
                token = self._rows.indexed().alias(alias)
                db.execute("DELETE FROM alias WHERE token = ?", (token,))

    # Items.

    def items(self, collection: str) -> tuple[str, ...]:
        """Return the names of the items of a collection, in order of creation."""
        with self._rows.reading() as db:
            number = self._rows.number(db, collection)
            found = db.execute(
                "SELECT id FROM item WHERE collection = ? ORDER BY number", (number,)
            )
            return tuple(name for (name,) in found)

    def describe(self, ref: ItemRef) -> ItemInfo:
        """Return what is known of an item."""
        with self._rows.reading() as db:
            row, sealer = self._rows.find(db, ref), self._rows.sealer
            return described(ref, row, open_about(sealer, ref, row.about) if sealer else None)

    def search(self, attributes: Mapping[str, str], collection: str = "") -> tuple[ItemRef, ...]:
        """Return the items that have all these attributes, in order of creation."""
        with self._rows.reading() as db:
            found = self._rows.match(db, attributes, collection)
            return tuple(ItemRef(collection=where, item=item) for where, item, _ in found)

    def read(self, ref: ItemRef) -> Secret:
        """Return the value of an item."""
        with self._rows.reading() as db:
            return self._rows.value(db, ref)

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
        now = self._rows.now()
        with self._rows.transaction() as db:
            return self._rows.put(db, collection, about, value, (now, now), replace=replace)

    def write(self, ref: ItemRef, value: Secret) -> None:
        """Overwrite the value of an item.

        Raises:
            LimitError: The value is longer than 1 MiB.
        """
        with self._rows.transaction() as db:
            row = self._rows.find(db, ref)
            about = self._rows.about(ref, row)
            about = msgspec.structs.replace(about, content_type=value.content_type)
            self._rows.put_about(db, ref, row, about)
            self._rows.put_value(db, ref, row, value)

    def change(
        self, ref: ItemRef, *, label: str | None, attributes: Mapping[str, str] | None
    ) -> None:
        """Change label or attributes of an item; None leaves them as they are.

        Raises:
            UsageError: Label or attributes are out of bounds.
        """
        with self._rows.transaction() as db:
            row = self._rows.find(db, ref)
            about = self._rows.about(ref, row)
            if label is not None:
                about = msgspec.structs.replace(about, label=label)
            if attributes is not None:
                about = msgspec.structs.replace(about, attributes=dict(attributes))
                self._rows.put_tokens(db, row.number, attributes)
            self._rows.put_about(db, ref, row, about)

    def delete(self, ref: ItemRef) -> None:
        """Delete an item."""
        with self._rows.transaction() as db:
            row = self._rows.find(db, ref)
            self._rows.opened()
            db.execute("DELETE FROM item WHERE number = ?", (row.number,))

    # All items at once.

    def export(self) -> Iterator[Exported]:
        """Yield every item with its value, as they are at this moment, while others may write."""
        sealer = self._rows.opened()
        with (
            vaultfile.translated(self._rows.path),
            vaultfile.named(self._rows.path),
            closing(vaultfile.open_reader(self._rows.path)) as db,
        ):
            db.execute("BEGIN")  # one snapshot for both queries
            labels = {
                name: _open_label(sealer, name, about)
                for name, about in db.execute("SELECT id, about FROM collection")
            }
            for collection, item, value, *cells in db.execute(_EXPORT):
                ref, row = ItemRef(collection=collection, item=item), Row(*cells)
                about = open_about(sealer, ref, row.about)
                secret = open_value(sealer, ref, about, value)
                yield Exported(collection, labels[collection], described(ref, row, about), secret)

    def insert_many(self, items: Iterable[Exported], *, replace: bool) -> int:
        """Store all of `items` or, when one fails, none; return how many.

        Each goes to the collection of that name or, when there is none, to a new one with that
        label. Items get new names and keep their times; with `replace`, those with exactly the
        attributes of an item of that collection overwrite it.

        Raises:
            LimitError: A value is longer than 1 MiB.
            UsageError: A text is out of bounds.
        """
        count = 0
        with self._rows.transaction() as db:
            names = {name: name for (name,) in db.execute("SELECT id FROM collection")}
            for collection, label, info, value in items:
                if collection not in names:
                    names[collection] = self._rows.random(8).hex()
                    self._rows.put_collection(db, names[collection], label)
                about = About(
                    label=info.label, attributes=info.attributes, content_type=value.content_type
                )
                times = info.created, max(info.created, info.modified)
                self._rows.put(db, names[collection], about, value, times, replace=replace)
                count += 1
        return count


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
    path = vaultfile.store_path(folder)
    rows = _in_memory(path, clock, random)
    with closing(rows.connections[0]) as db:
        header = rows.opened().wrap(passphrase, cost or Cost(), random)
        _found(rows, header, FIRST, ("default", FIRST))
        vaultfile.make_file(path, db.serialize())
    vaultfile.write_file(vaultfile.index_path(folder), rows.indexed().pack())
    rows.connections = vaultfile.open_file(path)
    return Vault(rows)


def load(folder: Path, *, clock: Clock, random: Random = os.urandom) -> Vault:
    """Return the store in `folder`, locked.

    Raises:
        CorruptError: The file is damaged, or no store of ours.
        UnsupportedError: A newer program wrote it.
    """
    path = vaultfile.store_path(folder)
    rows = Rows(connections=vaultfile.open_file(path), path=path, clock=clock, random=random)
    with ExitStack() as undo, rows.reading() as db:
        undo.callback(rows.close)
        (check,) = db.execute("SELECT index_check FROM vault").fetchone()
        rows.index = _load_index(vaultfile.index_path(folder), check)
        undo.pop_all()
    return Vault(rows)


def volatile(*, clock: Clock, random: Random = os.urandom) -> Vault:
    """Return a store in memory with the collection `SESSION`; its keys are nowhere else."""
    rows = _in_memory(Path(":memory:"), clock, random)
    _found(rows, b"", SESSION, ())
    return Vault(rows)


def _in_memory(path: Path, clock: Clock, random: Random) -> Rows:
    db = vaultfile.make_in_memory()
    rows = Rows(connections=(db, db), path=path, clock=clock, random=random)
    store = random(16)
    rows.sealer, rows.index = Sealer(store, random(KEY)), Index(store, random(KEY))
    return rows


def _found(rows: Rows, header: bytes, first: str, aliases: Iterable[str]) -> None:
    index = rows.indexed()
    copy = rows.opened().seal("index", (), index.pack(), rows.random)
    with rows.transaction() as db:
        db.execute("INSERT INTO vault VALUES (1, ?, ?, ?)", (header, copy, index.check()))
        rows.put_collection(db, first, first.capitalize())
        for alias in aliases:
            rows.put_alias(db, alias, first)


def _load_index(path: Path, check: bytes) -> Index | None:
    # A key that is missing, damaged or another store's is no error: the next unlock restores it.
    try:
        index = unpack_index(path.read_bytes())
    except (OSError, CorruptError):
        return None
    return index if compare_digest(index.check(), check) else None


def _open_label(sealer: Sealer, collection: str, sealed: bytes) -> str:
    return unpack_about(sealer.open("collection.about", (collection,), sealed)).label
