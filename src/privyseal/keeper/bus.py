"""The keeper on the bus: two tables of methods, and nothing but translation behind them."""

import os
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar

from privyseal.errors import LimitError, NotFoundError, UnsupportedError, UsageError
from privyseal.keeper.asking import Asking
from privyseal.keeper.core import Core
from privyseal.keeper.deciding import Deciding
from privyseal.keeper.ending import LOGGED_OUT, Ending
from privyseal.keeper.glance import Glance
from privyseal.keeper.pins import Pins
from privyseal.keeper.requesters import Callers, Requesters
from privyseal.keeper.requests import Requester
from privyseal.keeper.testimony import MAX_REPORTED
from privyseal.keeper.turns import EACH, Turns
from privyseal.model.ask import Ask, ChangeAws, Create, OfAws, Write, decode_ask
from privyseal.model.aws import Keep
from privyseal.model.decision import Decision
from privyseal.model.evidence import Fact
from privyseal.model.secret import Secret
from privyseal.model.value import MAX_SECRET, decode, encode
from privyseal.runtime.bus import Call, Connection, Method, Reply, Table
from privyseal.runtime.memfd import read_sealed, seal
from privyseal.wire.keeper import (
    DECISION,
    MAX_MESSAGE,
    MAX_PASSPHRASE,
    MAX_TROUBLE,
    PATH,
    REQUEST,
    Answer,
    KnownAws,
    KnownCollections,
    KnownItem,
    KnownItems,
    LookAws,
    LookCollections,
    LookItem,
    LookItems,
    Notice,
    StoreChange,
    Ticket,
    decode_question,
)

_T = TypeVar("_T")
_REVIEW_SECONDS: Final = 1.0
_MAX_CALL: Final = 128 * 1024
_MAX_ASK: Final = 64 * 1024
_MAX_PIN_TEXT: Final = 4000
_MAX_LIST: Final = 16 * 1024 * 1024
_NUL: Final = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
"""U+0000 as JSON writes it. No bus carries it, so no face could ever show what holds it."""


class BusAudience:
    """Tells each connection what concerns it, by unicast signals.

    Two buses may give the same unique name to different processes, so each has a set of its own.
    """

    def __init__(self, asking: Connection, deciding: Connection) -> None:
        self._asking = asking
        self._deciding = deciding
        self.watchers: set[str] = set()
        self.subscribers: set[str] = set()

    def resolved(self, face: str, request: str, state: str) -> None:
        """Tell a face that one of its requests has ended."""
        self._asking.emit(PATH, REQUEST, "Resolved", "ss", [request, state], to=face)

    def notice(self, notice: Notice) -> None:
        """Tell those who watch."""
        if not self.watchers:
            return
        text = encode(notice).decode()
        for name in self.watchers:
            self._deciding.emit(PATH, DECISION, "Event", "s", [text], to=name)

    def changed(self, change: StoreChange) -> None:
        """Tell the faces that the store changed."""
        text = encode(change).decode()
        for name in self.subscribers:
            self._asking.emit(PATH, REQUEST, "Changed", "s", [text], to=name)


@dataclass(frozen=True, slots=True)
class Desk:
    """What both interfaces work with. `ending` is there in companion mode."""

    core: Core
    deciding: Deciding
    audience: BusAudience
    glance: Glance
    pins: Pins
    ending: Ending | None
    turns: Turns = field(default_factory=Turns)


class _Methods:
    """What both interfaces answer in the same way."""

    def __init__(self, desk: Desk, callers: Callers) -> None:
        self._desk = desk
        self._core = desk.core
        self._callers = callers
        self._audience = desk.audience

    def _view(self, takes: str, view: Callable[[Call], Reply]) -> Method:
        """Return a method that shows something to whoever may look, and changes nothing."""

        async def answer(call: Call) -> Reply:
            await self._callers.admit(call.sender)
            return view(call)

        return Method(takes, "s", answer)

    async def _status(self, call: Call) -> Reply:
        await self._callers.admit(call.sender)
        return _json(await self._desk.glance.status())

    async def _lock(self, call: Call) -> Reply:
        """Lock, and in companion mode end."""
        by = await self._callers.of(call.sender)
        if self._desk.ending is None:
            await self._desk.deciding.lock(by)
        else:
            await self._desk.ending.lock(self._core, by.summary)
        return Reply()

    async def _enlist(self, names: set[str], call: Call) -> Reply:
        """Tell the caller by signals from now on, until it leaves."""
        await self._callers.admit(call.sender)
        names.add(call.sender)
        if not await self._callers.stays(call.sender):
            names.discard(call.sender)
        return Reply()


