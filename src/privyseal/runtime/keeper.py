"""The asyncio clients of the keeper's two interfaces, for the faces and the console."""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, TypeVar, cast

from privyseal.errors import PrivysealError, UnreachableError
from privyseal.model.approval import Approval, Lease, Status
from privyseal.model.ask import Ask
from privyseal.model.decision import Decision
from privyseal.model.evidence import Fact
from privyseal.model.lifecycle import State
from privyseal.model.secret import Secret
from privyseal.model.value import MAX_ITEMS, MAX_SECRET, decode, encode
from privyseal.runtime.bus import DBUS, Connection
from privyseal.runtime.memfd import read_sealed, seal
from privyseal.wire.keeper import (
    BUS_NAME,
    DECISION,
    PATH,
    REQUEST,
    Answer,
    Notice,
    Question,
    StoreChange,
    Ticket,
    Values,
    decode_answer,
)

_T = TypeVar("_T")
MAX_RELEASE: Final = MAX_ITEMS * MAX_SECRET


class _Link:
    """The part both clients share: find the keeper, call it by its unique name, notice its end."""

    def __init__(self, connection: Connection, interface: str, bus_name: str) -> None:
        self._connection = connection
        self._interface = interface
        self._bus_name = bus_name
        self._owner = ""

    async def attach(self) -> None:
        """Find the keeper; calls go to this very process until the next attach.

        Raises:
            UnreachableError: No keeper runs.
        """
        self._owner = await self._connection.owner(self._bus_name)
        if not self._owner:
            raise UnreachableError("the keeper does not run", hint="start it with `privy try`")

    async def watch_owner(self, gone: Callable[[], None], back: Callable[[], None]) -> None:
        """Call `gone` when the keeper leaves the bus and `back` when one is there again."""

        def changed(_path: str, body: list[object]) -> None:
            name, _old, new = body
            if name != self._bus_name:
                return
            self._owner = ""
            (back if new else gone)()

        rule = f",arg0='{self._bus_name}'"
        await self._connection.listen(DBUS, DBUS, "NameOwnerChanged", changed, rule=rule)

    async def _call(
        self, member: str, signature: str = "", body: Sequence[object] = (), fds: Sequence[int] = ()
    ) -> tuple[list[object], list[int]]:
        if not self._owner:
            await self.attach()
        reply = await self._connection.call(
            self._owner, PATH, self._interface, member, signature, body, fds=fds
        )
        return reply.body, list(reply.unix_fds)

    async def _ask(
        self, kind: type[_T], member: str, signature: str = "", body: Sequence[object] = ()
    ) -> _T:
        answer, _ = await self._call(member, signature, body)
        return decode(str(answer[0]), kind, what=f"the keeper's answer to {member}")


