"""A blocking connection to a message bus, for commands that must start at once.

dbus-fast costs 60 ms of imports and jeepney 3, and 1 more while it runs.
"""

from __future__ import annotations

import _socket as socket  # what `socket` adds costs 3 ms: enums of all its constants
import os
import select
import sys
import time
from math import inf

from privyseal.errors import DeniedError, PrivysealError, UnreachableError, from_bus
from privyseal.runtime.wayin import ConsoleOnlyError
from privyseal.wire import dbus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Final

    Beside = tuple[int, Callable[[], bool]]

DBUS: Final = "org.freedesktop.DBus"
DBUS_PATH: Final = "/org/freedesktop/DBus"
ANSWER_SECONDS: Final = 30.0
"""The keeper answers every call at once; only people take longer, and they come as signals."""

_LONGEST_PAUSE: Final = 1.0
"""Ctrl-C just before the system waits does not end the wait: Python looks for it after a pause."""

_LONGEST_ADVICE: Final = 4096
"""Ours are shorter; the search for quotation marks takes the square of the length."""

_CHUNK: Final = 64 * 1024
_ROOM: Final = socket.CMSG_SPACE(4 * 253)
"""For as many descriptors as the kernel passes at once (unix(7), SCM_MAX_FD)."""

ALONE: Final = (-1, bool)

_ABSENT: Final = frozenset(
    f"{DBUS}.Error.{name}" for name in ("UnknownMethod", "UnknownInterface", "UnknownObject")
)
_NO_SESSION_BUS: Final = "set DBUS_SESSION_BUS_ADDRESS: `privy try` prints the line for that"


class Bus:
    """One blocking connection to a message bus.

    `beside` is a descriptor, and what to call when it can be read in a wait, until that returns
    False; `ALONE` for none.
    """

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._inbox = dbus.Inbox()
        self._serial = 0
        self._signals: list[dbus.Message] = []
        self._replies: dict[int, dbus.Message] = {}
        self._sent: dict[int, str] = {}
        self.beside: Beside = ALONE
        self._hello = 0

    @classmethod
    def open(cls, address: str = "") -> Bus:
        """Connect to the bus at an address, by default to the session bus.

        Raises:
            UnreachableError: No bus answers there.
        """
        hint = "see `privy doctor`" if address else _NO_SESSION_BUS
        address = address or os.environ.get("DBUS_SESSION_BUS_ADDRESS") or _default_address()
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            link.connect(dbus.socket_path(address))
            link.sendall(dbus.greeting(os.geteuid()))
        except (OSError, ValueError) as error:
            link.close()
            raise UnreachableError(
                f"cannot connect to the message bus: {_reason(error)}: {address!r}",
                hint=hint,
            ) from error
        bus = cls(link)
        bus._hello = bus.send(DBUS, DBUS_PATH, DBUS, "Hello")
        return bus

    def close(self) -> None:
        """Disconnect."""
        self._link.close()

    def send(
        self,
        destination: str,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        body: Sequence[object] = (),
    ) -> int:
        """Send a call without waiting; return the number that `receive` takes.

        Raises:
            UsageError: An argument is a text that no bus carries.
        """
        self._serial += 1
        data, fds = dbus.call(self._serial, destination, path, interface, member, signature, body)
        if fds:
            self._welcome()  # before that the bus does not look for descriptors
        try:
            sent = self._link.sendmsg([data], _beside(fds)) if fds else 0
            self._link.sendall(data[sent:])
        except OSError as error:
            raise _closed() from error
        self._sent[self._serial] = destination
        return self._serial

    def receive(self, serial: int) -> tuple[Any, ...]:
        """Return the body of the reply to call number `serial`; descriptors are in it.

        Raises:
            PrivysealError: The error that came back, by its D-Bus name.
        """
        self._welcome()
        deadline = time.monotonic() + ANSWER_SECONDS
        while serial not in self._replies:
            message = self._next(deadline)
            if message is None:
                raise UnreachableError(f"no answer within {ANSWER_SECONDS:.0f} seconds")
            self._keep(message)
        reply = self._replies.pop(serial)
        if reply.kind == dbus.ERROR:
            raise _error(reply)
        return reply.values()

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

    def signal(self, deadline: float | None) -> dbus.Message | None:
        """Return the next signal, whoever sent it; None at the deadline."""
        while not self._signals:
            message = self._next(deadline)
            if message is None:
                return None
            self._keep(message)
        return self._signals.pop(0)

    def _welcome(self) -> None:
        hello, self._hello = self._hello, 0
        if hello:
            self.receive(hello)

    def _next(self, deadline: float | None) -> dbus.Message | None:
        while (message := self._inbox.message()) is None:
            left = inf if deadline is None else max(0.0, deadline - time.monotonic())
            pause = min(left, _LONGEST_PAUSE)
            if not self._wait(pause) and left == pause:
                return None
        return message

    def _wait(self, seconds: float) -> bool:
        """Read what comes, or let whoever is `beside` do so; return False when nothing came."""
        fd, ready = self.beside
        poll = select.poll()
        poll.register(self._link, select.POLLIN)
        if fd >= 0:
            poll.register(fd, select.POLLIN)
        found = {number for number, _ in poll.poll(seconds * 1000)}
        if fd in found and not ready():
            self.beside = ALONE
        if self._link.fileno() in found:
            self._read()
        return bool(found)

    def _read(self) -> None:
        try:
            data, beside, flags, _ = self._link.recvmsg(_CHUNK, _ROOM, socket.MSG_CMSG_CLOEXEC)
        except OSError as error:
            raise _closed() from error
        fds = [fd for _, _, numbers in beside for fd in memoryview(numbers).cast("i")]
        self._inbox.feed(data, fds)
        if not data or flags & socket.MSG_CTRUNC:
            raise _closed()

    def _keep(self, message: dbus.Message) -> None:
        # Calls are answered in any order. What answers none of ours must leave nothing open.
        # A session's bus lets anybody reply to anything: only who was asked answers, or the bus.
        asked = self._sent.get(message.reply_serial, "")
        answers = bool(asked) and (message.sender in {asked, DBUS} or not _is_exact(asked))
        if answers:
            del self._sent[message.reply_serial]
            self._replies[message.reply_serial] = message
        elif message.kind == dbus.SIGNAL:
            self._signals.append(message)
        if not answers or message.kind == dbus.ERROR:
            close_all([dbus.Descriptor(fd) for fd in message.fds])


