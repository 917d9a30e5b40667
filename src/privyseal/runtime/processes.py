"""Ending a child process of ours."""

import asyncio
from asyncio.subprocess import Process
from contextlib import suppress
from typing import Final

STOP_SECONDS: Final = 5.0
"""How long a process may take to end in good order before it is killed."""


async def end(process: Process) -> None:
    """Ask a process to end, kill it if it does not, and return when it has."""
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
