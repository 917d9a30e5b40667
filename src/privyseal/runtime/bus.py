"""A D-Bus connection that answers from a table and raises our errors.

Every method that a process serves stands in one table, keyed by interface and member, with its
exact signature: a call that is not listed, or whose arguments have other types, is refused before
any code of ours sees it. Answers are made in the task group of the owner.
"""

import asyncio
import logging
import os
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from dbus_fast import BusType, Message, MessageFlag, MessageType
from dbus_fast.aio import MessageBus
from dbus_fast.constants import NameFlag, RequestNameReply
from dbus_fast.errors import DBusError, DBusFastError

from privyseal.errors import ConflictError, PrivysealError, UnreachableError, UsageError, from_bus
from privyseal.runtime.patience import PatientSocket

log = logging.getLogger(__name__)

DBUS: Final = "org.freedesktop.DBus"
DBUS_PATH: Final = "/org/freedesktop/DBus"
BUS_SECONDS: Final = 5.0
"""How long the bus itself may take for an answer."""

_LONGEST_ERROR: Final = 2000


@dataclass(slots=True)
class Call:
    """One method call. Descriptors in `fds` are closed once it is answered, unless taken."""

    sender: str
    path: str
    interface: str
    member: str
    body: list[Any]
    fds: list[int] = field(default_factory=list)

    def take_fd(self, index: int) -> int:
        """Return descriptor number `index` of the message; from now on the caller closes it."""
        if not 0 <= index < len(self.fds) or self.fds[index] < 0:
            raise PrivysealError("the message lacks a descriptor")
        fd, self.fds[index] = self.fds[index], -1
        return fd

    def drop(self) -> None:
        """Let go of all it brought: it is going to be refused."""
        _close(self.fds)
        self.fds.clear()
        self.body.clear()


@dataclass(slots=True)
class Reply:
    """What a method answers; the connection closes `fds` after sending."""

    body: Sequence[Any] = ()
    fds: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Method:
    """One line of a table: argument signature, reply signature, and what answers the call."""

    takes: str
    gives: str
    answer: Callable[[Call], Awaitable[Reply]]


Table = Mapping[tuple[str, str], Method]
SignalCallback = Callable[[str, list[Any]], None]


