"""One flight per key: of all threads and processes that want the same, one fetches it.

A flight is a lock on a file (flock(2)) of a folder that only this user reads: it ends with the
process that holds it, however that ends. Those who wait look again before they fetch. When a flight
fails, whoever waited for it shares its failure: one refusal at the prompt answers fifty shells.
"""

import errno
import fcntl
import hashlib
import json
import os
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from privyseal.errors import PrivysealError, UnreachableError, from_bus


class AloftError(PrivysealError):
    """Somebody else is fetching this now; only for those who did not want to wait."""


class Flights:
    """The flights of one user; every process of hers that names the same `folder` takes part."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def one(self, key: str, *, wait: bool = True) -> Iterator[None]:
        """Be the only one aloft with `key` until the block ends.

        Raises:
            AloftError: Somebody is, and we were told not to wait.
            PrivysealError: We waited, and the flight that we waited for failed with this.
            UnreachableError: The folder cannot be used.
        """
        path = self._path(key, "lock")
        fd = self._take(path, came=time.monotonic_ns(), wait=wait)
        try:
            yield
        except PrivysealError as error:
            _leave_failure(fd, error)
            raise
        finally:
            # Those who wait have the file open; they see that its name is gone and queue anew.
            with suppress(OSError):  # they queue by a name that stays, too
                path.unlink()
            os.close(fd)

    def note(self, key: str, text: str) -> None:
        """Write down a word for the next flight with `key`; it is gone when the machine restarts.

        Raises:
            UnreachableError: The folder cannot be used.
        """
        path = self._path(key, "note")
        temporary = path.with_suffix(f".{os.getpid()}")
        try:
            self._prepare()
            temporary.write_text(text)
            temporary.replace(path)
        except OSError as error:
            raise self._unusable(error) from error

    def noted(self, key: str) -> str:
        """Return what was written down last, "" when nothing was."""
        with suppress(OSError, UnicodeDecodeError):
            return self._path(key, "note").read_text()
        return ""

    def _path(self, key: str, kind: str) -> Path:
        return self._folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.{kind}"

    def _prepare(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = self._folder.lstat()
        # Where the runtime folder lies in a place for all, somebody else may have been faster.
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise PermissionError(errno.EPERM, "others can change what lies in it")

    def _take(self, path: Path, *, came: int, wait: bool) -> int:
        how = fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB
        try:
            self._prepare()
            while True:
                fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
                with ExitStack() as cleanup:
                    cleanup.callback(os.close, fd)
                    fcntl.flock(fd, how)
                    _share_failure(fd, came)
                    if _is_named(fd, path):
                        os.ftruncate(fd, 0)
                        cleanup.pop_all()
                        return fd
        except BlockingIOError:
            raise AloftError("somebody else is fetching this") from None
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> UnreachableError:
        return UnreachableError(f"cannot use {str(self._folder)!r}: {error.strerror}")


def _is_named(fd: int, path: Path) -> bool:
    # The last holder took the name away: then the lock we got is nobody's any more.
    try:
        return os.path.samestat(path.stat(), os.fstat(fd))
    except FileNotFoundError:
        return False


def _leave_failure(fd: int, error: PrivysealError) -> None:
    words = [time.monotonic_ns(), error.bus_name, str(error), error.hint]
    with suppress(OSError):
        os.pwrite(fd, json.dumps(words).encode(), 0)


def _share_failure(fd: int, came: int) -> None:
    # The monotonic clock is one for all processes of a machine.
    try:
        found = json.loads(os.pread(fd, 64 * 1024, 0))
    except (ValueError, RecursionError):
        return
    match found:
        case [int(at), str(name), str(message), str(hint)] if at >= came:
            raise from_bus(name, message, hint)
