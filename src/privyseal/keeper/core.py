"""What asking and deciding share: the ports, the book, the leases, and the one way out."""

import asyncio
import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from privyseal.errors import (
    DeniedError,
    LockedError,
    NotFoundError,
    PrivysealError,
    UnreachableError,
)
from privyseal.keeper.book import Book
from privyseal.keeper.broker import Broker
from privyseal.keeper.denials import Denials
from privyseal.keeper.leases import HeldLease, Leases
from privyseal.keeper.orders import matches
from privyseal.keeper.perform import perform
from privyseal.keeper.ports import Audience, EvidenceSource, ReceiptSigner, Recorder
from privyseal.keeper.requests import Request
from privyseal.model.approval import Approval
from privyseal.model.ask import (
    Ask,
    ChangeCollection,
    Create,
    CreateCollection,
    Delete,
    DeleteCollection,
    Lock,
    OfAws,
    Read,
    Search,
    UseAws,
    Write,
    kind_of,
    leasable,
    outcome_of,
)
from privyseal.model.clock import Clock
from privyseal.model.decision import Scope
from privyseal.model.evidence import Evidence
from privyseal.model.keyring import ItemRef
from privyseal.model.lifecycle import advance
from privyseal.model.policy import Policy
from privyseal.model.receipt import EventName
from privyseal.model.secret import Secret
from privyseal.runtime.backend import Backend
from privyseal.wire.broker import COLLECTION
from privyseal.wire.keeper import Found, MadeItem, Notice, Slice, StoreChange, Values

log = logging.getLogger(__name__)

PATIENCE: Final = 2.0
"""Seconds after which a client that waits inside a call may have given up.

libsecret waits for 25, others for less, and nothing on the bus tells. Whoever did not give up has
the value by then, so a longer window for its process gives nothing away.
"""

_ABOUT: Final = {"profile", "command"}

