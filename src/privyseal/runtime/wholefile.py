"""Files that a person names, read as a whole and up to a limit."""

from pathlib import Path

from privyseal.errors import LimitError, NotFoundError, PrivysealError


def read_whole(path: Path, limit: int) -> bytes:
    """Return the content of a file, which may be a pipe: of at most `limit` bytes.

    Raises:
        NotFoundError: There is none.
        LimitError: It is longer.
        PrivysealError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no file {str(path)!r}") from error
    except OSError as error:
        raise PrivysealError(f"cannot read {str(path)!r}: {error.strerror}") from error
    if len(content) > limit:
        raise LimitError(f"{str(path)!r} is longer than {limit} bytes")
    return content
