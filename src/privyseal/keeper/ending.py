"""How a companion locks: its processes end, since only that surely empties their memory."""

import asyncio
import os
import select
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Final

from privyseal.errors import PrivysealError
from privyseal.keeper.core import Core
from privyseal.runtime.bus import DBUS, Connection
from privyseal.wire.keeper import Notice

LOCKED: Final = 0
LOGGED_OUT: Final = 75
"""Exit statuses of the keeper: after the first, systemd starts a new one; after the second not."""

_DISK_SECONDS: Final = 5.0
_FAREWELL_SECONDS: Final = 1.0
_PATIENCE: Final = 3.0
_LONGEST_END: Final = 10


class Ending:
    """The end of the companion, from the record of a lock to the last of its processes."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.status = LOCKED
        self._others: list[int] = []

    async def lock(self, core: Core, by: str, status: int = LOCKED) -> None:
        """Record that the companion locks, and let it end, even if that cannot be recorded."""
        core.leases.end_all()
        core.store_locked = True
        self.status = max(self.status, status)
        detail = "logged out" if status == LOGGED_OUT else ""
        try:
            core.ports.audit.append("lock", outcome="locked", requester=by, detail=detail)
            core.ports.audience.notice(Notice(what="locked"))
            async with asyncio.timeout(_DISK_SECONDS):
                await core.ports.audit.flush()
        except TimeoutError:
            raise PrivysealError("the disk did not take the record of the lock in time") from None
        finally:
            self.asked.set()

    async def farewell(self, connections: Sequence[Connection]) -> None:
        """Tell all processes of this user to end.

        First the buses answer one more call each: what was sent before, such as the reply to
        whoever locked, is with them then.
        """
        signal.alarm(_LONGEST_END)  # whatever hangs from here on, this process ends
        with suppress(TimeoutError, PrivysealError):
            async with asyncio.timeout(_FAREWELL_SECONDS):
                for connection in connections:
                    await connection.owner(DBUS)
        self._others = _processes()
        with suppress(ProcessLookupError):
            os.kill(-1, signal.SIGTERM)  # all but this one that it may signal (kill(2))

    def outlast(self) -> None:
        """Wait for those that were told to end; kill those that don't."""
        poll = select.poll()
        deadline = monotonic() + _PATIENCE
        left = set(self._others)
        for pidfd in left:
            poll.register(pidfd, select.POLLIN)
        while left and (rest := deadline - monotonic()) > 0:
            for pidfd, _ in poll.poll(rest * 1000):
                poll.unregister(pidfd)
                left.discard(pidfd)
        for pidfd in left:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)


def _processes() -> list[int]:
    """Return pidfds of all processes but this one that it may signal: those of its user (kill(2)).

    Others may have as many processes as they like, so none is looked at any closer.
    """
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        with suppress(OSError):
            pidfd = os.pidfd_open(int(entry.name))
            try:
                signal.pidfd_send_signal(pidfd, 0)
            except OSError:
                os.close(pidfd)
            else:
                found.append(pidfd)
    return found
