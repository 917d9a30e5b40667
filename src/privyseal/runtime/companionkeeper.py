"""The blocking client of a companion's keeper: on the system bus, where deciding does not exist."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from privyseal.errors import LockedError, NotFoundError, PrivysealError, UnreachableError
from privyseal.model.secret import Secret
from privyseal.runtime.blocking import Json, Keeper, leaving, parse
from privyseal.runtime.blockingbus import DBUS, DBUS_PATH, Bus
from privyseal.runtime.wayin import (
    ConsoleOnlyError,
    WayIn,
    away,
    console_only,
    impostor,
    interrupted,
    keeper_uid,
    locked,
    logged_out,
    system_bus,
)

RETURN_SECONDS: Final = 2.0
"""How long a look waits for a keeper that is away: a lock ends it, and it is back within that."""
LOOK_SECONDS: Final = 1.0
"""How often `watch` looks: no signal on the system bus tells what waits."""


class CompanionKeeper(Keeper):
    """The keeper as a command of the desktop user sees it."""

    def __init__(self, bus: Bus, owner: str, way_in: WayIn) -> None:
        super().__init__(bus, owner, way_in.bus_name)
        self._keys = way_in.keys
        self.how_to_unlock = f"unlock it on the console: {way_in.keys}"
        self.how_to_decide = f"decide on the console: {way_in.keys} ({{}})"

    @classmethod
    def reach(cls, way_in: WayIn, *, wake: bool) -> "CompanionKeeper":
        """Connect to the system bus and find the keeper there; with `wake` it is started.

        Raises:
            LoggedOutError: No keeper, and it shall not be started.
            UnreachableError: No bus, no keeper, or another user in its place.
        """
        wanted = keeper_uid(way_in.account)
        bus = Bus.open(system_bus())
        try:
            return cls(bus, _owner(bus, way_in, wanted, wake=wake), way_in)
        except BaseException:
            bus.close()
            raise

    def pending(self) -> list[Json]:
        """Return the requests that wait for a person, oldest first."""
        return list(parse(self._ask("Waiting")[0]))

    def show(self, request: str) -> Json:
        """Return the waiting request whose identifier starts with `request`.

        Raises:
            NotFoundError: None does; past ones are seen on the console alone.
        """
        for approval in self.pending():
            if request and str(approval["id"]).startswith(request):
                return approval
        raise NotFoundError(
            f"no request {request!r} waits", hint=f"past ones are seen on the console: {self._keys}"
        )

    def status(self) -> Json:
        """Return the keeper's state in one glance."""
        return dict(parse(self._ask("Status")[0]))

    def lock(self) -> None:
        """Lock the store; the keeper ends with it and comes back locked."""
        self._ask("Lock")

    def unlock(self, passphrase: Secret) -> None:
        """Refuse: a passphrase is given on the console.

        Raises:
            ConsoleOnlyError: Always.
        """
        del passphrase
        raise console_only("the store can only be unlocked", self._keys)

    def review(self) -> None:
        """Bring the console to the front."""
        self._ask("Review")

    def watch(self, notice: Callable[[Json], None]) -> None:
        """Call `notice` with what waits and what changes, looking once a second; never returns.

        Raises:
            UnreachableError: The keeper left the bus.
        """
        known: dict[str, Json] = {}
        was_locked = self.status()["locked"]
        while True:
            now = {str(approval["id"]): approval for approval in self.pending()}
            for what, approval in _differences(known, now):
                notice({"what": what, "approval": approval})
            is_locked = self.status()["locked"]
            if is_locked != was_locked:
                notice({"what": "locked" if is_locked else "unlocked", "approval": None})
            known, was_locked = now, is_locked
            time.sleep(LOOK_SECONDS)

    def stopped(self) -> PrivysealError:
        """Return what a person is told when the keeper goes away while she waits."""
        return interrupted(self._keys)

    def _receive(self, serial: int) -> Any:
        try:
            return self._bus.receive(serial)
        except LockedError as error:
            status = parse(self._bus.receive(self._send("Status"))[0])
            raise locked(status["since"], self._keys, initialised=status["initialised"]) from error
        except ConsoleOnlyError as error:
            text = "the system bus does not let this user ask the keeper that"
            raise UnreachableError(text, hint="see `privy doctor`") from error
        except UnreachableError as error:
            if "keeper does not run" not in str(error):
                raise
            raise interrupted(self._keys) from error

    def _decision(self, member: str, signature: str = "", body: Sequence[object] = ()) -> Any:
        del member, signature, body
        raise console_only("requests can only be decided", self._keys)


def _owner(bus: Bus, way_in: WayIn, wanted: int, *, wake: bool) -> str:
    owner = bus.owner(way_in.bus_name) or (_start if wake else _returning)(bus, way_in)
    uid = int(bus.ask_bus("GetConnectionUnixUser", owner))
    if uid != wanted:
        raise impostor(uid, way_in.account)
    return owner


def _start(bus: Bus, way_in: WayIn) -> str:
    try:
        bus.call(DBUS, DBUS_PATH, DBUS, "StartServiceByName", "su", [way_in.bus_name, 0])
    except PrivysealError as error:
        raise away() from error
    owner = bus.owner(way_in.bus_name)
    if not owner:
        raise away()
    return owner


def _returning(bus: Bus, way_in: WayIn) -> str:
    bus.ask_bus("AddMatch", leaving(way_in.bus_name))
    deadline = time.monotonic() + RETURN_SECONDS
    while not (owner := bus.owner(way_in.bus_name)):
        if bus.signal(deadline) is None:
            raise logged_out()
    return owner


def _differences(before: dict[str, Json], now: dict[str, Json]) -> Iterator[tuple[str, Json]]:
    """Yield what happened to requests between two looks; an ended one as it was last seen."""
    for name, approval in now.items():
        if name not in before:
            yield "asked", approval
        elif approval["digest"] != before[name]["digest"]:
            yield "changed", approval
    for name, approval in before.items():
        if name not in now:
            yield "resolved", approval
