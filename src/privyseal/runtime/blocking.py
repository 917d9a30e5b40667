"""A blocking client of the keeper's two interfaces, for commands that must start at once.

JSON objects are plain dicts here in place of typed values, since msgspec takes 18 ms to load. What
the keeper says is trusted to have the shape of `privyseal.wire.keeper`; what it quotes from others
is not trusted with a terminal.
"""

from __future__ import annotations

import os
import time

from privyseal.errors import (
    ExpiredError,
    PrivysealError,
    UnreachableError,
)
from privyseal.model.secret import Secret
from privyseal.runtime.blockingbus import ALONE, DBUS, DBUS_PATH, Bus, close_all
from privyseal.runtime.memfd import read_sealed, seal
from privyseal.wire import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any, Final, Self

    from privyseal.wire.dbus import Message

    Json = dict[str, Any]
else:
    Json = dict

# The words of privyseal.wire.keeper, which loads msgspec (18 ms); a test holds them equal.
BUS_NAME: Final = "org.privyseal.Keeper1"
PATH: Final = "/org/privyseal/Keeper1"
REQUEST: Final = "org.privyseal.Request1"
DECISION: Final = "org.privyseal.Decision1"
MAX_RELEASE: Final = 256 * 1024 * 1024

_IN_FLIGHT: Final = 64


