"""The asking side: from a face's call to an answer at once, or to a request that waits."""

import secrets
from dataclasses import dataclass
from typing import Final

import msgspec

from privyseal.errors import ConflictError, LockedError, PrivysealError
from privyseal.keeper.core import Core, Released
from privyseal.keeper.describe import Description, describe
from privyseal.keeper.requests import Request, Requester
from privyseal.model.approval import Content
from privyseal.model.ask import (
    Ask,
    Create,
    OfAws,
    Read,
    Search,
    UseAws,
    kind_of,
    leasable,
    title_of,
)
from privyseal.model.decision import Scope
from privyseal.model.evidence import Evidence, Fact
from privyseal.model.keyring import ItemRef
from privyseal.model.lifecycle import GRANTED, Event
from privyseal.model.policy import Verdict
from privyseal.model.secret import Secret
from privyseal.model.value import encode
from privyseal.wire.audit import COALESCED
from privyseal.wire.keeper import Granted, Notice

FRESH_SECONDS: Final = 1.0
"""How long a look at a lease's holder stays good: what it could read then it could have kept."""

PROBE_SCHEMA: Final = "_chrome_dummy_schema_for_unlocking"


@dataclass(frozen=True, slots=True)
class Answered:
    """A request with whatever was released at once."""

    request: Request
    released: Released