class RequestMethods(_Methods):
    """`org.privyseal.Request1`: asking."""

    def __init__(
        self, desk: Desk, asking: Asking, callers: Callers, requesters: Requesters
    ) -> None:
        super().__init__(desk, callers)
        self._asking = asking
        self._requesters = requesters
        self._reviewed = float("-inf")

    def table(self) -> Table:
        """Return the methods of the interface; signatures as in wire/keeper.py."""
        turn, subscribers = self._in_turn, self._audience.subscribers
        return {
            (REQUEST, "Register"): Method("hs", "s", partial(turn, self._register)),
            (REQUEST, "Forget"): Method("s", "", self._forget),
            (REQUEST, "Look"): Method("ss", "s", partial(turn, self._look)),
            (REQUEST, "Submit"): Method("ssah", "sah", partial(turn, self._submit)),
            (REQUEST, "Collect"): Method("s", "sah", self._collect),
            (REQUEST, "Cancel"): Method("s", "", self._cancel),
            (REQUEST, "Subscribe"): Method("", "", partial(self._enlist, subscribers)),
            (REQUEST, "Status"): Method("", "s", self._status),
            (REQUEST, "Waiting"): self._view("", lambda _: _list(self._desk.deciding.pending())),
            (REQUEST, "Lock"): Method("", "", self._lock),
            (REQUEST, "Review"): Method("", "", self._review),
            (REQUEST, "Report"): Method("s", "", self._report),
        }

    async def _in_turn(self, answer: Callable[[Call], Awaitable[Reply]], call: Call) -> Reply:
        """Answer a call once it is its process's turn; the agent, who speaks for many, has no turn."""
        if self._callers.is_agent(call.sender):
            return await answer(call)
        if call.path != PATH:
            raise NotFoundError(f"no object {call.path[:80]!r} here")
        texts = sum(len(part) for part in call.body if isinstance(part, str))
        length = texts + EACH * sum(map(len, (call.fds, *call.body[2:])))  # the rest are indexes
        if length > _MAX_CALL:
            raise LimitError(f"the call is longer than {_MAX_CALL} characters")
        async with self._desk.turns.of(await self._callers.admit(call.sender), length, call.drop):
            return await answer(call)

    async def _register(self, call: Call) -> Reply:
        reported = _decode(call.body[1], list[Fact], "the reported facts")
        if len(reported) > MAX_REPORTED:
            raise LimitError(f"more than {MAX_REPORTED} reported facts")
        pidfd = call.take_fd(call.body[0])
        return Reply([(await self._requesters.register(call.sender, pidfd, reported)).token])

    async def _forget(self, call: Call) -> Reply:
        self._requesters.forget(self._requester(call))
        return Reply()

    async def _look(self, call: Call) -> Reply:
        requester = self._requester(call)
        question = decode_question(_bounded(call.body[1], "the question"))
        backend = self._core.ports.backend
        answer: Answer
        match question:
            case LookCollections():
                known, aliases = await backend.collections(), await backend.aliases()
                answer = KnownCollections(collections=known, aliases=dict(aliases))
            case LookItems(collection=collection):
                answer = KnownItems(items=await backend.items(collection))
            case LookItem(item=item):
                info = await backend.describe(item)
                opened = not info.locked and self._asking.readable(requester, item)
                answer = KnownItem(item=info, open=opened)
            case LookAws():
                answer = KnownAws(vaulted=await self._core.ports.broker.known())
        return Reply([encode(answer).decode()])

    async def _submit(self, call: Call) -> Reply:
        requester = self._requester(call)
        ask = decode_ask(_bounded(call.body[1], "the request", _MAX_ASK))
        value = _value(call, ask)
        talk = call.take_fd([*call.body[2], -1][0]) if isinstance(ask, OfAws) else -1
        try:
            answered = await self._asking.submit(requester, ask, value, talk)
        except BaseException:
            if talk >= 0:
                os.close(talk)
            raise
        return _answer(answered.request.ticket(), answered.released)

    async def _collect(self, call: Call) -> Reply:
        request = self._core.book.of_face(call.sender, str(call.body[0]))
        released = await self._asking.collect(request)
        return _answer(request.ticket(), released)

    async def _cancel(self, call: Call) -> Reply:
        request = self._core.book.of_face(call.sender, str(call.body[0]))
        self._asking.withdraw(request, "the requester gave up")
        return Reply()

    async def _review(self, call: Call) -> Reply:
        await self._callers.admit(call.sender)
        now = self._core.ports.clock.monotonic()
        if now >= self._reviewed + _REVIEW_SECONDS:
            self._reviewed = now
            self._audience.notice(Notice(what="review"))
        return Reply()

    async def _report(self, call: Call) -> Reply:
        trouble = _bounded(call.body[0], "the report", MAX_TROUBLE)
        await self._callers.admit(call.sender)
        self._desk.glance.report(call.sender, trouble)
        if not await self._callers.stays(call.sender):
            self._desk.glance.forget(call.sender)
        return Reply()

    def _requester(self, call: Call) -> Requester:
        return self._requesters.of(call.sender, str(call.body[0]))


