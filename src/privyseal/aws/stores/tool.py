"""Other programs that keep secrets: run with what they need on stdin, never in an argument."""

import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

from privyseal.errors import LimitError, PrivysealError, UnsupportedError, UsageError

_MAX_OUTPUT: Final = 16 * 1024 * 1024
_MAX_COMPLAINT: Final = 64 * 1024
_LINES: Final = 3  # pass says in the first of three that something is missing, in the second what
_SHOWN: Final = 300


def run(
    argv: Sequence[str], environment: Mapping[str, str], *, given: bytes = b"", missing: str
) -> bytes:
    """Return what a program prints; `missing` says what to install when there is none.

    It may ask its person on its terminal, so there is no limit of time.

    Raises:
        UnsupportedError: There is no such program.
        UsageError: A word cannot be an argument.
        LimitError: It prints more than any entry has.
        ProgramError: It failed; holds the last lines of its complaint.
    """
    pipe = subprocess.PIPE
    try:
        program = subprocess.Popen(argv, env=environment, stdin=pipe, stdout=pipe, stderr=pipe)
    except FileNotFoundError as error:
        raise UnsupportedError(f"there is no program {argv[0]!r}", hint=missing) from error
    except OSError as error:
        raise PrivysealError(f"cannot run {argv[0]!r}: {error.strerror}") from error
    except ValueError:
        raise UsageError(f"a name with a NUL is none for {argv[0]!r}") from None
    with program:
        printed, complaint = _conversed(program, given)
    if program.returncode and len(printed) <= _MAX_OUTPUT:
        raise ProgramError(Path(argv[0]).name, program.returncode, complaint)
    if len(printed) > _MAX_OUTPUT:
        raise LimitError(f"{argv[0]!r} prints more than {_MAX_OUTPUT} bytes")
    return printed


def _conversed(program: subprocess.Popen[bytes], given: bytes) -> tuple[bytes, bytes]:
    """Return what a program prints and what it complains of; it ends when it prints too much."""
    assert program.stdin is not None  # noqa: S101 - for the type checker: all three are pipes
    assert program.stdout is not None  # noqa: S101
    assert program.stderr is not None  # noqa: S101
    with ThreadPoolExecutor(2) as hands:
        try:
            hands.submit(_feed, program.stdin, given)
            complaint = hands.submit(_drained, program.stderr)
            printed = program.stdout.read(_MAX_OUTPUT + 1)
            if len(printed) > _MAX_OUTPUT:
                program.kill()
        except BaseException:
            program.kill()
            raise
        return printed, complaint.result()


def _feed(pipe: IO[bytes], given: bytes) -> None:
    with suppress(BrokenPipeError), pipe:
        pipe.write(given)


def _drained(pipe: IO[bytes]) -> bytes:
    """Return the beginning of what comes, once all has come."""
    kept = pipe.read(_MAX_COMPLAINT)
    while pipe.read(_MAX_COMPLAINT):
        pass
    return kept


class ProgramError(PrivysealError):
    """A program failed; `complaint` is all that it wrote to stderr."""

    def __init__(self, program: str, status: int, complaint: bytes) -> None:
        self.complaint = complaint.decode(errors="replace")
        lines = [line.strip() for line in self.complaint.splitlines() if line.strip()]
        why = f": {' '.join(lines[-_LINES:])[:_SHOWN]!r}" if lines else ""
        super().__init__(f"{program} ended with status {status}{why}")