class Asking:
    """Takes requests and says where they stand; never decides in place of a person."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def submit(
        self,
        requester: Requester,
        ask: Ask,
        value: Secret | None = None,
        talk: int = -1,
    ) -> Answered:
        """Take a request; it comes back ended, or pending with a person to decide.

        `talk` is the request's own from then on; after an error it is still the caller's.

        Raises:
            NotFoundError: It names something that is not there.
            LimitError: Too many requests wait already.
            DeniedError: It asks for what no program gets.
        """
        core = self._core
        if isinstance(ask, Read):
            await core.guard(ask)
            return await self._read(requester, ask)
        if not isinstance(ask, Search):
            core.book.make_room(requester, len(value) if value else 0)
            await core.guard(ask)
            await self._freshen(requester)
        description = await describe(ask, core.ports.backend, value)
        request = self._new(requester, ask, description, value)
        request.talk = talk
        if isinstance(ask, UseAws) and await self._leased(requester, ask):
            return await self._grant(request, "lease", leasable(ask))
        if self._is_probe(ask):
            return await self._probe(request)
        return await self._by_policy(request)

    async def collect(self, request: Request) -> Released:
        """Return what was granted to a request that waited; values are handed over once.

        Raises:
            ConflictError: They were handed over already.
            PrivysealError: What the broker said of an order for AWS.
        """
        granted = request.done and request.state in GRANTED
        if not granted or (not request.delivers and request.outcome is None):
            return []
        if request.requester.left:
            raise ConflictError("the requester has left")
        if request.collected:
            raise ConflictError("the values of this request were handed over already")
        if request.outcome is not None:
            request.collected = True
            if isinstance(request.outcome, PrivysealError):
                raise request.outcome
            return [request.outcome]
        return await self._core.release(request)

    def readable(self, requester: Requester, item: ItemRef) -> bool:
        """Return whether this requester could read the item now without asking."""
        return self._core.leases.find(requester.evidence, item) is not None

    def withdraw(self, request: Request, reason: str) -> None:
        """Cancel a request whose caller left or gave up; one that has ended stays as it is."""
        if request.state == "pending":
            self._close(request, "leave", reason)

    def leave(self, requester: Requester, *, exited: bool) -> None:
        """Cancel what a requester waits for, orders under way included; if its process is gone, its own leases end too."""
        requester.left = True
        for request in self._core.book.waiting_of(requester):
            self.withdraw(request, "the requester has left")
        for request, order in self._core.orders.items():
            if request.requester is requester:
                order.cancel()
        if exited:
            self._core.book.note_exit(requester.evidence.process)
        if exited and self._core.leases.end_process(requester.evidence.process):
            self._core.ports.audience.notice(Notice(what="leases"))

    def tick(self) -> None:
        """Expire what nobody decided in time, and forget what nobody will come back for."""
        core = self._core
        now = core.ports.clock.monotonic()
        for request in core.book.overdue(now):
            if request.state == "pending":
                self._close(request, "expire", "nobody decided in time")
        core.book.forget(now - core.policy.timing.retry)
        core.leases.sweep()

    async def _read(self, requester: Requester, ask: Read) -> Answered:
        leased = await self._leased(requester, ask)
        missing = tuple(item for item in ask.items if item not in leased)
        if not missing:
            request = self._new(requester, ask, Description(), None)
            return await self._grant(request, "lease", ask.items)
        self._core.book.make_room(requester)
        await self._freshen(requester)
        narrowed = msgspec.structs.replace(ask, items=missing)
        description = await describe(narrowed, self._core.ports.backend, None)
        # Not before this: what is denied while the items are looked up must stick as well.
        asked, stuck = self._without_denied(requester.evidence, missing)
        if not asked:
            request = self._new(requester, narrowed, Description(), None)
            return self._refuse(request, f"denied before; it may ask again in {stuck:.0f} s")
        narrowed = msgspec.structs.replace(ask, items=asked)
        infos = tuple(info for info in description.items if info.ref in asked)
        request = self._new(requester, narrowed, Description(items=infos), None)
        request.granted = tuple(item for item in ask.items if item in leased)
        return await self._by_policy(request)

    async def _leased(self, requester: Requester, ask: Read | UseAws) -> set[ItemRef]:
        if self._core.only_once(ask):
            return set()
        find = self._core.leases.find
        leased = {item for item in leasable(ask) if find(requester.evidence, item) is not None}
        now = self._core.ports.clock.monotonic()
        if not leased or now < requester.checked + FRESH_SECONDS:
            return leased
        if await self._core.ports.witness.check(requester.pidfd, requester.evidence):
            return set()
        requester.checked = now
        return leased

    def _without_denied(
        self, evidence: Evidence, items: tuple[ItemRef, ...]
    ) -> tuple[tuple[ItemRef, ...], float]:
        left = {item: self._core.denials.left(evidence, "read", item) for item in items}
        return tuple(item for item in items if not left[item]), max(left.values())

    async def _freshen(self, requester: Requester) -> None:
        """Look at the requester again if it runs another program than when it connected."""
        witness = self._core.ports.witness
        now = self._core.ports.clock.monotonic()
        changed = await witness.check(requester.pidfd, requester.evidence)
        if not changed:
            requester.checked = now
            return
        seen = await witness.look(requester.pidfd)
        warning = Fact(grade="warning", name="changed", value=changed)
        requester.evidence = msgspec.structs.replace(
            seen,
            trusted=False,
            through=requester.evidence.through,
            facts=(*seen.facts, *requester.claims, warning),
        )

    async def _by_policy(self, request: Request) -> Answered:
        if request.requester.left:
            raise ConflictError("the requester has left")
        verdict = self._verdict(request.ask)
        if verdict == "deny":
            return self._refuse(request, f"the policy denies every {kind_of(request.ask)}")
        if verdict == "allow" and not self._core.only_once(request.ask):
            return await self._ruled(request)
        evidence, kind = request.requester.evidence, kind_of(request.ask)
        subject = next(iter(leasable(request.ask)), encode(request.ask))
        stuck = self._core.denials.left(evidence, kind, subject)
        if stuck:
            return self._refuse(request, f"denied before; it may ask again in {stuck:.0f} s")
        self._admit(request)
        return Answered(request, [])

    async def _ruled(self, request: Request) -> Answered:
        core, ask = self._core, request.ask
        if isinstance(ask, Search):
            request.move("rule")
            request.result = await core.found(request.requester.evidence, ask)
            return self._ended(request, "policy")
        await core.guard(ask, afresh=True)  # nobody decides, who would bring it about
        if isinstance(ask, Read | OfAws):
            if core.store_locked:
                raise LockedError("the store is locked", hint="unlock it with `privy unlock`")
            items, labels = leasable(ask), [info.label for info in request.content.items]
            if items:
                evidence = request.requester.evidence
                core.leases.grant(request.id, evidence, items, labels, Scope())
            return await self._grant(request, "rule", request.granted + items)
        request.move("rule")
        core.log(request, via="policy")
        await core.ports.audit.flush()
        await core.perform(request)
        core.end(request)
        return Answered(request, [])

    async def _grant(self, request: Request, event: Event, items: tuple[ItemRef, ...]) -> Answered:
        request.cleared = isinstance(request.ask, OfAws)
        if request.cleared:
            self._core.book.keep(request)
        request.move(event)
        request.granted = items
        self._core.end(request)
        if request.cleared:
            return Answered(request, [])
        if request.delivers:
            return Answered(request, await self._core.release(request))
        request.result = Granted(items=items)
        return Answered(request, [])

    def _is_probe(self, ask: Ask) -> bool:
        return (
            self._core.policy.answer_chromium_probe
            and isinstance(ask, Create)
            and ask.attributes.get("xdg:schema") == PROBE_SCHEMA
        )

    async def _probe(self, request: Request) -> Answered:
        """Answer Chromium's unlock probe with a volatile item, as if it had been stored."""
        request.move("ignore")
        # Nobody is asked, so whatever the probes say they are, there is one item for all of them.
        request.ask = Create(
            collection="session",
            label="Unlock probe",
            attributes={"xdg:schema": PROBE_SCHEMA},
            replace=True,
        )
        request.value = Secret(b"")
        await self._core.perform(request, lease=False)
        return self._ended(request, "chromium probe")

    def _refuse(self, request: Request, reason: str) -> Answered:
        request.move("refuse")
        request.reason = reason
        return self._ended(request, "no person asked")

    def _ended(self, request: Request, via: str) -> Answered:
        self._core.log(request, via=via)
        self._core.end(request)
        return Answered(request, [])

    def _verdict(self, ask: Ask) -> Verdict:
        verdict: Verdict = getattr(self._core.policy.verdicts, kind_of(ask).replace("-", "_"))
        return verdict

    def _new(
        self, requester: Requester, ask: Ask, description: Description, value: Secret | None
    ) -> Request:
        identifier = secrets.token_hex(8)
        badge, title = title_of(ask)
        clock = self._core.ports.clock
        now = clock.monotonic()
        return Request(
            id=identifier,
            ask=ask,
            requester=requester,
            content=Content(
                request=identifier,
                badge=badge,
                title=title,
                evidence=requester.evidence,
                items=description.items,
                collections=description.collections,
                details=description.details,
            ),
            digest="",
            asked=now,
            deadline=now + self._core.policy.timing.pending,
            asked_wall=clock.wall(),
            value=value,
        )

    def _admit(self, request: Request) -> None:
        """Let a request wait for a person, joined to an equal one of the same process if any."""
        book = self._core.book
        before = self._before(request.requester.evidence, request.ask)
        request.show(msgspec.structs.replace(request.content, before=before))
        held = len(request.value) if request.value else 0
        request.size = len(encode(request.content)) + len(encode(request.ask)) + held
        # Checked again here: any number may have passed the first check at the same time.
        book.make_room(request.requester, request.size)
        request.move("ask")
        leader = book.leader_for(request)
        request.leader = leader.id if leader else ""
        self._core.log(request, "asked", via=f"{COALESCED}{leader.id}" if leader else "")
        book.add(request)
        if leader is None:
            self._core.tell(request)

    def _close(self, request: Request, event: Event, reason: str) -> None:
        core = self._core
        request.move(event)
        request.reason = reason
        followers = core.book.take_followers(request)
        core.book.remove(request)
        core.log(request)
        core.end(request)
        if followers:
            # What was joined to it still waits: the first takes its place on the screen.
            core.tell(core.book.promote(followers))

    def _before(self, evidence: Evidence, ask: Ask) -> str:
        """Sum up what was decided on the same program and kind since the keeper started."""
        if evidence.program is None:
            return ""
        states = [
            past.state
            for past in self._core.book.history(self._core.policy.limits.history)
            if type(past.ask) is type(ask) and past.content.evidence.program == evidence.program
        ]
        allowed, denied = states.count("allowed"), states.count("denied")
        if not allowed and not denied:
            return ""
        return f"allowed {allowed} time{'s' * (allowed != 1)}, denied {denied} time{'s' * (denied != 1)}"
