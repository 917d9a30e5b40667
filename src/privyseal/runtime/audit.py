"""The files of an audit log, for reading: which there are, and their bytes line by line."""

from collections.abc import Iterator
from pathlib import Path

from privyseal.errors import NotFoundError, PrivysealError
from privyseal.runtime.paths import state_home
from privyseal.wire.audit import MAX_LINE, file_number


def default_folder() -> Path:
    """Return where the keeper writes its log unless it is told otherwise."""
    return state_home() / "audit"


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


def log_lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file, newline included; the last may lack it.

    A line longer than any entry can be comes in pieces, so that memory stays bounded.

    Raises:
        PrivysealError: The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            while line := file.readline(MAX_LINE):
                yield line
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> PrivysealError:
    return PrivysealError(f"cannot read {str(path)!r}: {error.strerror}")
