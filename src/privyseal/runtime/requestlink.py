"""The asyncio client of the keeper's asking interface, for the faces."""

import os
import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Final, cast

from privyseal.model.approval import Approval, Status
from privyseal.model.ask import Ask
from privyseal.model.evidence import Fact
from privyseal.model.lifecycle import State
from privyseal.model.secret import Secret
from privyseal.model.value import MAX_ITEMS, MAX_SECRET, decode, encode
from privyseal.runtime.bus import Connection
from privyseal.runtime.keeper import Link
from privyseal.runtime.memfd import read_sealed, seal
from privyseal.wire.keeper import (
    BUS_NAME,
    REQUEST,
    Answer,
    Question,
    StoreChange,
    Ticket,
    Values,
    decode_answer,
)

MAX_RELEASE: Final = MAX_ITEMS * MAX_SECRET


class RequestLink(Link):
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
        self,
        requester: str,
        ask: Ask,
        value: Secret | None = None,
        talk: socket.socket | None = None,
    ) -> tuple[Ticket, list[Secret]]:
        """Ask for something; the ticket is `pending`, or ended with its result.

        The secrets are those of a `Values` result, in the order of its slices. An order for AWS
        takes one end of a talk (wire/broker.py), which stays the caller's.
        """
        fds = [talk.fileno()] if talk is not None else []
        with ExitStack() as opened:
            if value is not None:
                fds.append(seal(value.expose()))
                opened.callback(os.close, fds[-1])
            body, out = await self._call(
                "Submit", "ssah", [requester, encode(ask).decode(), list(range(len(fds)))], fds
            )
        return _ticket(body, out)

    async def collect(self, request: str) -> tuple[Ticket, list[Secret]]:
        """Return the ticket of a request and, once only, what was released for it."""
        body, out = await self._call("Collect", "s", [request])
        return _ticket(body, out)

    async def cancel(self, request: str) -> None:
        """Withdraw a request; one that has ended stays as it is."""
        await self._call("Cancel", "s", [request])

    async def status(self) -> Status:
        """Return the keeper's state in one glance."""
        return await self._ask(Status, "Status")

    async def waiting(self) -> list[Approval]:
        """Return the requests that wait for a person, oldest first."""
        return await self._ask(list[Approval], "Waiting")

    async def lock(self) -> None:
        """Lock the store; in companion mode every process that held a key ends."""
        await self._call("Lock")

    async def review(self) -> None:
        """Bring the console's terminal to the front."""
        await self._call("Review")

    async def report(self, trouble: str) -> None:
        """Tell of trouble, for as long as this connection lasts; "" says that it is over."""
        await self._call("Report", "s", [trouble])

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
