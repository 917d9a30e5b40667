"""Files that a command writes: private, and there as a whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from privyseal.errors import ConflictError, PrivysealError


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Lend a file that gets the name `path` once its content is on disk.

    Raises:
        ConflictError: There is a file of that name; it stays as it is.
        PrivysealError: It cannot be written; nothing is left behind.
    """
    if path.is_symlink() or path.exists():
        raise _there(path)
    try:
        fd, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(fd, "wb") as file:
                yield file
                file.flush()
                os.fsync(fd)
            os.link(temporary, path)
        finally:
            Path(temporary).unlink(missing_ok=True)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except FileExistsError as error:
        raise _there(path) from error
    except OSError as error:
        raise PrivysealError(f"cannot write {str(path)!r}: {error.strerror}") from error


def _there(path: Path) -> ConflictError:
    return ConflictError(f"{str(path)!r} exists already", hint="give the new file another name")