class Keeper:
    """The keeper as one command sees it. `how_to_unlock` and `how_to_decide` are hints."""

    how_to_unlock = "unlock it with `privy unlock`"
    how_to_decide = "approve it on the screen (`privy watch`), or run: privy approve {}"

    def __init__(self, bus: Bus, owner: str, name: str = BUS_NAME) -> None:
        self._bus = bus
        self._owner = owner
        self._leaving = leaving(name)

    @classmethod
    def open(cls) -> Keeper:
        """Connect to the bus and find the keeper there.

        Raises:
            UnreachableError: No bus, or no keeper on it.
        """
        bus = Bus.open()
        try:
            return cls(bus, _owner(bus))
        except BaseException:
            bus.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect."""
        self._bus.close()

    def pid(self) -> int:
        """Return the PID of the keeper, as the bus knows it."""
        return int(self._bus.ask_bus("GetConnectionUnixProcessID", self._owner))

    def register(self) -> str:
        """Introduce this process as a requester; return the token that stands for it.

        From now on `resolved` hears that the keeper leaves.
        """
        pidfd = os.pidfd_open(os.getpid())
        try:
            sent = [
                self._send("Register", "hs", [pidfd, "[]"]),
                self._bus.send(DBUS, DBUS_PATH, DBUS, "AddMatch", "s", [self._leaving]),
            ]
        finally:
            os.close(pidfd)
        # Both are on their way at once; the first takes the longest.
        token, _ = [self._receive(serial) for serial in sent]
        return str(token[0])

    def look(self, requester: str, questions: Sequence[Json]) -> Iterator[Json]:
        """Yield the answer to each question; many are in flight at once."""
        sent: list[int] = []
        rest = iter(questions)
        while True:
            while len(sent) < _IN_FLIGHT and (question := next(rest, None)) is not None:
                body = [requester, jsontext.write(question)]
                sent.append(self._send("Look", "ss", body))
            if not sent:
                return
            yield parse(self._receive(sent.pop(0))[0])

    def submit(
        self, requester: str, ask: Json, inputs: Sequence[int] = ()
    ) -> tuple[Json, list[Secret]]:
        """Ask for something; the ticket is `pending`, or ended with its result and its secrets.

        `inputs` are the descriptors that belong to the ask; they stay the caller's.
        """
        return _ticket(self._ask("Submit", "ssah", [requester, jsontext.write(ask), list(inputs)]))

    def beside(self, fd: int, ready: Callable[[], bool]) -> None:
        """Call `ready` when `fd` can be read in a wait, until it returns False."""
        self._bus.beside = fd, ready

    def alone(self) -> None:
        """Let nothing else be read in a wait any more."""
        self._bus.beside = ALONE

    def collect(self, request: str) -> tuple[Json, list[Secret]]:
        """Return the ticket of a request and, once only, what was released for it."""
        return _ticket(self._ask("Collect", "s", [request]))

    def cancel(self, request: str) -> None:
        """Withdraw a request."""
        self._ask("Cancel", "s", [request])

    def resolved(self, request: str, seconds: float | None) -> None:
        """Wait until a request of this connection has ended.

        Raises:
            ExpiredError: It has not within `seconds`.
            UnreachableError: The keeper left the bus.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        for signal in self._signals(deadline):
            named = (signal.interface, signal.member) == (REQUEST, "Resolved")
            if named and signal.values()[0] == request:
                return
        raise ExpiredError(f"nobody decided within {seconds:g} seconds: {request}")

    def stopped(self) -> PrivysealError:
        """Return what a person is told when the keeper goes away while she waits."""
        return UnreachableError(
            "the keeper ended while this waited", hint="start it with `privy try`, then ask again"
        )

    def decide(self, decision: Json) -> Json:
        """Decide one request; return how it ended."""
        return dict(parse(self._decision("Decide", "s", [jsontext.write(decision)])))

    def pending(self) -> list[Json]:
        """Return the requests that wait for a person, oldest first."""
        return list(parse(self._decision("Pending")))

    def show(self, request: str) -> Json:
        """Return one request, waiting or past, by any unique prefix of its identifier."""
        return dict(parse(self._decision("Show", "s", [request])))

    def history(self, limit: int) -> list[Json]:
        """Return ended requests, newest first."""
        return list(parse(self._decision("History", "u", [limit])))

    def leases(self) -> list[Json]:
        """Return the leases in force."""
        return list(parse(self._decision("Leases")))

    def revoke(self, lease: str) -> None:
        """End a lease now."""
        self._decision("Revoke", "s", [lease])

    def lock(self) -> None:
        """Lock the store."""
        self._decision("Lock")

    def unlock(self, passphrase: Secret) -> None:
        """Unlock the store, creating it on its first unlock.

        Raises:
            DeniedError: The passphrase is wrong.
        """
        fd = seal(passphrase.expose())
        try:
            self._decision("Unlock", "h", [fd])
        finally:
            os.close(fd)

    def status(self) -> Json:
        """Return the keeper's state in one glance."""
        return dict(parse(self._decision("Status")))

    def watch(self, notice: Callable[[Json], None]) -> None:
        """Call `notice` with everything that happens from now on; never returns.

        Raises:
            UnreachableError: The keeper left the bus.
        """
        self._bus.ask_bus("AddMatch", self._leaving)
        self._decision("Watch")
        for signal in self._signals(None):
            if (signal.interface, signal.member) == (DECISION, "Event"):
                notice(parse(str(signal.values()[0])))

    def _signals(self, deadline: float | None) -> Iterator[Message]:
        """Yield what the keeper itself says; anybody can send a signal with the same name."""
        while (signal := self._bus.signal(deadline)) is not None:
            if signal.sender == self._owner:
                yield signal
            elif (signal.sender, signal.member) == (DBUS, "NameOwnerChanged"):
                _, before, _ = signal.values()
                if before == self._owner:
                    raise self.stopped()

    def _send(self, member: str, signature: str = "", body: Sequence[object] = ()) -> int:
        return self._bus.send(self._owner, PATH, REQUEST, member, signature, body)

    def _receive(self, serial: int) -> Any:
        return self._bus.receive(serial)

    def _ask(self, member: str, signature: str = "", body: Sequence[object] = ()) -> Any:
        return self._receive(self._send(member, signature, body))

    def _decision(self, member: str, signature: str = "", body: Sequence[object] = ()) -> Any:
        reply = self._bus.call(self._owner, PATH, DECISION, member, signature, body)
        return reply[0] if reply else None


def _owner(bus: Bus) -> str:
    owner = bus.owner(BUS_NAME)
    if not owner:
        raise UnreachableError("the keeper does not run", hint="start it with `privy try`")
    return owner


def _ticket(body: tuple[Any, ...]) -> tuple[Json, list[Secret]]:
    try:
        ticket = parse(body[0])
        slices = (ticket.get("result") or {}).get("slices")
        if not slices or not body[1]:
            return ticket, []
        memory = read_sealed(body[1][0], limit=MAX_RELEASE)
        return ticket, [
            Secret(
                memory[piece["offset"] : piece["offset"] + piece["length"]],
                piece.get("content_type", "text/plain"),
            )
            for piece in slices
        ]
    finally:
        close_all(body)


def leaving(name: str) -> str:
    """Return the match rule for the coming and going of a name's owner."""
    return (
        f"type='signal',sender='{DBUS}',interface='{DBUS}',member='NameOwnerChanged',arg0='{name}'"
    )


def parse(text: str) -> Any:
    """Return the value of a JSON text that the keeper sent."""
    try:
        return jsontext.read(text)
    except ValueError as error:
        raise PrivysealError("the keeper's answer is malformed") from error
