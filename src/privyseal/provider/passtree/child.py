"""One run of another program: what it gets, what it may give, how long it may take."""

import asyncio
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from privyseal.errors import LimitError, PrivysealError, UnreachableError

_CHUNK: Final = 64 * 1024
_MAX_SAID: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended; `said` is what it wrote to standard error."""

    status: int
    out: bytes
    said: str

    def __repr__(self) -> str:
        return f"Outcome({self.status}, <{len(self.out)} bytes>)"


async def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    given: bytes = b"",
    folder: Path | None = None,
    fds: Sequence[int] = (),
    limit: int = 0,
    seconds: float = 30.0,
) -> Outcome:
    """Run a program in a process group of its own until it ends.

    Raises:
        LimitError: It wrote more than `limit` bytes.
        UnreachableError: It took longer than `seconds`.
        PrivysealError: It could not be started.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            env=env,
            cwd=folder,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            pass_fds=fds,
            start_new_session=True,
        )
    except OSError as error:
        raise PrivysealError(
            f"cannot start {argv[0]!r}: {error.strerror}", hint="see `privy doctor`"
        ) from error
    try:
        async with asyncio.timeout(seconds):
            return await _talk(process, argv[0], given, limit)
    except TimeoutError:
        raise UnreachableError(f"{argv[0]} took longer than {seconds:.0f} s") from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def _talk(process: Process, name: str, given: bytes, limit: int) -> Outcome:
    streams = process.stdin, process.stdout, process.stderr
    stdin, stdout, stderr = streams
    if stdin is None or stdout is None or stderr is None:
        raise PrivysealError(f"{name} was started without its pipes")
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_feed(stdin, given))
            out = group.create_task(_drain(stdout, limit, name))
            said = group.create_task(_drain(stderr, _MAX_SAID, name))
    except* LimitError as errors:
        raise errors.exceptions[0] from None
    status = await process.wait()
    return Outcome(status, out.result(), said.result().decode(errors="replace"))


async def _feed(stdin: asyncio.StreamWriter, given: bytes) -> None:
    with suppress(ConnectionError):  # it may have ended without reading everything
        stdin.write(given)
        await stdin.drain()
        stdin.close()
        await stdin.wait_closed()


async def _drain(stream: asyncio.StreamReader, limit: int, name: str) -> bytes:
    parts = []
    size = 0
    while part := await stream.read(_CHUNK):
        size += len(part)
        if size > limit:
            raise LimitError(f"{name} wrote more than {limit} bytes")
        parts.append(part)
    return b"".join(parts)