class RequestLink(_Link):
    """The asking side, `org.privyseal.Request1`."""

    def __init__(self, connection: Connection, bus_name: str = BUS_NAME) -> None:
        super().__init__(connection, REQUEST, bus_name)

    async def register(self, pidfd: int, reported: Sequence[Fact] = ()) -> str:
        """Introduce a requester by its pidfd; return the token that stands for it."""
        body, _ = await self._call("Register", "hs", [0, encode(list(reported)).decode()], [pidfd])
        return str(body[0])

    async def forget(self, requester: str) -> None:
        """Say that a requester has left; its waiting requests are cancelled."""
        await self._call("Forget", "s", [requester])

    async def look(self, requester: str, question: Question) -> Answer:
        """Return metadata; never waits for a person."""
        body, _ = await self._call("Look", "ss", [requester, encode(question).decode()])
        return decode_answer(str(body[0]))

    async def submit(
        self, requester: str, ask: Ask, value: Secret | None = None
    ) -> tuple[Ticket, list[Secret]]:
        """Ask for something; the ticket is `pending`, or ended with its result.

        The secrets are those of a `Values` result, in the order of its slices.
        """
        fds = [seal(value.expose())] if value is not None else []
        try:
            body, out = await self._call(
                "Submit", "ssah", [requester, encode(ask).decode(), list(range(len(fds)))], fds
            )
        finally:
            for fd in fds:
                os.close(fd)
        return _ticket(body, out)

    async def collect(self, request: str) -> tuple[Ticket, list[Secret]]:
        """Return the ticket of a request and, once only, what was released for it."""
        body, out = await self._call("Collect", "s", [request])
        return _ticket(body, out)

    async def cancel(self, request: str) -> None:
        """Withdraw a request; one that has ended stays as it is."""
        await self._call("Cancel", "s", [request])

    async def subscribe(
        self, resolved: Callable[[str, State], None], changed: Callable[[StoreChange], None]
    ) -> None:
        """Receive the ends of this connection's requests, and changes of the store."""
        await self.attach()

        def on_resolved(_path: str, body: list[object]) -> None:
            resolved(str(body[0]), cast("State", str(body[1])))

        def on_changed(_path: str, body: list[object]) -> None:
            changed(decode(str(body[0]), StoreChange, what="a change"))

        await self._connection.listen(self._owner, REQUEST, "Resolved", on_resolved)
        await self._connection.listen(self._owner, REQUEST, "Changed", on_changed)
        await self._call("Subscribe")


class DecisionLink(_Link):
    """The deciding side, `org.privyseal.Decision1`."""

    def __init__(self, connection: Connection, bus_name: str = BUS_NAME) -> None:
        super().__init__(connection, DECISION, bus_name)

    async def pending(self) -> list[Approval]:
        """Return the requests that wait for a person, oldest first."""
        return await self._ask(list[Approval], "Pending")

    async def show(self, prefix: str) -> Approval:
        """Return the request whose identifier starts with `prefix`, waiting or past."""
        return await self._ask(Approval, "Show", "s", [prefix])

    async def decide(self, decision: Decision) -> Approval:
        """Decide one request; return how it ended."""
        return await self._ask(Approval, "Decide", "s", [encode(decision).decode()])

    async def history(self, limit: int) -> list[Approval]:
        """Return ended requests, newest first."""
        return await self._ask(list[Approval], "History", "u", [limit])

    async def leases(self) -> list[Lease]:
        """Return the leases in force."""
        return await self._ask(list[Lease], "Leases")

    async def revoke(self, lease: str) -> None:
        """End a lease now."""
        await self._call("Revoke", "s", [lease])

    async def lock(self) -> None:
        """Lock the store, end every lease that lasts until then, deny nothing."""
        await self._call("Lock")

    async def unlock(self, passphrase: Secret) -> None:
        """Unlock the store, creating it on its first unlock.

        Raises:
            DeniedError: The passphrase is wrong.
        """
        fd = seal(passphrase.expose())
        try:
            await self._call("Unlock", "h", [0], [fd])
        finally:
            os.close(fd)

    async def status(self) -> Status:
        """Return the keeper's state in one glance."""
        return await self._ask(Status, "Status")

    async def watch(self, notice: Callable[[Notice], None]) -> None:
        """Receive everything that happens from now on."""
        await self.attach()

        def on_event(_path: str, body: list[object]) -> None:
            with suppress(PrivysealError):  # a newer keeper may know notices that we do not
                notice(decode(str(body[0]), Notice, what="a notice"))

        await self._connection.listen(self._owner, DECISION, "Event", on_event)
        await self._call("Watch")


def _ticket(body: list[object], fds: list[int]) -> tuple[Ticket, list[Secret]]:
    try:
        ticket = decode(str(body[0]), Ticket, what="the keeper's ticket")
        if not isinstance(ticket.result, Values) or not fds:
            return ticket, []
        memory = read_sealed(fds[0], limit=MAX_RELEASE)
        return ticket, [
            Secret(memory[s.offset : s.offset + s.length], s.content_type)
            for s in ticket.result.slices
        ]
    finally:
        for fd in fds:
            os.close(fd)
