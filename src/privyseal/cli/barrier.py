"""The barrier around a whole command line: whatever ends it, it ends with a status."""

import os
import sys
from collections.abc import Callable
from typing import Final

INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141


def guard(run: Callable[[], int], told: Callable[[Exception], int]) -> int:
    """Run a command line; return the exit status.

    What it raises goes to `told`, which prints it and returns the status, or raises it again.
    """
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a TextIOWrapper
    sys.stderr.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a TextIOWrapper
    try:
        status = run()
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has left; what is still buffered must not be written when Python exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except KeyboardInterrupt:
        if sys.stderr.isatty():
            sys.stderr.write("\n")  # the shell's prompt would stand behind our question
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the one place of a program that takes everything
        return told(error)
    return status
