"""Run the keeper: `python -I -m privyseal.keeper --state DIR --store DIR`."""

import argparse
import asyncio
import contextlib
import functools
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from privyseal.errors import PrivysealError, UsageError
from privyseal.keeper import unaided
from privyseal.keeper.asking import Asking
from privyseal.keeper.audit import AuditLog
from privyseal.keeper.awsitems import AwsItems
from privyseal.keeper.broker import Broker
from privyseal.keeper.bus import BusAudience, DecisionMethods, Desk, RequestMethods
from privyseal.keeper.core import Core, Ports
from privyseal.keeper.deciding import Deciding
from privyseal.keeper.ending import Ending
from privyseal.keeper.evidence import Witness
from privyseal.keeper.glance import Glance, Station
from privyseal.keeper.logind import follow_logind
from privyseal.keeper.pins import Pins
from privyseal.keeper.receipts import Signer
from privyseal.keeper.requesters import Callers, Requesters
from privyseal.keeper.requests import Requester
from privyseal.model.clock import Clock
from privyseal.model.config import Config
from privyseal.runtime import companion, config, serve
from privyseal.runtime.backend import Backend
from privyseal.runtime.bus import DBUS, Connection
from privyseal.runtime.clock import SystemClock
from privyseal.runtime.paths import state_home
from privyseal.wire.keeper import BUS_NAME, Notice, StoreChange

log = logging.getLogger(__name__)

SYSTEM_BUS: Final = "unix:path=/run/dbus/system_bus_socket"

_TICK_SECONDS = 0.5
_CONFIG_SECONDS = 2.0


def main() -> int:
    """Run until SIGTERM, SIGINT, a companion's lock or the end of the bus; return the exit status."""
    parser = argparse.ArgumentParser(prog="privyseal.keeper", description=__doc__)
    parser.add_argument("--config", type=Path, help="default: the person's own, then /etc")
    parser.add_argument("--state", type=Path, default=state_home(), help="audit log, receipt key")
    parser.add_argument("--bus-address", help="default: the session bus")
    parser.add_argument("--bus-name", default=BUS_NAME)
    parser.add_argument("--debug", action="store_true")
    own = parser.add_argument_group("own-session mode")
    own.add_argument("--store", type=Path, help="folder of the store; default: as configured")
    own.add_argument("--backend", choices=("embedded", "gnome-keyring"), help="as configured")
    other = parser.add_argument_group("companion mode")
    other.add_argument("--desktop-uid", type=int, help="whose companion this is")
    other.add_argument("--request-bus", help="where faces ask; default: the system bus")
    other.add_argument("--request-name", help=f"default: {BUS_NAME}.u and the desktop UID")
    other.add_argument("--witness", type=Path, help="the socket of the witness")
    other.add_argument("--broker", type=Path, help="the socket of the AWS broker")
    options = parser.parse_args()
    if options.desktop_uid is not None and (options.store or options.backend):
        parser.error("a companion's secrets lie with the provider on its private bus")
    if (user := options.desktop_uid) is not None:
        options.bus_address = options.bus_address or f"unix:path=/run/privyseal/{user}/bus"
        system = os.environ.get("DBUS_SYSTEM_BUS_ADDRESS", SYSTEM_BUS)
        options.request_bus = options.request_bus or system
        options.request_name = options.request_name or f"{BUS_NAME}.u{user}"
        options.witness = options.witness or Path(f"/run/privyseal/witness-{user}")
        options.broker = options.broker or Path(f"/run/privyseal/aws-{user}")
    serve.harden()
    serve.allow_many_files()
    serve.log_to_stderr(debug=options.debug)
    ending = Ending() if options.desktop_uid is not None else None
    status = serve.to_the_end(run(options, ending))
    if ending is None or not ending.asked.is_set():
        return status
    ending.outlast()
    return ending.status


@dataclass(frozen=True, slots=True)
class Sides:
    """Where faces ask and where a person decides: two buses in companion mode, else one."""

    asking: Connection
    deciding: Connection
    faces: Callers
    deciders: Callers


async def run(options: argparse.Namespace, ending: Ending | None) -> None:
    """Put the parts together, serve, and take them apart in order."""
    async with (
        contextlib.AsyncExitStack() as stack,
        asyncio.TaskGroup() as group,
        contextlib.AsyncExitStack() as inner,  # what has tasks in the group ends before it
    ):
        clock = SystemClock()
        station = _station(options)
        settings = await config.load(options.config)
        audit = AuditLog.open(_audit_folder(options, settings), clock)
        stack.push_async_callback(audit.close)
        signer = Signer.open(options.state / "receipt.key")
        backend = await inner.enter_async_context(_backend(options, settings, group, clock))
        witness = await stack.enter_async_context(Witness.open(options.witness))
        sides = await _connect(options, group, witness, stack)
        audience = BusAudience(sides.asking, sides.deciding)
        pins = Pins(lambda: audience.notice(Notice(what="pins")))
        apart = ending is not None
        broker = Broker(AwsItems(backend), pins, options.broker, companion=apart)
        stack.push_async_callback(broker.close)
        ports = Ports(backend, witness, audit, signer, clock, audience, broker, group, apart)
        core = Core(ports, settings.policy)
        asking, deciding = Asking(core), Deciding(core)
        glance = Glance(core, station, witness.present)
        desk = Desk(core, deciding, audience, glance, pins, ending)

        def left(requester: Requester, exited: bool) -> None:  # noqa: FBT001 - a callback's shape
            asking.leave(requester, exited=exited)

        requesters = Requesters(sides.faces, witness, core.policy.limits.requesters, left)
        await core.recover()

        def store_changed(change: StoreChange) -> None:
            audience.changed(change)
            if not change.item:
                group.create_task(core.relearn(), name="store")

        backend.listen(store_changed)
        await _serve(options, sides, desk, asking, requesters)
        if ending is not None:
            lock = functools.partial(ending.lock, core)
            follow = follow_logind(group, options.request_bus, options.desktop_uid, lock)
            await inner.enter_async_context(follow)
        audit.append("start", detail=f"backend {backend.description}")
        serve.ready()
        await _until_the_end(group, sides, core, asking, ending, options.config)
        # The group lasts until every call is answered; a flood could make that late, or never.
        desk.turns.over = True
        sides.asking.stop()
        pins.close()
        if ending is None or not ending.asked.is_set():
            requesters.close()  # what waits while a companion locks is recorded as abandoned
        audit.append("stop")


