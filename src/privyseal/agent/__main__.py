"""The agent: an unprivileged process in the desktop session that answers to the Secret Service."""

import argparse
import asyncio
import resource
import sys

from privyseal.agent import companion
from privyseal.agent.notify import Notifier
from privyseal.agent.service import Face
from privyseal.errors import UnreachableError
from privyseal.runtime import serve
from privyseal.runtime.bus import Connection
from privyseal.runtime.clock import SystemClock
from privyseal.runtime.config import load
from privyseal.runtime.keeper import DecisionLink
from privyseal.runtime.requestlink import RequestLink
from privyseal.wire.keeper import BUS_NAME


def main() -> int:
    """Run until SIGTERM, SIGINT or the end of a bus; return the exit status."""
    parser = argparse.ArgumentParser(prog="privyseal.agent", description=__doc__)
    parser.add_argument("--bus-address", help="where programs call; default: the session bus")
    parser.add_argument("--keeper-bus-address", help="where the keeper is; default: the same bus")
    parser.add_argument("--keeper-name", default=BUS_NAME)
    parser.add_argument("--companion", type=int, metavar="UID", help="whose companion to ask")
    parser.add_argument("--debug", action="store_true")
    options = parser.parse_args()
    serve.log_to_stderr(debug=options.debug)
    if options.companion is not None:
        # The keeper's witness is root: it needs no leave to see us, and nobody else gets it.
        serve.harden()
        serve.allow_many_files()
        return serve.to_the_end(in_companion_mode(options))
    # Secrets pass through here: no core file. The process stays readable to its own user, since
    # the keeper shows a person which program a request came through.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    serve.allow_many_files()
    return serve.to_the_end(run(options))


async def in_companion_mode(options: argparse.Namespace) -> None:
    """Serve the session of a user who has a companion.

    Raises:
        UsageError: There is none, or we are somebody else.
    """
    around = companion.setting(options.companion, options.bus_address, options.keeper_bus_address)
    await companion.run(around, SystemClock())


async def run(options: argparse.Namespace) -> None:
    """Serve every face until a signal asks us to stop.

    Raises:
        UnreachableError: A bus is not there, or went away.
        ConflictError: Another program provides the Secret Service.
    """
    stop = serve.stop_event()
    async with asyncio.TaskGroup() as group:
        # One connection each: the keeper may live on another bus, and what it says to us never
        # mixes with what programs of the desktop say.
        desktop = await Connection.open(group, options.bus_address)
        keeper = await Connection.open(group, options.keeper_bus_address or options.bus_address)
        notices = await Connection.open(group, options.bus_address)
        watches = [group.create_task(_watch(bus), name="bus") for bus in (desktop, keeper)]
        face = Face(desktop, RequestLink(keeper, options.keeper_name), group, SystemClock())
        await face.start()
        settings = (await load()).notifications
        if settings.enabled and not options.keeper_bus_address:
            # Deciding is on this bus in own-session mode alone; elsewhere nothing may be approved
            # from the desktop, and nothing is told to it.
            link = DecisionLink(notices, options.keeper_name)
            notifier = Notifier(
                notices, link, buttons=settings.buttons, keeper_name=options.keeper_name
            )
            watches.append(group.create_task(notifier.run(), name="notifier"))
        serve.ready()
        await stop.wait()
        await face.stop()
        for task in watches:
            task.cancel()
        await asyncio.wait(watches)
        for bus in (desktop, keeper, notices):
            bus.close()


async def _watch(connection: Connection) -> None:
    await connection.closed()
    raise UnreachableError("the message bus closed the connection")


if __name__ == "__main__":
    sys.exit(main())
