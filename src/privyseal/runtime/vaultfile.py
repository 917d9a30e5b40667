"""The file of the embedded store: made whole or not at all, opened only when it is one of ours."""

import shlex
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Final

from privyseal.errors import (
    ConflictError,
    CorruptError,
    PrivysealError,
    UnreachableError,
    UnsupportedError,
    UsageError,
)
from privyseal.runtime.durable import durable_file, sync_folder

_APPLICATION: Final = 0x50535654  # "PSVT", shown by file(1)
_SCHEMA_VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE vault (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    header BLOB NOT NULL, index_key BLOB NOT NULL, index_check BLOB NOT NULL
) STRICT;
CREATE TABLE collection (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
    created INTEGER NOT NULL, modified INTEGER NOT NULL, about BLOB NOT NULL
) STRICT;
CREATE TABLE alias (
    token BLOB PRIMARY KEY, name BLOB NOT NULL,
    collection INTEGER NOT NULL REFERENCES collection ON DELETE CASCADE
) STRICT;
CREATE TABLE item (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
    collection INTEGER NOT NULL REFERENCES collection ON DELETE CASCADE,
    created INTEGER NOT NULL, modified INTEGER NOT NULL,
    exact BLOB NOT NULL, about BLOB NOT NULL, value BLOB NOT NULL
) STRICT;
CREATE TABLE token (
    token BLOB NOT NULL,
    item INTEGER NOT NULL REFERENCES item ON DELETE CASCADE,
    PRIMARY KEY (token, item)
) STRICT, WITHOUT ROWID;
CREATE INDEX alias_collection ON alias (collection);
CREATE INDEX item_order ON item (collection, number, id);
CREATE INDEX item_exact ON item (collection, exact);
CREATE INDEX token_item ON token (item);
"""
_OBJECTS: Final = (
    "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY 2"
)


def store_path(folder: Path) -> Path:
    """Return where the store of `folder` lies."""
    return folder / "vault.sqlite3"


def index_path(folder: Path) -> Path:
    """Return where the index key of the store in `folder` lies."""
    return folder / "vault.index-key"


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn what SQLite says about the store at `path` into errors of ours."""
    try:
        yield
    except sqlite3.Error as error:
        # The low byte is the primary code; errors of Python's module itself carry none.
        match getattr(error, "sqlite_errorcode", 0) & 0xFF:
            case sqlite3.SQLITE_FULL:
                raise PrivysealError(
                    f"the disk of {str(path)!r} is full; nothing was changed",
                    hint="free some space and try again",
                ) from error
            case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
                raise _corrupt(path, "damaged, or not a store") from error
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                raise UnreachableError(f"another program keeps {str(path)!r} busy") from error
            case _:
                raise PrivysealError(f"the store {str(path)!r} fails: {error}") from error
    except UnicodeDecodeError as error:  # of a text in the file, or of what SQLite says about it
        raise _corrupt(path, "damaged, or not a store") from error
    except UnicodeEncodeError as error:
        raise UsageError("a name holds a lone surrogate") from error


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Name the file in what is found corrupt in it."""
    try:
        yield
    except CorruptError as error:
        raise _corrupt(path, str(error)) from error


def make_file(path: Path, content: bytes) -> None:
    """Write a new store to `path`, and its folder if there is none.

    Raises:
        ConflictError: There is a store already.
        UsageError: Others can write to the folder.
    """
    with _system(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_folder(path.parent.parent)
    _refuse_shared(path.parent)
    write_file(path, content, replace=False)


def make_in_memory() -> sqlite3.Connection:
    """Return a store with empty tables that is gone when its connection is closed."""
    memory = _connect(":memory:")
    memory.executescript(_SCHEMA)
    memory.execute(f"PRAGMA application_id = {_APPLICATION}")
    memory.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
    return memory


def open_file(path: Path) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    """Return two connections to the store at `path`: one that reads, one that writes.

    A commit on the second is on disk when it returns (write-ahead log, fsynced at each commit).

    Raises:
        CorruptError: The file is damaged, or no store of ours.
        UnsupportedError: A newer program wrote it.
        UsageError: Others can write to its folder.
    """
    _refuse_shared(path.parent)
    with _system(path):
        path.chmod(0o600)
    with translated(path), named(path), ExitStack() as undo:
        writer = undo.enter_context(closing(_connect(_uri(path))))
        _check(writer, path)
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("PRAGMA synchronous = FULL")
        writer.execute("PRAGMA secure_delete = ON")
        reader = open_reader(path)
        undo.pop_all()
        return reader, writer


def open_reader(path: Path) -> sqlite3.Connection:
    """Return one more connection that reads."""
    reader = _connect(_uri(path))
    reader.execute("PRAGMA query_only = ON")
    return reader


def write_file(path: Path, content: bytes, *, replace: bool = True) -> None:
    """Write a file that only its owner can read; it appears complete and durable, or not at all.

    Raises:
        ConflictError: There is an older one, and `replace` is not set.
    """
    with _system(path):
        try:
            with durable_file(path, replace=replace) as file:
                file.write(content)
        except FileExistsError as error:
            raise ConflictError(f"{str(path)!r} is there already") from error


def _refuse_shared(folder: Path) -> None:
    with _system(folder):
        mode = folder.stat().st_mode
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UsageError(
            f"others can write to the folder {str(folder)!r}",
            hint=f"run `chmod 700 {shlex.quote(str(folder))}`, or keep the store elsewhere",
        )


@contextmanager
def _system(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise PrivysealError(f"the store {str(path)!r} fails: {error.strerror}") from error


def _uri(path: Path) -> str:
    return f"{path.absolute().as_uri()}?mode=rw"


def _connect(name: str) -> sqlite3.Connection:
    # Reads run in the event loop and writes in a worker thread; SQLite is built serialised, and
    # the vault lets no two writes meet.
    connection = sqlite3.connect(name, uri=True, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    return connection


def _check(connection: sqlite3.Connection, path: Path) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != _APPLICATION:
        raise CorruptError("not a store of privyseal")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > _SCHEMA_VERSION:
        raise UnsupportedError(
            f"a newer privyseal wrote {str(path)!r} (schema {version}, known is {_SCHEMA_VERSION})",
            hint="upgrade privyseal",
        )
    # A trigger or a view planted in the file would run inside our own statements.
    with closing(make_in_memory()) as ours:
        if _objects(connection) != _objects(ours):
            raise CorruptError("its tables are not those of a store")
    if connection.execute("SELECT 1 FROM vault").fetchone() is None:
        raise CorruptError("its header is missing")


def _objects(connection: sqlite3.Connection) -> list[tuple[str, str, list[str]]]:
    # SQLite keeps each statement as it was typed; how we break its lines must not matter.
    found = connection.execute(_OBJECTS)
    return [(kind, name, (sql or "").split()) for kind, name, sql in found]


def _corrupt(path: Path, why: str) -> CorruptError:
    return CorruptError(
        f"the store {str(path)!r} cannot be used: {why}", hint="restore it from a backup"
    )
