"""The barrier around a whole command line: whatever ends it, it ends with a status."""

from __future__ import annotations

import errno
import os
import sys

from privyseal.errors import PrivysealError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141
_HOMELESS: Final = "Could not determine home directory"  # pathlib's own words
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


def guard(run: Callable[[], int], told: Callable[[Exception], int]) -> int:
    """Run a command line; return the exit status.

    What it raises goes to `told`, which prints it and returns the status, or raises it again.
    """
    _open_closed()
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a TextIOWrapper
    sys.stderr.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a TextIOWrapper
    try:
        status = run()
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
        return BROKEN_PIPE
    except KeyboardInterrupt:
        if sys.stderr.isatty():
            sys.stderr.write("\n")  # the shell's prompt would stand behind our question
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the one place of a program that takes everything
        return told(_named(error))
    return status


def _named(error: Exception) -> Exception:
    """Return what a person can act on, where any line of the program may have met it."""
    if isinstance(error, OSError) and error.errno in _FULL:
        _drop_output()
        return PrivysealError(f"cannot write: {error.strerror}")
    if isinstance(error, RuntimeError) and _HOMELESS in str(error):
        return PrivysealError("this user has no home folder", hint="set the variable HOME")
    return error


def _open_closed() -> None:
    """Put nothing in the place of standard streams that are closed, before another file takes it."""
    for fd, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            try:
                os.fstat(fd)
            except OSError:
                os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
            setattr(sys, name, open(os.devnull, mode))  # noqa: PTH123, SIM115 - pathlib costs 6 ms; it stays


def _drop_output() -> None:
    # What is still buffered must not be written, and fail again, when Python exits.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
