"""The console's two ways to run, once everything is loaded: on the session bus, or a companion's."""

import asyncio
import os
from pathlib import Path
from typing import Final

from privyseal.console import attention
from privyseal.console.app import Console
from privyseal.console.state import ScreenState
from privyseal.console.terminal import Terminal
from privyseal.console.vt import VirtualTerminal
from privyseal.errors import NotFoundError, UnreachableError
from privyseal.model.clock import Clock
from privyseal.runtime import companion as record, serve
from privyseal.runtime.bus import Connection
from privyseal.runtime.clock import SystemClock
from privyseal.runtime.keeper import DecisionLink
from privyseal.wire.keeper import BUS_NAME

_RETRY: Final = 0.5
_USERS: Final = Path("/run/systemd/users")
_PRESENT: Final = frozenset({"STATE=online", "STATE=active", "STATE=opening"})


def own_session(keeper_name: str | None, banner: str, notes: tuple[str, ...]) -> None:
    """Show the screen on this terminal, for a keeper on the session bus, until the person quits."""
    serve.harden()
    first = ScreenState(banner=banner, notes=notes)
    asyncio.run(run(Terminal(), keeper_name or BUS_NAME, SystemClock(), first))


def companion(uid: int, terminal: Terminal, vt: VirtualTerminal, phrase: str) -> None:
    """Show the screen on a virtual terminal until the companion's bus has come and gone.

    Raises:
        NotFoundError: The user has no companion.
    """
    serve.harden()
    found = record.find(uid)
    if found is None:
        raise NotFoundError(f"the user {uid} has no companion", hint="`privy provision` makes one")
    first = ScreenState(user=found.user, vt=vt.number, phrase=phrase, linked=False)
    known = _USERS / str(uid)
    asyncio.run(run_companion(terminal, vt, found.private_bus, SystemClock(), first, known))


async def run(terminal: Terminal, keeper_name: str, clock: Clock, first: ScreenState) -> None:
    """Show the screen on `terminal`, starting as `first`, for the keeper that owns `keeper_name`.

    Raises:
        UnreachableError: There is no message bus, or it has gone.
    """
    async with asyncio.TaskGroup() as group:
        connection = await Connection.open(group)
        lost = group.create_task(_lost(connection))
        try:
            with terminal:
                await Console(terminal, clock, first, DecisionLink(connection, keeper_name)).run()
        finally:
            lost.cancel()
            connection.close()


async def _lost(connection: Connection) -> None:
    await connection.closed()
    raise UnreachableError("the message bus has gone")


async def run_companion(
    terminal: Terminal,
    vt: VirtualTerminal | None,
    bus: str,
    clock: Clock,
    first: ScreenState,
    known: Path,
) -> None:
    """Show the screen on `terminal`, which is taken already, for the keeper on the bus at `bus`.

    The bus may come later. When it goes this returns: whoever starts the program anew gets a
    process whose memory never held a passphrase. `known` is what logind keeps of the user, there
    while sessions are (sd_uid_get_state(3)).
    """
    async with asyncio.TaskGroup() as group:
        console = Console(terminal, clock, first, vt=vt)
        sides = [
            group.create_task(_link(group, console, bus, known)),
            group.create_task(attention.listen(console.review)),
        ]
        try:
            await console.run()
        finally:
            for side in sides:
                side.cancel()


async def _link(group: asyncio.TaskGroup, console: Console, bus: str, known: Path) -> None:
    connection = await _connected(group, console, bus, known)
    try:
        console.linked(DecisionLink(connection))
        await connection.closed()
        console.quit()
    finally:
        connection.close()


async def _connected(
    group: asyncio.TaskGroup, console: Console, bus: str, known: Path
) -> Connection:
    while True:
        console.present(logged_in=_logged_in(known))
        if os.path.exists(bus.removeprefix("unix:path=")):  # noqa: ASYNC240, PTH110 - one stat(2) on a tmpfs
            try:
                return await Connection.open(group, bus)
            except UnreachableError:
                pass  # its socket is left over from a bus that has gone
        await asyncio.sleep(_RETRY)


def _logged_in(known: Path) -> bool:
    try:
        return not _PRESENT.isdisjoint(known.read_text().splitlines())
    except OSError:
        return False
