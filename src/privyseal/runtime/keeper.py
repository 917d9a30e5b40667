"""The asyncio client of the keeper's deciding interface, and what it shares with the asking one."""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from privyseal.errors import PrivysealError, UnreachableError
from privyseal.model.approval import Approval, Lease, PinAsk, Status
from privyseal.model.decision import Decision
from privyseal.model.policy import Policy
from privyseal.model.secret import Secret
from privyseal.model.value import decode, encode
from privyseal.runtime.bus import DBUS, Connection
from privyseal.runtime.memfd import read_sealed, seal
from privyseal.wire.keeper import BUS_NAME, DECISION, MAX_PASSPHRASE, PATH, Notice

_T = TypeVar("_T")


class Link:
    """What both clients share: find the keeper, call it by its unique name, notice its end."""

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

    async def present(self) -> bool:
        """Return whether a keeper is there now."""
        return bool(await self._connection.owner(self._bus_name))

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


class DecisionLink(Link):
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

    async def rules(self) -> Policy:
        """Return the policy in force."""
        return await self._ask(Policy, "Rules")

    async def log_out(self) -> None:
        """End the companion until somebody asks again."""
        await self._call("LogOut")

    async def pin(self, text: str) -> Secret:
        """Return the passphrase that a person typed on the console for `text`.

        Raises:
            DeniedError: The person cancelled.
            ExpiredError: Nobody typed one in time.
            LimitError: Too many programs wait for one.
        """
        _, fds = await self._call("Pin", "s", [text])
        try:
            return Secret(read_sealed(fds[0], limit=MAX_PASSPHRASE))
        finally:
            for fd in fds:
                os.close(fd)

    async def pins(self) -> list[PinAsk]:
        """Return the programs of the companion that wait for a passphrase, oldest first."""
        return await self._ask(list[PinAsk], "Pins")

    async def answer_pin(self, pin: str, passphrase: Secret | None) -> None:
        """Answer a program that waits for a passphrase; None cancels.

        Raises:
            NotFoundError: It waits no more.
        """
        fds = [seal(passphrase.expose())] if passphrase is not None else []
        try:
            await self._call("AnswerPin", "sah", [pin, list(range(len(fds)))], fds)
        finally:
            for fd in fds:
                os.close(fd)

    async def watch(self, notice: Callable[[Notice], None]) -> None:
        """Receive everything that happens from now on."""
        await self.attach()

        def on_event(_path: str, body: list[object]) -> None:
            with suppress(PrivysealError):  # a newer keeper may know notices that we do not
                notice(decode(str(body[0]), Notice, what="a notice"))

        await self._connection.listen(self._owner, DECISION, "Event", on_event)
        await self._call("Watch")
