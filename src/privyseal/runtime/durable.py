"""Files that are there as a whole or not at all, whatever instant the machine dies at."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def durable_file(path: Path, *, replace: bool = True) -> Iterator[BinaryIO]:
    """Lend a file for its owner alone; it gets the name `path` once its content is on disk.

    Leaving by an exception changes nothing. Without `replace`, a file that is there is spared.

    Raises:
        FileExistsError: One is there, spared.
        OSError: It cannot be written; the caller says what that means.
    """
    fd, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(fd, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        (os.replace if replace else os.link)(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make durable which names a folder holds (fsync(2))."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
