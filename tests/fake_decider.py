"""A keeper without policy, evidence or disk: serves both interfaces from plain lists.

It is held to the words of `privyseal.wire.keeper` by encoding real values of the model.
"""

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from privyseal.errors import (
    ConflictError,
    DeniedError,
    LockedError,
    NotFoundError,
    PrivysealError,
    UsageError,
)
from privyseal.model.approval import Approval, Content, Lease, PinAsk, Status
from privyseal.model.ask import Ask, Read, Search, decode_ask, title_of
from privyseal.model.aws import Vaulted
from privyseal.model.decision import Decision
from privyseal.model.evidence import Evidence, Fact
from privyseal.model.keyring import CollectionInfo, ItemInfo, ItemRef
from privyseal.model.lifecycle import State
from privyseal.model.policy import Policy
from privyseal.model.value import decode, encode
from privyseal.runtime.bus import Call, Connection, Method, Reply
from privyseal.runtime.clock import SystemClock
from privyseal.runtime.memfd import read_sealed, seal
from privyseal.wire.keeper import (
    BUS_NAME,
    DECISION,
    PATH,
    REQUEST,
    Found,
    KnownAws,
    KnownCollections,
    KnownItem,
    KnownItems,
    LookAws,
    LookCollections,
    LookItem,
    LookItems,
    Notice,
    Slice,
    Ticket,
    Values,
    decode_question,
)

NODE = Evidence(
    summary="node agent.js",
    trusted=True,
    facts=(
        Fact(grade="verified", name="program", value="/usr/bin/node"),
        Fact(grade="reported", name="says it wants to", value="push the release branch"),
        Fact(grade="warning", name="coding agent", value="rule set: ask every time"),
    ),
)


def item(collection: str, name: str, label: str, **attributes: str) -> ItemInfo:
    ref = ItemRef(collection=collection, item=name)
    return ItemInfo(ref=ref, label=label, attributes=attributes)


