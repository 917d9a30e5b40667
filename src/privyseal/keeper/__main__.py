"""Run the keeper: `python -I -m privyseal.keeper --state DIR --store DIR`."""

import argparse
import asyncio
import contextlib
import logging
import os
import sys
from pathlib import Path

from privyseal.errors import PrivysealError
from privyseal.keeper.asking import Asking
from privyseal.keeper.audit import AuditLog
from privyseal.keeper.backends.choice import KINDS, open_backend
from privyseal.keeper.bus import BusAudience, DecisionMethods, RequestMethods
from privyseal.keeper.core import Core, Ports
from privyseal.keeper.deciding import Deciding
from privyseal.keeper.evidence import Witness
from privyseal.keeper.receipts import Signer
from privyseal.keeper.requesters import Callers, Requesters
from privyseal.keeper.requests import Requester
from privyseal.model.config import Config
from privyseal.runtime import config, serve
from privyseal.runtime.bus import DBUS, Connection
from privyseal.runtime.clock import SystemClock
from privyseal.runtime.paths import state_home
from privyseal.wire.keeper import BUS_NAME, StoreChange

log = logging.getLogger(__name__)

_TICK_SECONDS = 0.5
_CONFIG_SECONDS = 2.0


def main() -> int:
    """Run until SIGTERM, SIGINT or the end of the bus; return the exit status."""
    parser = argparse.ArgumentParser(prog="privyseal.keeper", description=__doc__)
    parser.add_argument("--config", type=Path, help="default: the person's own, then /etc")
    parser.add_argument("--state", type=Path, default=state_home(), help="audit log, receipt key")
    parser.add_argument("--store", type=Path, help="folder of the store; default: as configured")
    parser.add_argument("--backend", choices=KINDS, help="default: as configured")
    parser.add_argument("--bus-address", help="default: the session bus")
    parser.add_argument("--bus-name", default=BUS_NAME)
    parser.add_argument("--debug", action="store_true")
    options = parser.parse_args()
    serve.harden()
    serve.allow_many_files()
    serve.log_to_stderr(debug=options.debug)
    return serve.to_the_end(run(options))


async def run(options: argparse.Namespace) -> None:
    """Put the parts together, serve, and take them apart in order."""
    async with (
        contextlib.AsyncExitStack() as stack,
        asyncio.TaskGroup() as group,
        contextlib.AsyncExitStack() as inner,  # what has tasks in the group ends before it
    ):
        clock = SystemClock()
        settings = await config.load(options.config)
        audit = AuditLog.open(_audit_folder(options, settings), clock)
        stack.push_async_callback(audit.close)
        signer = Signer.open(options.state / "receipt.key")
        backend = await inner.enter_async_context(
            open_backend(
                options.backend or settings.backend,
                options.store or config.store_path(settings),
                group,
                clock,
            )
        )
        witness = await stack.enter_async_context(Witness.open())
        connection = await Connection.open(group, options.bus_address)
        stack.callback(connection.close)
        audience = BusAudience(connection)
        core = Core(Ports(backend, witness, audit, signer, clock, audience), settings.policy)
        asking, deciding = Asking(core), Deciding(core)
        callers = Callers(connection, witness.look, os.getuid())

        def left(requester: Requester, exited: bool) -> None:  # noqa: FBT001 - a callback's shape
            asking.leave(requester, exited=exited)

        requesters = Requesters(callers, witness, core.policy.limits.requesters, left)
        await core.recover()

        def store_changed(change: StoreChange) -> None:
            audience.changed(change)
            if not change.item:
                group.create_task(core.relearn(), name="store")

        backend.listen(store_changed)

        def owner_changed(_path: str, body: list[object]) -> None:
            name, _old, new = (str(part) for part in body)
            if name.startswith(":") and not new:
                audience.forget(name)
                requesters.face_left(name)

        await connection.listen(DBUS, DBUS, "NameOwnerChanged", owner_changed)
        requests = RequestMethods(core, asking, callers, requesters, audience)
        decisions = DecisionMethods(core, deciding, callers, audience, clock.wall())
        connection.serve({**requests.table(), **decisions.table()})
        await connection.claim(options.bus_name)
        audit.append("start", detail=f"backend {backend.description}")
        serve.ready()
        reload = asyncio.Event()
        stop = serve.stop_event(reload.set)
        ticking = group.create_task(_tick(asking), name="tick")
        reloading = group.create_task(_reload(core, options.config, reload), name="reload")
        bus = group.create_task(connection.closed(), name="bus")
        stopping = group.create_task(stop.wait(), name="stop")
        await asyncio.wait({bus, stopping}, return_when=asyncio.FIRST_COMPLETED)
        requesters.close()
        audit.append("stop")
        for task in (ticking, reloading, bus, stopping):
            task.cancel()


async def _tick(asking: Asking) -> None:
    while True:
        await asyncio.sleep(_TICK_SECONDS)
        try:
            asking.tick()
        except Exception:  # a defect about one request must not end all others
            log.exception("internal error in the tick")


async def _reload(core: Core, path: Path | None, asked: asyncio.Event) -> None:
    """Follow the configuration: on SIGHUP, and when a file of it changes."""
    stamp = config.stamp(path)
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CONFIG_SECONDS):
                await asked.wait()
        latest = config.stamp(path)
        if latest == stamp and not asked.is_set():
            continue
        asked.clear()
        stamp = latest
        try:
            core.obey((await config.load(path)).policy)
        except (PrivysealError, OSError) as error:  # the machine may have no process to spare
            log.warning("the configuration stays as it was: %s", error)
        else:
            log.info("the configuration was read again")


def _audit_folder(options: argparse.Namespace, settings: Config) -> Path:
    return config.audit_path(settings) if settings.audit.path else options.state / "audit"


if __name__ == "__main__":
    sys.exit(main())
