"""The agent: an unprivileged process in the desktop session that answers to the Secret Service."""

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from privyseal.agent.service import Face
from privyseal.errors import PrivysealError, UnreachableError
from privyseal.runtime.bus import Connection
from privyseal.runtime.clock import SystemClock
from privyseal.runtime.keeper import RequestLink
from privyseal.wire.keeper import BUS_NAME


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until a signal asks us to stop; return the exit status."""
    parser = argparse.ArgumentParser(prog="privyseal.agent", description=__doc__)
    parser.add_argument("--keeper-name", default=BUS_NAME, help="bus name of the keeper")
    parser.add_argument("--keeper-bus", help="address of the keeper's bus; the session bus if none")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    try:
        asyncio.run(serve(options.keeper_name, options.keeper_bus))
    except ExceptionGroup as group:
        error = _first(group)
        if error is None:
            raise
        sys.stderr.write(f"privyseal: error: {error}\n")
        if error.hint:
            sys.stderr.write(f"privyseal: hint: {error.hint}\n")
        return error.exit_status
    return 0


async def serve(keeper_name: str, keeper_bus: str | None) -> None:
    """Serve every face until SIGTERM or SIGINT.

    Raises:
        UnreachableError: The bus is not there, or went away.
        ConflictError: Another program provides the Secret Service.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        async with asyncio.TaskGroup() as group:
            await _faces(group, stop, keeper_name, keeper_bus)
    except* _StopError:
        pass


async def _faces(
    group: asyncio.TaskGroup, stop: asyncio.Event, keeper_name: str, keeper_bus: str | None
) -> NoReturn:
    # One connection each: the keeper may live on another bus, and what it says to us never mixes
    # with what programs of the desktop say.
    desktop = await Connection.open(group)
    keeper = await Connection.open(group, keeper_bus)
    for connection in (desktop, keeper):
        group.create_task(_watch(connection, stop), name="bus")
    face = Face(desktop, RequestLink(keeper, keeper_name), group, SystemClock())
    await face.start()
    await stop.wait()
    await face.stop()
    for connection in (desktop, keeper):
        connection.close()
    raise _StopError


class _StopError(Exception):
    """Ends the task group when a signal asked for it."""


async def _watch(connection: Connection, stop: asyncio.Event) -> None:
    await connection.closed()
    if not stop.is_set():
        raise UnreachableError("the message bus closed the connection")


def _first(group: ExceptionGroup[Exception]) -> PrivysealError | None:
    """Return the error a person should read: further ones are its consequences, defects are not."""
    ours, others = group.split(PrivysealError)
    if ours is None or others is not None:
        return None
    error: Exception = ours
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error if isinstance(error, PrivysealError) else None


if __name__ == "__main__":
    sys.exit(main())
