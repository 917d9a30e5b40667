"""The deciding side: what a person may do to requests, leases and the store."""

import msgspec

from privyseal.errors import (
    ConflictError,
    DeniedError,
    LockedError,
    NotFoundError,
    PrivysealError,
    UsageError,
)
from privyseal.keeper.book import one_of
from privyseal.keeper.core import Core, needs_key
from privyseal.keeper.describe import describe
from privyseal.keeper.requests import Request
from privyseal.model.approval import Approval, Lease
from privyseal.model.ask import OfAws, Read, Unlock, UseAws, kind_of, leasable
from privyseal.model.decision import Decision, Scope
from privyseal.model.evidence import Evidence, Fact
from privyseal.model.keyring import ItemRef
from privyseal.model.lifecycle import Event, advance
from privyseal.model.passphrase import check_new
from privyseal.model.receipt import Receipt
from privyseal.model.secret import Secret
from privyseal.model.value import encode
from privyseal.wire.audit import COALESCED
from privyseal.wire.keeper import Granted, Notice


class Deciding:
    """Takes decisions; each is recorded and durable before anything follows from it."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def pending(self) -> list[Approval]:
        """Return what waits for a person, oldest first."""
        return [self._core.approval(request) for request in self._core.book.leaders()]

    def history(self, limit: int) -> list[Approval]:
        """Return what has ended, newest first."""
        return self._core.book.history(limit)

    def show(self, prefix: str) -> Approval:
        """Return the one request, waiting or past, whose identifier starts with `prefix`.

        Raises:
            NotFoundError: There is none.
            UsageError: There are several.
        """
        waiting = [approval for approval in self.pending() if approval.id.startswith(prefix)]
        found = (waiting + self._core.book.find_ended(prefix)) if prefix else []
        return one_of(found, prefix)

    def leases(self) -> list[Lease]:
        """Return the leases in force."""
        return self._core.leases.describe()

    async def decide(self, decision: Decision, decider: Evidence) -> Approval:
        """Decide a request; return it ended, its receipt on disk.

        Raises:
            NotFoundError: No such request.
            ConflictError: It has ended, or shows other content than the decision was made on.
            LockedError: Allowing it needs the store unlocked first.
            DeniedError: The requester tries to decide its own request.
        """
        core = self._core
        request = self._find(decision, decider)
        if decision.allow:
            if core.store_locked and needs_key(request.ask):
                raise LockedError("the store is locked", hint="unlock it first: `privy unlock`")
            await core.guard(request.ask, afresh=True)  # what a locked store did not show
            await self._check_unchanged(request)
            # Another decision, an expiry or a departure may have come while that was looked up.
            request = self._find(decision, decider)
        items = _chosen(request, decision, once=core.only_once(request.ask))
        joined = self._record(request, decision, decider.summary)
        try:
            self._remember_denials(request, items if decision.allow else ())
        finally:
            # What is recorded must end: whatever goes wrong in between, its callers wait for this.
            await self._fulfil(joined, decision.scope, items)
        return core.approval(request)

    async def unlock(self, passphrase: Secret, decider: Evidence) -> None:
        """Open the store, creating it on its first unlock; grant what asked for just that.

        Raises:
            DeniedError: The passphrase is wrong.
            UsageError: It is too short for a new store.
        """
        core = self._core
        if not await core.ports.backend.initialised():
            check_new(passphrase)
        try:
            await core.ports.backend.unlock(passphrase)
        except DeniedError:
            core.ports.audit.append("unlock", outcome="denied", requester=decider.summary)
            raise
        core.store_locked = await core.ports.backend.locked()
        core.ports.audit.append("unlock", outcome="unlocked", requester=decider.summary)
        decided: list[list[Request]] = []
        for request in core.book.leaders():
            if isinstance(request.ask, Unlock):
                decision = Decision(request=request.id, digest=request.digest, allow=True)
                decided.append(self._record(request, decision, decider.summary))
        await core.ports.audit.flush()
        for joined in decided:
            await self._fulfil(joined, Scope(), ())
        for request in core.book.leaders():
            await self._show_again(request)
        core.ports.audience.notice(Notice(what="unlocked"))

    async def lock(self, decider: Evidence) -> None:
        """Lock the store; every lease ends, what waits goes on waiting."""
        core = self._core
        core.forget()
        core.ports.audit.append("lock", outcome="locked", requester=decider.summary)
        await core.ports.backend.lock()
        core.store_locked = await core.ports.backend.locked()
        await core.ports.audit.flush()
        core.ports.audience.notice(Notice(what="locked"))

    async def revoke(self, lease: str, decider: Evidence) -> None:
        """End a lease.

        Raises:
            NotFoundError: No such lease.
        """
        core = self._core
        if not core.leases.end(lease):
            raise NotFoundError(f"no lease {lease!r}", hint="list them with `privy leases`")
        core.ports.audit.append("revoked", outcome="revoked", requester=decider.summary, via=lease)
        await core.ports.audit.flush()
        core.ports.audience.notice(Notice(what="leases"))

    def _find(self, decision: Decision, decider: Evidence) -> Request:
        request = self._core.book.to_decide(decision.request)
        if request.digest != decision.digest:
            raise ConflictError(
                "the request has changed since it was shown", hint="look at it again"
            )
        process = request.requester.evidence.process
        if process is not None and process == decider.process:
            raise DeniedError("a requester cannot decide its own request")
        return request

    async def _check_unchanged(self, request: Request) -> None:
        """Put a warning on the request if its process is no longer what was shown."""
        changed = await self._core.ports.witness.check(
            request.requester.pidfd, request.requester.evidence
        )
        await self._show_again(request, changed)

    async def _show_again(self, request: Request, changed: str = "") -> None:
        """Show what the request touches as it is called now, if that or the process changed.

        A label may have been hidden by a lock, or been changed, since the request was drawn.
        """
        core = self._core
        try:
            parts = await describe(request.ask, core.ports.backend, request.value)
        except PrivysealError:  # what is gone cannot be done either, and says so then
            content = request.content
        else:
            content = msgspec.structs.replace(
                request.content,
                items=parts.items,
                collections=parts.collections,
                details=parts.details,
            )
        evidence, warning = content.evidence, Fact(grade="warning", name="changed", value=changed)
        if changed and warning not in evidence.facts:
            facts = (*evidence.facts, warning)
            marked = msgspec.structs.replace(evidence, trusted=False, facts=facts)
            content = msgspec.structs.replace(content, evidence=marked)
        if request.state == "pending" and content != request.content:
            request.show(content)
            core.ports.audience.notice(Notice(what="changed", approval=core.approval(request)))

    def _record(self, request: Request, decision: Decision, decided_by: str) -> list[Request]:
        """Move the request and all joined to it; chain the signed receipt. No await in here."""
        core = self._core
        event: Event = "allow" if decision.allow else "deny"
        receipt = Receipt(
            request=request.id,
            at=core.ports.clock.wall(),
            content=request.content,
            digest=request.digest,
            decision=decision,
            decided_by=decided_by,
            key=core.ports.signer.public_key,
        )
        # First: what is too long for the log is refused, and the request waits on.
        core.ports.audit.append(
            "decided",
            request=request.id,
            kind=kind_of(request.ask),
            outcome=advance(request.state, event),
            requester=request.requester.evidence.summary,
            receipt=core.ports.signer.sign(receipt),
        )
        joined = [request, *core.book.take_followers(request)]
        for each in joined:
            each.move(event)
            each.decided_by = decided_by
            core.book.remove(each)
        for each in joined[1:]:
            core.log(each, via=f"{COALESCED}{request.id}")
        return joined

    def _remember_denials(self, request: Request, granted: tuple[ItemRef, ...]) -> None:
        denials, evidence = self._core.denials, request.requester.evidence
        kind, items = kind_of(request.ask), leasable(request.ask)
        # Clients ask at once, one by one, for the items that a person has just left out.
        for item in items:
            if item not in granted:
                denials.remember(evidence, kind, item)
        if not items and request.state == "denied":
            denials.remember(evidence, kind, encode(request.ask))

    async def _fulfil(
        self, joined: list[Request], scope: Scope, items: tuple[ItemRef, ...]
    ) -> None:
        """Once the receipt is durable, grant the lease or do the deed; wake every caller."""
        core, request = self._core, joined[0]
        era = core.leases.era
        try:
            await core.ports.audit.flush()
            if request.state == "allowed" and isinstance(request.ask, Read | UseAws):
                if era != core.leases.era:
                    raise LockedError("the store was locked while the decision was written down")
                self._lease(joined, scope, items)
            elif request.state == "allowed" and not isinstance(request.ask, OfAws):
                await core.perform(request)
            for each in joined:
                each.cleared = each.state == "allowed" and isinstance(each.ask, OfAws)
        except PrivysealError as error:
            # Nothing was granted; the callers get this as their answer, none is left waiting.
            request.reason = request.reason or str(error)
        finally:
            if request.exited:
                core.leases.end_process(request.requester.evidence.process)
            for each in joined:
                if each is not request and not leasable(each.ask):
                    each.result = request.result
                each.reason = request.reason
                core.end(each)

    def _lease(self, joined: list[Request], scope: Scope, items: tuple[ItemRef, ...]) -> None:
        request, its = joined[0], joined[0].content.details
        labels = [info.label for info in request.content.items if info.ref in items]
        if isinstance(request.ask, UseAws):
            how = [f.value.split("/")[-1] for f in its if f.name in {"role", "session", "duration"}]
            labels = [", ".join([f"AWS {its[0].value}", *how])[:200]]
        self._core.leases.grant(request.id, request.content.evidence, items, labels, scope)
        self._core.ports.audience.notice(Notice(what="leases"))
        for each in joined:
            each.granted += tuple(item for item in leasable(each.ask) if item in items)
            if isinstance(each.ask, Read) and not each.delivers:
                each.result = Granted(items=each.granted)


def _chosen(request: Request, decision: Decision, *, once: bool) -> tuple[ItemRef, ...]:
    items = leasable(request.ask)
    if once and decision.allow and decision.scope.kind != "once":
        raise UsageError("a rule says that this is asked each time", hint="allow it once")
    if not items:
        if decision.items:
            raise UsageError("items can only be chosen when a read is allowed")
        if decision.allow and decision.scope.kind != "once":
            raise UsageError(
                "only a read, AWS included, can be allowed for longer", hint="allow it once"
            )
        return ()
    if any(item not in items for item in decision.items):
        raise UsageError("the decision names items that the request does not")
    return decision.items or items
