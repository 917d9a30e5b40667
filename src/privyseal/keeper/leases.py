"""Leases: what a person allowed for longer than one request, and who may use it.

A lease belongs to one process (`once`, `until-exit`, and every scope when the evidence is not
trusted) or to one program in one place (`uses`, `minutes`, `until-lock`): the same executable and
script, in the same mount namespace, control group and terminal. Locking ends all leases; a restart
of the keeper ends them too, because a process can't be recognised across it without its pidfd.

Whose word it is that the process asks is part of a lease as well: granted to a process that one
face spoke for, it is of no use to another face, which may have taken anybody's pidfd.
"""

import secrets
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from privyseal.model.approval import Lease
from privyseal.model.clock import Clock
from privyseal.model.decision import Scope
from privyseal.model.evidence import Evidence, ProcessRef, Program
from privyseal.model.keyring import ItemRef
from privyseal.model.policy import Timing

FOREVER: Final = float("inf")


@dataclass(slots=True, eq=False)
class HeldLease:
    """One lease as the keeper holds it; instants are monotonic seconds."""

    id: str
    request: str
    items: frozenset[ItemRef]
    labels: tuple[str, ...]
    summary: str
    scope: Scope
    process: ProcessRef | None
    program: Program | None
    through: str
    granted: float
    granted_wall: float
    expires: float
    uses_left: int
    own_write: bool = False
    windows: dict[ProcessRef | None, float] = field(default_factory=dict)

    def serves(self, evidence: Evidence) -> bool:
        """Return whether this requester may use the lease."""
        if evidence.through not in {"", self.through}:
            return False
        if self.program is not None:
            return evidence.trusted and evidence.program == self.program
        return self.process is not None and evidence.process == self.process


class Leases:
    """All leases in force, found by item."""

    def __init__(self, clock: Clock, timing: Timing, limit: int) -> None:
        self._clock = clock
        self.timing = timing
        self._limit = limit
        self._by_item: defaultdict[ItemRef, list[HeldLease]] = defaultdict(list)
        self._all: dict[str, HeldLease] = {}
        self.era = 0

    def __len__(self) -> int:
        return len(self._all)

    def grant(
        self,
        request: str,
        evidence: Evidence,
        items: Sequence[ItemRef],
        labels: Sequence[str],
        scope: Scope,
        *,
        own_write: bool = False,
    ) -> HeldLease:
        """Record a lease on `items` for the process or program of `evidence`."""
        now = self._clock.monotonic()
        to_process = scope.kind in {"once", "until-exit"} or not evidence.trusted
        expires = FOREVER
        if scope.kind == "once":
            expires = now + self.timing.retry
        elif scope.kind == "minutes":
            expires = now + 60 * scope.amount
        held = HeldLease(
            id=secrets.token_hex(8),
            request=request,
            items=frozenset(items),
            labels=tuple(labels),
            summary=evidence.summary,
            scope=scope,
            process=evidence.process if to_process else None,
            program=None if to_process else evidence.program,
            through=evidence.through,
            granted=now,
            granted_wall=self._clock.wall(),
            expires=expires,
            uses_left={"once": 1, "uses": scope.amount}.get(scope.kind, -1),
            own_write=own_write,
        )
        self._all[held.id] = held
        for item in held.items:
            self._by_item[item].append(held)
        while len(self._all) > self._limit:
            self.end(next(iter(self._all)))
        return held

    def find(self, evidence: Evidence, item: ItemRef) -> HeldLease | None:
        """Return a lease that lets this requester read the item now."""
        now = self._clock.monotonic()
        for held in self._by_item.get(item, ()):
            if not held.serves(evidence) or now >= held.expires:
                continue
            if held.uses_left != 0 or now < held.windows.get(evidence.process, 0.0):
                return held
        return None

    def use(self, held: HeldLease, evidence: Evidence, *, late: bool) -> bool:
        """Count one intention; return False when this read belongs to one counted before.

        A client reads several items, or one item several times, to do one thing; all its reads
        within a short window count as one use.

        `late`: the reader has waited so long that it may have given up and will ask again.
        """
        now = self._clock.monotonic()
        if now < held.windows.get(evidence.process, 0.0):
            return False
        window = self.timing.retry if late else self.timing.intention
        held.windows[evidence.process] = now + window
        if held.uses_left > 0:
            held.uses_left -= 1
        if held.scope.kind == "once":
            held.expires = now + window
        return True

    def end(self, lease: str) -> bool:
        """End one lease; return whether it was there."""
        held = self._all.pop(lease, None)
        if held is None:
            return False
        for item in held.items:
            remaining = [other for other in self._by_item[item] if other is not held]
            if remaining:
                self._by_item[item] = remaining
            else:
                del self._by_item[item]
        return True

    def end_all(self) -> None:
        """End every lease: the store is being locked. What was decided before is of a past era."""
        self.era += 1
        self._all.clear()
        self._by_item.clear()

    def end_process(self, process: ProcessRef | None) -> bool:
        """End what belonged to a process that has exited; return whether there was any."""
        return self._end_where(
            held for held in self._all.values() if held.process and held.process == process
        )

    def end_item(self, item: ItemRef, *, keep: ProcessRef | None = None, own_only: bool) -> None:
        """End the leases on an item that was deleted, or (`own_only`) rewritten by another."""
        self._end_where(
            held
            for held in self._by_item.get(item, ())
            if not own_only or (held.own_write and held.process != keep)
        )

    def end_collection(self, collection: str) -> None:
        """End the leases on items of a collection that was deleted."""
        self._end_where(
            held
            for held in self._all.values()
            if any(item.collection == collection for item in held.items)
        )

    def sweep(self) -> None:
        """Forget what has run out."""
        now = self._clock.monotonic()
        self._end_where(
            held
            for held in self._all.values()
            if now >= held.expires
            or (held.uses_left == 0 and all(now >= end for end in held.windows.values()))
        )

    def describe(self) -> list[Lease]:
        """Return the leases in force as a person sees them."""
        now, wall = self._clock.monotonic(), self._clock.wall()
        return [
            Lease(
                id=held.id,
                request=held.request,
                items=tuple(sorted(held.items, key=lambda ref: (ref.collection, ref.item))),
                labels=held.labels,
                holder=held.summary,
                scope="its own write" if held.own_write else held.scope.describe(),
                granted=held.granted_wall,
                expires=0.0 if held.expires == FOREVER else wall + held.expires - now,
                uses_left=held.uses_left,
            )
            for held in self._all.values()
            if now < held.expires
        ]

    def _end_where(self, leases: Iterable[HeldLease]) -> bool:
        ended = [held.id for held in leases]
        for lease in ended:
            self.end(lease)
        return bool(ended)
