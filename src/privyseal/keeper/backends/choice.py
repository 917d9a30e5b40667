"""Which backend a keeper runs on, started and stopped with it."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from privyseal.model.clock import Clock
from privyseal.runtime.backend import Backend
from privyseal.runtime.paths import runtime_dir

GNOME_KEYRING: Final = "gnome-keyring"


@asynccontextmanager
async def open_backend(
    kind: str, store: Path, group: asyncio.TaskGroup, clock: Clock
) -> AsyncIterator[Backend]:
    """Yield the backend of this kind; gnome-keyring keeps its files beside the folder `store`.

    Only the chosen one is imported: what a keeper doesn't use is no part of what must be trusted.
    """
    if kind != GNOME_KEYRING:
        from privyseal.runtime.embedded import EmbeddedBackend  # noqa: PLC0415 - see above

        embedded = EmbeddedBackend(store, clock=clock)
        try:
            yield embedded
        finally:
            await embedded.close()
        return
    from privyseal.keeper.backends.secretservice import (  # noqa: PLC0415 - see above
        SecretServiceBackend,
    )
    from privyseal.runtime.privatebus import PrivateBus  # noqa: PLC0415 - see above

    base = runtime_dir()
    if not base.parent.is_dir():  # no login session: then there is no folder but ours
        base = store.parent
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="backend-", dir=base))
    bus = PrivateBus(group, folder, store.parent / GNOME_KEYRING)
    try:
        await bus.start()
        keyring = SecretServiceBackend(group, bus.address, "gnome-keyring, for Privyseal alone")
        try:
            yield keyring
        finally:
            await keyring.close()
    finally:
        await bus.stop()
        shutil.rmtree(folder, ignore_errors=True)
