"""What is known of entries without decrypting them again: for searches, across restarts.

Decrypting a thousand entries takes gpg a minute and more, because a protected key costs it its
key derivation every time. So the attributes of each entry are kept as keyed hashes, in a file
beside the store (never in it, and so in no history), for as long as the entry's file is the same.
Labels, attributes and values are kept in memory at most, and until the store is locked.
"""

import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from privyseal.errors import PrivysealError
from privyseal.model.value import Value, decode
from privyseal.provider.passtree.tree import File, Stamp
from privyseal.runtime.durable import durable_file
from privyseal.wire.vault import KEY, Index

log = logging.getLogger(__name__)

_VERSION: Final = 1
_STORE: Final = bytes(16)
_MAX_FILE: Final = 256 * 1024 * 1024


class _Record(Value, frozen=True):
    """One entry: its stamp and the hash of each of its attributes."""

    stamp: Stamp
    tokens: tuple[bytes, ...]


class _Saved(Value, frozen=True):
    """The file."""

    version: int
    key: bytes
    records: dict[str, _Record]


class Searchable:
    """The hashes of every entry that was read once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        saved = _load(path)
        self._key = saved.key
        self._records = saved.records
        self._index = Index(_STORE, saved.key)
        self._changed = False

    def knows(self, file: File) -> bool:
        """Return whether the entry was read as it is now."""
        record = self._records.get(file.path)
        return record is not None and record.stamp == file.stamp

    def note(self, file: File, attributes: Mapping[str, str]) -> None:
        """Remember the attributes of an entry."""
        tokens = tuple(self._index.token(name, value) for name, value in attributes.items())
        self._records[file.path] = _Record(stamp=file.stamp, tokens=tokens)
        self._changed = True

    def matches(self, file: File, attributes: Mapping[str, str]) -> bool:
        """Return whether the entry, as it is now, is known to have all these attributes."""
        if not attributes:
            return True
        if not self.knows(file):
            return False
        wanted = {self._index.token(name, value) for name, value in attributes.items()}
        return wanted <= set(self._records[file.path].tokens)

    def save(self, there: Iterable[File]) -> None:
        """Write what changed, without the entries that are gone; a failure costs only time."""
        if not self._changed:
            return
        paths = {file.path for file in there}
        self._records = {path: held for path, held in self._records.items() if path in paths}
        saved = _Saved(version=_VERSION, key=self._key, records=self._records)
        try:
            with durable_file(self._path) as opened:
                opened.write(msgspec.json.encode(saved))
            self._changed = False
        except (OSError, UnicodeEncodeError) as error:
            log.warning("the search index %s is not saved: %s", self._path, error)


def _load(path: Path) -> _Saved:
    try:
        with path.open("rb") as opened:
            saved = decode(opened.read(_MAX_FILE), _Saved, what=repr(str(path)))
        if saved.version == _VERSION and len(saved.key) == KEY:
            return saved
    except FileNotFoundError:
        pass
    except (OSError, PrivysealError) as error:
        log.warning("the search index is made anew: %s", error)
    return _Saved(version=_VERSION, key=os.urandom(KEY), records={})
