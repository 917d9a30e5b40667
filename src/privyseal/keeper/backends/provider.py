"""The link to a Secret Service provider: who it is just now, our session with it, its prompts.

The provider is another process that may end and come back at any time. Every call finds the
process that owns the name now, by its unique name, and a plain session with it; nothing a caller
holds depends on either. Nothing that comes back is believed before its type and path are checked.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, Literal

from dbus_fast import Message, MessageType, Variant

from privyseal.errors import (
    CorruptError,
    DeniedError,
    NoSessionError,
    NotFoundError,
    PrivysealError,
    UnreachableError,
    UnsupportedError,
    from_bus,
)
from privyseal.keeper.backends.objects import (
    ROOT,
    check_path,
    parse_collection,
    parse_item,
    paths,
    variant,
)
from privyseal.runtime.bus import DBUS, Connection, error_text
from privyseal.wire.keeper import StoreChange

NAME: Final = "org.freedesktop.secrets"
SERVICE: Final = "org.freedesktop.Secret.Service"
COLLECTION: Final = "org.freedesktop.Secret.Collection"
ITEM: Final = "org.freedesktop.Secret.Item"

_PROMPT: Final = "org.freedesktop.Secret.Prompt"
_PROPERTIES: Final = "org.freedesktop.DBus.Properties"
_CALL_SECONDS: Final = 60.0
_PROMPT_SECONDS: Final = 300.0
_MAX_REASON: Final = 300

_UNDELIVERED: Final = frozenset({f"{DBUS}.Error.ServiceUnknown", f"{DBUS}.Error.NameHasNoOwner"})
_UNKNOWN: Final = frozenset(
    f"{DBUS}.Error.Unknown{what}" for what in ("Method", "Object", "Interface")
)
Happening = Literal["created", "deleted", "changed"]
_HAPPENINGS: Final[tuple[Happening, ...]] = ("created", "deleted", "changed")

Body = Sequence[object] | Callable[[str], Sequence[object]]
"""The arguments of a call, or a function that makes them from our session's path."""


@dataclass(frozen=True, slots=True)
class _Peer:
    """One life of the provider."""

    connection: Connection
    owner: str
    session: str = ""

    async def exchange(
        self, path: str, interface: str, member: str, takes: str = "", body: Sequence[object] = ()
    ) -> Message:
        """Call a method of this very process; return its reply or its error."""
        call = Message(self.owner, path, interface, member, signature=takes, body=list(body))
        return await self.connection.exchange(call)


