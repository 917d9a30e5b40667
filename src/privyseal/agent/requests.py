"""Requests as the face sees them: handed to the keeper, awaited without limit, ended exactly once.

A request ends when the keeper says so, when its requester leaves, when the caller withdraws it or
when the keeper goes away; whichever comes first, every waiting call gets one answer.
"""

import asyncio
import logging
import os
import select
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, TypeVar

from privyseal.errors import DeniedError, ExpiredError, PrivysealError, UnreachableError
from privyseal.model.ask import Ask
from privyseal.model.evidence import Fact
from privyseal.model.lifecycle import GRANTED, State
from privyseal.model.secret import Secret
from privyseal.runtime.requestlink import RequestLink
from privyseal.wire.keeper import Answer, Question, Result, StoreChange, Ticket

log = logging.getLogger(__name__)

_T = TypeVar("_T")
_MAX_EARLY: Final = 1024
_AT_ONCE: Final = 96
"""Calls of the keeper under way; the system bus allows 128 unanswered ones (dbus-daemon(1))."""
_AT_ONCE_EACH: Final = 2


@dataclass(eq=False)
class Share:
    """What one process may take up, through however many connections it speaks.

    `calls` counts what it waits for; `turn` lets it have a few calls of the keeper under way, so
    that others need not wait for all of its own.
    """

    calls: int = 0
    turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE_EACH))


@dataclass(eq=False, slots=True)
class Requester:
    """One process that asks; it owns `pidfd`, so that a new keeper is told the very same process."""

    pidfd: int
    reported: Sequence[Fact] = ()
    share: Share = field(default_factory=Share)
    token: str = ""
    generation: int = -1
    gone: bool = False
    registering: asyncio.Lock = field(default_factory=asyncio.Lock)

    def exited(self) -> bool:
        """Return whether the process has exited (a pidfd polls as readable then, pidfd_open(2))."""
        poller = select.poll()
        poller.register(self.pidfd, select.POLLIN)
        return bool(poller.poll(0))

    def close(self) -> None:
        """Let go of the process."""
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1


