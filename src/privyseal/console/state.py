"""What the screen knows, and how it changes when something happens; no I/O, no clock, no chance.

`fresh` is at least one random byte, given by the caller for every change: from it the two letters
of the challenge are drawn. Nothing that happens outside moves the selection. A selected request
that ends stays where it is, as ended, until the person moves on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import msgspec

from privyseal.model.approval import Approval, Lease, Status
from privyseal.model.ask import Read
from privyseal.model.decision import Scope
from privyseal.model.keyring import ItemRef
from privyseal.wire.keeper import Notice

View = Literal["requests", "history", "leases", "unlock", "help"]

DWELL: Final = 0.7
"""Seconds from the last change of what is drawn until the challenge counts."""
PENALTY: Final = 3.0
"""Seconds without a challenge after a wrong pair."""
LETTERS: Final = "abcdfgmprstvwxyz"
"""What challenges are made of: no letter that is a command, none that looks like a digit."""
RECENT: Final = 100

MIN_COLUMNS: Final = 80
MIN_ROWS: Final = 24

_LEASABLE: Final = tuple(map(Scope.parse, ("once", "5x", "15m", "1h", "until-lock", "until-exit")))


@dataclass(frozen=True, slots=True)
class ScreenState:
    """Everything a frame is drawn from.

    `wall` counts seconds since 1970, `mono` and `armed_at` are on the monotonic clock. `status` is
    None while the keeper is away. `notes` stand there while nothing waits. `subject` is the request in the detail pane; `off` are its items
    that were switched off. `read` is the digest that was read to its end, `decided` the request a
    decision was sent for. `console_font` keeps to what the kernel's own font can draw.
    """

    columns: int = 80
    rows: int = 25
    wall: float = 0.0
    mono: float = 0.0
    banner: str = ""
    notes: tuple[str, ...] = ()
    console_font: bool = False
    status: Status | None = None
    listed: tuple[Approval, ...] = ()
    recent: tuple[Approval, ...] = ()
    leases: tuple[Lease, ...] = ()
    view: View = "requests"
    subject: Approval | None = None
    scope: int = 0
    item: int = 0
    off: frozenset[ItemRef] = frozenset()
    scroll: int = 0
    read: str = ""
    challenge: str = ""
    typed: str = ""
    armed_at: float = 0.0
    decided: str = ""
    row: int = 0
    said: str = ""
    entered: str = field(default="", repr=False)
    chosen: str = field(default="", repr=False)

    @property
    def enough_room(self) -> bool:
        """Whether a request can be drawn whole; without that nothing can be decided."""
        return self.columns >= MIN_COLUMNS and self.rows >= MIN_ROWS

    @property
    def waiting(self) -> int:
        """How many requests wait for a decision."""
        return sum(approval.state == "pending" for approval in self.listed)

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """How far an allow of the subject can reach: only reading can be leased."""
        leasable = self.subject is not None and isinstance(self.subject.ask, Read)
        return _LEASABLE if leasable else _LEASABLE[:1]

    @property
    def kept(self) -> tuple[ItemRef, ...]:
        """The items of the subject that are switched on."""
        items = self.subject.content.items if self.subject else ()
        return tuple(item.ref for item in items if item.ref not in self.off)

    @property
    def armed(self) -> bool:
        """Whether the challenge is drawn and counts."""
        return self.mono >= self.armed_at


def rearmed(state: ScreenState, fresh: bytes, wait: float = DWELL) -> ScreenState:
    """Draw another challenge, never the same as before, that counts after `wait` seconds."""
    pair = LETTERS[fresh[0] >> 4] + LETTERS[fresh[0] & 15]
    if pair == state.challenge:
        pair = pair[0] + LETTERS[(LETTERS.index(pair[1]) + 1) % len(LETTERS)]
    return replace(state, challenge=pair, typed="", armed_at=state.mono + wait)


def shown(state: ScreenState, subject: Approval | None, fresh: bytes) -> ScreenState:
    """Put a request into the detail pane, with every choice as it is at first."""
    keep = tuple(a for a in state.listed if a.state == "pending")
    fields = replace(
        state, listed=keep, subject=subject, scope=0, item=0, off=frozenset(), scroll=0, said=""
    )
    return rearmed(fields, fresh)


def told(state: ScreenState, notice: Notice, fresh: bytes) -> ScreenState:
    """Take in one thing that happened in the keeper."""
    approval = notice.approval
    if notice.what in {"locked", "unlocked"} and state.status is not None:
        status = msgspec.structs.replace(state.status, locked=notice.what == "locked")
        return rearmed(replace(state, status=status), fresh)
    if approval is None:
        return state
    if approval.state == "pending":
        return _listed(state, approval, fresh)
    others = (a for a in state.recent if a.id != approval.id)
    return _ended(replace(state, recent=(approval, *others)[:RECENT]), approval, fresh)


def synced(
    state: ScreenState,
    status: Status,
    pending: Sequence[Approval],
    recent: Sequence[Approval],
    fresh: bytes,
) -> ScreenState:
    """Take in all that the keeper knows, after this or the keeper started anew."""
    state = replace(state, status=status, recent=tuple(recent[:RECENT]))
    known = {approval.id: approval for approval in (*recent, *pending)}
    for old in state.listed:
        lost = msgspec.structs.replace(old, state="abandoned", resolved=state.wall)
        now = known.get(old.id, lost if old.state == "pending" else old)
        if now.state != "pending":
            state = _ended(state, now, fresh)
    for approval in pending:
        state = _listed(state, approval, fresh)
    return state


def _listed(state: ScreenState, approval: Approval, fresh: bytes) -> ScreenState:
    old = next((a for a in state.listed if a.id == approval.id), None)
    if old is None:
        state = replace(state, listed=(*state.listed, approval))
    else:
        listed = tuple(approval if a.id == approval.id else a for a in state.listed)
        state = replace(state, listed=listed)
    if state.subject is None:
        return shown(state, approval, fresh)
    if state.subject.id != approval.id:
        return state
    if state.subject.digest != approval.digest:
        changed = shown(state, approval, fresh)
        return replace(changed, said="It changed while you looked: read it again.")
    return replace(state, subject=approval)


def _ended(state: ScreenState, approval: Approval, fresh: bytes) -> ScreenState:
    if state.subject is None or state.subject.id != approval.id:
        return replace(state, listed=tuple(a for a in state.listed if a.id != approval.id))
    listed = tuple(approval if a.id == approval.id else a for a in state.listed)
    return rearmed(replace(state, listed=listed, subject=approval), fresh)