class Provider:
    """The process behind `org.freedesktop.secrets` on one bus, across its restarts."""

    def __init__(
        self, group: asyncio.TaskGroup, address: str, changed: Callable[[StoreChange], None]
    ) -> None:
        self._group = group
        self._address = address
        self._changed = changed
        self._connection: Connection | None = None
        self._peer: _Peer | None = None
        self._attaching = asyncio.Lock()
        self._prompts: dict[str, asyncio.Future[tuple[bool, object]]] = {}
        self._closed = False

    async def call(
        self,
        path: str,
        interface: str,
        member: str,
        takes: str = "",
        body: Body = (),
        *,
        gives: str = "",
    ) -> list[object]:
        """Call a method of the provider and return its results, which have the types `gives`.

        A call that reached nobody, or a session of an earlier life, is made once more.

        Raises:
            PrivysealError: As `Backend` says.
        """
        reply = await self._call_once(path, interface, member, takes, body)
        if reply.error_name in _UNDELIVERED or reply.error_name == NoSessionError.bus_name:
            self._forget_peer()
            reply = await self._call_once(path, interface, member, takes, body)
        if reply.message_type is MessageType.ERROR:
            raise _error(reply, path)
        if reply.signature != gives:
            raise CorruptError(f"the provider answered {member} with {reply.signature[:99]!r}")
        return list(reply.body)

    async def get(self, path: str, interface: str, name: str, kind: str) -> object:
        """Return one property, of the D-Bus type `kind`."""
        (value,) = await self.call(path, _PROPERTIES, "Get", "ss", [interface, name], gives="v")
        return variant(value, kind)

    async def get_all(self, path: str, interface: str) -> Mapping[str, object]:
        """Return all properties of an object, each a variant."""
        (found,) = await self.call(path, _PROPERTIES, "GetAll", "s", [interface], gives="a{sv}")
        if not isinstance(found, dict) or not found:
            # gnome-keyring says so of an item whose collection was deleted.
            raise NotFoundError(f"no such object: {path!r}")
        return found

    async def set(self, path: str, interface: str, name: str, value: Variant) -> None:
        """Set one property."""
        await self.call(path, _PROPERTIES, "Set", "ssv", [interface, name, value])

    async def complete(self, prompt: object, kind: str = "") -> object:
        """Let the provider ask what it wants to ask; return its result, if that is to be a `kind`.

        Raises:
            DeniedError: The prompt was dismissed, or nobody answered it for five minutes.
        """
        check_path(prompt, "prompt")
        path = str(prompt)
        completed: asyncio.Future[tuple[bool, object]]
        completed = asyncio.get_running_loop().create_future()
        self._prompts[path] = completed
        try:
            await self.call(path, _PROMPT, "Prompt", "s", [""])
            async with asyncio.timeout(_PROMPT_SECONDS):
                dismissed, result = await completed
        except TimeoutError:
            raise DeniedError("nobody answered the provider's prompt") from None
        finally:
            del self._prompts[path]
            if not completed.done() or completed.cancelled():
                await self._dismiss(path)
        if dismissed:
            raise DeniedError("the provider's prompt was dismissed")
        return variant(result, kind) if kind else None

    def close(self) -> None:
        """Leave the bus; the session ends with the connection."""
        self._closed = True
        self._forget_peer()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def _dismiss(self, path: str) -> None:
        peer = self._peer
        with suppress(PrivysealError, TimeoutError):
            async with asyncio.timeout(2):
                if peer is not None:
                    await peer.exchange(path, _PROMPT, "Dismiss")

    async def _call_once(
        self, path: str, interface: str, member: str, takes: str, body: Body
    ) -> Message:
        try:
            async with asyncio.timeout(_CALL_SECONDS):
                peer = self._peer or await self._attach()
                made = body(peer.session) if callable(body) else body
                return await peer.exchange(path, interface, member, takes, made)
        except TimeoutError:
            raise UnreachableError(f"the provider does not answer {member}") from None

    async def _attach(self) -> _Peer:
        async with self._attaching:
            if self._peer is not None:
                return self._peer
            if self._closed:
                raise UnreachableError("the link to the provider is closed")
            connection = self._connection or await self._connect()
            owner = await connection.owner(NAME)
            if not owner:
                raise UnreachableError(
                    "no Secret Service provider runs on its bus",
                    hint="see `privy doctor`",
                )
            for kind, interface in (("Collection", SERVICE), ("Item", COLLECTION)):
                for what in _HAPPENINGS:
                    member, forward = kind + what.capitalize(), self._forward(kind, what)
                    await connection.listen(owner, interface, member, forward)
            await connection.listen(owner, _PROMPT, "Completed", self._on_completed)
            # The bus is private to us and the provider: encrypting on it protects from nobody.
            peer = _Peer(connection, owner)
            plain = ["plain", Variant("s", "")]
            reply = await peer.exchange(ROOT, SERVICE, "OpenSession", "sv", plain)
            if reply.message_type is MessageType.ERROR:
                raise _error(reply, ROOT)
            if reply.signature != "vo":
                raise CorruptError(f"the provider opened a session {reply.signature[:99]!r}")
            check_path(reply.body[1], "session")
            self._peer = replace(peer, session=reply.body[1])
            return self._peer

    async def _connect(self) -> Connection:
        connection = await Connection.open(self._group, self._address)
        self._connection = connection
        self._group.create_task(self._outlive(connection), name="provider's bus")
        rule = f",arg0='{NAME}'"
        await connection.listen(DBUS, DBUS, "NameOwnerChanged", self._on_owner, rule=rule)
        return connection

    async def _outlive(self, connection: Connection) -> None:
        await connection.closed()
        if self._connection is connection:
            self._connection = None
            self._forget_peer()

    def _on_owner(self, _path: str, body: list[object]) -> None:
        name, _old, new = body
        if name != NAME:
            return
        self._forget_peer()
        if new and not self._closed:
            self._group.create_task(self._return(), name="provider is back")

    async def _return(self) -> None:
        # Its signals are to be heard before anybody calls it again, and what was open may now be
        # locked; a failure is told to the next caller.
        with suppress(PrivysealError):
            for path in paths(await self.get(ROOT, SERVICE, "Collections", "ao")):
                self._changed(StoreChange(what="changed", collection=parse_collection(path)))

    def _forget_peer(self) -> None:
        self._peer = None
        for waiting in self._prompts.values():
            if not waiting.done():
                waiting.set_exception(UnreachableError("the provider ended during its prompt"))

    def _forward(self, kind: str, what: Happening) -> Callable[[str, list[object]], None]:
        def forward(_path: str, body: list[object]) -> None:
            subject = body[0] if body else None
            with suppress(CorruptError):  # a signal that names nothing of ours tells us nothing
                if kind == "Item":
                    ref = parse_item(subject)
                    change = StoreChange(what=what, collection=ref.collection, item=ref.item)
                else:
                    change = StoreChange(what=what, collection=parse_collection(subject))
                self._changed(change)

        return forward

    def _on_completed(self, path: str, body: list[object]) -> None:
        waiting = self._prompts.get(path)
        if waiting is None or waiting.done():
            return
        if [type(part) for part in body] == [bool, Variant]:
            waiting.set_result((bool(body[0]), body[1]))
        else:
            waiting.set_exception(CorruptError("the provider completed a prompt with nonsense"))


def _error(reply: Message, path: str) -> PrivysealError:
    name, text = reply.error_name or "", error_text(reply)[:_MAX_REASON]
    if name in _UNKNOWN:
        # The service's own object is always there: what is unknown of it is a method.
        if path == ROOT:
            return UnsupportedError(f"the provider cannot do that: {text!r}")
        return NotFoundError(f"no such object: {text!r}")
    if name in _UNDELIVERED or name == f"{DBUS}.Error.NoReply":
        return UnreachableError("the Secret Service provider ended")
    if name == "org.gnome.keyring.Error.Denied":
        return DeniedError("the passphrase is wrong")
    return type(from_bus(name, text))(f"the provider refused: {text!r}")
