"""What lies in a store's tree: entries, collections, and to whom each is encrypted.

The tree itself is the collection `login`. A folder at its top becomes a collection of its own by
the file `.privyseal.json` in it, which holds what its name can't say; pass and gopass skip it.
Symbolic links are not followed, and what begins with a dot is nobody's entry.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import msgspec

from privyseal.errors import CorruptError, NotFoundError, PrivysealError, UsageError
from privyseal.model.keyring import ItemRef
from privyseal.model.value import Name, Text, Value, decode
from privyseal.provider.passtree.gpg import MAX_FILE
from privyseal.runtime.durable import durable_file
from privyseal.runtime.vault import SESSION
from privyseal.wire.passnames import identifier

LOGIN: Final = "login"
"""The collection that is the tree itself."""

ABOUT: Final = ".privyseal.json"
GPG_ID: Final = ".gpg-id"
_MAX_ABOUT: Final = 1024 * 1024
_MAX_RECIPIENTS: Final = 256
_SUFFIX: Final = ".gpg"

Identifier = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_]{1,255}\Z")]
Seconds = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class Stamp(NamedTuple):
    """What tells whether a file is the same as before."""

    mtime_ns: int
    size: int
    inode: int


class Folder(Value, frozen=True):
    """What `.privyseal.json` says of a collection; only the tree's own has aliases."""

    id: Identifier
    label: Text
    created: Seconds = 0
    modified: Seconds = 0
    aliases: Annotated[dict[Name, Name], msgspec.Meta(max_length=256)] = msgspec.field(
        default_factory=dict
    )


class File(NamedTuple):
    """One entry: its path below the tree without `.gpg`, and its stamp."""

    path: str
    stamp: Stamp


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The tree at one instant; `names` has the folder of each collection, "" for the tree."""

    folders: dict[str, Folder] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    entries: dict[ItemRef, File] = field(default_factory=dict)

    def folder(self, collection: str) -> Folder:
        """Return a collection.

        Raises:
            NotFoundError: It is not there.
        """
        if collection not in self.folders:
            raise NotFoundError(f"no collection {collection!r}")
        return self.folders[collection]

    def file(self, item: ItemRef) -> File:
        """Return the entry of an item.

        Raises:
            NotFoundError: It is not there.
        """
        if item not in self.entries:
            raise NotFoundError(f"no item {item.item!r} in {item.collection!r}")
        return self.entries[item]

    def inner(self, item: ItemRef) -> str:
        """Return the path of an item's entry below its collection: its label, if it says none."""
        path, name = self.file(item).path, self.names[item.collection]
        return path[len(name) + 1 :] if name else path


