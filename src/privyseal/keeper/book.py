"""The book of requests: which wait, which have ended, and who is joined to whom."""

from collections import defaultdict, deque
from typing import Final

from privyseal.errors import ConflictError, LimitError, NotFoundError, UsageError
from privyseal.keeper.requests import Request, Requester
from privyseal.model.approval import Approval
from privyseal.model.ask import ChangeAws, Read
from privyseal.model.evidence import ProcessRef
from privyseal.model.policy import Limits

MAX_BYTES: Final = 64 * 1024 * 1024
"""What all requests may take, and again all of the history: the bus carries no message of 128 MiB."""

MAX_CLEARED: Final = 16
"""How many orders for AWS a process may have under way, or not come back for, by a lease."""

MAX_UNDER_WAY: Final = 200
"""How many of them may be under way for all: each holds a descriptor while it waits for its turn."""


class Book:
    """Finds requests by identifier, by process and by leader without walking through all."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._pending: dict[str, Request] = {}
        self._ended: dict[str, Request] = {}
        self._mine: defaultdict[object, dict[str, Request]] = defaultdict(dict)
        self._followers: dict[str, list[Request]] = {}
        self._history: deque[tuple[Approval, int]] = deque()
        self._bytes = 0
        self._past_bytes = 0

    def __len__(self) -> int:
        return sum(1 for request in self._pending.values() if not request.leader)

    def make_room(self, requester: Requester, size: int = 0) -> None:
        """Check that one more request of this requester, of `size` bytes, may wait.

        Raises:
            LimitError: Too many wait, of this process or of all, or too much.
        """
        if self._bytes + size > MAX_BYTES:
            raise LimitError("the requests of the last minutes take too much room already")
        if len(self._pending) >= self.limits.pending_total:
            raise LimitError(f"{len(self._pending)} requests wait already")
        mine = len(self._mine.get(_owner(requester), ()))
        if mine >= self.limits.pending_per_requester:
            raise LimitError(f"{mine} requests of this process wait already")

    def leader_for(self, request: Request) -> Request | None:
        """Return a waiting request of the same process that asks for the same, or for more."""
        mine = self._mine.get(_owner(request.requester), {})
        return next((other for other in mine.values() if _joins(request, other)), None)

    def add(self, request: Request) -> None:
        """Let a request wait, alone or joined to its leader."""
        self._pending[request.id] = request
        self._mine[_owner(request.requester)][request.id] = request
        self._bytes += request.size
        if request.leader:
            self._followers.setdefault(request.leader, []).append(request)

    def remove(self, request: Request) -> None:
        """Take a request out of those that wait; it stays findable until `forget`."""
        del self._pending[request.id]
        owner = _owner(request.requester)
        self._mine[owner].pop(request.id)
        if not self._mine[owner]:
            del self._mine[owner]
        if request.state == "cancelled":  # nobody comes back for it, so it takes nobody's room
            self._bytes -= request.size
        else:
            self._ended[request.id] = request
        if request.leader in self._followers:
            self._followers[request.leader].remove(request)

    def keep(self, request: Request) -> None:
        """Let a request that nobody had to decide be found until `forget`.

        Raises:
            LimitError: This process has not come back for many others, or many wait for the broker.
        """
        mine = [r for r in self._ended.values() if r.cleared and not r.collected]
        if sum(_owner(r.requester) == _owner(request.requester) for r in mine) >= MAX_CLEARED:
            raise LimitError(f"{MAX_CLEARED} orders of this process are being carried out already")
        if sum(not r.done for r in mine) >= MAX_UNDER_WAY:
            raise LimitError(f"{MAX_UNDER_WAY} orders are being carried out already")
        self._ended[request.id] = request

    def take_followers(self, request: Request) -> list[Request]:
        """Return those joined to a request; the book no longer knows them as joined."""
        return self._followers.pop(request.id, [])

    def promote(self, followers: list[Request]) -> Request:
        """Let the first of these take the place of the leader they lost."""
        first, *rest = followers
        first.leader = ""
        for other in rest:
            other.leader = first.id
        if rest:
            self._followers[first.id] = rest
        return first

    def leaders(self) -> list[Request]:
        """Return the waiting requests that a person sees, oldest first."""
        return [request for request in self._pending.values() if not request.leader]

    def waiting_of(self, requester: Requester) -> list[Request]:
        """Return what this requester waits for."""
        mine = self._mine.get(_owner(requester), {})
        return [request for request in mine.values() if request.requester is requester]

    def note_exit(self, process: ProcessRef | None) -> None:
        """Mark the requests of an exited process whose decision is being made durable."""
        for request in self._ended.values():
            if process is not None and request.requester.evidence.process == process:
                request.exited = True

    def overdue(self, now: float) -> list[Request]:
        """Return the waiting requests whose time is over."""
        return [request for request in self._pending.values() if now >= request.deadline]

    def forget(self, before: float) -> None:
        """Forget the requests that ended before this monotonic instant."""
        for name in [r.id for r in self._ended.values() if r.ended <= before]:
            self._bytes -= self._ended.pop(name).size

    def of_face(self, face: str, identifier: str) -> Request:
        """Return a request that came through this face.

        Raises:
            NotFoundError: There is none, or it belongs to another face.
        """
        request = self._pending.get(identifier) or self._ended.get(identifier)
        if request is None or request.requester.face != face:
            raise NotFoundError(f"no request {identifier!r}")
        return request

    def to_decide(self, identifier: str) -> Request:
        """Return a request that waits for a person.

        Raises:
            NotFoundError: No such request.
            ConflictError: It has ended.
        """
        request = self._pending.get(identifier)
        if request is not None and not request.leader:
            return request
        ended = next((a for a, _ in self._history if a.id == identifier), None)
        if ended is None:
            raise NotFoundError(f"no request {identifier!r} waits")
        raise ConflictError(f"the request is {ended.state} already")

    def record(self, approval: Approval, size: int) -> None:
        """Add an ended request to the history, and drop the oldest beyond its limits."""
        self._history.append((approval, size))
        self._past_bytes += size
        while len(self._history) > self.limits.history or self._past_bytes > MAX_BYTES:
            self._past_bytes -= self._history.popleft()[1]

    def history(self, limit: int) -> list[Approval]:
        """Return what has ended, newest first."""
        newest = list(self._history)[-limit:] if limit else []
        return [approval for approval, _ in reversed(newest)]

    def find_ended(self, prefix: str) -> list[Approval]:
        """Return the ended requests whose identifier starts with `prefix`."""
        return [approval for approval, _ in self._history if approval.id.startswith(prefix)]


def one_of(found: list[Approval], prefix: str) -> Approval:
    """Return the only one of these.

    Raises:
        NotFoundError: There is none.
        UsageError: There are several.
    """
    if not found:
        raise NotFoundError(f"no request {prefix!r}", hint="list them with `privy list`")
    if len(found) > 1:
        names = ", ".join(approval.id for approval in found[:5])
        raise UsageError(f"{prefix!r} is ambiguous: {names}", hint="type more of the identifier")
    return found[0]


def _owner(requester: Requester) -> object:
    # Whoever claims to speak for a process has no part in what it asks in another way.
    evidence = requester.evidence
    return (evidence.process or requester.token, evidence.through)


def _joins(request: Request, leader: Request) -> bool:
    if leader.leader or isinstance(request.ask, ChangeAws):
        return False  # to do a thing twice takes two decisions
    if isinstance(request.ask, Read) and isinstance(leader.ask, Read):
        return set(request.ask.items) <= set(leader.ask.items)
    return request.ask == leader.ask and request.value == leader.value
