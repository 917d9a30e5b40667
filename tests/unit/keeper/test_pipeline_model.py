"""A random walk through the whole pipeline beside a small model of who may read what, and why."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import pytest
from tests.soak import times
from tests.unit.keeper.conftest import PASSPHRASE, PERSON, Bench

from privyseal.errors import ConflictError, PrivysealError
from privyseal.keeper.requests import Request, Requester
from privyseal.model.ask import (
    Ask,
    Change,
    Create,
    CreateCollection,
    Delete,
    DeleteCollection,
    Lock,
    Read,
    Search,
    SetAlias,
    Unlock,
    Write,
)
from privyseal.model.decision import Decision, Scope
from privyseal.model.keyring import ItemRef
from privyseal.model.lifecycle import TRANSITIONS, State
from privyseal.model.policy import Limits, Policy, Verdict, Verdicts
from privyseal.model.secret import Secret
from privyseal.runtime.audit import log_files, log_lines
from privyseal.wire.auditcheck import Verifier
from privyseal.wire.keeper import Found, MadeItem, Values

WALKS: Final = times(16, soak=1500)
STEPS: Final = 250
MINE, ALL = 5, 12
"""How many requests may wait, of one process and of all."""
SCOPES: Final = ("once", "1x", "2x", "1m", "5m", "until-lock", "until-exit")
MOVES: Final = {(old, new) for (old, _), new in TRANSITIONS.items()}
NEVER: Final = float("inf")


@dataclass(eq=False)
class Walker:
    """One process; `requester` is its present connection."""

    name: str
    pid: int
    trusted: bool
    requester: Requester


@dataclass(eq=False)
class Permit:
    """Something that lets values out, at the most until `until` and `uses` times."""

    request: str
    items: frozenset[ItemRef]
    pid: int
    name: str
    until: float = NEVER
    uses: float = NEVER
    wrote: bool = False
    used: list[tuple[int, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Refusal:
    """How often a program was refused an item, and until when it asks nobody for it."""

    count: int = 0
    until: float = -NEVER


class Walk:
    """The pipeline and the model side by side; every step compares them."""

    def __init__(self, bench: Bench, seed: int) -> None:
        self.bench = bench
        self.dice = random.Random(seed)  # noqa: S311 - a walk must repeat
        self.walkers: list[Walker] = []
        self.values: dict[ItemRef, bytes] = {}
        self.permits: list[Permit] = []
        self.refused: dict[tuple[str, ItemRef], Refusal] = {}
        self.asked: dict[str, tuple[Request, Walker, bytes]] = {}
        self.states: dict[str, State] = {}
        self.seen: Counter[str] = Counter()
        self.pids = 0

    @property
    def now(self) -> float:
        return self.bench.clock.monotonic()

    def start(self) -> None:
        """Let one more process run."""
        self.pids += 1
        name, trusted = self.dice.choice(("git", "node", "curl")), self.dice.random() < 0.8
        requester = self.bench.process(name, pid=self.pids, trusted=trusted)
        self.walkers.append(Walker(name, self.pids, trusted, requester))

    def leave(self) -> None:
        """Let a connection end, or its process with it."""
        walker = self.dice.choice(self.walkers)
        exited = self.dice.random() < 0.5
        waiting = self._waiting(walker.requester)
        self.bench.asking.leave(walker.requester, exited=exited)
        assert all(request.state == "cancelled" for request in waiting)
        if exited:
            self.walkers.remove(walker)
            self.permits = [p for p in self.permits if p.name or p.pid != walker.pid]
            self.start()
        else:
            walker.requester = self.bench.process(
                walker.name, pid=walker.pid, trusted=walker.trusted
            )

    def _waiting(self, requester: Requester) -> list[Request]:
        return [
            request
            for request, _, _ in self.asked.values()
            if request.requester is requester and request.state == "pending"
        ]

    def _items(self) -> list[ItemRef]:
        none = ItemRef(collection="login", item="none")
        return [*self.values, none] if self.dice.random() < 0.05 else list(self.values) or [none]

    def _some(self) -> tuple[ItemRef, ...]:
        items = self._items()
        return tuple(self.dice.sample(items, self.dice.randint(1, min(3, len(items)))))

    async def ask(self) -> None:
        """Let a process ask for something."""
        walker, item = self.dice.choice(self.walkers), self.dice.choice(self._items())
        value = self.dice.randbytes(self.dice.randint(0, 30))
        number = str(self.dice.randint(0, 3))
        create = Create(collection="login", label="x", attributes={"n": number}, replace=True)
        asks: list[Ask] = [
            *[Read(items=self._some(), deliver=self.dice.random() < 0.7)] * 16,
            *[create, create],
            Create(collection="session", label="x", attributes={"n": number}),
            Search(attributes={}),
            Write(item=item),
            Delete(item=item),
            Change(item=item, label=number),
            CreateCollection(label="c"),
            SetAlias(alias="a", collection="login"),
            DeleteCollection(collection="none"),
            Lock(collections=("login",)),
            Unlock(collections=("login",)),
        ]
        ask = self.dice.choice(asks)
        carried = value if isinstance(ask, Create | Write) else None
        try:
            answered = await self.bench.ask(walker.requester, ask, carried)
        except PrivysealError as error:
            self.seen[type(error).__name__] += 1
            return
        request = answered.request
        self.asked[request.id] = request, walker, value
        self.states[request.id] = "new"
        if request.state == "ruled" and isinstance(ask, Read):
            self._permit(request, walker, ask.items, Scope())
        elif request.state == "pending" and isinstance(request.ask, Read):
            for item in request.ask.items:
                refusal = self.refused.get((walker.name, item), Refusal())
                assert refusal.until <= self.now, "it was denied just now"
        self._follow()
        self._released(request, walker, answered.released)

    async def decide(self) -> None:
        """Let a person decide one of the requests that wait."""
        pending = self.bench.deciding.pending()
        if not pending:
            return
        shown = self.dice.choice(pending)
        request, walker, _ = self.asked[shown.id]
        scope, allow = Scope.parse(self.dice.choice(SCOPES)), self.dice.random() < 0.7
        chosen: tuple[ItemRef, ...] = ()
        if isinstance(request.ask, Read) and allow and self.dice.random() < 0.3:
            chosen = (self.dice.choice(request.ask.items),)
        digest = shown.digest if self.dice.random() < 0.9 else "0" * 64
        decision = Decision(request=shown.id, digest=digest, allow=allow, scope=scope, items=chosen)
        try:
            await self.bench.deciding.decide(decision, PERSON)
        except PrivysealError as error:
            self.seen[type(error).__name__] += 1
            assert request.state == "pending"
            return
        assert digest == shown.digest, "a decision on other content counted"
        if isinstance(request.ask, Read) and allow:
            self._permit(request, walker, chosen or request.ask.items, scope)
        elif isinstance(request.ask, Read):
            for item in request.ask.items:
                self._refuse((walker.name, item))
        with pytest.raises(ConflictError):
            await self.bench.deciding.decide(decision, PERSON)

    def _permit(
        self, request: Request, walker: Walker, items: Sequence[ItemRef], scope: Scope
    ) -> None:
        own = scope.kind in {"once", "until-exit"} or not walker.trusted
        until = {"once": self.now + 120, "minutes": self.now + 60 * scope.amount}
        self.permits.append(
            Permit(
                request=request.id,
                items=frozenset(items),
                pid=walker.pid,
                name="" if own else walker.name,
                until=until.get(scope.kind, NEVER),
                uses={"once": 1, "uses": scope.amount}.get(scope.kind, NEVER),
            )
        )

    def _refuse(self, key: tuple[str, ItemRef]) -> None:
        before = self.refused.get(key, Refusal())
        count = before.count + 1 if self.now < before.until + 3600 else 1
        self.refused[key] = Refusal(count, self.now + min(10 * 2 ** (count - 1), 3600))

    async def collect(self) -> None:
        """Let a caller fetch what it was granted, perhaps for the second time."""
        if not self.asked:
            return
        request, walker, _ = self.dice.choice(list(self.asked.values()))
        again = request.collected
        try:
            released = await self.bench.asking.collect(request)
        except ConflictError:
            assert again or request.requester.left
            return
        assert not (again and released), "values were handed over twice"
        assert request.state in {"allowed", "leased", "ruled"} or not released
        self._released(request, walker, released)

    def _released(self, request: Request, walker: Walker, values: list[Secret]) -> None:
        if not values:
            return
        self.seen["released"] += len(values)
        assert isinstance(request.result, Values)
        items = [part.item for part in request.result.slices]
        if self.bench.core.store_locked:
            assert {item.collection for item in items} == {"session"}
        assert [value.expose() for value in values] == [self.values[item] for item in items]
        charged: set[Permit] = set()
        for item in items:
            covering = [permit for permit in self.permits if self._covers(permit, walker, item)]
            assert covering, f"{walker} got {item} without anybody's leave"
            if len(covering) == 1:  # of several, the model cannot know which one was used
                charged.add(covering[0])
        for permit in charged:
            if not self._goes_on(permit, walker):
                permit.used.append((walker.pid, self.now))

    def _goes_on(self, permit: Permit, walker: Walker) -> bool:
        """Whether a use may belong to the intention of one before, which is at most a minute old."""
        return any(pid == walker.pid and self.now < at + 60 for pid, at in permit.used)

    def _covers(self, permit: Permit, walker: Walker, item: ItemRef) -> bool:
        if permit.name:
            held = walker.trusted and permit.name == walker.name
        else:
            held = permit.pid == walker.pid
        room = len(permit.used) < permit.uses or self._goes_on(permit, walker)
        return held and item in permit.items and self.now < permit.until and room

    async def manage(self) -> None:
        """Let the person lock, unlock or revoke, or change the policy."""
        deed = self.dice.choice(("lock", *["unlock"] * 4, "revoke", "policy"))
        if deed == "lock":
            await self.bench.deciding.lock(PERSON)
            self.permits.clear()
        elif deed == "unlock":
            await self.bench.deciding.unlock(PASSPHRASE, PERSON)
        elif deed == "revoke" and (leases := self.bench.deciding.leases()):
            lease = self.dice.choice(leases)
            await self.bench.deciding.revoke(lease.id, PERSON)
            self.permits = [p for p in self.permits if p.request != lease.request]
        elif deed == "policy":
            verdicts: list[Verdict] = ["ask", "ask", "ask", "ask", "allow", "deny"]
            kinds = ("read", "search", "create", "write", "delete", "unlock")
            chosen = {kind: self.dice.choice(verdicts) for kind in kinds}
            limits = Limits(pending_per_requester=MINE, pending_total=ALL, history=20, leases=50)
            self.bench.core.obey(Policy(verdicts=Verdicts(**chosen), limits=limits))

    async def wait(self) -> None:
        """Let time pass, or a caller give up."""
        waiting = [r for r, _, _ in self.asked.values() if r.state == "pending"]
        if waiting and self.dice.random() < 0.3:
            self.bench.asking.withdraw(self.dice.choice(waiting), "gave up")
            return
        self.bench.clock.advance(self.dice.choice((0.1, 1, 5, 11, 31, 61, 301)))
        self.bench.asking.tick()

    def _follow(self) -> None:
        """Take over into the model what has ended, and check every state against the table."""
        for name, (request, walker, value) in list(self.asked.items()):
            old = self.states[name]
            if request.state == old:
                continue
            via_pending = old == "new" and ("pending", request.state) in MOVES
            assert (old, request.state) in MOVES or via_pending
            self.states[name] = request.state
            if request.state != "pending":
                self._ended(request, walker, value)

    def _ended(self, request: Request, walker: Walker, value: bytes) -> None:
        assert request.done
        self.seen[request.state] += 1
        self.seen[type(request.ask).__name__] += 1
        if request.state not in {"allowed", "ruled"} or request.reason:
            return
        result, ask = request.result, request.ask
        if isinstance(ask, Create | Write):
            item = result.item if isinstance(result, MadeItem) else getattr(ask, "item", None)
            assert isinstance(item, ItemRef)
            self.values[item] = value
            self.permits = [
                p for p in self.permits if not (p.wrote and item in p.items and p.pid != walker.pid)
            ]
            self.permits.append(Permit(request.id, frozenset([item]), walker.pid, "", wrote=True))
        elif isinstance(ask, Delete):
            self.values.pop(ask.item, None)
        elif isinstance(ask, Lock):
            self.permits.clear()
        elif isinstance(ask, Search):
            assert isinstance(result, Found)
            for item in result.open:
                assert any(self._covers(permit, walker, item) for permit in self.permits)

    def compare(self) -> None:
        """Check what holds between any two steps."""
        self._follow()
        core = self.bench.core
        waiting = [r for r, _, _ in self.asked.values() if r.state == "pending"]
        assert {r.id for r in waiting} == set(core.book._pending)
        assert len(waiting) <= ALL
        by_pid = Counter(walker.pid for r, walker, _ in self.asked.values() if r.state == "pending")
        assert max(by_pid.values(), default=0) <= MINE
        assert {a.id for a in self.bench.deciding.pending()} == {
            r.id for r in waiting if not r.leader
        }
        for request in waiting:
            assert not request.leader or request.leader in core.book._pending
            assert request.deadline > self.now - 301
        for name, (request, _, _) in self.asked.items():
            admitted = bool(request.digest)
            assert self.bench.audience.ends.get(name) == (
                request.state if admitted and request.state != "pending" else None
            )
        assert len(self.bench.deciding.leases()) <= core.policy.limits.leases

    async def end(self) -> None:
        """Let everybody leave and the time run out: nothing may be left."""
        for walker in self.walkers:
            self.bench.asking.leave(walker.requester, exited=True)
        self.compare()
        await self.bench.deciding.lock(PERSON)
        self.bench.clock.advance(10_000)
        self.bench.asking.tick()
        book = self.bench.core.book
        assert [len(m) for m in (book._pending, book._ended, book._mine, book._followers)] == [
            0
        ] * 4
        assert book._bytes == 0
        assert len(self.bench.core.leases) == 0
        await self.bench.audit.flush()
        verifier = Verifier(key=self.bench.core.ports.signer.public_key)
        for file in log_files(self.bench.folder / "audit"):
            for entry in verifier.verify(file.name, log_lines(file)):
                self.seen["entries"] += bool(entry.n)


@pytest.mark.parametrize("seed", range(WALKS))
async def test_whatever_happens_only_what_was_allowed_gets_out(bench: Bench, seed: int) -> None:
    walk = Walk(bench, seed)
    bench.core.obey(Policy(limits=Limits(pending_per_requester=MINE, pending_total=ALL)))
    for number in range(4):
        item = await bench.item(bytes([number]), n=str(number))
        walk.values[item] = bytes([number])
        walk.start()
    steps = (
        [walk.ask] * 8
        + [walk.decide] * 6
        + [walk.collect] * 4
        + [walk.manage, walk.wait, walk.wait]
    )
    for number in range(9 * STEPS):
        if walk.dice.random() < 0.04:
            walk.leave()
        else:
            await walk.dice.choice(steps)()
        walk.compare()
        if number > STEPS and walk.seen["released"]:
            break
    await walk.end()
    assert walk.seen["released"] > 0
    assert {"allowed", "denied", "cancelled"} <= walk.seen.keys()
