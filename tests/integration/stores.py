"""Stores made in one go, for tests and benchmarks that need many items."""

from collections.abc import Iterator
from pathlib import Path

from privyseal.model.keyring import ItemInfo, ItemRef
from privyseal.model.secret import Secret
from privyseal.runtime import vault
from privyseal.runtime.clock import SystemClock
from privyseal.runtime.vault import FIRST
from privyseal.runtime.vaultcare import Exported, insert_many


def fill(folder: Path, passphrase: Secret, count: int) -> list[ItemRef]:
    """Make a store with `count` items; item number n has the attributes `n` and `service=bench`."""
    made = vault.create(folder, passphrase, clock=SystemClock())
    insert_many(made, _items(count), replace=False)
    refs = [ItemRef(collection=FIRST, item=name) for name in made.items(FIRST)]
    made.close()
    return refs


def _items(count: int) -> Iterator[Exported]:
    for number in range(count):
        info = ItemInfo(
            ref=ItemRef(collection=FIRST, item="new"),
            label=f"item {number}",
            attributes={"n": str(number), "service": "bench"},
        )
        yield Exported(FIRST, "Login", info, Secret(b"x" * 32))
