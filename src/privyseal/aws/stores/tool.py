"""Other programs that keep secrets: run with what they need on stdin, never in an argument."""

import os
import select
import selectors
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from privyseal.errors import LimitError, PrivysealError, UnsupportedError, UsageError

_MAX_OUTPUT: Final = 16 * 1024 * 1024
_MAX_COMPLAINT: Final = 64 * 1024
_CHUNK: Final = 64 * 1024
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
    """Return what a program prints and what it complains of; it is ended when it prints too much.

    Whoever interrupts this waits for nothing that the program has started and left behind.
    """
    printed, complaint, left = bytearray(), bytearray(), memoryview(given)
    assert program.stdin is not None  # noqa: S101 - for the type checker: all three are pipes
    assert program.stdout is not None  # noqa: S101
    assert program.stderr is not None  # noqa: S101
    with selectors.DefaultSelector() as pipes:
        pipes.register(program.stdin, selectors.EVENT_WRITE, program.stdin)
        for pipe in (program.stdout, program.stderr):
            pipes.register(pipe, selectors.EVENT_READ, pipe)
        try:
            while pipes.get_map() and len(printed) <= _MAX_OUTPUT:
                for key, _ in pipes.select():
                    if key.data is program.stdin:
                        over = not (left := _fed(key.fd, left))
                    else:
                        part = os.read(key.fd, _CHUNK)
                        (printed if key.data is program.stdout else complaint).extend(part)
                        del complaint[_MAX_COMPLAINT:]
                        over = not part
                    if over:
                        pipes.unregister(key.fileobj)
                        key.data.close()
        except BaseException:
            program.kill()
            raise
        if pipes.get_map():
            program.kill()
    return bytes(printed), bytes(complaint)


def _fed(pipe: int, left: memoryview) -> memoryview:
    try:
        return left[os.write(pipe, left[: select.PIPE_BUF]) :]
    except BrokenPipeError:  # it has read what it wants
        return left[:0]


class ProgramError(PrivysealError):
    """A program failed; `complaint` is all that it wrote to stderr."""

    def __init__(self, program: str, status: int, complaint: bytes) -> None:
        self.complaint = complaint.decode(errors="replace")
        lines = [line.strip() for line in self.complaint.splitlines() if line.strip()]
        why = f": {' '.join(lines[-_LINES:])[:_SHOWN]!r}" if lines else ""
        super().__init__(f"{program} ended with status {status}{why}")
