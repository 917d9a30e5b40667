"""Turns: a process has few calls answered at once, so that its flood leaves room for others."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from privyseal.errors import LimitError, UnreachableError

AT_ONCE: Final = 2
"""How many calls of one process are answered at the same time."""

PLACES: Final = 1024
"""How many calls of one process may wait for their turn, be it to be refused."""

EACH: Final = 4096
"""The length that counts for a call and for a descriptor, whatever they are."""

MAX_LENGTH: Final = 256 * EACH
"""How long, in characters, all may be together that shall be answered.

A command has 64 at most, and the agent 96. The others' only answer is a refusal. All that wait cost
memory together, and a user has as many processes as the system's bus takes connections: 256.
"""

REFUSAL_SECONDS: Final = 0.02
"""How long a refusal keeps its turn, so that a flood leaves room for others: 100 a second."""


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
    async def of(self, pid: int, length: int, drop: Callable[[], None]) -> AsyncIterator[None]:
        """Wait for a turn of this process, and have it for the length of the block.

        `length` is that of the call's texts, in characters, and `EACH` for every descriptor and index
        of one. Where too much waits already, `drop` is called to let go of what the call brought.

        Raises:
            LimitError: Too many calls of this process wait already, or too long ones.
            UnreachableError: The keeper stops.
        """
        queue = self._queues.setdefault(pid, _Queue())
        refused = LimitError(f"{queue.calls} calls of this process wait already: let them end")
        if queue.calls >= PLACES:
            raise refused
        length += EACH
        if full := queue.length + length > MAX_LENGTH:
            drop()
            length = 0
        queue.calls += 1
        queue.length += length
        try:
            async with queue.gate:
                if self.over:
                    raise UnreachableError("this program is stopping")
                try:
                    if full:
                        raise refused
                    yield
                except LimitError:
                    await asyncio.sleep(REFUSAL_SECONDS)
                    raise
        finally:
            queue.calls -= 1
            queue.length -= length
            if not queue.calls:
                del self._queues[pid]