def close_all(body: Sequence[object]) -> None:
    """Close every descriptor among the arguments of a message."""
    for value in body:
        if isinstance(value, dbus.Descriptor):
            os.close(value)
        elif isinstance(value, list):
            close_all(value)


def _is_exact(name: str) -> bool:
    """Return whether a connection has this name as long as it lives."""
    return name == DBUS or name.startswith(":")


def _beside(fds: Sequence[int]) -> list[tuple[int, int, bytes]]:
    numbers = b"".join(fd.to_bytes(4, sys.byteorder) for fd in fds)
    return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, numbers)]


def split_hint(text: str) -> tuple[str, str]:
    """Return message and hint of an error text as our processes put it on the bus.

    The hint follows the last "; " outside quotation marks: foreign text stands within such, as
    `repr` writes them, and must not be able to give advice in our name.
    """
    if len(text) > _LONGEST_ADVICE:
        return text, ""
    import re  # noqa: PLC0415 - it loads `enum`, and nobody is quick to fail

    quoted = re.compile(r"""(?<!\w)b?(?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")""", re.DOTALL)
    ours = quoted.sub(lambda found: "." * len(found[0]), text)
    end = ours.rfind("; ")
    if end < 0 or re.search(r"""(?<!\w)b?['"]""", ours):
        return text, ""
    return text[:end], text[end + 2 :]


def _error(reply: dbus.Message) -> PrivysealError:
    text = next(iter(reply.values()), "")
    text = text if isinstance(text, str) and text else "no reason"
    name = reply.error_name
    # The keeper answers AccessDenied to a wrong passphrase; the bus itself does when its policy
    # keeps the deciding interface away from us.
    if name in _ABSENT or (name == DeniedError.bus_name and reply.sender == DBUS):
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
