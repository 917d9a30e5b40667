"""The keeper on the bus: two tables of methods, and nothing but translation behind them."""

import os
import re
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from privyseal.errors import LimitError, UsageError
from privyseal.keeper.asking import Asking
from privyseal.keeper.core import Core
from privyseal.keeper.deciding import Deciding
from privyseal.keeper.requesters import Callers, Requesters
from privyseal.keeper.requests import Requester
from privyseal.keeper.testimony import MAX_REPORTED
from privyseal.model.approval import Status
from privyseal.model.ask import Ask, Create, Write, decode_ask
from privyseal.model.decision import Decision
from privyseal.model.evidence import Fact
from privyseal.model.secret import Secret
from privyseal.model.value import MAX_SECRET, decode, encode
from privyseal.runtime.bus import Call, Connection, Method, Reply, Table
from privyseal.runtime.memfd import read_sealed, seal
from privyseal.wire.keeper import (
    DECISION,
    MAX_MESSAGE,
    PATH,
    REQUEST,
    KnownCollections,
    KnownItem,
    KnownItems,
    LookCollections,
    LookItem,
    LookItems,
    Notice,
    StoreChange,
    Ticket,
    decode_question,
)

VERSION: Final = "0.1.0"

_T = TypeVar("_T")
_MAX_PASSPHRASE: Final = 4096
_MAX_ASK: Final = 64 * 1024
_MAX_LIST: Final = 16 * 1024 * 1024
_NUL: Final = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
"""U+0000 as JSON writes it. No bus carries it, so no face could ever show what holds it."""