Released = list[Secret]


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything outside the pipeline that it works with."""

    backend: Backend
    witness: EvidenceSource
    audit: Recorder
    signer: ReceiptSigner
    clock: Clock
    audience: Audience
    broker: Broker
    tasks: asyncio.TaskGroup
    companion: bool = False


class Core:
    """The state of the keeper, and the steps that every request's life is made of.

    State changes happen in plain functions without `await`, so a decision, an expiry, a departure
    and an unlock can race and exactly one wins; the others find the request ended.
    """

    def __init__(self, ports: Ports, policy: Policy) -> None:
        self.ports = ports
        self.policy = policy
        self.leases = Leases(ports.clock, policy.timing, policy.limits.leases)
        self.denials = Denials(ports.clock, policy.timing)
        self.book = Book(policy.limits)
        self.store_locked = True
        self.orders: dict[Request, asyncio.Task[None]] = {}
        self._changes = 0
        self._aws: tuple[tuple[int, bool], frozenset[str]] = (-1, True), frozenset()
        ports.backend.listen(self._changed)
        # Whoever could read what lay there has no part in what the broker keeps in its place.
        ports.broker.items.rewritten = lambda item: self.leases.end_item(item, own_only=False)

    def obey(self, policy: Policy) -> None:
        """Follow a new policy; what waits already keeps its deadline."""
        self.policy = policy
        self.book.limits = policy.limits
        self.leases.timing = policy.timing
        self.denials.timing = policy.timing

    async def recover(self) -> None:
        """Close in the log what the last keeper left waiting, and learn the store's state."""
        for entry in self.ports.audit.unfinished():
            self.ports.audit.append(
                "resolved",
                request=entry.request,
                kind=entry.kind,
                outcome=advance("pending", "restart"),
                requester=entry.requester,
                via="the keeper restarted",
                items=entry.items,
            )
        # A provider may start later; until then it counts as locked.
        with suppress(UnreachableError):
            self.store_locked = await self.ports.backend.locked()
        await self.ports.audit.flush()

    async def relearn(self) -> None:
        """Learn again whether the store is locked: its provider or gpg's agent may have done it."""
        with suppress(PrivysealError, OSError):  # out of reach, it says so to the next caller
            locked = await self.ports.backend.locked()
            if locked == self.store_locked:
                return
            self.store_locked = locked
            if locked:
                self.forget()
            self.ports.audience.notice(Notice(what="locked" if locked else "unlocked"))

    def forget(self) -> None:
        """End what outlives one request, as the store is being locked."""
        self.leases.end_all()
        self.ports.broker.end()

    async def guard(self, ask: Ask, *, afresh: bool = False) -> None:
        """Keep from programs what a companion's broker uses.

        `afresh`: ask the store again which collections those are, which a locked one does not tell.

        Raises:
            DeniedError: The ask is for that.
            LockedError: It may be.
        """
        touched = {getattr(ask, "collection", ""), *(item.collection for item in touched_by(ask))}
        if not self.ports.companion or isinstance(ask, Search):
            return
        self._changes += afresh
        if afresh and self.store_locked and touched != {""} and needs_key(ask):
            raise LockedError("the store is locked", hint="unlock it with `privy unlock`")
        # Nor may a program make it, or turn its own into it, and know what will lie there.
        makes = isinstance(ask, CreateCollection | ChangeCollection) and ask.label == COLLECTION
        if makes or not touched.isdisjoint(await self._kept_for_aws()):
            text = "what is kept for AWS stays with the companion"
            raise DeniedError(text, hint="get short-lived credentials with `privy aws`")

    async def _kept_for_aws(self) -> frozenset[str]:
        """Return the collections of the broker, from memory while none of the store's changes."""
        while self._aws[0] != (now := (self._changes, self.store_locked)):
            known = await self.ports.backend.collections()
            self._aws = now, frozenset(info.id for info in known if info.label == COLLECTION)
        return self._aws[1]

    def _changed(self, change: StoreChange) -> None:
        self._changes += not change.item

    def only_once(self, ask: Ask) -> bool:
        """Return whether a rule keeps this from being allowed for longer."""
        return isinstance(ask, UseAws) and matches(ask.order, self.policy.aws.always_ask)

    def approval(self, request: Request) -> Approval:
        """Return the request as a person sees it."""
        clock = self.ports.clock
        return request.approval(
            store_locked=self.store_locked and needs_key(request.ask),
            wall_offset=clock.wall() - clock.monotonic(),
            once=self.only_once(request.ask),
        )

    def tell(self, request: Request) -> None:
        """Put a waiting request before those who watch."""
        self.ports.audience.notice(Notice(what="asked", approval=self.approval(request)))

    def log(
        self,
        request: Request,
        event: EventName = "resolved",
        *,
        via: str = "",
        items: Sequence[ItemRef] | None = None,
        detail: str = "",
    ) -> None:
        """Chain an entry about this request, without waiting for the disk."""
        touched = touched_by(request.ask) if items is None else items
        shown = event == "asked" and not request.leader
        self.ports.audit.append(
            event,
            request=request.id,
            kind=kind_of(request.ask),
            outcome=request.state,
            requester=request.requester.evidence.summary,
            via=via,
            items=tuple(f"{item.collection}/{item.item}" for item in touched),
            content=request.content if shown else None,
            detail=detail or request.reason,
        )

    def end(self, request: Request) -> None:
        """Close a request for good; wake whoever waits for it, or let the broker work first."""
        request.ended_wall = self.ports.clock.wall()
        if request.digest and not request.leader:
            approval = self.approval(request)
            self.book.record(approval, request.size)
            self.ports.audience.notice(Notice(what="resolved", approval=approval))
        if request.cleared:
            order = self.ports.tasks.create_task(self._carry_out(request), name="order")
            # Not in the task itself: one that is cancelled before it begins never runs at all.
            order.add_done_callback(lambda _: self._wake(request))
            self.orders[request] = order
        else:
            self._wake(request)

    def _wake(self, request: Request) -> None:
        self.orders.pop(request, None)
        request.ended = self.ports.clock.monotonic()
        request.value = None
        if request.talk >= 0:
            os.close(request.talk)
        request.done = True
        if request.digest or request.cleared:  # else its caller has the answer already
            self.ports.audience.resolved(request.requester.face, request.id, request.state)

    async def _carry_out(self, request: Request) -> None:
        """Let the broker do what was granted, and note what came of it."""
        try:
            request.outcome = await self._outcome(request)
        except Exception as error:  # a defect about one order must not end all others
            if not isinstance(error, PrivysealError):
                log.exception("internal error in an order for AWS")
                error = PrivysealError("internal error, see the keeper's log")
            request.outcome = error
            request.reason = f"it was allowed, but failed: {error}"
            self.log(request)

    async def _outcome(self, request: Request) -> Secret:
        ask, era, via = request.ask, self.leases.era, ""
        assert isinstance(ask, OfAws)  # noqa: S101 - only these are cleared
        if isinstance(ask, UseAws):
            lease = self.leases.find(request.requester.evidence, outcome_of(ask.order))
            if lease is None:
                raise LockedError("the lease ended before it was used", hint="ask again")
            via = self._use(lease, request.requester.evidence, late=False)
        endpoints = self.policy.aws.endpoints
        result = await self.ports.broker.carry_out(
            ask.order, request.talk, request.value, endpoints
        )
        if era != self.leases.era:
            raise LockedError("the store was locked meanwhile", hint="ask again")
        request.result = _slices([outcome_of(ask.order)], [result])
        about = ", ".join(fact.value for fact in request.content.details if fact.name in _ABOUT)
        self.log(request, "released", via=via, detail=about)
        await self.ports.audit.flush()
        return result

    def _use(self, lease: HeldLease, evidence: Evidence, *, late: bool) -> str:
        fresh = self.leases.use(lease, evidence, late=late)
        return f"lease {lease.id}" if fresh else f"lease {lease.id}, coalesced"

    async def perform(self, request: Request, *, lease: bool = True) -> None:
        """Do a granted deed that is no read, and adjust the leases to it.

        `lease`: whoever wrote a value may read it back.

        Raises:
            PrivysealError: The backend refused; nothing was changed.
        """
        ask, era = request.ask, self.leases.era
        if isinstance(ask, Search):
            request.result = await self.found(request.requester.evidence, ask)
            return
        try:
            request.result = await perform(ask, self.ports.backend, request.value)
        except PrivysealError as error:
            request.reason = f"it was allowed, but failed: {error}"
            self.log(request)
            raise
        evidence, result = request.requester.evidence, request.result
        if isinstance(ask, Create | Write):
            item = result.item if isinstance(result, MadeItem) else touched_by(ask)[0]
            label = ask.label if isinstance(ask, Create) else request.content.items[0].label
            self.leases.end_item(item, keep=evidence.process, own_only=True)
            # It has just written the value: asking a person before it reads that back adds
            # nothing but weariness. Another writer ends this lease.
            own = Scope(kind="until-exit")
            if lease and era == self.leases.era and not request.requester.left:
                self.leases.grant(request.id, evidence, [item], [label], own, own_write=True)
        elif isinstance(ask, Delete):
            self.leases.end_item(ask.item, own_only=False)
        elif isinstance(ask, DeleteCollection):
            self.leases.end_collection(ask.collection)
        elif isinstance(ask, Lock):
            self.forget()
            self.store_locked = await self.ports.backend.locked()
            self.ports.audience.notice(Notice(what="locked"))

    async def found(self, evidence: Evidence, ask: Search) -> Found:
        """Return what a search finds, and how much of that this requester may read at once."""
        items = await self.ports.backend.search(ask.attributes, ask.collection)
        opened = {item for item in items if self.leases.find(evidence, item) is not None}
        return Found(
            open=tuple(item for item in items if item in opened),
            closed=tuple(item for item in items if item not in opened),
        )

    async def release(self, request: Request) -> Released:
        """Read the granted values, make the entry durable, and only then return them.

        Raises:
            PrivysealError: The audit log cannot be written; nothing is released then.
        """
        request.collected = True
        evidence = request.requester.evidence
        late = self.ports.clock.monotonic() - request.asked > PATIENCE
        values: list[Secret] = []
        items: list[ItemRef] = []
        used: dict[str, None] = {}
        for item in request.granted:
            if self.leases.find(evidence, item) is None:
                continue
            try:
                value = await self.ports.backend.read(item)
            except (NotFoundError, LockedError):
                continue
            lease = self.leases.find(evidence, item)
            if lease is None:
                continue  # it was used up or ended while the backend read
            used[self._use(lease, evidence, late=late)] = None
            values.append(value)
            items.append(item)
        request.result = _slices(items, values)
        self.log(request, "released", via="; ".join(used), items=items)
        await self.ports.audit.flush()
        return values


def needs_key(ask: Ask) -> bool:
    """Return whether this cannot be done while the store is locked."""
    match ask:
        case Lock():
            return False
        case Read(items=items):
            return any(item.collection != "session" for item in items)
        case Create(collection=collection):
            return collection != "session"
        case _:
            return not any(item.collection == "session" for item in touched_by(ask))


def touched_by(ask: Ask) -> tuple[ItemRef, ...]:
    """Return the existing items that an ask names, or what stands for the result of an order."""
    item = getattr(ask, "item", None)
    return (item,) if isinstance(item, ItemRef) else leasable(ask)


def _slices(items: Sequence[ItemRef], values: Sequence[Secret]) -> Values:
    slices: list[Slice] = []
    offset = 0
    for item, value in zip(items, values, strict=True):
        slices.append(
            Slice(item=item, offset=offset, length=len(value), content_type=value.content_type)
        )
        offset += len(value)
    return Values(slices=tuple(slices))
