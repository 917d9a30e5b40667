"""The token of a server in a file that only its user reads, for as long as the server runs."""

import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from privyseal.errors import PrivysealError
from privyseal.runtime.paths import runtime_dir

_PREFIX: Final = "credentials-"


@contextmanager
def token_file(token: str) -> Iterator[Path]:
    """Lend a file that holds the token, mode 0600, in the runtime folder.

    Files that servers left there which were killed are removed on the way: a server holds a lock
    on its own file.

    Raises:
        PrivysealError: The file cannot be written.
    """
    with _folder() as folder:
        _sweep(folder)
        with ExitStack() as cleanup:
            try:
                path = _written(folder, token, cleanup)
            except OSError as error:
                raise PrivysealError(f"cannot write into {folder}: {error.strerror}") from error
            yield path


def _written(folder: Path, token: str, cleanup: ExitStack) -> Path:
    while True:
        fd, name = tempfile.mkstemp(dir=folder, prefix=_PREFIX)
        cleanup.callback(os.close, fd)
        cleanup.callback(Path(name).unlink, missing_ok=True)
        fcntl.flock(fd, fcntl.LOCK_EX)
        # Before it was locked, another server may have swept it out.
        if os.fstat(fd).st_nlink:
            os.write(fd, token.encode())
            return Path(name)


@contextmanager
def _folder() -> Iterator[Path]:
    folder = runtime_dir() / "aws"
    if _own(folder):
        yield folder
        return
    # No session of systemd's, and so no runtime folder: `su` and containers.
    with tempfile.TemporaryDirectory(prefix="privyseal-") as temporary:
        yield Path(temporary)


def _own(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            return False
        folder.chmod(0o700)
    except OSError:
        return False
    return True


def _sweep(folder: Path) -> None:
    for path in folder.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            finally:
                os.close(fd)