async def _connect(
    options: argparse.Namespace,
    group: asyncio.TaskGroup,
    witness: Witness,
    stack: contextlib.AsyncExitStack,
) -> Sides:
    private = await Connection.open(group, options.bus_address)
    stack.callback(private.close)
    user: int | None = options.desktop_uid
    if user is None:
        callers = Callers(private, witness.look, os.getuid())
        return Sides(private, private, callers, callers)
    public = await Connection.open(group, options.request_bus)
    stack.callback(public.close)
    return Sides(
        asking=public,
        deciding=private,
        faces=Callers(public, witness.look, user, speaker=user),
        deciders=Callers(private, unaided.colleague, os.getuid()),
    )


async def _serve(
    options: argparse.Namespace, sides: Sides, desk: Desk, asking: Asking, requesters: Requesters
) -> None:
    """Answer from now on; forget whoever leaves a bus."""
    requests = RequestMethods(desk, asking, sides.faces, requesters).table()
    decisions = DecisionMethods(desk, sides.deciders).table()

    def face_left(name: str) -> None:
        desk.audience.subscribers.discard(name)
        desk.glance.forget(name)
        requesters.face_left(name)

    def decider_left(name: str) -> None:
        desk.audience.watchers.discard(name)
        desk.pins.forget(name)
        sides.deciders.forget(name)

    if sides.asking is sides.deciding:
        await _follow(sides.faces, sides.deciding, [face_left, decider_left])
        sides.deciding.serve({**requests, **decisions})
    else:
        await _follow(sides.faces, sides.asking, [face_left])
        await _follow(sides.deciders, sides.deciding, [decider_left])
        sides.asking.serve(requests)
        sides.deciding.serve(decisions)
        await sides.asking.claim(options.request_name)
    await sides.deciding.claim(options.bus_name)


async def _follow(callers: Callers, bus: Connection, left: Sequence[Callable[[str], None]]) -> None:
    def owner_changed(_path: str, body: list[object]) -> None:
        name, _old, new = (str(part) for part in body)
        if name.startswith(":"):
            for tell in [callers.came] if new else left:
                tell(name)

    await bus.listen(DBUS, DBUS, "NameOwnerChanged", owner_changed)
    callers.came("")


async def _until_the_end(
    group: asyncio.TaskGroup,
    sides: Sides,
    core: Core,
    asking: Asking,
    ending: Ending | None,
    files: Path | None,
) -> None:
    """Tick, and follow the configuration, until something ends the keeper."""
    reload = asyncio.Event()
    stop = serve.stop_event(reload.set)
    working = [
        group.create_task(_tick(asking), name="tick"),
        group.create_task(_reload(core, files, reload), name="reload"),
    ]
    ends: list[asyncio.Task[object]] = [
        group.create_task(stop.wait(), name="stop"),
        group.create_task(sides.asking.closed(), name="bus"),
        group.create_task(sides.deciding.closed(), name="bus"),
    ]
    ends += [group.create_task(ending.asked.wait(), name="ending")] if ending else []
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    if ending is not None and ending.asked.is_set():
        await ending.farewell([sides.asking, sides.deciding])
    for task in (*working, *ends):
        task.cancel()


def _station(options: argparse.Namespace) -> Station:
    """Return whom this keeper serves.

    Raises:
        UsageError: This process is no companion's.
    """
    user: int | None = options.desktop_uid
    if user is None:
        return Station()
    if os.getuid() in {0, user}:
        raise UsageError(
            f"the companion of user {user} cannot run as user {os.getuid()}",
            hint=f"start it as privyseal-{user}, which `privy provision` makes",
        )
    record = companion.find(user)
    if record is None:
        return Station("companion", f"uid {user}")
    return Station("companion", record.user, record.vt)


@contextlib.asynccontextmanager
async def _backend(
    options: argparse.Namespace, settings: Config, group: asyncio.TaskGroup, clock: Clock
) -> AsyncIterator[Backend]:
    """Yield the backend; only what is used is imported, and nothing else need be trusted."""
    if options.desktop_uid is None:
        from privyseal.keeper.backends.choice import open_backend  # noqa: PLC0415 - see above

        kind = options.backend or settings.backend
        store = options.store or config.store_path(settings)
        async with open_backend(kind, store, group, clock) as chosen:
            yield chosen
        return
    from privyseal.keeper.backends.secretservice import (  # noqa: PLC0415 - see above
        SecretServiceBackend,
    )

    backend = "your companion's own store"
    provider = SecretServiceBackend(group, options.bus_address, backend)
    try:
        yield provider
    finally:
        await provider.close()


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