class DecisionMethods(_Methods):
    """`org.privyseal.Decision1`: deciding. In companion mode it is not on the desktop's bus."""

    def table(self) -> Table:
        """Return the methods of the interface; signatures as in wire/keeper.py."""
        deciding = self._desk.deciding
        return {
            (DECISION, "Pending"): self._view("", lambda _: _list(deciding.pending())),
            (DECISION, "Show"): self._view("s", lambda c: _json(deciding.show(c.body[0]))),
            (DECISION, "History"): self._view("u", lambda c: _list(deciding.history(c.body[0]))),
            (DECISION, "Leases"): self._view("", lambda _: _json(deciding.leases())),
            (DECISION, "Rules"): self._view("", lambda _: _json(self._core.policy)),
            (DECISION, "Pins"): self._view("", lambda _: _json(self._desk.pins.waiting())),
            (DECISION, "Pin"): Method("s", "h", self._pin),
            (DECISION, "AnswerPin"): Method("sah", "", self._answer_pin),
            (DECISION, "LogOut"): Method("", "", self._log_out),
            (DECISION, "Decide"): Method("s", "s", self._decide),
            (DECISION, "Revoke"): Method("s", "", self._revoke),
            (DECISION, "Lock"): Method("", "", self._lock),
            (DECISION, "Unlock"): Method("h", "", self._unlock),
            (DECISION, "Status"): Method("", "s", self._status),
            (DECISION, "Watch"): Method("", "", partial(self._enlist, self._audience.watchers)),
        }

    async def _decide(self, call: Call) -> Reply:
        decider = await self._callers.of(call.sender)
        decision = _decode(call.body[0], Decision, "the decision")
        return _json(await self._desk.deciding.decide(decision, decider))

    async def _revoke(self, call: Call) -> Reply:
        decider = await self._callers.of(call.sender)
        await self._desk.deciding.revoke(str(call.body[0]), decider)
        return Reply()

    async def _log_out(self, call: Call) -> Reply:
        decider = await self._callers.of(call.sender)
        if self._desk.ending is None:
            raise UnsupportedError("only a companion can log out", hint="lock with `privy lock`")
        await self._desk.ending.lock(self._core, decider.summary, LOGGED_OUT)
        return Reply()

    async def _pin(self, call: Call) -> Reply:
        await self._callers.admit(call.sender)
        text = _bounded(call.body[0], "the text", _MAX_PIN_TEXT)
        passphrase = await self._desk.pins.ask(call.sender, text, self._core.policy.timing.pending)
        return Reply([0], [seal(passphrase.expose())])

    async def _answer_pin(self, call: Call) -> Reply:
        await self._callers.of(call.sender)
        pin, indexes = str(call.body[0]), call.body[1]
        if len(indexes) > 1:
            raise UsageError("the answer is one passphrase or none")
        passphrase = Secret(_memory(call, indexes[0], MAX_PASSPHRASE)) if indexes else None
        self._desk.pins.answer(pin, passphrase)
        return Reply()

    async def _unlock(self, call: Call) -> Reply:
        decider = await self._callers.of(call.sender)
        passphrase = Secret(_memory(call, call.body[0], MAX_PASSPHRASE))
        await self._desk.deciding.unlock(passphrase, decider)
        return Reply()


def _decode(text: object, kind: type[_T], what: str) -> _T:
    return decode(_bounded(text, what), kind, what=what)


def _bounded(text: object, what: str, limit: int = MAX_MESSAGE) -> str:
    if not isinstance(text, str):
        raise UsageError(f"{what} is not a text")
    if len(text) > limit:
        raise LimitError(f"{what} is longer than {limit} characters")
    if _NUL.search(text):
        raise UsageError(f"{what} holds the character U+0000")
    return text


def _json(value: object) -> Reply:
    return Reply([encode(value).decode()])


def _list(values: Sequence[object]) -> Reply:
    """Answer with as many of these as one message should carry: the first, and at least one."""
    texts: list[bytes] = []
    room = _MAX_LIST
    for value in values:
        text = encode(value)
        room -= len(text)
        if texts and room < 0:
            break
        texts.append(text)
    return Reply([f"[{b','.join(texts).decode()}]"])


def _value(call: Call, ask: Ask) -> Secret | None:
    indexes = call.body[2][isinstance(ask, OfAws) :]
    keeps = isinstance(ask, ChangeAws) and isinstance(ask.order, Keep) and not ask.order.typed
    if not keeps and not isinstance(ask, Create | Write):
        if indexes:
            raise UsageError("this kind of request takes no value")
        return None
    if len(indexes) != 1:
        raise UsageError("the request needs exactly one value")
    kind = ask.content_type if isinstance(ask, Create | Write) else "application/json"
    return Secret(_memory(call, indexes[0], MAX_SECRET), kind)


def _memory(call: Call, index: int, limit: int) -> bytes:
    fd = call.take_fd(index)
    try:
        return read_sealed(fd, limit=limit)
    finally:
        os.close(fd)


def _answer(ticket: Ticket, released: Sequence[Secret]) -> Reply:
    text = encode(ticket).decode()
    if not released:
        return Reply([text, []])
    return Reply([text, [0]], [seal(b"".join(secret.expose() for secret in released))])
