"""A blocking client of the keeper's two interfaces, for commands that must start at once.

The asyncio client costs 60 ms of imports, this one 15: jeepney, the standard library's json, and
JSON objects as plain dicts in place of typed values. What the keeper says is trusted to have the
shape of `privyseal.wire.keeper`; what it quotes from others is not trusted with a terminal.
"""

import contextlib
import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from jeepney import DBusAddress, HeaderFields, Message, MessageType, new_method_call
from jeepney.bus import get_connectable_addresses
from jeepney.fds import FileDescriptor
from jeepney.io.blocking import DBusConnection, prep_socket

from privyseal.errors import (
    DeniedError,
    ExpiredError,
    PrivysealError,
    UnreachableError,
    UsageError,
    from_bus,
)
from privyseal.model.secret import Secret
from privyseal.runtime.memfd import read_sealed, seal
from privyseal.runtime.wayin import ConsoleOnlyError

# The words of privyseal.wire.keeper, which loads msgspec (18 ms); a test holds them equal.
BUS_NAME: Final = "org.privyseal.Keeper1"
PATH: Final = "/org/privyseal/Keeper1"
REQUEST: Final = "org.privyseal.Request1"
DECISION: Final = "org.privyseal.Decision1"
MAX_RELEASE: Final = 256 * 1024 * 1024

DBUS: Final = "org.freedesktop.DBus"
DBUS_PATH: Final = "/org/freedesktop/DBus"
ANSWER_SECONDS: Final = 30.0
"""The keeper answers every call at once; only people take longer, and they come as signals."""

_ABSENT: Final = frozenset(
    f"{DBUS}.Error.{name}" for name in ("UnknownMethod", "UnknownInterface", "UnknownObject")
)
_LEAVING: Final = (
    f"type='signal',sender='{DBUS}',interface='{DBUS}',member='NameOwnerChanged',arg0="
)
_IN_FLIGHT: Final = 64
_NO_SESSION_BUS: Final = "set DBUS_SESSION_BUS_ADDRESS: `privy try` prints the line for that"

Json = dict[str, Any]


class Bus:
    """One blocking connection to a message bus."""

    def __init__(self, connection: DBusConnection) -> None:
        self._connection = connection
        self._signals: deque[Message] = deque()
        self._replies: dict[int, Message] = {}
        self._sent: set[int] = set()

    @classmethod
    def open(cls, address: str = "") -> "Bus":
        """Connect to the bus at an address, by default to the session bus.

        Raises:
            UnreachableError: No bus answers there.
        """
        hint = "see `privy doctor`" if address else _NO_SESSION_BUS
        address = address or os.environ.get("DBUS_SESSION_BUS_ADDRESS") or _default_address()
        try:
            path = next(get_connectable_addresses(address))
            return cls(DBusConnection(prep_socket(path, enable_fds=True), enable_fds=True))
        except (OSError, ValueError, RuntimeError, StopIteration) as error:
            raise UnreachableError(
                f"cannot connect to the message bus: {_reason(error)}: {address!r}",
                hint=hint,
            ) from error

    def close(self) -> None:
        """Disconnect."""
        self._connection.close()

    def send(
        self,
        destination: str,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        body: Sequence[object] = (),
    ) -> int:
        """Send a call without waiting; return the number that `receive` takes."""
        address = DBusAddress(path, bus_name=destination, interface=interface)
        message = new_method_call(address, member, signature or None, tuple(body))
        serial = int(next(self._connection.outgoing_serial))
        try:
            self._connection.send(message, serial=serial)
        except UnicodeEncodeError as error:
            raise UsageError("an argument is not valid UTF-8") from error
        except OSError as error:
            raise _closed() from error
        self._sent.add(serial)
        return serial

    def receive(self, serial: int) -> tuple[Any, ...]:
        """Return the body of the reply to call number `serial`; descriptors are in it.

        Raises:
            PrivysealError: The error that came back, by its D-Bus name.
        """
        deadline = time.monotonic() + ANSWER_SECONDS
        while serial not in self._replies:
            message = self._next(deadline)
            if message is None:
                raise UnreachableError(f"no answer within {ANSWER_SECONDS:.0f} seconds")
            self._keep(message)
        reply = self._replies.pop(serial)
        if reply.header.message_type is MessageType.error:
            raise _error(reply)
        return tuple(reply.body)

    def call(
        self,
        destination: str,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        body: Sequence[object] = (),
    ) -> tuple[Any, ...]:
        """Call a method and return the body of its reply."""
        return self.receive(self.send(destination, path, interface, member, signature, body))

    def ask_bus(self, member: str, argument: str) -> Any:
        """Call a one-string method of the bus itself and return its first result."""
        reply = self.call(DBUS, DBUS_PATH, DBUS, member, "s", [argument])
        return reply[0] if reply else None

    def owner(self, name: str) -> str:
        """Return the unique name behind a well-known name, or "" when nobody owns it."""
        try:
            return str(self.ask_bus("GetNameOwner", name))
        except UnreachableError:
            return ""

    def signal(self, deadline: float | None) -> tuple[str, str, str, tuple[Any, ...]] | None:
        """Return sender, interface, member and body of the next signal; None at the deadline."""
        while not self._signals:
            message = self._next(deadline)
            if message is None:
                return None
            self._keep(message)
        message = self._signals.popleft()
        fields = message.header.fields
        return (
            str(fields.get(HeaderFields.sender, "")),
            str(fields.get(HeaderFields.interface, "")),
            str(fields.get(HeaderFields.member, "")),
            tuple(message.body),
        )

    def _next(self, deadline: float | None) -> Message | None:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        try:
            return self._connection.receive(timeout=left)
        except TimeoutError:
            return None
        except OSError as error:
            raise _closed() from error

    def _keep(self, message: Message) -> None:
        # Calls are answered in any order. What answers none of ours must leave nothing open.
        serial = message.header.fields.get(HeaderFields.reply_serial, 0)
        if serial in self._sent:
            self._sent.remove(serial)
            self._replies[serial] = message
            return
        if message.header.message_type is MessageType.signal:
            self._signals.append(message)
        close_all(message.body)