class Connection:
    """One connection to a message bus."""

    def __init__(self, bus: MessageBus, group: asyncio.TaskGroup) -> None:
        self._bus = bus
        self._group = group
        self._table: Table = {}
        self._members: dict[str, str] = {}
        self._signals: dict[tuple[str, str, str], SignalCallback] = {}
        self._asked: dict[int, str] = {}

    @classmethod
    async def open(cls, group: asyncio.TaskGroup, address: str | None = None) -> "Connection":
        """Connect to the session bus, or to the bus at `address`.

        Raises:
            UnreachableError: No bus answers there.
        """
        try:
            bus = await MessageBus(
                bus_address=address, bus_type=BusType.SESSION, negotiate_unix_fd=True
            ).connect()
        except Exception as error:  # dbus-fast raises bare Exception from several of its steps
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise UnreachableError(
                f"cannot connect to the message bus: {reason}",
                hint="check DBUS_SESSION_BUS_ADDRESS, or start a bus with `dbus-run-session`",
            ) from error
        writer: Any = bus._writer  # noqa: SLF001 - dbus-fast has no other way to its socket
        writer.sock = PatientSocket(writer.sock)
        connection = cls(bus, group)
        bus.add_message_handler(connection._receive)
        return connection

    @property
    def unique_name(self) -> str:
        """The name the bus gave this connection."""
        return self._bus.unique_name or ""

    async def closed(self) -> None:
        """Return when the bus has closed the connection."""
        with suppress(Exception):  # however it ended, it ended
            await self._bus.wait_for_disconnect()  # type: ignore[no-untyped-call]  # its annotation is missing

    def close(self) -> None:
        """Disconnect; calls in flight fail."""
        self._bus.disconnect()

    def stop(self) -> None:
        """Refuse every call from now on; those under way are still answered."""
        self._group = asyncio.TaskGroup()  # which nobody enters, so it takes no task

    def serve(self, table: Table) -> None:
        """Answer calls from this table from now on, in place of any table before."""
        self._table = table
        # A call may leave out its interface (D-Bus specification, "Message Format").
        self._members = {member: interface for interface, member in table}

    async def claim(self, name: str) -> None:
        """Own a well-known name, never stealing it and never letting it be stolen.

        Raises:
            ConflictError: Another connection owns it.
            UnreachableError: The bus has closed the connection.
        """
        try:
            reply = await self._bus.request_name(name, NameFlag.DO_NOT_QUEUE)
        except (EOFError, OSError, DBusError) as error:
            raise UnreachableError("the message bus closed the connection") from error
        if reply not in {RequestNameReply.PRIMARY_OWNER, RequestNameReply.ALREADY_OWNER}:
            raise ConflictError(f"another program owns the bus name {name}")

    async def release(self, name: str) -> None:
        """Give a well-known name back."""
        with suppress(DBusError, EOFError, ConnectionError):
            await self._bus.release_name(name)

    async def call(
        self,
        destination: str,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        body: Sequence[Any] = (),
        *,
        fds: Sequence[int] = (),
    ) -> Message:
        """Call a method and return its reply; the caller closes `fds` and the reply's `unix_fds`.

        Raises:
            PrivysealError: The error that came back, by its D-Bus name.
        """
        message = Message(
            destination, path, interface, member, signature=signature, body=list(body)
        )
        message.unix_fds = list(fds)
        reply = await self.exchange(message)
        if reply.message_type is MessageType.ERROR:
            raise from_bus(reply.error_name or "", error_text(reply))
        return reply

    async def exchange(self, message: Message) -> Message:
        """Send a call and return what came back, be it a reply or an error under its own name.

        Raises:
            UnreachableError: The bus closed the connection.
        """
        message.serial = self._bus.next_serial()
        self._asked[message.serial] = message.destination or ""
        try:
            reply = await self._bus.call(message) if self._bus.connected else None
        except (EOFError, OSError, DBusError) as error:
            raise UnreachableError("the message bus closed the connection") from error
        except DBusFastError as error:
            raise UsageError(f"the message bus cannot carry that: {error}") from error
        finally:
            del self._asked[message.serial]
        if reply is None:
            raise UnreachableError("the message bus closed the connection")
        return reply

    def emit(
        self,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        body: Sequence[Any] = (),
        *,
        to: str | None = None,
    ) -> None:
        """Send a signal: to one connection, or to all when `to` is None.

        One that the bus cannot carry is logged and lost: whoever emits has no use for an error.
        """
        message = Message(
            message_type=MessageType.SIGNAL,
            destination=to,
            path=path,
            interface=interface,
            member=member,
            signature=signature,
            body=list(body),
        )
        try:
            self._send(message, ())
        except DBusFastError as error:
            log.warning("the signal %s was not sent: %s", member, error)

    async def listen(
        self, sender: str, interface: str, member: str, callback: SignalCallback, *, rule: str = ""
    ) -> None:
        """Call `callback(path, body)` for each such signal whose sender is `sender` itself.

        `sender` is a unique name, or `org.freedesktop.DBus`: a signal is never trusted by its
        well-known name, anyone can send one with the same interface and member.
        """
        self._signals[sender, interface, member] = callback
        match = f"type='signal',sender='{sender}',interface='{interface}',member='{member}'{rule}"
        await self._bus_call("AddMatch", "s", [match])

    async def unlisten(self, sender: str, interface: str, member: str) -> None:
        """Stop what `listen` started."""
        if self._signals.pop((sender, interface, member), None) is None:
            return
        match = f"type='signal',sender='{sender}',interface='{interface}',member='{member}'"
        with suppress(PrivysealError):
            await self._bus_call("RemoveMatch", "s", [match])

    async def owner(self, name: str) -> str:
        """Return the unique name behind a well-known name, or "" when nobody owns it."""
        try:
            reply = await self._bus_call("GetNameOwner", "s", [name])
        except PrivysealError:
            return ""
        return str(reply.body[0])

    async def process_of(self, name: str) -> tuple[int, int]:
        """Return PID and UID of a connection, as the bus read them from its socket.

        Raises:
            PrivysealError: The connection is gone.
        """
        reply = await self._bus_call("GetConnectionCredentials", "s", [name])
        _close(reply.unix_fds)  # newer buses send a pidfd along
        try:
            pid, uid = (reply.body[0][name].value for name in ("ProcessID", "UnixUserID"))
        except KeyError as error:
            raise UnreachableError(f"the bus does not know the {error} of a connection") from None
        return int(pid), int(uid)

    async def _bus_call(self, member: str, signature: str, body: list[Any]) -> Message:
        # dbus-daemon drops its own answer, too, when what waits for us has as many descriptors as
        # it allows (max_outgoing_unix_fds), and others decide how many that are.
        try:
            async with asyncio.timeout(BUS_SECONDS):
                return await self.call(DBUS, DBUS_PATH, DBUS, member, signature, body)
        except TimeoutError:
            raise UnreachableError(f"the message bus does not answer {member}") from None

    def _receive(self, message: Message) -> bool | None:
        # dbus-fast 5.2 lends every message without descriptors one and the same list, and puts the
        # descriptors of a later message into it: keep what is this message's own, here and now.
        message.unix_fds = list(message.unix_fds)
        if message.message_type is MessageType.SIGNAL:
            self._signal(message)
            return True
        if message.message_type is not MessageType.METHOD_CALL:
            asked = self._asked.get(message.reply_serial, DBUS)
            # A session's bus lets anybody reply to anything: only who was asked answers, or the bus.
            if asked.startswith((":", DBUS)) and message.sender not in {asked, DBUS}:
                _close(message.unix_fds)
                message.reply_serial = 0  # of no call: dbus-fast goes on waiting for the true one
            return None
        interface = message.interface or self._members.get(message.member or "", "")
        call = Call(
            sender=message.sender or "",
            path=message.path or "",
            interface=interface,
            member=message.member or "",
            body=message.body,
            fds=message.unix_fds,
        )
        method = self._table.get((interface, call.member))
        if method is None:
            _close(call.fds)
            self._fail(message, f"{DBUS}.Error.UnknownMethod", f"no method {call.member!r} here")
        elif message.signature != method.takes:
            _close(call.fds)
            text = f"{call.member} takes {method.takes!r}, not {message.signature!r}"
            self._fail(message, f"{DBUS}.Error.InvalidArgs", text)
        else:
            answer = self._answer(message, call, method)
            try:
                self._group.create_task(answer, name=call.member)
            except RuntimeError:  # the owner's group has ended, and its process is about to
                answer.close()
                _close(call.fds)
                self._fail(message, UnreachableError.bus_name, "this program is stopping")
        return True

    def _signal(self, message: Message) -> None:
        key = (message.sender or "", message.interface or "", message.member or "")
        callback = self._signals.get(key)
        if callback is not None:
            callback(message.path or "", message.body)
        _close(message.unix_fds)

    async def _answer(self, message: Message, call: Call, method: Method) -> None:
        try:
            reply = await method.answer(call)
            self._return(message, method, reply)
        except PrivysealError as error:
            text = f"{error}; {error.hint}" if error.hint else str(error)
            self._fail(message, error.bus_name, text)
        except Exception:
            # The barrier of this connection: a defect in one call must not end the process, and
            # the caller learns no more than a number that finds the trace in the log.
            number = secrets.token_hex(4)
            log.exception("internal error %s in %s", number, call.member)
            self._fail(message, PrivysealError.bus_name, f"internal error {number}")
        finally:
            _close(call.fds)

    def _return(self, message: Message, method: Method, reply: Reply) -> None:
        if message.flags & MessageFlag.NO_REPLY_EXPECTED:
            _close(reply.fds)
            return
        try:
            body, fds = list(reply.body), list(reply.fds)
            self._send(Message.new_method_return(message, method.gives, body, fds), fds)
        except DBusFastError:
            _close(reply.fds)
            raise

    def _fail(self, message: Message, name: str, text: str) -> None:
        if not message.flags & MessageFlag.NO_REPLY_EXPECTED:
            # It may quote a peer: the bus carries no NUL and no half of a surrogate pair.
            text = text[:_LONGEST_ERROR].replace("\0", "\N{SYMBOL FOR NULL}")
            fit = text.encode(errors="replace").decode()
            self._send(Message.new_error(message, name, fit), ())

    def _send(self, message: Message, fds: Sequence[int]) -> None:
        if not self._bus.connected:
            _close(fds)
            return
        try:
            sent = self._bus.send(message)
        except OSError:  # the bus has just gone; whoever waits for that is about to hear of it
            _close(fds)
            return

        def done(future: "asyncio.Future[None]") -> None:
            _close(fds)
            if not future.cancelled():
                future.exception()  # a peer that left before its answer is no event

        sent.add_done_callback(done)


def error_text(reply: Message) -> str:
    """Return the words that came with an error, which may be foreign and of any length."""
    return reply.body[0] if reply.body and isinstance(reply.body[0], str) else "no reason"


def _close(fds: Sequence[int]) -> None:
    for fd in fds:
        if fd >= 0:
            with suppress(OSError):
                os.close(fd)
