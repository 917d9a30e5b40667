"""The embedded store: sealed rows in SQLite, found by keyed hashes, opened by one passphrase.

docs/store-format.md is its specification. Every method is short and synchronous; those that write
return once the change is durable and may run in a worker thread, while reads stay in the event
loop. Locked means that the data key is not in memory: names, times and matches are known then,
labels, attributes and values are not.
"""

import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, closing
from hmac import compare_digest
from pathlib import Path
from typing import Final, final

import msgspec

from privyseal.errors import CorruptError
from privyseal.model.clock import Clock
from privyseal.model.keyring import CollectionInfo, ItemInfo, ItemRef
from privyseal.model.secret import Secret
from privyseal.runtime import vaultfile
from privyseal.runtime.vaultrows import Rows, described, open_about, open_label
from privyseal.wire.vault import (
    KEY,
    About,
    Cost,
    Index,
    Random,
    Sealer,
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


@final
class Vault:
    """One open store, locked or not; made by `create`, `load` and `volatile` below.

    Every method raises `NotFoundError` for what is not there, `LockedError` when it needs the data
    key and has none, and `CorruptError` or `PrivysealError` naming the file when the file fails.
    """

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    # The store as a whole.

    @property
    def locked(self) -> bool:
        """Whether the data key is not in memory."""
        return self.rows.sealer is None

    def unlock(self, passphrase: Secret) -> None:
        """Get the data key; takes the time and memory of scrypt.

        Raises:
            DeniedError: The passphrase is wrong.
        """
        rows = self.rows
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
        self.rows.sealer = None

    def close(self) -> None:
        """Forget the keys and close the file."""
        self.rows.close()

    # Collections and aliases.

    def collections(self) -> tuple[CollectionInfo, ...]:
        """Return every collection, in order of creation; labels are empty while locked."""
        sealer = self.rows.sealer
        with self.rows.reading() as db:
            found = db.execute(
                "SELECT id, about, created, modified FROM collection ORDER BY number"
            )
            return tuple(
                CollectionInfo(
                    id=name,
                    label=open_label(sealer, name, about) if sealer else "",
                    created=created,
                    modified=modified,
                    locked=sealer is None,
                )
                for name, about, created, modified in found
            )

    def create_collection(self, label: str, alias: str = "") -> str:
        """Make a collection and return its new name."""
        name = self.rows.random(8).hex()
        with self.rows.transaction() as db:
            self.rows.put_collection(db, name, label)
            if alias:
                self.rows.put_alias(db, alias, name)
        return name

    def change_collection(self, name: str, label: str) -> None:
        """Change the label of a collection."""
        with self.rows.transaction() as db:
            number = self.rows.number(db, name)
            db.execute(
                "UPDATE collection SET about = ?, modified = max(created, ?) WHERE number = ?",
                (self.rows.seal_label(name, label), self.rows.now(), number),
            )

    def delete_collection(self, name: str) -> None:
        """Delete a collection with its items and aliases."""
        with self.rows.transaction() as db:
            number = self.rows.number(db, name)
            self.rows.opened()
            db.execute("DELETE FROM collection WHERE number = ?", (number,))

    def aliases(self) -> dict[str, str]:
        """Return what each alias points to."""
        index = self.rows.indexed()
        with self.rows.reading() as db:
            return {
                index.open_alias(token, name): collection
                for token, name, collection in db.execute(_ALIASES)
            }

    def set_alias(self, alias: str, collection: str) -> None:
        """Let an alias point to a collection; the empty name removes it."""
        with self.rows.transaction() as db:
            self.rows.opened()
            if collection:
                self.rows.put_alias(db, alias, collection)
            else:
                token = self.rows.indexed().alias(alias)
                db.execute("DELETE FROM alias WHERE token = ?", (token,))

    # Items.

    def items(self, collection: str) -> tuple[str, ...]:
        """Return the names of the items of a collection, in order of creation."""
        with self.rows.reading() as db:
            number = self.rows.number(db, collection)
            found = db.execute(
                "SELECT id FROM item WHERE collection = ? ORDER BY number", (number,)
            )
            return tuple(name for (name,) in found)

    def describe(self, ref: ItemRef) -> ItemInfo:
        """Return what is known of an item."""
        with self.rows.reading() as db:
            row, sealer = self.rows.find(db, ref), self.rows.sealer
            return described(ref, row, open_about(sealer, ref, row.about) if sealer else None)

    def search(self, attributes: Mapping[str, str], collection: str = "") -> tuple[ItemRef, ...]:
        """Return the items that have all these attributes, in order of creation."""
        with self.rows.reading() as db:
            found = self.rows.match(db, attributes, collection)
            return tuple(ItemRef(collection=where, item=item) for where, item, _ in found)

    def read(self, ref: ItemRef) -> Secret:
        """Return the value of an item."""
        with self.rows.reading() as db:
            return self.rows.value(db, ref)

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
        now = self.rows.now()
        with self.rows.transaction() as db:
            return self.rows.put(db, collection, about, value, (now, now), replace=replace)

    def write(self, ref: ItemRef, value: Secret) -> None:
        """Overwrite the value of an item.

        Raises:
            LimitError: The value is longer than 1 MiB.
        """
        with self.rows.transaction() as db:
            row = self.rows.find(db, ref)
            about = self.rows.about(ref, row)
            about = msgspec.structs.replace(about, content_type=value.content_type)
            self.rows.put_about(db, ref, row, about)
            self.rows.put_value(db, ref, row, value)

    def change(
        self, ref: ItemRef, *, label: str | None, attributes: Mapping[str, str] | None
    ) -> None:
        """Change label or attributes of an item; None leaves them as they are.

        Raises:
            UsageError: Label or attributes are out of bounds.
        """
        with self.rows.transaction() as db:
            row = self.rows.find(db, ref)
            about = self.rows.about(ref, row)
            if label is not None:
                about = msgspec.structs.replace(about, label=label)
            if attributes is not None:
                about = msgspec.structs.replace(about, attributes=dict(attributes))
                self.rows.put_tokens(db, row.number, attributes)
            self.rows.put_about(db, ref, row, about)

    def delete(self, ref: ItemRef) -> None:
        """Delete an item."""
        with self.rows.transaction() as db:
            row = self.rows.find(db, ref)
            self.rows.opened()
            db.execute("DELETE FROM item WHERE number = ?", (row.number,))


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
