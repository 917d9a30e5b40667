"""One request inside the keeper, and the requester it came from."""

from dataclasses import dataclass

from privyseal.errors import PrivysealError
from privyseal.model.approval import Approval, Content
from privyseal.model.ask import Ask, Read
from privyseal.model.evidence import Evidence, Fact
from privyseal.model.keyring import ItemRef
from privyseal.model.lifecycle import Event, State, advance
from privyseal.model.secret import Secret
from privyseal.wire.keeper import Result, Ticket


@dataclass(slots=True, eq=False)
class Requester:
    """A process that asks, as one face introduced it.

    `speaker` is the PID of the face. Once it has `left`, `pidfd` is closed and its number may mean another process: nothing is asked
    or handed over in its name any more. `claims` is what the face says of it, and which face that
    is; they stay in its evidence. `checked` is the monotonic instant at which it was last seen to
    run the program of `evidence`.
    """

    token: str
    face: str
    pidfd: int
    evidence: Evidence
    claims: tuple[Fact, ...] = ()
    speaker: int = 0
    checked: float = float("-inf")
    left: bool = False


@dataclass(slots=True, eq=False)
class Request:
    """One request. `state` changes only through `move`, by the table in model/lifecycle.py.

    `leader` is the identifier of an equal request of the same process that a person sees in place
    of this one. Instants are monotonic seconds but for those named `wall`. `size` is what it takes
    of the book's room, in bytes. `cleared`: the broker may carry the order out, with `talk` as its
    way to the person; `done` waits for it, and `outcome` is what came of it.
    """

    id: str
    ask: Ask
    requester: Requester
    content: Content
    digest: str
    asked: float
    deadline: float
    asked_wall: float
    value: Secret | None = None
    talk: int = -1
    state: State = "new"
    leader: str = ""
    reason: str = ""
    decided_by: str = ""
    ended_wall: float = 0.0
    ended: float = float("inf")
    granted: tuple[ItemRef, ...] = ()
    result: Result | None = None
    size: int = 0
    exited: bool = False
    collected: bool = False
    cleared: bool = False
    outcome: Secret | PrivysealError | None = None
    done: bool = False

    @property
    def delivers(self) -> bool:
        """Whether values are handed over with the answer to this request."""
        return isinstance(self.ask, Read) and self.ask.deliver

    def move(self, event: Event) -> None:
        """Advance the state.

        Raises:
            ConflictError: The request has ended already.
        """
        self.state = advance(self.state, event)

    def show(self, content: Content) -> None:
        """Put new content before the person; decisions on the old one are refused from now on."""
        self.content = content
        self.digest = content.digest()

    def ticket(self) -> Ticket:
        """Return what the requester is told; a decision counts once its receipt is on disk."""
        state = self.state if self.done else "pending"
        under_way = self.cleared and not self.done
        reason = "it is allowed, and AWS is asked now" if under_way else self.reason
        return Ticket(id=self.id, state=state, reason=reason, result=self.result)

    def approval(self, *, store_locked: bool, wall_offset: float, once: bool) -> Approval:
        """Return what a person is told; `wall_offset` turns monotonic instants into wall time."""
        return Approval(
            id=self.id,
            state=self.state,
            ask=self.ask,
            content=self.content,
            digest=self.digest,
            created=self.asked_wall,
            expires=self.deadline + wall_offset,
            resolved=self.ended_wall,
            reason=self.reason,
            decided_by=self.decided_by,
            needs_unlock=store_locked,
            blocking=self.delivers,
            once=once,
        )