class Tree:
    """The files of one store."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def made(self) -> bool:
        """Whether there is a store.

        Raises:
            PrivysealError: This user may not look.
        """
        try:
            return (self.root / GPG_ID).is_file()
        except OSError as error:
            raise _unreadable(self.root, error) from error

    def make(self, recipient: str) -> None:
        """Make an empty store for one recipient; a failure is an OSError."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with durable_file(self.root / GPG_ID, replace=False) as file:
            file.write(f"{recipient}\n".encode())

    def scan(self) -> Snapshot:
        """Return what lies there now; a tree that is still to be made has nothing.

        Raises:
            PrivysealError: This user may not look.
        """
        try:
            return self._scan()
        except OSError as error:
            raise _unreadable(self.root, error) from error

    def _scan(self) -> Snapshot:
        snapshot = Snapshot()
        if not self.made:
            return snapshot
        first = self._read_about("") or Folder(
            id=LOGIN, label="Login", aliases={"default": LOGIN, LOGIN: LOGIN}
        )
        snapshot.folders[LOGIN], snapshot.names[LOGIN] = first, ""
        for name in sorted(_folders(self.root)):
            about = self._read_about(name)
            if about is not None and about.id not in {SESSION, *snapshot.folders}:
                snapshot.folders[about.id], snapshot.names[about.id] = about, name
        owners = {name: found for found, name in snapshot.names.items() if name}
        for file in sorted(self._files()):
            top, _, below = file.path.partition("/")
            collection = owners.get(top, LOGIN) if below else LOGIN
            inner = below if collection != LOGIN else file.path
            ref = ItemRef(collection=collection, item=identifier(inner))
            snapshot.entries[ref] = file
        return snapshot

    def recipients(self, path: str) -> list[str]:
        """Return for whom an entry is encrypted: the nearest `.gpg-id` above it says so.

        Raises:
            UsageError: It names nobody.
        """
        folder = self.root / path
        text = None
        while text is None:
            folder = folder.parent
            try:
                text = _read(folder / GPG_ID, _MAX_ABOUT).decode()
            except NotFoundError:
                if folder == self.root:
                    raise UsageError("the store has no `.gpg-id`") from None
            except UnicodeDecodeError as error:
                raise PrivysealError(f"cannot read {str(folder / GPG_ID)!r}: {error}") from error
        found = [line.partition("#")[0].strip() for line in text.splitlines()]
        named = [recipient for recipient in found if recipient][:_MAX_RECIPIENTS]
        if not named:
            raise UsageError(f"{str(folder / GPG_ID)!r} names nobody")
        return named

    def read(self, file: File) -> bytes:
        """Return an entry's file, still encrypted.

        Raises:
            NotFoundError: It is gone.
            CorruptError: It is no file, or too large to be an entry.
        """
        return _read(self.path(file.path), MAX_FILE)

    def path(self, entry: str) -> Path:
        """Return where an entry lies."""
        return self.root / f"{entry}{_SUFFIX}"

    def write(self, entry: str, content: bytes, *, replace: bool) -> Stamp:
        """Put an encrypted entry in place; return its stamp once it is durable.

        Raises:
            FileExistsError: There is one, and it is not to be replaced.
        """
        path = self.path(entry)
        _write(path, content, replace=replace)
        return _stamp(path.stat())

    def stamp(self, entry: str) -> Stamp | None:
        """Return the stamp of an entry, None if it is gone."""
        try:
            return _stamp(self.path(entry).lstat())
        except FileNotFoundError:
            return None

    def write_about(self, name: str, about: Folder) -> str:
        """Keep what is known of a collection; return the file's path below the tree."""
        inner = f"{name}/{ABOUT}" if name else ABOUT
        text = msgspec.json.format(msgspec.json.encode(about), indent=2)
        _write(self.root / inner, text + b"\n", replace=True)
        return inner

    def _read_about(self, name: str) -> Folder | None:
        path = self.root / name / ABOUT
        try:
            return decode(_read(path, _MAX_ABOUT), Folder, what=repr(str(path)))
        except NotFoundError:
            return None
        except UsageError as error:
            raise CorruptError(str(error)) from error

    def _files(self) -> Iterator[File]:
        for folder, folders, names in os.walk(self.root):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in names:
                if name.startswith(".") or not name.endswith(_SUFFIX):
                    continue
                path = os.path.join(folder, name)  # noqa: PTH118 - a thousand times in one listing
                try:
                    status = os.lstat(path)
                except FileNotFoundError:
                    continue
                if stat.S_ISREG(status.st_mode):
                    inner = os.path.relpath(path, self.root).removesuffix(_SUFFIX)
                    yield File(inner, _stamp(status))


def _unreadable(root: Path, error: OSError) -> PrivysealError:
    return PrivysealError(
        f"the store in {str(root)!r} cannot be read: {error.strerror}",
        hint="everything in it must belong to the user whose store it is",
    )


def _folders(root: Path) -> Iterator[str]:
    with os.scandir(root) as found:
        for entry in found:
            if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                yield entry.name


def _stamp(status: os.stat_result) -> Stamp:
    return Stamp(status.st_mtime_ns, status.st_size, status.st_ino)


def _read(path: Path, limit: int) -> bytes:
    """Return what a file of the tree holds: not where a link leads, nor what a pipe would give."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            regular = stat.S_ISREG(os.fstat(fd).st_mode)
            content = b""
            while regular and len(content) <= limit and (part := os.read(fd, limit + 1)):
                content += part
        finally:
            os.close(fd)
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {str(path)!r}") from None
    except OSError as error:
        raise PrivysealError(f"cannot read {str(path)!r}: {error.strerror}") from error
    if not regular or len(content) > limit:
        raise CorruptError(f"{str(path)!r} is no file, or larger than {limit} bytes")
    return content


def _write(path: Path, content: bytes, *, replace: bool) -> None:
    try:
        with durable_file(path, replace=replace) as file:
            file.write(content)
    except FileExistsError:
        raise
    except OSError as error:
        raise PrivysealError(f"cannot write {str(path)!r}: {error.strerror}") from error
