"""Waiting for something that no event tells of."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

PATIENCE: Final = 60.0
"""Seconds after which a test says that something hangs; a busy machine can stand still for many."""


def until(condition: Callable[[], bool], *, seconds: float = PATIENCE) -> None:
    """Return as soon as `condition` holds; fail when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(0.01)


async def eventually(condition: Callable[[], bool], *, seconds: float = PATIENCE) -> None:
    """Do the same without holding up the event loop."""
    await asyncio.to_thread(until, condition, seconds=seconds)
