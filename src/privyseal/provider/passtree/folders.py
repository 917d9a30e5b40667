"""The folders of a tree that are collections: made, changed and removed, each step on record."""

import asyncio
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final, TypeVar

from privyseal.errors import ConflictError, PrivysealError
from privyseal.provider.passtree.git import History
from privyseal.provider.passtree.tree import ABOUT, Folder, Snapshot, Tree
from privyseal.runtime.durable import sync_folder
from privyseal.wire.passnames import fit

_T = TypeVar("_T")
_MAX_NUMBER: Final = 10_000


class Folders:
    """Writes the folders of one tree."""

    def __init__(self, tree: Tree, history: History) -> None:
        self._tree = tree
        self._history = history

    async def make(self, about: Folder) -> None:
        """Make the folder of a new collection, named after its label.

        Raises:
            ConflictError: Too many collections have that label.
        """

        def work() -> str:
            for name in numbered(fit(about.label)):
                with suppress(FileExistsError):
                    (self._tree.root / name).mkdir(mode=0o700)
                    return self._tree.write_about(name, about)
            raise ConflictError(f"too many collections with the label {about.label[:80]!r}")

        path = await in_thread(work)
        await self._history.record(f"Add collection {os.path.dirname(path)}.", [path])  # noqa: PTH120 - a path in the tree

    async def change(
        self, snapshot: Snapshot, collection: str, change: Callable[[Folder], Folder]
    ) -> None:
        """Change what is kept of a collection; its folder keeps its name."""
        folder, name = change(snapshot.folder(collection)), snapshot.names[collection]
        path = await asyncio.to_thread(self._tree.write_about, name, folder)
        await self._history.record(f"Edit {ABOUT} of {name or 'the store'}.", [path])

    async def remove(self, name: str) -> None:
        """Delete a folder with everything in it."""

        def work() -> None:
            doomed = self._tree.root / f".gone-{os.urandom(8).hex()}"
            (self._tree.root / name).rename(doomed)
            sync_folder(self._tree.root)
            shutil.rmtree(doomed)

        await in_thread(work)
        await self._history.record(f"Remove {name} from store.", [name])


def numbered(base: str) -> Iterator[str]:
    """Yield a name, then the names to try when it is taken."""
    yield base
    yield from (f"{base}.{number}" for number in range(2, _MAX_NUMBER))


async def in_thread(work: Callable[[], _T]) -> _T:
    """Do what blocks; a failure of the file system becomes one of ours."""
    try:
        return await asyncio.to_thread(work)
    except OSError as error:
        raise PrivysealError(f"the store cannot be changed: {error}") from error
