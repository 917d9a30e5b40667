"""Who owns which name on a bus, and waiting until that changes."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from privyseal.errors import PrivysealError
from privyseal.runtime.bus import DBUS, DBUS_PATH, Connection

SECRETS: Final = "org.freedesktop.secrets"
"""The name under which programs look for the Secret Service."""


class Names:
    """Watches the owners of well-known names over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._changed = asyncio.Event()

    async def start(self) -> None:
        """Hear of every change from now on."""
        await self._connection.listen(
            DBUS, DBUS, "NameOwnerChanged", lambda _path, _body: self._changed.set()
        )

    async def pid(self, name: str) -> int:
        """Return the PID of the process that owns `name`, 0 when nobody does."""
        owner = await self._connection.owner(name)
        if not owner:
            return 0
        with suppress(PrivysealError):  # it left between the two questions
            return (await self._connection.process_of(owner))[0]
        return 0

    async def until(self, name: str, wanted: Callable[[int], bool], *, seconds: float) -> int:
        """Return the PID behind `name` as soon as it is `wanted`; 0 stands for nobody.

        Raises:
            PrivysealError: It did not come to that in time.
        """
        try:
            async with asyncio.timeout(seconds):
                while True:
                    self._changed.clear()
                    if wanted(pid := await self.pid(name)):
                        return pid
                    await self._changed.wait()
        except TimeoutError:
            raise PrivysealError(f"{name} did not change hands within {seconds:.0f} s") from None

    async def activate(self, name: str) -> None:
        """Let the bus start whatever its activation file for `name` says.

        Raises:
            PrivysealError: There is no such file, or the program did not start.
        """
        await self._connection.call(DBUS, DBUS_PATH, DBUS, "StartServiceByName", "su", [name, 0])
