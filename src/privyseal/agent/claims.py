"""The bus names that are ours in companion mode: waited for, and complained of until we have them.

Whoever owns one of them answers programs in our place, and could ask a person for the passphrase
or hand out what it likes. It can't be driven away from here; it can be named.
"""

import asyncio
import os
from pathlib import Path
from typing import Final

from privyseal.agent.troubles import Troubles
from privyseal.runtime.bus import DBUS, DBUS_PATH, Connection
from privyseal.runtime.names import Names
from privyseal.wire.sanitise import fit

_OWNER: Final = 1
_ALREADY_OWNER: Final = 4
_CELLS: Final = 100


class Claims:
    """Asks for names on one connection and follows their owners on another."""

    def __init__(
        self,
        connection: Connection,
        watcher: Connection,
        names: tuple[str, ...],
        troubles: Troubles,
    ) -> None:
        self._connection = connection
        self._watcher = watcher
        self._names = names
        self._troubles = troubles
        self._moved = asyncio.Event()
        self.settled = asyncio.Event()

    async def run(self) -> None:
        """Own the names or wait for them, until cancelled; `settled` once each was asked for."""
        await self._watcher.listen(DBUS, DBUS, "NameOwnerChanged", self._changed)
        while True:
            self._moved.clear()
            for name in self._names:
                await self._claim(name)
            self.settled.set()
            await self._moved.wait()

    def _changed(self, _path: str, body: list[object]) -> None:
        if body[0] in self._names:
            self._moved.set()

    async def _claim(self, name: str) -> None:
        # Without flags: never to be replaced, and next in line while somebody else has it.
        reply = await self._connection.call(DBUS, DBUS_PATH, DBUS, "RequestName", "su", [name, 0])
        if reply.body[0] in {_OWNER, _ALREADY_OWNER}:
            self._troubles.tell(name, "")
            return
        pid = await Names(self._watcher).pid(name)
        if pid:
            self._troubles.tell(name, f"{name} is held by {_program(pid)}, pid {pid}, not by us")


def _program(pid: int) -> str:
    """Return the program of a process as its user's session tells it, quoted and short."""
    try:
        name = os.readlink(f"/proc/{pid}/exe")  # noqa: PTH115 - "(deleted)" is no part of a path
    except OSError:
        try:
            name = Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
        except OSError:
            return "a program that has left"
    return repr(fit(name, _CELLS))