@dataclass(eq=False, slots=True)
class Request:
    """One request and, while it waits, the future of its end."""

    ticket: Ticket
    values: list[Secret]
    requester: Requester
    end: "asyncio.Future[State] | None" = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was granted; `values` belong to the slices of a `Values` result, in order."""

    result: Result | None
    values: Sequence[Secret] = ()


_STOPPED: Final = UnreachableError(
    "the keeper stopped while the request waited", hint="ask again once it runs"
)


async def _any(_ask: Ask) -> None:
    """Let every request be made."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What differs between own-session and companion mode.

    `guard` may refuse what a plain call would have to wait for too long, `moved` is called when a
    request begins or ends to wait, `interrupted` is what those hear whose keeper went away.
    """

    guard: Callable[[Ask], Awaitable[None]] = _any
    moved: Callable[[], None] = lambda: None
    interrupted: UnreachableError = _STOPPED


OWN_SESSION: Final = Circumstances()


class Requests:
    """The keeper's asking side, for many requesters at once."""

    def __init__(
        self,
        link: RequestLink,
        group: asyncio.TaskGroup,
        changed: Callable[[StoreChange], None],
        around: Circumstances,
    ) -> None:
        self._link = link
        self._group = group
        self._changed = changed
        self._around = around
        self._waiting: dict[str, Request] = {}
        # A signal can be read before the coroutine that awaits Submit's reply runs again.
        self._early: dict[str, State] = {}
        self._submitting = 0
        self._generation = 0
        self._subscribed = -1
        self._subscribing = asyncio.Lock()
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def start(self) -> None:
        """Watch the keeper come and go; it need not run yet."""
        await self._link.watch_owner(self.abandon, self._back)
        with suppress(PrivysealError):
            if await self._link.present():
                await self._ready()

    async def look(self, requester: Requester, question: Question) -> Answer:
        """Return metadata; never waits for a person."""
        token = await self._token(requester)
        return await self._in_turn(requester, lambda: self._link.look(token, question))

    async def ask(
        self,
        requester: Requester,
        ask: Ask,
        value: Secret | None = None,
        *,
        patient: bool = False,
    ) -> Outcome:
        """Submit and wait for the end; who is `patient` waits at a prompt, not inside a call.

        Raises:
            LockedError: It would take the store's passphrase first.
            DeniedError: It was denied, or withdrawn because the requester left.
            ExpiredError: Nobody decided in time.
            UnreachableError: The keeper is not there, or went away meanwhile.
        """
        if not patient:
            await self._around.guard(ask)
        return await self.finish(await self.begin(requester, ask, value))

    async def begin(self, requester: Requester, ask: Ask, value: Secret | None = None) -> Request:
        """Submit, and return the request whether it has ended or waits for a person."""
        token = await self._token(requester)
        generation = self._generation
        self._submitting += 1
        try:
            ticket, values = await self._in_turn(
                requester, lambda: self._link.submit(token, ask, value)
            )
            request = Request(ticket, values, requester)
            if ticket.state == "pending":
                self._expect(request, generation)
            if requester.gone:
                # It left while the keeper was still taking the request in.
                self.withdraw(request)
            return request
        finally:
            self._submitting -= 1
            if not self._submitting:
                self._early.clear()

    async def finish(self, request: Request) -> Outcome:
        """Wait for the end of a request, without limit, and return what was granted.

        Raises:
            PrivysealError: As `ask` does.
        """
        ticket, values = request.ticket, request.values
        if request.end is not None:
            try:
                state = await request.end
            except asyncio.CancelledError:
                self.withdraw(request)
                raise
            if state in {"cancelled", "abandoned"}:
                ticket = Ticket(id=ticket.id, state=state)
            else:
                ticket, values = await self._in_turn(
                    request.requester, lambda: self._link.collect(request.ticket.id)
                )
        if ticket.state in GRANTED:
            return Outcome(ticket.result, values)
        raise self._refusal(ticket)

    def withdraw(self, request: Request) -> None:
        """Cancel a request that still waits; one that has ended stays as it is."""
        if self._end(request.ticket.id, "cancelled"):
            number = request.ticket.id
            self._later(self._in_turn(request.requester, lambda: self._link.cancel(number)))

    def forget(self, requester: Requester) -> None:
        """Say that a requester has left; what it waits for ends as cancelled."""
        for number in [n for n, r in self._waiting.items() if r.requester is requester]:
            self._end(number, "cancelled")
        requester.gone = True
        if requester.token and requester.generation == self._generation:
            token = requester.token
            self._later(self._in_turn(requester, lambda: self._link.forget(token)))
        requester.token = ""
        # A message on its way out still needs the descriptor; `_token` closes it then.
        if not requester.registering.locked():
            requester.close()

    def abandon(self) -> None:
        """End every waiting request: whoever could have granted it is out of reach."""
        self._generation += 1
        for number in list(self._waiting):
            self._end(number, "abandoned")

    async def _token(self, requester: Requester) -> str:
        known = requester.token and requester.generation == self._generation
        if not known or self._subscribed != self._generation:
            await self._introduce(requester)
        if requester.gone:
            raise UnreachableError("the caller has left the bus")
        if requester.exited():
            # A child may hold its connection open; nobody has looked at that child.
            raise DeniedError("the program that opened this connection has exited")
        return requester.token

    async def _introduce(self, requester: Requester) -> None:
        await self._ready()
        async with requester.registering:
            if requester.gone:
                raise UnreachableError("the caller has left the bus")
            if not requester.token or requester.generation != self._generation:
                await self._register(requester)

    async def _register(self, requester: Requester) -> None:
        generation = self._generation
        try:
            token = await self._in_turn(
                requester, lambda: self._link.register(requester.pidfd, requester.reported)
            )
        finally:
            if requester.gone:
                requester.close()
        if requester.gone:
            self._later(self._in_turn(requester, lambda: self._link.forget(token)))
            raise UnreachableError("the caller has left the bus")
        requester.token, requester.generation = token, generation

    async def _in_turn(self, requester: Requester, call: Callable[[], Awaitable[_T]]) -> _T:
        async with requester.share.turn, self._room:
            return await call()

    async def _ready(self) -> None:
        async with self._subscribing:
            if self._subscribed != self._generation:
                generation = self._generation
                await self._link.subscribe(self._resolved, self._changed)
                self._subscribed = generation

    def _expect(self, request: Request, generation: int) -> None:
        number = request.ticket.id
        request.end = asyncio.get_running_loop().create_future()
        self._waiting[number] = request
        self._around.moved()
        if number in self._early:
            self._end(number, self._early.pop(number))
        elif generation != self._generation:
            self._end(number, "abandoned")

    def _resolved(self, number: str, state: State) -> None:
        if self._end(number, state) or not self._submitting:
            return
        self._early[number] = state
        while len(self._early) > _MAX_EARLY:
            del self._early[next(iter(self._early))]

    def _end(self, number: str, state: State) -> bool:
        request = self._waiting.pop(number, None)
        if request is None or request.end is None:
            return False
        self._around.moved()
        # The future is done already when the call that awaited it was cancelled.
        if not request.end.done():
            request.end.set_result(state)
        return True

    def _back(self) -> None:
        # A keeper can replace another without the name ever being free.
        self.abandon()
        self._later(self._ready())

    def _refusal(self, ticket: Ticket) -> PrivysealError:
        match ticket.state:
            case "expired":
                return ExpiredError(ticket.reason or "nobody decided in time", hint="ask again")
            case "abandoned":
                words = self._around.interrupted
                return UnreachableError(ticket.reason or str(words), hint=words.hint)
            case "cancelled":
                return DeniedError(ticket.reason or "the request was withdrawn")
            case _:
                return DeniedError(ticket.reason or "the request was denied")

    def _later(self, work: Awaitable[None]) -> None:
        async def run() -> None:
            try:
                await work
            except PrivysealError as error:
                log.debug("the keeper did not take a notice: %s", error)

        self._group.create_task(run(), name="notice")
