"""A blocking connection to a message bus, for commands that must start at once.

dbus-fast costs 60 ms of imports, jeepney 15.
"""

import os
import re
import select
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import inf
from typing import Any, Final

from jeepney import DBusAddress, HeaderFields, Message, MessageType, new_method_call
from jeepney.bus import get_connectable_addresses
from jeepney.fds import FileDescriptor
from jeepney.io.blocking import DBusConnection, prep_socket

from privyseal.errors import (
    DeniedError,
    PrivysealError,
    UnreachableError,
    UsageError,
    from_bus,
)
from privyseal.runtime.wayin import ConsoleOnlyError

DBUS: Final = "org.freedesktop.DBus"
DBUS_PATH: Final = "/org/freedesktop/DBus"
ANSWER_SECONDS: Final = 30.0
"""The keeper answers every call at once; only people take longer, and they come as signals."""

_LONGEST_PAUSE: Final = 1.0
"""Ctrl-C just before the system waits does not end the wait: Python looks for it after a pause."""

_ABSENT: Final = frozenset(
    f"{DBUS}.Error.{name}" for name in ("UnknownMethod", "UnknownInterface", "UnknownObject")
)
_QUOTED: Final = re.compile(r"""(?<!\w)b?(?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")""", re.DOTALL)
_OPENING: Final = re.compile(r"""(?<!\w)b?['"]""")
_NO_SESSION_BUS: Final = "set DBUS_SESSION_BUS_ADDRESS: `privy try` prints the line for that"


class Bus:
    """One blocking connection to a message bus."""

    def __init__(self, connection: DBusConnection) -> None:
        self._connection = connection
        self._signals: deque[Message] = deque()
        self._replies: dict[int, Message] = {}
        self._sent: set[int] = set()
        self._beside: tuple[int, Callable[[], bool]] | None = None

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

    @contextmanager
    def beside(self, fd: int, ready: Callable[[], bool]) -> Iterator[None]:
        """Within the block, call `ready` when `fd` can be read in a wait, until it returns False."""
        self._beside = fd, ready
        try:
            yield
        finally:
            self._beside = None

    def _next(self, deadline: float | None) -> Message | None:
        while True:
            left = inf if deadline is None else max(0.0, deadline - time.monotonic())
            pause = min(left, _LONGEST_PAUSE)
            try:
                return self._connection.receive(timeout=pause if self._beside is None else 0)
            except TimeoutError:
                found = self._beside is not None and self._either(self._beside, pause)
                if not found and left == pause:
                    return None
            except OSError as error:
                raise _closed() from error

    def _either(self, beside: tuple[int, Callable[[], bool]], seconds: float) -> bool:
        fd, ready = beside
        found, _, _ = select.select([self._connection.sock, fd], [], [], seconds)
        if fd in found and not ready():
            self._beside = None
        return bool(found)

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


def close_all(body: Sequence[object]) -> None:
    """Close every descriptor among the arguments of a message."""
    for value in body:
        if isinstance(value, FileDescriptor):
            value.close()
        elif isinstance(value, list):
            close_all(value)


def split_hint(text: str) -> tuple[str, str]:
    """Return message and hint of an error text as our processes put it on the bus.

    The hint follows the last "; " outside quotation marks: foreign text stands within such, as
    `repr` writes them, and must not be able to give advice in our name.
    """
    ours = _QUOTED.sub(lambda found: "." * len(found[0]), text)
    end = ours.rfind("; ")
    if end < 0 or _OPENING.search(ours):
        return text, ""
    return text[:end], text[end + 2 :]


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
    return from_bus(name, *split_hint(text))


def _closed() -> UnreachableError:
    return UnreachableError("the message bus closed the connection")


def _default_address() -> str:
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    return f"unix:path={runtime}/bus"


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or "the address is malformed"
