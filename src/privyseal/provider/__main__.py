"""Run the provider: `python -I -m privyseal.provider --bus-address ADDRESS --store DIR`."""

import argparse
import asyncio
import contextlib
import os
import sys
from pathlib import Path
from typing import NoReturn

from privyseal.provider.service import Provider
from privyseal.provider.stores import KINDS, Store, open_store
from privyseal.runtime import config, serve
from privyseal.runtime.bus import Connection
from privyseal.runtime.clock import SystemClock


class _Stopped(Exception):  # noqa: N818 - a wish, not an error
    """Somebody asked us to stop."""


def main() -> int:
    """Run until SIGTERM, SIGINT or the end of the bus; return the exit status."""
    parser = argparse.ArgumentParser(prog="privyseal.provider", description=__doc__)
    parser.add_argument("--bus-address", help="the private bus; default: the session bus")
    parser.add_argument("--store", type=Path, help="folder of the store; default: as configured")
    parser.add_argument("--kind", choices=KINDS, help="default: as configured")
    parser.add_argument("--debug", action="store_true")
    options = parser.parse_args()
    serve.harden()
    serve.log_to_stderr(debug=options.debug)
    return serve.to_the_end(run(options))


async def run(options: argparse.Namespace) -> None:
    """Serve the store until a signal or the end of the bus.

    Raises:
        UnreachableError: The bus is not there.
        ConflictError: Another program provides the Secret Service there.
    """
    stop = serve.stop_event()
    settings = await config.load()
    folder = options.store or config.store_path(settings)
    kind = options.kind or settings.provider
    async with (
        asyncio.TaskGroup() as group,
        open_store(kind, folder, group, SystemClock(), bus=options.bus_address or "") as store,
    ):
        try:
            async with asyncio.TaskGroup() as calls:
                await _serve(store, calls, options.bus_address, stop)
        except* _Stopped:
            pass


async def _serve(
    store: Store, group: asyncio.TaskGroup, address: str | None, stop: asyncio.Event
) -> NoReturn:
    with contextlib.closing(await Connection.open(group, address)) as connection:
        await Provider(connection, store, group, serves=os.getuid()).start()
        serve.ready()
        ends = {
            group.create_task(connection.closed(), name="bus"),
            group.create_task(stop.wait(), name="stop"),
        }
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    raise _Stopped  # so that the group waits for no call that is still at work


if __name__ == "__main__":
    sys.exit(main())
