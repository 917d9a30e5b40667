"""Notes for stores that keep none: one file beside them, so that a listing reads no value.

It holds what a person may see of her entries anyway, and no secret. A store stays right without it.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from privyseal.aws.ports import Item, KeyStore
from privyseal.errors import PrivysealError
from privyseal.runtime.durable import durable_file

_MAX_FILE: Final = 16 * 1024 * 1024

Notes = dict[str, dict[str, str]]


class NoteFile:
    """Notes by name in one JSON file; processes that write at once take turns."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Notes:
        """Return all notes; none when the file is not there or not ours."""
        try:
            with self._path.open("rb") as file:
                found = json.loads(file.read(_MAX_FILE))
        except (OSError, ValueError, RecursionError):
            return {}
        if not isinstance(found, dict):
            return {}
        return {key: _texts(notes) for key, notes in found.items() if isinstance(notes, dict)}

    @contextmanager
    def changing(self) -> Iterator[Notes]:
        """Lend the notes to be changed; they are kept when the block ends well.

        Raises:
            PrivysealError: They cannot be kept.
        """
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._unkept(error) from error
        try:
            self._lock(lock)
            notes = self.load()
            before = json.dumps(notes)
            yield notes
            after = json.dumps(notes)
            if after != before:
                self._save(after)
        finally:
            os.close(lock)

    def _lock(self, lock: int) -> None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:
            raise self._unkept(error) from error

    def _save(self, text: str) -> None:
        try:
            with durable_file(self._path) as file:
                file.write(text.encode())
        except OSError as error:
            raise self._unkept(error) from error

    def _unkept(self, error: OSError) -> PrivysealError:
        return PrivysealError(f"cannot write {str(self._path)!r}: {error.strerror}")


class NotedStore:
    """A store with notes from a file; what the store lacks is forgotten there too."""

    def __init__(self, store: KeyStore, notes: NoteFile) -> None:
        self._store = store
        self._notes = notes

    @property
    def description(self) -> str:
        """Name the store."""
        return self._store.description

    def entries(self) -> Mapping[str, Mapping[str, str]]:
        """Return every entry of the store, with what is noted of it."""
        known = self._notes.load()
        return {key: known.get(key, {}) for key in self._store.entries()}

    def read(self, key: str) -> Item:
        """Return one entry."""
        return self._store.read(key)._replace(notes=self._notes.load().get(key, {}))

    def write(self, item: Item) -> None:
        """Keep an entry; that it is kept counts, also when its notes cannot be."""
        self._store.write(item)
        with suppress(PrivysealError), self._notes.changing() as notes:
            notes[item.key] = {name: text for name, text in item.notes.items() if text}

    def remove(self, key: str) -> None:
        """Forget an entry and its notes."""
        self._store.remove(key)
        with suppress(PrivysealError), self._notes.changing() as notes:
            notes.pop(key, None)


def _texts(notes: Mapping[object, object]) -> dict[str, str]:
    return {str(name): text for name, text in notes.items() if isinstance(text, str)}
