"""Child processes that live and end with us: started in order, watched, stopped the other way round."""

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from privyseal.errors import PrivysealError
from privyseal.runtime.processes import end

_T = TypeVar("_T")
_TAIL_LINES: Final = 5
_TAIL_BYTES: Final = 4096
_STAMP: Final = re.compile(r"^\d{4}-\d\d-\d\d [\d:,]+ [A-Z]+ ")


class Interrupted(Exception):  # noqa: N818 - a wish of the person, not an error
    """Somebody asked us to stop."""


class Children:
    """The processes of one run; what they write goes to one log file each in `logs`."""

    def __init__(self, logs: Path, stop: asyncio.Event) -> None:
        self._logs = logs
        self._stop = stop
        self._running: dict[str, asyncio.subprocess.Process] = {}

    @asynccontextmanager
    async def child(
        self,
        name: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        fds: Sequence[int] = (),
        terminal: bool = False,
    ) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run one process until the block ends.

        It has no terminal and a session of its own, so that Ctrl-C reaches only us and we stop
        everything in order; with `terminal` it has ours. It ends when we are killed.

        Raises:
            PrivysealError: It could not be started.
        """
        with (self._logs / f"{name}.log").open("ab") as log:
            try:
                process = await asyncio.create_subprocess_exec(
                    *_bound_to_us(argv),
                    stdin=None if terminal else asyncio.subprocess.DEVNULL,
                    stdout=None if terminal else log,
                    stderr=log,
                    env=env,
                    pass_fds=fds,
                    start_new_session=not terminal,
                )
            except OSError as error:
                raise PrivysealError(f"cannot start {argv[0]!r}: {error.strerror}") from error
        if not terminal:
            self._running[name] = process
        try:
            yield process
        finally:
            self._running.pop(name, None)
            await end(process)

    async def guard(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Return what `work` returns, giving it up when a child ends or somebody stops us.

        Raises:
            PrivysealError: A child ended; the message ends with the last lines of its log.
            Interrupted: The stop event was set.
        """
        try:
            async with asyncio.TaskGroup() as group:
                watchers = [group.create_task(self._stopped())]
                watchers += [
                    group.create_task(self._ended(name, process))
                    for name, process in self._running.items()
                ]
                result = await work
                for watcher in watchers:
                    watcher.cancel()
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return result

    async def _stopped(self) -> None:
        await self._stop.wait()
        raise Interrupted

    async def _ended(self, name: str, process: asyncio.subprocess.Process) -> None:
        raise self.ended(name, await process.wait())

    def ended(self, name: str, status: int) -> PrivysealError:
        """Return the error that says how a child ended, with the last lines of its log."""
        how = f"with status {status}" if status >= 0 else f"by signal {-status}"
        tail = _tail(self._logs / f"{name}.log")
        return PrivysealError(f"the {name} ended {how}" + (f": {tail}" if tail else ""))


def _bound_to_us(argv: Sequence[str]) -> Sequence[str]:
    # Killed by signal 9 we can stop nobody: the kernel does it (PR_SET_PDEATHSIG, prctl(2)).
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--", *argv] if setpriv else argv


def _tail(path: Path) -> str:
    """Return the last lines of a log in one line, without anything that moves a cursor."""
    with path.open("rb") as log:
        log.seek(max(0, os.fstat(log.fileno()).st_size - _TAIL_BYTES))
        lines = log.read().decode(errors="replace").splitlines()[-_TAIL_LINES:]
    text = " | ".join(_STAMP.sub("", line.strip()) for line in lines if line.strip())
    return "".join(letter if letter.isprintable() else "?" for letter in text)