class Keeper:
    """The keeper as one command sees it. `how_to_unlock` and `how_to_decide` are hints."""

    how_to_unlock = "unlock it with `privy unlock`"
    how_to_decide = "approve it on the screen, or run: privy approve {}"

    def __init__(self, bus: Bus, owner: str, name: str = BUS_NAME) -> None:
        self._bus = bus
        self._owner = owner
        self._leaving = f"{_LEAVING}'{name}'"

    @classmethod
    @contextlib.contextmanager
    def open(cls) -> Iterator["Keeper"]:
        """Connect to the bus and find the keeper there.

        Raises:
            UnreachableError: No bus, or no keeper on it.
        """
        bus = Bus.open()
        try:
            owner = bus.owner(BUS_NAME)
            if not owner:
                raise UnreachableError("the keeper does not run", hint="start it with `privy try`")
            yield cls(bus, owner)
        finally:
            bus.close()

    def register(self) -> str:
        """Introduce this process as a requester; return the token that stands for it.

        From now on `resolved` hears of its requests, and that the keeper leaves.
        """
        pidfd = os.pidfd_open(os.getpid())
        try:
            sent = [
                self._send("Register", "hs", [pidfd, "[]"]),
                self._bus.send(DBUS, DBUS_PATH, DBUS, "AddMatch", "s", [self._leaving]),
                self._send("Subscribe"),
            ]
        finally:
            os.close(pidfd)
        # All three are on their way at once; the first takes the longest.
        token, _, _ = [self._receive(serial) for serial in sent]
        return str(token[0])

    def look(self, requester: str, questions: Sequence[Json]) -> Iterator[Json]:
        """Yield the answer to each question; many are in flight at once."""
        sent: deque[int] = deque()
        rest = iter(questions)
        while True:
            while len(sent) < _IN_FLIGHT and (question := next(rest, None)) is not None:
                body = [requester, json.dumps(question)]
                sent.append(self._send("Look", "ss", body))
            if not sent:
                return
            yield parse(self._receive(sent.popleft())[0])

    def submit(self, requester: str, ask: Json) -> tuple[Json, list[Secret]]:
        """Ask for something; the ticket is `pending`, or ended with its result and its secrets."""
        return _ticket(self._ask("Submit", "ssah", [requester, json.dumps(ask), []]))

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
        for interface, member, body in self._signals(deadline):
            if (interface, member) == (REQUEST, "Resolved") and body[0] == request:
                return
        raise ExpiredError(f"nobody decided within {seconds:g} seconds: {request}")

    def decide(self, decision: Json) -> Json:
        """Decide one request; return how it ended."""
        return dict(parse(self._decision("Decide", "s", [json.dumps(decision)])))

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
        for interface, member, body in self._signals(None):
            if (interface, member) == (DECISION, "Event"):
                notice(parse(body[0]))

    def _signals(self, deadline: float | None) -> Iterator[tuple[str, str, tuple[Any, ...]]]:
        while (signal := self._bus.signal(deadline)) is not None:
            sender, interface, member, body = signal
            if sender == self._owner:
                yield interface, member, body
            elif sender == DBUS and member == "NameOwnerChanged" and body[1] == self._owner:
                raise self._stopped()

    def _stopped(self) -> PrivysealError:
        return UnreachableError("the keeper stopped", hint="start it with `privy try`")

    def _send(self, member: str, signature: str = "", body: Sequence[object] = ()) -> int:
        return self._bus.send(self._owner, PATH, REQUEST, member, signature, body)

    def _receive(self, serial: int) -> Any:
        return self._bus.receive(serial)

    def _ask(self, member: str, signature: str = "", body: Sequence[object] = ()) -> Any:
        return self._receive(self._send(member, signature, body))

    def _decision(self, member: str, signature: str = "", body: Sequence[object] = ()) -> Any:
        reply = self._bus.call(self._owner, PATH, DECISION, member, signature, body)
        return reply[0] if reply else None


