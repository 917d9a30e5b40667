"""The files of an audit log, for reading: which there are, and their bytes line by line."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from privyseal.errors import NotFoundError, PrivysealError
from privyseal.wire.audit import MAX_LINE, file_number

_LOOKS: Final = 10
_PAUSE: Final = 0.02


def log_files(folder: Path) -> list[Path]:
    """Return the files of the log in `folder`, oldest first; files that are none are left out.

    Raises:
        NotFoundError: There is no such folder.
        PrivysealError: It cannot be read.
    """
    try:
        numbered = [(file_number(path.name), path) for path in folder.iterdir()]
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError(f"there is no audit log in {str(folder)!r}") from error
    except OSError as error:
        raise _unreadable(folder, error) from error
    return [path for number, path in sorted(numbered) if number]


def log_lines(path: Path, *, live: bool = False) -> Iterator[bytes]:
    """Yield the lines of a file, newline included; the last may lack it.

    A line longer than any entry can be comes in pieces, so that memory stays bounded. With `live`,
    a last line without its end is given a moment to become whole: a keeper may be writing it.

    Raises:
        NotFoundError: There is no such file.
        PrivysealError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            while line := file.readline(MAX_LINE):
                yield line if line.endswith(b"\n") or not live else _completed(line, file)
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no file {str(path)!r}") from error
    except OSError as error:
        raise _unreadable(path, error) from error


def _completed(line: bytes, file: BinaryIO) -> bytes:
    for _ in range(_LOOKS):
        time.sleep(_PAUSE)
        line += file.readline(MAX_LINE - len(line))
        if line.endswith(b"\n"):
            break
    return line


def _unreadable(path: Path, error: OSError) -> PrivysealError:
    return PrivysealError(f"cannot read {str(path)!r}: {error.strerror}")
