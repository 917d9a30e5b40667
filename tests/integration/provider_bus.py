"""Our provider on a bus of its own, inside the test."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

from tests.private_bus import private_bus

from privyseal.provider.service import Provider
from privyseal.provider.stores import Store
from privyseal.runtime.bus import Connection


@asynccontextmanager
async def served(folder: Path, store: Store, *, uid: int | None = None) -> AsyncIterator[str]:
    """Serve a store, to ourselves or to another user; yield the address of the bus."""
    serves = os.getuid() if uid is None else uid
    with private_bus(folder) as address:
        async with asyncio.TaskGroup() as group:
            with closing(await Connection.open(group, address)) as connection:
                provider = Provider(connection, store, group, serves=serves)
                await provider.start()
                yield address
                provider.stop()
