"""Files that a command writes for a person: never over another one."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from privyseal.errors import ConflictError, PrivysealError
from privyseal.runtime.durable import durable_file


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Lend a file that gets the name `path` once its content is on disk.

    Raises:
        ConflictError: There is a file of that name; it stays as it is.
        PrivysealError: It cannot be written; nothing is left behind.
    """
    # Told now, not after a person has typed passphrases.
    if path.is_symlink() or path.exists():
        raise _there(path)
    try:
        with durable_file(path, replace=False) as file:
            yield file
    except FileExistsError as error:
        raise _there(path) from error
    except OSError as error:
        raise PrivysealError(f"cannot write {str(path)!r}: {error.strerror}") from error


def _there(path: Path) -> ConflictError:
    return ConflictError(f"{str(path)!r} exists already", hint="give the new file another name")
