"""A tree of encrypted files that pass or passage keeps: one for each entry, the JSON text in it."""

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from privyseal.aws.items import classify, decode_item, encode_item
from privyseal.aws.ports import Item
from privyseal.aws.stores.names import key_of, older_path, path_of
from privyseal.aws.stores.notes import NoteFile
from privyseal.errors import CorruptError, NotFoundError, PrivysealError

_MAX_FILES: Final = 100_000


class Cipher(Protocol):
    """How a file of the tree is opened and made; names are paths below the top, without suffix."""

    suffix: str

    def show(self, name: str) -> bytes:
        """Return the text of a file that is there."""
        ...

    def insert(self, name: str, text: bytes) -> None:
        """Write a file, in place of the one that is there."""
        ...

    def remove(self, name: str) -> None:
        """Delete a file that is there."""
        ...


class TreeStore:
    """Entries below `prefix` in a tree whose top is `top`.

    Without a prefix they lie among a person's own passwords. Then a file counts as a key only once
    its text has been seen to be one, and only those at the top are looked at; `verdicts` remembers
    what was seen, so that each is opened once and not again before it changes.
    """

    def __init__(self, top: Path, prefix: str, cipher: Cipher, verdicts: NoteFile) -> None:
        self._top = top
        self._prefix = prefix.strip("/")
        self._cipher = cipher
        self._verdicts = verdicts

    @property
    def description(self) -> str:
        """Name the folder."""
        return f"the store of {type(self._cipher).__name__.lower()} in {str(self._folder)!r}"

    @property
    def _folder(self) -> Path:
        return self._top / self._prefix

    def entries(self) -> Mapping[str, Mapping[str, str]]:
        """Return every entry, without notes."""
        if not self._has(self._folder, stat.S_ISDIR):
            return {}
        paths = list(self._paths())
        if self._prefix:
            return {key_of(path): {} for path in paths}
        known = self._verdicts.load()
        plain = [p for p in paths if "/" not in p or p in known or p.startswith("oidc:")]
        ours = [path for path in plain if classify(key_of(path)) != "credential"]
        ours += self._proven([path for path in plain if path not in set(ours)])
        return {key_of(path): {} for path in ours}

    def read(self, key: str) -> Item:
        """Return one entry, wherever aws-vault or we have put it.

        Raises:
            CorruptError: The file holds something else, a password perhaps.
        """
        path = self._found(key)
        try:
            item = decode_item(self._cipher.show(self._name(path)))
        except CorruptError as error:
            raise CorruptError(f"{self._name(path)!r} in {self.description}: {error}") from None
        return item._replace(key=key)

    def write(self, item: Item) -> None:
        """Keep an entry; one that aws-vault put elsewhere is gone then."""
        path = path_of(item.key)
        self._cipher.insert(self._name(path), encode_item(item))
        older = older_path(item.key)
        if older and self._has(self._file(older), stat.S_ISREG):
            self._cipher.remove(self._name(older))
        if not self._prefix:
            with suppress(PrivysealError), self._verdicts.changing() as known:
                known[path] = {"stamp": self._stamp(path), "key": "yes"}

    def remove(self, key: str) -> None:
        """Delete the file of one entry."""
        self._cipher.remove(self._name(self._found(key)))

    def _paths(self) -> Iterator[str]:
        suffix = self._cipher.suffix
        count = 0
        for folder, folders, files in os.walk(self._folder):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(files):
                count += 1
                if count > _MAX_FILES:
                    raise PrivysealError(f"{self.description} has more than {_MAX_FILES} files")
                if name.endswith(suffix) and not name.startswith("."):
                    path = Path(folder, name.removesuffix(suffix)).relative_to(self._folder)
                    yield path.as_posix()

    def _proven(self, paths: list[str]) -> list[str]:
        """Return those of the paths that hold entries, and remember what was found."""
        known = self._verdicts.load()
        found = {path: known.get(path, {}) for path in paths}
        new = {}
        for path in paths:
            stamp = self._stamp(path)
            if found[path].get("stamp") != stamp:
                verdict = self._judge(path)
                if verdict:
                    new[path] = found[path] = {"stamp": stamp, "key": verdict}
        if new:
            with suppress(PrivysealError), self._verdicts.changing() as verdicts:
                verdicts.update(new)
        return [path for path in paths if found[path].get("key") == "yes"]

    def _judge(self, path: str) -> str:
        try:
            decode_item(self._cipher.show(self._name(path)))
        except CorruptError:
            return "no"
        except PrivysealError:
            return ""  # for another person's key, perhaps: no entry of ours as long as that is so
        return "yes"

    def _stamp(self, path: str) -> str:
        try:
            return str(self._file(path).stat().st_mtime_ns)
        except OSError:
            return ""

    def _found(self, key: str) -> str:
        for path in (path_of(key), older_path(key)):
            if path and self._has(self._file(path), stat.S_ISREG):
                return path
        raise NotFoundError(f"{self.description} holds no {key!r}")

    def _has(self, path: Path, kind: Callable[[int], bool]) -> bool:
        try:
            return kind(path.stat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise PrivysealError(
                f"cannot look into {self.description}: {error.strerror}"
            ) from error

    def _file(self, path: str) -> Path:
        return self._folder / f"{path}{self._cipher.suffix}"

    def _name(self, path: str) -> str:
        return f"{self._prefix}/{path}" if self._prefix else path