def close_all(body: Sequence[object]) -> None:
    """Close every descriptor among the arguments of a message."""
    for value in body:
        if isinstance(value, FileDescriptor):
            value.close()
        elif isinstance(value, list):
            close_all(value)


def split_hint(text: str) -> tuple[str, str]:
    """Return message and hint of an error text as our processes put it on the bus.

    The hint follows the last "; ", but only when it holds no quotation mark: foreign text stands
    in quotation marks, and must not be able to give advice in our name.
    """
    message, mark, hint = text.rpartition("; ")
    if not mark or "'" in hint or '"' in hint:
        return text, ""
    return message, hint


def _ticket(body: tuple[Any, ...]) -> tuple[Json, list[Secret]]:
    try:
        ticket = parse(body[0])
        slices = (ticket.get("result") or {}).get("slices")
        if not slices or not body[1]:
            return ticket, []
        memory = read_sealed(body[1][0].fileno(), limit=MAX_RELEASE)
        return ticket, [
            Secret(
                memory[piece["offset"] : piece["offset"] + piece["length"]],
                piece.get("content_type", "text/plain"),
            )
            for piece in slices
        ]
    finally:
        close_all(body)


def parse(text: str) -> Any:
    """Return the value of a JSON text that the keeper sent."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise PrivysealError("the keeper's answer is malformed") from error


def _error(message: Message) -> PrivysealError:
    fields = message.header.fields
    name = str(fields.get(HeaderFields.error_name, ""))
    sender = str(fields.get(HeaderFields.sender, ""))
    text = message.body[0] if message.body and isinstance(message.body[0], str) else "no reason"
    # The keeper answers AccessDenied to a wrong passphrase; the bus itself does when its policy
    # keeps the deciding interface away from us.
    if name in _ABSENT or (name == DeniedError.bus_name and sender == DBUS):
        return ConsoleOnlyError(
            "requests can only be seen and decided on the console (Ctrl+Alt+F8): "
            "this is companion mode"
        )
    text, hint = split_hint(text)
    error = from_bus(name, text)
    error.hint = error.hint or hint
    return error


def _closed() -> UnreachableError:
    return UnreachableError("the message bus closed the connection")


def _default_address() -> str:
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    return f"unix:path={runtime}/bus"


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or "the address is malformed"
