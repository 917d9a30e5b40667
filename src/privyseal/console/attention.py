"""The secure attention key as logind tells of it: a way to the console that no program can fake.

systemd 257 and later handle Ctrl+Alt+Shift+Esc (org.freedesktop.login1(5)). Where there is no
system bus, or a logind without it, nothing happens and nothing fails.
"""

import asyncio
import os
from collections.abc import Callable
from typing import Final

from privyseal.errors import PrivysealError
from privyseal.runtime.bus import DBUS, Connection

LOGIND: Final = "org.freedesktop.login1"
MANAGER: Final = "org.freedesktop.login1.Manager"
SIGNAL: Final = "SecureAttentionKey"

_SYSTEM_BUS: Final = "unix:path=/run/dbus/system_bus_socket"
_RETRY: Final = 5.0


async def listen(pressed: Callable[[], None]) -> None:
    """Call `pressed` whenever the key was pressed; come back to a bus that has gone."""
    address = os.environ.get("DBUS_SYSTEM_BUS_ADDRESS", _SYSTEM_BUS)
    while True:
        try:
            async with asyncio.TaskGroup() as group:
                connection = await Connection.open(group, address)
                following = group.create_task(_follow(connection, pressed))
                try:
                    await connection.closed()
                finally:
                    following.cancel()
                    connection.close()
        except* PrivysealError:
            pass
        await asyncio.sleep(_RETRY)


async def _follow(connection: Connection, pressed: Callable[[], None]) -> None:
    moved = asyncio.Event()
    rule = f",arg0='{LOGIND}'"
    await connection.listen(
        DBUS, DBUS, "NameOwnerChanged", lambda _path, _body: moved.set(), rule=rule
    )
    while True:
        moved.clear()
        owner = await connection.owner(LOGIND)
        if owner:
            await connection.listen(owner, MANAGER, SIGNAL, lambda _path, _body: pressed())
        await moved.wait()
        await connection.unlisten(owner, MANAGER, SIGNAL)
