"""What a person does to a whole store by command: export it, fill it, change its passphrase.

The keeper loads none of this.
"""

from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Final, NamedTuple

from privyseal.model.keyring import ItemInfo, ItemRef
from privyseal.model.secret import Secret
from privyseal.runtime import vaultfile
from privyseal.runtime.vault import Vault
from privyseal.runtime.vaultrows import Row, described, open_about, open_label, open_value
from privyseal.wire.vault import About, Cost, unwrap

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


def change_passphrase(vault: Vault, old: Secret, new: Secret, cost: Cost | None = None) -> None:
    """Wrap the data key anew; older copies of the file still open with the old passphrase.

    Raises:
        DeniedError: `old` is wrong.
        UsageError: `new` is empty.
    """
    rows = vault.rows
    with rows.transaction() as db, vaultfile.named(rows.path):
        (header,) = db.execute("SELECT header FROM vault").fetchone()
        fresh = unwrap(header, old).wrap(new, cost or Cost(), rows.random)
        db.execute("UPDATE vault SET header = ?", (fresh,))
    rows.clear_log()


def contents(vault: Vault) -> Iterator[Exported]:
    """Yield every item with its value, as they are at this moment, while others may write."""
    path, sealer = vault.rows.path, vault.rows.opened()
    with (
        vaultfile.translated(path),
        vaultfile.named(path),
        closing(vaultfile.open_reader(path)) as db,
    ):
        db.execute("BEGIN")  # one snapshot for both queries
        labels = {
            name: open_label(sealer, name, about)
            for name, about in db.execute("SELECT id, about FROM collection")
        }
        for collection, item, value, *cells in db.execute(_EXPORT):
            ref, row = ItemRef(collection=collection, item=item), Row(*cells)
            about = open_about(sealer, ref, row.about)
            secret = open_value(sealer, ref, about.content_type, value)
            yield Exported(collection, labels[collection], described(ref, row, about), secret)


def insert_many(vault: Vault, items: Iterable[Exported], *, replace: bool) -> int:
    """Store all of `items` or, when one fails, none; return how many.

    Each goes to the collection of that name or, when there is none, to a new one with that
    label. Items get new names and keep their times; with `replace`, those with exactly the
    attributes of an item of that collection overwrite it.

    Raises:
        LimitError: A value is longer than 1 MiB.
        UsageError: A text is out of bounds.
    """
    rows, count = vault.rows, 0
    with rows.transaction() as db:
        names = {name: name for (name,) in db.execute("SELECT id FROM collection")}
        for collection, label, info, value in items:
            if collection not in names:
                names[collection] = rows.random(8).hex()
                rows.put_collection(db, names[collection], label)
            about = About(
                label=info.label, attributes=info.attributes, content_type=value.content_type
            )
            times = info.created, max(info.created, info.modified)
            rows.put(db, names[collection], about, value, times, replace=replace)
            count += 1
    return count
