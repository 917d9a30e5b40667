"""The real gnome-keyring on a private bus of its own, for tests."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path

from privyseal.errors import PrivysealError
from privyseal.keeper.backends.secretservice import SecretServiceBackend
from privyseal.runtime.privatebus import PrivateBus


@asynccontextmanager
async def keyring_bus(folder: Path) -> AsyncIterator[PrivateBus]:
    async with asyncio.TaskGroup() as group:
        bus = PrivateBus(group, folder / "bus", folder / "data", pause_seconds=0.05)
        await bus.start()
        try:
            yield bus
        finally:
            await bus.stop()


@asynccontextmanager
async def open_backend(address: str) -> AsyncIterator[SecretServiceBackend]:
    async with asyncio.TaskGroup() as group:
        backend = SecretServiceBackend(group, address, "gnome-keyring on a private bus")
        try:
            yield backend
        finally:
            await backend.close()


async def outcome(call: Awaitable[object]) -> object:
    """Return what the call returned, or the error it ended with."""
    try:
        return await call
    except PrivysealError as error:
        return error