class FakeDecider:
    """Set the lists, read what was decided; `answer` is what becomes of every Read."""

    def __init__(self) -> None:
        self.waiting: list[Approval] = []
        self.ended: list[Approval] = []
        self.granted: list[Lease] = []
        self.decisions: list[Decision] = []
        self.items: list[ItemInfo] = []
        self.values: dict[ItemRef, bytes] = {}
        self.collections = [CollectionInfo(id="login", label="Login")]
        self.passphrase = b"open sesame"
        self.initialised = True
        self.locked = False
        self.answer: State = "leased"
        self.reason = ""
        self.ending: Callable[[str], PrivysealError] | None = None
        self.looks = 0
        self.asked = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.watched = asyncio.Event()
        self.changes_before_deciding = False
        self.reviews = 0
        self.refuses = False
        self.companion: dict[str, Any] = {"mode": "own-session"}
        self.before_unlock: Callable[[], Awaitable[object]] | None = None
        self.pins: list[PinAsk] = []
        self.answered: dict[str, bytes | None] = {}
        self.logged_out = asyncio.Event()
        self._tickets: dict[str, tuple[str, Ask]] = {}
        self._states: dict[str, State] = {}
        self._watchers: set[str] = set()
        self.connection: Connection | None = None

    async def serve(
        self, connection: Connection, *, deciding: bool = True, name: str = BUS_NAME
    ) -> None:
        """Take the keeper's name; without `deciding`, as in companion mode."""
        self.connection = connection
        table = {
            (REQUEST, "Register"): Method("hs", "s", self._register),
            (REQUEST, "Look"): Method("ss", "s", self._look),
            (REQUEST, "Submit"): Method("ssah", "sah", self._submit),
            (REQUEST, "Collect"): Method("s", "sah", self._collect),
            (REQUEST, "Cancel"): Method("s", "", self._cancel),
            (REQUEST, "Subscribe"): Method("", "", self._nothing),
            (REQUEST, "Status"): Method("", "s", self._status),
            (REQUEST, "Waiting"): Method("", "s", self._pending),
            (REQUEST, "Lock"): Method("", "", self._lock),
            (REQUEST, "Review"): Method("", "", self._review),
        }
        if deciding:
            table |= {
                (DECISION, "Pending"): Method("", "s", self._pending),
                (DECISION, "Show"): Method("s", "s", self._show),
                (DECISION, "Decide"): Method("s", "s", self._decide),
                (DECISION, "History"): Method("u", "s", self._history),
                (DECISION, "Leases"): Method("", "s", self._leases),
                (DECISION, "Revoke"): Method("s", "", self._revoke),
                (DECISION, "Lock"): Method("", "", self._lock),
                (DECISION, "Unlock"): Method("h", "", self._unlock),
                (DECISION, "Status"): Method("", "s", self._status),
                (DECISION, "Watch"): Method("", "", self._watch),
                (DECISION, "Rules"): Method("", "s", self._rules),
                (DECISION, "LogOut"): Method("", "", self._log_out),
                (DECISION, "Pins"): Method("", "s", self._pins),
                (DECISION, "AnswerPin"): Method("sah", "", self._answer_pin),
            }
        connection.serve(table)
        await connection.claim(name)

    def add(self, info: ItemInfo, value: bytes) -> None:
        """Put an item into the store."""
        self.items.append(info)
        self.values[info.ref] = value

    def wait_for_decision(
        self, name: str, ask: Ask, items: Sequence[ItemInfo], evidence: Evidence = NODE
    ) -> Approval:
        """Add a request that waits; it expires in a bit more than four minutes."""
        badge, title = title_of(ask)
        content = Content(
            request=name, badge=badge, title=title, evidence=evidence, items=tuple(items)
        )
        now = SystemClock().wall()
        approval = Approval(
            id=name,
            state="pending",
            ask=ask,
            content=content,
            digest=content.digest(),
            created=now,
            expires=now + 252.9,
        )
        self.waiting.append(approval)
        return approval

    def resolve(self, request: str, state: State, reason: str = "") -> None:
        """End a request that a face submitted, and tell that face."""
        self._states[request], self.reason = state, reason
        sender, _ = self._tickets[request]
        assert self.connection is not None
        self.connection.emit(PATH, REQUEST, "Resolved", "ss", [request, state], to=sender)

    def notice(self, notice: Notice) -> None:
        """Tell those who watch."""
        assert self.connection is not None
        for watcher in self._watchers:
            text = encode(notice).decode()
            self.connection.emit(PATH, DECISION, "Event", "s", [text], to=watcher)

    def only_request(self) -> str:
        """The one request that waits for `resolve`."""
        [name] = self._tickets
        return name

    async def _register(self, call: Call) -> Reply:
        os.close(call.take_fd(0))
        return Reply([call.sender])

    async def _look(self, call: Call) -> Reply:
        question = decode_question(call.body[1])
        self.looks += 1
        for _ in range(self.looks % 2 * 50):  # every other answer overtakes the one before
            await asyncio.sleep(0)
        match question:
            case LookCollections():
                return _json(
                    KnownCollections(
                        collections=tuple(self.collections), aliases={"default": "login"}
                    )
                )
            case LookItems(collection=collection):
                names = [i.ref.item for i in self.items if i.ref.collection == collection]
                return _json(KnownItems(items=tuple(names)))
            case LookItem(item=ref):
                return _json(KnownItem(item=self._item(ref), open=False))
            case LookAws():
                return _json(KnownAws(vaulted=Vaulted()))

    def _item(self, ref: ItemRef) -> ItemInfo:
        for info in self.items:
            if info.ref == ref:
                return info
        raise NotFoundError(f"no item {ref.item!r}")

    async def _submit(self, call: Call) -> Reply:
        ask = decode_ask(call.body[1])
        if self.refuses:
            raise LockedError("the store is locked", hint="unlock it with `privy unlock`")
        if isinstance(ask, Search):
            wanted = ask.attributes.items()
            found = tuple(i.ref for i in self.items if wanted <= i.attributes.items())
            return _json(
                Ticket(id="s1", state="ruled", result=Found(open=(), closed=found)), fds=True
            )
        assert isinstance(ask, Read)
        for ref in ask.items:
            self._item(ref)
        name = hashlib.sha256(encode(ask)).hexdigest()[:8]
        self._tickets[name] = (call.sender, ask)
        self._states[name] = self.answer
        self.asked.set()
        return self._ticket(name)

    async def _collect(self, call: Call) -> Reply:
        if self.ending is not None:
            raise self.ending(call.body[0])
        return self._ticket(call.body[0])

    def _ticket(self, name: str) -> Reply:
        state = self._states[name]
        _, ask = self._tickets[name]
        if state not in {"allowed", "leased"}:
            return _json(Ticket(id=name, state=state, reason=self.reason), fds=True)
        assert isinstance(ask, Read)
        memory, slices = b"", []
        for ref in ask.items:
            if ref in self.values:
                slices.append(Slice(item=ref, offset=len(memory), length=len(self.values[ref])))
                memory += self.values[ref]
        ticket = Ticket(id=name, state=state, result=Values(slices=tuple(slices)))
        return Reply([encode(ticket).decode(), [0]], [seal(memory)])

    async def _cancel(self, call: Call) -> Reply:
        del call
        self.cancelled.set()
        return Reply()

    async def _nothing(self, call: Call) -> Reply:
        del call
        return Reply()

    async def _pending(self, call: Call) -> Reply:
        del call
        return _json(self.waiting)

    async def _show(self, call: Call) -> Reply:
        prefix = call.body[0]
        found = [a for a in [*self.waiting, *self.ended] if prefix and a.id.startswith(prefix)]
        if not found:
            raise NotFoundError(f"no request {prefix!r}", hint="list them with `privy list`")
        if len(found) > 1:
            names = ", ".join(a.id for a in found)
            raise UsageError(f"{prefix!r} is ambiguous: {names}", hint="type more of it")
        return _json(found[0])

    async def _decide(self, call: Call) -> Reply:
        decision = decode(call.body[0], Decision, what="a decision")
        self.decisions.append(decision)
        [approval] = [a for a in self.waiting if a.id == decision.request]
        if decision.digest != approval.digest or self.changes_before_deciding:
            raise ConflictError("the request has changed since it was shown", hint="look again")
        self.waiting.remove(approval)
        state: State = "allowed" if decision.allow else "denied"
        self.ended.insert(0, ended(approval, state, SystemClock().wall()))
        return _json(self.ended[0])

    async def _history(self, call: Call) -> Reply:
        return _json(self.ended[: call.body[0]])

    async def _leases(self, call: Call) -> Reply:
        del call
        return _json(self.granted)

    async def _revoke(self, call: Call) -> Reply:
        self.granted = [lease for lease in self.granted if lease.id != call.body[0]]
        return Reply()

    async def _lock(self, call: Call) -> Reply:
        del call
        self.locked = True
        return Reply()

    async def _review(self, call: Call) -> Reply:
        del call
        self.reviews += 1
        return Reply()

    async def _unlock(self, call: Call) -> Reply:
        if self.before_unlock is not None:
            await self.before_unlock()
        fd = call.take_fd(0)
        try:
            given = read_sealed(fd, limit=4096)
        finally:
            os.close(fd)
        if self.initialised and given != self.passphrase:
            raise DeniedError("the passphrase is wrong")
        self.passphrase, self.initialised, self.locked = given, True, False
        return Reply()

    async def _status(self, call: Call) -> Reply:
        del call
        if self.reason == "locked out":
            raise LockedError("the store is locked", hint="unlock it with `privy unlock`")
        return _json(
            Status(
                version="0.1.0",
                backend="embedded store",
                locked=self.locked,
                initialised=self.initialised,
                pending=len(self.waiting),
                leases=len(self.granted),
                since=SystemClock().wall() - 125,
                audit_entries=7,
                receipt_key="ab" * 32,
                **self.companion,
            )
        )

    async def _rules(self, call: Call) -> Reply:
        del call
        return _json(Policy())

    async def _log_out(self, call: Call) -> Reply:
        del call
        self.logged_out.set()
        return Reply()

    async def _pins(self, call: Call) -> Reply:
        del call
        return _json(self.pins)

    async def _answer_pin(self, call: Call) -> Reply:
        pin, given = call.body
        self.pins = [ask for ask in self.pins if ask.id != pin]
        self.answered[pin] = None
        if given:
            fd = call.take_fd(given[0])
            self.answered[pin] = read_sealed(fd, limit=4096)
            os.close(fd)
        return Reply()

    async def _watch(self, call: Call) -> Reply:
        self._watchers.add(call.sender)
        self.watched.set()
        return Reply()


def ended(approval: Approval, state: State, at: float) -> Approval:
    """Return a request as it is after a person decided it."""
    return msgspec.structs.replace(approval, state=state, resolved=at, decided_by="privy")


def _json(value: object, *, fds: bool = False) -> Reply:
    text = encode(value).decode()
    return Reply([text, []] if fds else [text])
