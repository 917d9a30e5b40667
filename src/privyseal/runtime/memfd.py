"""Sealed memfds: how secret bytes travel between processes (memfd_create(2), F_ADD_SEALS)."""

import fcntl
import os

from privyseal.errors import LimitError, UsageError

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def seal(value: bytes) -> int:
    """Return a new memfd that holds `value` and can never change again; the caller closes it."""
    fd = os.memfd_create("privyseal", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        view = memoryview(value)
        while view:
            view = view[os.write(fd, view) :]
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(fd)
        raise
    return fd


def read_sealed(fd: int, *, limit: int) -> bytes:
    """Return what a sealed memfd holds; the caller still owns `fd`.

    The seals are checked first: without them the sender could change the bytes, or shrink the
    file under a reader, after they were judged.

    Raises:
        UsageError: Not a sealed memfd.
        LimitError: It holds more than `limit` bytes.
    """
    try:
        seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
        size = os.fstat(fd).st_size
    except OSError as error:
        raise UsageError("the descriptor is not a memfd") from error
    if seals & _SEALS != _SEALS:
        raise UsageError("the memfd is not sealed")
    if size > limit:
        raise LimitError(f"a value of {size} bytes exceeds the limit of {limit}")
    return os.pread(fd, size, 0)