class BusAudience:
    """Tells each connection what concerns it, by unicast signals."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.watchers: set[str] = set()
        self.subscribers: set[str] = set()

    def resolved(self, face: str, request: str, state: str) -> None:
        """Tell a face that one of its requests has ended."""
        self._connection.emit(PATH, REQUEST, "Resolved", "ss", [request, state], to=face)

    def notice(self, notice: Notice) -> None:
        """Tell those who watch."""
        if not self.watchers:
            return
        text = encode(notice).decode()
        for name in self.watchers:
            self._connection.emit(PATH, DECISION, "Event", "s", [text], to=name)

    def changed(self, change: StoreChange) -> None:
        """Tell the faces that the store changed."""
        text = encode(change).decode()
        for name in self.subscribers:
            self._connection.emit(PATH, REQUEST, "Changed", "s", [text], to=name)

    def forget(self, name: str) -> None:
        """Stop telling a connection that has left."""
        self.watchers.discard(name)
        self.subscribers.discard(name)


class RequestMethods:
    """`org.privyseal.Request1`: asking."""

    def __init__(
        self,
        core: Core,
        asking: Asking,
        callers: Callers,
        requesters: Requesters,
        audience: BusAudience,
    ) -> None:
        self._core = core
        self._asking = asking
        self._callers = callers
        self._requesters = requesters
        self._audience = audience

    def table(self) -> Table:
        """Return the methods of the interface; signatures as in wire/keeper.py."""
        return {
            (REQUEST, "Register"): Method("hs", "s", self._register),
            (REQUEST, "Forget"): Method("s", "", self._forget),
            (REQUEST, "Look"): Method("ss", "s", self._look),
            (REQUEST, "Submit"): Method("ssah", "sah", self._submit),
            (REQUEST, "Collect"): Method("s", "sah", self._collect),
            (REQUEST, "Cancel"): Method("s", "", self._cancel),
            (REQUEST, "Subscribe"): Method("", "", self._subscribe),
        }

    async def _register(self, call: Call) -> Reply:
        reported = _decode(call.body[1], list[Fact], "the reported facts")
        if len(reported) > MAX_REPORTED:
            raise LimitError(f"more than {MAX_REPORTED} reported facts")
        pidfd = call.take_fd(call.body[0])
        requester = await self._requesters.register(call.sender, pidfd, reported)
        return Reply([requester.token])

    async def _forget(self, call: Call) -> Reply:
        self._requesters.forget(self._requester(call))
        return Reply()

    async def _look(self, call: Call) -> Reply:
        requester = self._requester(call)
        question = decode_question(_bounded(call.body[1], "the question"))
        backend = self._core.ports.backend
        answer: KnownCollections | KnownItems | KnownItem
        match question:
            case LookCollections():
                answer = KnownCollections(
                    collections=await backend.collections(), aliases=dict(await backend.aliases())
                )
            case LookItems(collection=collection):
                answer = KnownItems(items=await backend.items(collection))
            case LookItem(item=item):
                info = await backend.describe(item)
                opened = not info.locked and self._asking.readable(requester, item)
                answer = KnownItem(item=info, open=opened)
        return Reply([encode(answer).decode()])

    async def _submit(self, call: Call) -> Reply:
        requester = self._requester(call)
        ask = decode_ask(_bounded(call.body[1], "the request", _MAX_ASK))
        answered = await self._asking.submit(requester, ask, _value(call, ask))
        return _answer(answered.request.ticket(), answered.released)

    async def _collect(self, call: Call) -> Reply:
        request = self._core.book.of_face(call.sender, str(call.body[0]))
        released = await self._asking.collect(request)
        return _answer(request.ticket(), released)

    async def _cancel(self, call: Call) -> Reply:
        request = self._core.book.of_face(call.sender, str(call.body[0]))
        self._asking.withdraw(request, "the requester gave up")
        return Reply()

    async def _subscribe(self, call: Call) -> Reply:
        await self._callers.admit(call.sender)
        self._audience.subscribers.add(call.sender)
        if not await self._callers.stays(call.sender):
            self._audience.forget(call.sender)
        return Reply()

    def _requester(self, call: Call) -> Requester:
        return self._requesters.of(call.sender, str(call.body[0]))


class DecisionMethods:
    """`org.privyseal.Decision1`: deciding. In companion mode it is not on the desktop's bus."""

    def __init__(
        self, core: Core, deciding: Deciding, callers: Callers, audience: BusAudience, since: float
    ) -> None:
        self._core = core
        self._deciding = deciding
        self._callers = callers
        self._audience = audience
        self._since = since

    def table(self) -> Table:
        """Return the methods of the interface; signatures as in wire/keeper.py."""
        deciding = self._deciding
        return {
            (DECISION, "Pending"): self._view("", lambda _: _list(deciding.pending())),
            (DECISION, "Show"): self._view("s", lambda c: _json(deciding.show(c.body[0]))),
            (DECISION, "History"): self._view("u", lambda c: _list(deciding.history(c.body[0]))),
            (DECISION, "Leases"): self._view("", lambda _: _json(deciding.leases())),
            (DECISION, "Decide"): Method("s", "s", self._decide),
            (DECISION, "Revoke"): Method("s", "", self._revoke),
            (DECISION, "Lock"): Method("", "", self._lock),
            (DECISION, "Unlock"): Method("h", "", self._unlock),
            (DECISION, "Status"): Method("", "s", self._status),
            (DECISION, "Watch"): Method("", "", self._watch),
        }

    def _view(self, takes: str, view: Callable[[Call], Reply]) -> Method:
        """Return a method that shows something to whoever may look, and changes nothing."""

        async def answer(call: Call) -> Reply:
            await self._callers.admit(call.sender)
            return view(call)

        return Method(takes, "s", answer)

    async def _decide(self, call: Call) -> Reply:
        decider = await self._callers.of(call.sender)
        decision = _decode(call.body[0], Decision, "the decision")
        return _json(await self._deciding.decide(decision, decider))

    async def _revoke(self, call: Call) -> Reply:
        decider = await self._callers.of(call.sender)
        await self._deciding.revoke(str(call.body[0]), decider)
        return Reply()

    async def _lock(self, call: Call) -> Reply:
        await self._deciding.lock(await self._callers.of(call.sender))
        return Reply()

    async def _unlock(self, call: Call) -> Reply:
        decider = await self._callers.of(call.sender)
        passphrase = Secret(_memory(call, call.body[0], _MAX_PASSPHRASE))
        await self._deciding.unlock(passphrase, decider)
        return Reply()

    async def _status(self, call: Call) -> Reply:
        await self._callers.admit(call.sender)
        core = self._core
        status = Status(
            version=VERSION,
            mode="own-session",
            backend=core.ports.backend.description,
            locked=core.store_locked,
            initialised=await core.ports.backend.initialised(),
            pending=len(core.book),
            leases=len(core.leases),
            since=self._since,
            audit_entries=core.ports.audit.head[0],
            receipt_key=core.ports.signer.public_key,
        )
        return _json(status)

    async def _watch(self, call: Call) -> Reply:
        await self._callers.admit(call.sender)
        self._audience.watchers.add(call.sender)
        if not await self._callers.stays(call.sender):
            self._audience.forget(call.sender)
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
    indexes = call.body[2]
    if not isinstance(ask, Create | Write):
        if indexes:
            raise UsageError("this kind of request takes no value")
        return None
    if len(indexes) != 1:
        raise UsageError("the request needs exactly one value")
    return Secret(_memory(call, indexes[0], MAX_SECRET), ask.content_type)


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
