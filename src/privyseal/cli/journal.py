"""Changes to a person's files that can be taken back to the byte.

What a file was before is written to a journal, durably, before the first file is touched. So an
install that was cut off at any point is undone as well as a whole one.
"""

import difflib
import os
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec

from privyseal.errors import ConflictError, CorruptError, LimitError, PrivysealError, UsageError
from privyseal.model.value import Value, decode, encode
from privyseal.runtime.durable import sync_folder

MAX_FILE = 1024 * 1024


class Entry(Value, frozen=True):
    """A file with its bytes and mode, or a symbolic link with its target."""

    kind: Literal["file", "link"]
    content: bytes
    mode: int = 0o644

    @classmethod
    def text(cls, content: str) -> "Entry":
        """Return a plain text file."""
        return cls(kind="file", content=content.encode())

    @classmethod
    def link(cls, target: str) -> "Entry":
        """Return a symbolic link."""
        return cls(kind="link", content=os.fsencode(target), mode=0o777)


class Change(Value, frozen=True):
    """One path: what lay there before us, and what we put there."""

    path: str
    before: Entry | None
    after: Entry


class Record(Value, frozen=True):
    """The whole journal; `folders` are those we made, outermost first."""

    changes: tuple[Change, ...] = ()
    folders: tuple[str, ...] = ()


def look(path: Path) -> Entry | None:
    """Return what lies at `path`, None when nothing does.

    Raises:
        UsageError: Something other than a file or a link lies there.
        LimitError: The file is longer than `MAX_FILE` bytes: it is none that we replace.
    """
    try:
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            return Entry.link(str(path.readlink()))
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"{path} is neither a file nor a link", hint="move it away")
        if status.st_size > MAX_FILE:
            raise LimitError(f"{path} is longer than {MAX_FILE} bytes", hint="move it away")
        return Entry(kind="file", content=path.read_bytes(), mode=stat.S_IMODE(status.st_mode))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PrivysealError(f"cannot read {path}: {error.strerror}") from error


def difference(path: str, old: Entry | None, new: Entry | None) -> str:
    """Return the exact difference between two states of one path, as a unified diff."""
    lines = difflib.unified_diff(
        _lines(old),
        _lines(new),
        fromfile=path if old else "/dev/null",
        tofile=path if new else "/dev/null",
        lineterm="",
    )
    return "\n".join(lines)


def _lines(entry: Entry | None) -> list[str]:
    if entry is None:
        return []
    text = entry.content.decode(errors="backslashreplace")
    if entry.kind == "link":
        return [f"link to {text}"]
    return [f"{line!r}" if not line.isprintable() else line for line in text.splitlines()]


class Journal:
    """The changes of one installation, kept in one file until they are undone."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Record:
        """Return what was done and is not undone yet.

        Raises:
            CorruptError: The journal is not what we wrote.
        """
        entry = look(self._path)
        if entry is None:
            return Record()
        try:
            return decode(entry.content, Record, what=str(self._path))
        except UsageError as error:
            raise CorruptError(str(error)) from error

    def plan(self, wanted: Mapping[Path, Entry], folders: Iterable[Path] = ()) -> Record:
        """Return the journal as it will be once `wanted` is in place.

        Args:
            wanted: Every file of the installation, or of a part of it.
            folders: Folders that have to be there besides those of the files.

        Raises:
            ConflictError: A file of ours was changed by somebody else since.
        """
        known = {change.path: change for change in self.read().changes}
        changes: list[Change] = []
        for path, after in wanted.items():
            now = look(path)
            old = known.pop(str(path), None)
            if old is not None and now not in {old.after, old.before, after}:
                raise ConflictError(
                    f"{path} was changed since it was installed", hint="move it away first"
                )
            changes.append(Change(path=str(path), before=old.before if old else now, after=after))
        made = [*self.read().folders]
        for path in [self._path, *wanted, *(folder / "file" for folder in folders)]:
            missing = [str(folder) for folder in path.parents if not folder.exists()]
            made += [folder for folder in reversed(missing) if folder not in made]
        return Record(changes=(*known.values(), *changes), folders=tuple(made))

    def apply(self, record: Record) -> None:
        """Put everything of `record` in place, the journal first.

        Raises:
            PrivysealError: A folder cannot be made or written.
        """
        for folder in record.folders:
            try:
                Path(folder).mkdir(mode=0o755, parents=True, exist_ok=True)
            except OSError as error:
                raise PrivysealError(f"cannot make {folder}: {error.strerror}") from error
        if record != self.read():
            put(self._path, Entry(kind="file", content=encode(record), mode=0o600))
        for change in record.changes:
            path = Path(change.path)
            if look(path) != change.after:
                put(path, change.after)

    def undo(self) -> list[str]:
        """Put everything back; return the paths that somebody else changed and that stay."""
        record = self.read()
        kept: list[Change] = []
        for change in reversed(record.changes):
            path = Path(change.path)
            now = look(path)
            if now == change.before:
                continue
            if now != change.after:
                kept.insert(0, change)
            elif change.before is None:
                path.unlink()
            else:
                put(path, change.before)
        if kept:
            left = msgspec.structs.replace(record, changes=tuple(kept))
            put(self._path, Entry(kind="file", content=encode(left), mode=0o600))
        else:
            self._path.unlink(missing_ok=True)
        for folder in reversed(record.folders):
            with suppress(OSError):  # it holds something of somebody else by now
                Path(folder).rmdir()
        return [change.path for change in kept]


def put(path: Path, entry: Entry) -> None:
    """Replace what lies at `path` in one step, durably.

    Raises:
        PrivysealError: The folder cannot be written.
    """
    fresh = path.with_name(f".{path.name}.privyseal")
    try:
        fresh.unlink(missing_ok=True)
        if entry.kind == "link":
            fresh.symlink_to(os.fsdecode(entry.content))
        else:
            fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as file:
                os.fchmod(fd, entry.mode)
                file.write(entry.content)
                file.flush()
                os.fsync(fd)
        fresh.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise PrivysealError(f"cannot write {path}: {error.strerror}") from error
