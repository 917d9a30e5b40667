"""The parent's end of a courier: one side of an import as plain calls."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from privyseal.cli.migration_words import (
    Answer,
    Deed,
    Entry,
    Order,
    Shelf,
    Side,
    read_answer,
    write_frame,
)
from privyseal.errors import CorruptError, PrivysealError, UnreachableError

_SECONDS: Final = 10


class Courier:
    """A child that works as one user on one provider; every method raises what it was told."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    @classmethod
    @contextmanager
    def started(cls, side: Side, uid: int, address: str, home: Path) -> Iterator["Courier"]:
        """Run a courier for user `uid` until the block ends."""
        module = "privyseal.cli.migration_courier"
        words = [sys.executable, "-I", "-m", module, side, str(uid), address, str(home)]
        try:
            process = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise PrivysealError(f"cannot start a courier: {error.strerror}") from error
        with process:
            try:
                yield cls(process)
            finally:
                _end(process)

    def collections(self) -> tuple[str, tuple[Shelf, ...]]:
        """Return who the provider is, and its collections."""
        answer = self._do("collections")
        return answer.provider, answer.shelves

    def unlock(self, collection: str, passphrase: bytes) -> None:
        """Open a collection, by its passphrase or, without one, by the provider's prompt."""
        self._do("unlock", path=collection, passphrase=passphrase)

    def items(self, collection: str) -> tuple[str, ...]:
        """Return the paths of the items of a collection."""
        return self._do("items", path=collection).paths

    def look(self, item: str) -> Entry:
        """Return an item without its value."""
        return _entry(self._do("look", path=item))

    def read(self, item: str) -> Entry:
        """Return an item with its value."""
        return _entry(self._do("read", path=item))

    def create(self, collection: str, entry: Entry) -> str:
        """Store a new item; return its path."""
        return _path(self._do("create", path=collection, entry=entry))

    def write(self, item: str, entry: Entry) -> None:
        """Overwrite an item."""
        self._do("write", path=item, entry=entry)

    def delete(self, item: str) -> None:
        """Delete an item."""
        self._do("delete", path=item)

    def create_collection(self, label: str) -> str:
        """Make a collection; return its path."""
        return _path(self._do("collect", label=label))

    def _do(self, deed: Deed, **what: Any) -> Answer:
        process = self._process
        if process.stdin is None or process.stdout is None:
            raise UnreachableError("the courier has no pipes")
        with suppress(UnreachableError):  # one that could not begin has left its reason to be read
            write_frame(process.stdin, Order(deed=deed, **what))
        answer = read_answer(process.stdout)
        if answer.error:
            raise answer.raised()
        return answer


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.stdin is not None:
        with suppress(OSError):  # what was left to write has no reader any more
            process.stdin.close()
    try:
        process.wait(_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def _entry(answer: Answer) -> Entry:
    if answer.entry is None:
        raise CorruptError("the courier brought no item")
    return answer.entry


def _path(answer: Answer) -> str:
    if len(answer.paths) != 1:
        raise CorruptError("the courier brought no path")
    return answer.paths[0]
