"""How an entry is made, rewritten and removed: encrypted, in its place, in the history, told."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace as with_changes
from typing import Final

from privyseal.errors import ConflictError
from privyseal.model.clock import Clock
from privyseal.model.keyring import ItemRef
from privyseal.model.secret import Secret
from privyseal.provider.passtree.changes import Changes
from privyseal.provider.passtree.entries import Entries, attributes_of, readable
from privyseal.provider.passtree.folders import in_thread, numbered
from privyseal.provider.passtree.git import History
from privyseal.provider.passtree.gpg import Gpg
from privyseal.provider.passtree.keyhole import Keyhole
from privyseal.provider.passtree.tree import File, Tree
from privyseal.runtime.durable import sync_folder
from privyseal.wire.passentry import Entry, parse, render
from privyseal.wire.passnames import fit, identifier, unescape

_ATTEMPTS: Final = 3


@dataclass(frozen=True, slots=True)
class Place:
    """The tree that is written to, and what goes with it."""

    tree: Tree
    gpg: Gpg
    history: History
    keyhole: Keyhole
    entries: Entries


class Writing:
    """Writes entries; each is whole in its place before it is recorded and told."""

    def __init__(self, place: Place, changes: Changes, clock: Clock) -> None:
        self._place = place
        self._changes = changes
        self._clock = clock

    async def create(
        self, folder: str, collection: str, label: str, attributes: Mapping[str, str], value: Secret
    ) -> ItemRef:
        """Store a new entry in a folder, "" being the tree itself, under a name made of its label.

        Raises:
            ConflictError: Too many have that label.
        """
        created = int(self._clock.wall())
        base = fit(label)
        sealed: dict[bool, bytes] = {}
        inner = f"{folder}/" if folder else ""
        recipients = self._place.tree.recipients(f"{inner}{base}")
        for name in numbered(base):
            named = unescape(name) == label
            entry = Entry(
                secret=value,
                label=None if named else label,
                attributes=dict(attributes),
                created=created,
            )
            if named not in sealed:
                sealed[named] = await self._place.gpg.encrypt(render(entry), recipients)
            with suppress(FileExistsError):
                stamp = await asyncio.to_thread(
                    self._place.tree.write, inner + name, sealed[named], replace=False
                )
                break
        else:
            raise ConflictError(f"too many items with the label {label[:80]!r}")
        file = File(inner + name, stamp)
        ref = ItemRef(collection=collection, item=identifier(name))
        self._place.entries.remember(file, name, entry)
        await self._place.history.record(
            f"Add given password for {readable(file.path)} to store.", [f"{file.path}.gpg"]
        )
        self._changes.tell("created", collection, ref.item)
        return ref

    async def rewrite(self, item: ItemRef, change: Callable[[bytes, Entry], bytes]) -> None:
        """Put `change` of an entry in its place, unless somebody else changed it meanwhile.

        Raises:
            ConflictError: Somebody else does so again and again.
        """
        await self._place.keyhole.need()
        for _ in range(_ATTEMPTS):
            snapshot = await self._place.entries.around(item)
            file, path = snapshot.file(item), readable(snapshot.inner(item))
            content = await self._place.entries.content(file)
            entry = parse(content)
            if not entry.ours:
                attributes = attributes_of(entry, path)
                entry = with_changes(entry, label=path, attributes=attributes, ours=True)
            fresh = change(content, entry)
            sealed = await self._place.gpg.encrypt(fresh, self._place.tree.recipients(file.path))
            if self._place.tree.stamp(file.path) != file.stamp:
                continue
            stamp = await asyncio.to_thread(self._place.tree.write, file.path, sealed, replace=True)
            self._place.entries.remember(File(file.path, stamp), path, parse(fresh))
            await self._place.history.record(
                f"Edit {readable(file.path)} in store.", [f"{file.path}.gpg"]
            )
            self._changes.tell("changed", item.collection, item.item)
            return
        raise ConflictError("another program keeps changing this entry")

    async def remove(self, item: ItemRef) -> None:
        """Delete the file of an entry."""
        place = self._place
        file = (await place.entries.around(item)).file(item)
        await place.keyhole.need()

        def remove() -> None:
            path = place.tree.path(file.path)
            path.unlink(missing_ok=True)
            sync_folder(path.parent)

        await in_thread(remove)
        place.entries.forget(file.path)
        await place.history.record(
            f"Remove {readable(file.path)} from store.", [f"{file.path}.gpg"]
        )
        self._changes.tell("deleted", item.collection, item.item)
