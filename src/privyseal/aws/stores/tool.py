"""Other programs that keep secrets: run with what they need on stdin, never in an argument."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from privyseal.errors import LimitError, PrivysealError, UnsupportedError

_MAX_OUTPUT: Final = 16 * 1024 * 1024
_LINES: Final = 3  # pass says in the first of three that something is missing, in the second what
_SHOWN: Final = 300


def run(
    argv: Sequence[str], environment: Mapping[str, str], *, given: bytes = b"", missing: str
) -> bytes:
    """Return what a program prints; `missing` says what to install when there is none.

    It may ask its person on its terminal, so there is no limit of time.

    Raises:
        UnsupportedError: There is no such program.
        ProgramError: It failed; holds the last lines of its complaint.
    """
    try:
        done = subprocess.run(argv, env=environment, input=given, capture_output=True, check=False)
    except FileNotFoundError as error:
        raise UnsupportedError(f"there is no program {argv[0]!r}", hint=missing) from error
    except OSError as error:
        raise PrivysealError(f"cannot run {argv[0]!r}: {error.strerror}") from error
    if done.returncode:
        raise ProgramError(Path(argv[0]).name, done.returncode, done.stderr)
    if len(done.stdout) > _MAX_OUTPUT:
        raise LimitError(f"{argv[0]!r} prints more than {_MAX_OUTPUT} bytes")
    return done.stdout


class ProgramError(PrivysealError):
    """A program failed; `complaint` is all that it wrote to stderr."""

    def __init__(self, program: str, status: int, complaint: bytes) -> None:
        self.complaint = complaint.decode(errors="replace")
        lines = [line.strip() for line in self.complaint.splitlines() if line.strip()]
        why = f": {' '.join(lines[-_LINES:])[:_SHOWN]!r}" if lines else ""
        super().__init__(f"{program} ended with status {status}{why}")
