"""Ask for a code with the pinentry that GnuPG uses, in a window or on the terminal."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from typing import IO, Final

from privyseal.errors import DeniedError, PrivysealError
from privyseal.wire import assuan

_PROGRAM: Final = "pinentry"
_MAX_LINES: Final = 64


def pinentry(message: str, serial: str, environment: Mapping[str, str]) -> str:
    """Return what the person gives to pinentry.

    Raises:
        DeniedError: She cancelled.
        PrivysealError: pinentry cannot be started, or does not speak Assuan.
    """
    del serial
    program = environment.get("PRIVYSEAL_PINENTRY", "") or _PROGRAM
    try:
        process = subprocess.Popen(
            [program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(environment),
        )
    except OSError as error:
        raise PrivysealError(f"cannot start {program}: {error.strerror}") from error
    try:
        with process:  # whose end flushes what was still to be written
            assert process.stdin is not None  # noqa: S101 - for the type checker: both are pipes
            assert process.stdout is not None  # noqa: S101
            try:
                return _converse(process.stdin, process.stdout, message, environment)
            finally:
                process.terminate()
    except OSError:
        raise PrivysealError(f"{program} went away") from None


def _converse(
    to: IO[bytes], answers: IO[bytes], message: str, environment: Mapping[str, str]
) -> str:
    _answer(answers)
    terminal_type = environment.get("TERM", "")
    options = [f"OPTION ttyname={os.ctermid()}"]
    options += [f"OPTION ttytype={terminal_type}"] if terminal_type else []
    for option in options:
        _say(to, option)
        _answer(answers, strict=False)
    for verb, text in (("SETTITLE", "privy aws"), ("SETDESC", message), ("SETPROMPT", "Code:")):
        _say(to, f"{verb} {assuan.escape(text.encode()).decode()}")
        _answer(answers)
    _say(to, "GETPIN")
    return _answer(answers).decode(errors="replace").strip()


def _say(to: IO[bytes], line: str) -> None:
    to.write(line.encode()[: assuan.MAX_LINE - 1] + b"\n")
    to.flush()


def _answer(answers: IO[bytes], *, strict: bool = True) -> bytes:
    data = b""
    for line in _lines(answers):
        word, _, rest = line.partition(b" ")
        match word:
            case b"OK":
                return data
            case b"D":
                data += assuan.unescape(rest)
            case b"ERR":
                if strict:
                    raise DeniedError("no code: pinentry was cancelled")
                return b""
            case _:
                pass  # status and comment lines
    raise PrivysealError("pinentry went away")


def _lines(answers: IO[bytes]) -> Iterator[bytes]:
    for _ in range(_MAX_LINES):
        line = answers.readline(assuan.MAX_LINE + 1)
        if not line.endswith(b"\n"):
            return
        yield line.rstrip(b"\r\n")
