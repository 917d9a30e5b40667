"""Turns: a process has few calls answered at once, so that its flood leaves room for others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from privyseal.errors import LimitError, UnreachableError

AT_ONCE: Final = 2
"""How many calls of one process are answered at the same time."""

PLACES: Final = 128
"""How many calls of one process may be under way, those that wait for their turn included.

A command has 64 at most, and the agent 96. All that wait cost memory and descriptors together, and
a user has as many processes as the system's bus takes connections: 256.
"""

MAX_LENGTH: Final = 512 * 1024
"""How long, in characters, the texts of all these may be together."""


@dataclass(slots=True)
class _Queue:
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    calls: int = 0
    length: int = 0


class Turns:
    """The queues of the processes that have calls under way."""

    def __init__(self) -> None:
        self._queues: dict[int, _Queue] = {}
        self.over = False
        """Whether nobody has a turn any more, those included who wait already."""

    @asynccontextmanager
    async def of(self, pid: int, length: int) -> AsyncIterator[None]:
        """Wait for a turn of this process, and have it for the length of the block.

        `length` is that of the call's texts, in characters.

        Raises:
            LimitError: Too many calls of this process wait already, or too long ones.
            UnreachableError: The keeper stops.
        """
        queue = self._queues.setdefault(pid, _Queue())
        if queue.calls >= PLACES or queue.length + length > MAX_LENGTH:
            raise LimitError(f"{queue.calls} calls of this process wait already")
        queue.calls += 1
        queue.length += length
        try:
            async with queue.gate:
                if self.over:
                    raise UnreachableError("this program is stopping")
                yield
        finally:
            queue.calls -= 1
            queue.length -= length
            if not queue.calls:
                del self._queues[pid]
