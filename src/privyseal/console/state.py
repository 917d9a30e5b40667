"""What the screen knows, and how it changes when something happens; no I/O, no clock, no chance.

`fresh` is at least one random byte, given by the caller for every change: from it the two letters
of the challenge are drawn. Nothing that happens outside moves the selection. A selected request
that ends leaves the list and stays in the pane, as ended, until the person moves on.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import msgspec

from privyseal.model.approval import Approval, Lease, PinAsk, Status
from privyseal.model.ask import Read, UseAws
from privyseal.model.decision import Scope
from privyseal.model.evidence import ProcessRef
from privyseal.model.keyring import ItemRef
from privyseal.model.policy import Policy
from privyseal.wire.keeper import Notice

View = Literal[
    "requests", "overview", "history", "leases", "rules", "unlock", "pins", "log-out", "help"
]

DWELL: Final = 0.7
"""Seconds from the last change of what is drawn until the challenge counts."""
PENALTY: Final = 3.0
"""Seconds without a challenge after a wrong pair."""
LETTERS: Final = "abcdfgmprstvwxyz"
"""What challenges are made of: no letter that is a command, none that looks like a digit."""
RECENT: Final = 100
HOLD: Final = 3.0
"""Seconds after a key for which an armed console refuses to be switched away."""
LONGEST_LETTERS: Final = 10.0
LONGEST_PASSPHRASE: Final = 30.0
"""Seconds for which it refuses in all, from the first key on: the machine stays usable."""

MIN_COLUMNS: Final = 80
MIN_ROWS: Final = 24

_LEASABLE: Final = tuple(map(Scope.parse, ("once", "5x", "15m", "1h", "until-lock", "until-exit")))


@dataclass(frozen=True, slots=True)
class ScreenState:
    """Everything a frame is drawn from.

    `wall` counts seconds since 1970, `mono` and `armed_at` are on the monotonic clock. `status` is
    None while the keeper is away. `user`, `vt` and `phrase` are set in companion mode, where `vt` is
    not 0; `linked` says whether there is a bus to find the keeper on, `logged_in`, where there is
    none, whether the user has a session, `front` whether the virtual
    terminal is the one in front; `pin` is the question of GnuPG that was opened. `began` and `touched` are when the first and the last key of an
    unfinished pair or passphrase came. `notes` stand there while nothing waits. `subject` is the request in the detail pane; `off` are its items
    that were switched off. `read` is the digest that was read to its end, `decided` the request a
    decision was sent for. `console_font` keeps to what the kernel's own font can draw.
    """

    columns: int = 80
    rows: int = 25
    wall: float = 0.0
    mono: float = 0.0
    banner: str = ""
    user: str = ""
    vt: int = 0
    phrase: str = ""
    linked: bool = True
    logged_in: bool = False
    front: bool = True
    notes: tuple[str, ...] = ()
    console_font: bool = False
    status: Status | None = None
    listed: tuple[Approval, ...] = ()
    recent: tuple[Approval, ...] = ()
    leases: tuple[Lease, ...] = ()
    pins: tuple[PinAsk, ...] = ()
    pin: str = ""
    policy: Policy | None = None
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
    began: float = 0.0
    touched: float = 0.0
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
        return len(self.listed)

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """How far an allow of the subject can reach: only what is read can be leased."""
        lasting = isinstance(self.subject.ask, Read | UseAws) if self.subject else False
        once = self.subject.once if self.subject else True
        return _LEASABLE if lasting and not once else _LEASABLE[:1]

    @property
    def kept(self) -> tuple[ItemRef, ...]:
        """The items of the subject that are switched on."""
        items = self.subject.content.items if self.subject else ()
        return tuple(item.ref for item in items if item.ref not in self.off)

    @property
    def armed(self) -> bool:
        """Whether the challenge is drawn and counts."""
        return self.mono >= self.armed_at

    @property
    def question(self) -> PinAsk | None:
        """The question for a passphrase that was opened, while it still waits for an answer."""
        return next((pin for pin in self.pins if pin.id == self.pin), None)

    @property
    def unfinished(self) -> bool:
        """Whether a pair or a passphrase was begun."""
        return bool(self.typed or self.entered or self.chosen)

    @property
    def holds(self) -> bool:
        """Whether to refuse now that the terminal is switched away: under a hand that types."""
        longest = LONGEST_LETTERS if self.typed else LONGEST_PASSPHRASE
        return (
            self.unfinished
            and self.mono - self.touched <= HOLD
            and self.mono - self.began <= longest
        )


def rearmed(state: ScreenState, fresh: bytes, wait: float = DWELL) -> ScreenState:
    """Draw another challenge, never the same as before, that counts after `wait` seconds."""
    pair = LETTERS[fresh[0] >> 4] + LETTERS[fresh[0] & 15]
    if pair == state.challenge:
        pair = pair[0] + LETTERS[(LETTERS.index(pair[1]) + 1) % len(LETTERS)]
    return replace(state, challenge=pair, typed="", armed_at=state.mono + wait)


def left(state: ScreenState, fresh: bytes) -> ScreenState:
    """Forget what was typed, as the terminal is no longer, or only now again, in front."""
    forgotten = replace(state, view="requests", entered="", chosen="", said="")
    return rearmed(forgotten, fresh)


def shown(state: ScreenState, subject: Approval | None, fresh: bytes) -> ScreenState:
    """Put a request into the detail pane, with every choice as it is at first."""
    fields = replace(state, subject=subject, scope=0, item=0, off=frozenset(), scroll=0, said="")
    return rearmed(fields, fresh)


def told(state: ScreenState, notice: Notice, fresh: bytes) -> ScreenState:
    """Take in one thing that happened in the keeper."""
    approval = notice.approval
    if notice.what in {"locked", "unlocked"} and state.status is not None:
        status = msgspec.structs.replace(state.status, locked=notice.what == "locked")
        changed = status != state.status
        return rearmed(replace(state, status=status), fresh) if changed else state
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
    pins: Sequence[PinAsk] = (),
) -> ScreenState:
    """Take in all that the keeper knows, after this or the keeper started anew."""
    state = replace(state, status=status, recent=tuple(recent[:RECENT]), pins=tuple(pins))
    known = {approval.id: approval for approval in (*recent, *pending)}
    for old in state.listed:
        lost = msgspec.structs.replace(old, state="abandoned", resolved=state.wall)
        now = known.get(old.id, lost)
        if now.state != "pending":
            state = _ended(state, now, fresh)
    for approval in pending:
        state = _listed(state, approval, fresh)
    return state


def _listed(state: ScreenState, approval: Approval, fresh: bytes) -> ScreenState:
    old = next((a for a in state.listed if a.id == approval.id), None)
    if old is None:
        at = _place(state, approval)
        listed = (*state.listed[:at], approval, *state.listed[at:])
        state = replace(state, listed=listed)
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


def _place(state: ScreenState, approval: Approval) -> int:
    """Return where in the list a new request stands: before what asks out of turn, by process.

    Nothing is put before the subject: that would move under the person's hand.
    """
    asker = approval.content.evidence.process
    askers = [other.content.evidence.process for other in state.listed]
    turn, turns = askers.count(asker), Counter[ProcessRef | None]()
    ids = [other.id for other in state.listed]
    first = ids.index(state.subject.id) + 1 if state.subject and state.subject.id in ids else 0
    for at, other in enumerate(askers):
        if turns[other] > turn and at >= first:
            return at
        turns[other] += 1
    return len(askers)


def _ended(state: ScreenState, approval: Approval, fresh: bytes) -> ScreenState:
    left = replace(state, listed=tuple(a for a in state.listed if a.id != approval.id))
    if left.subject is None or left.subject.id != approval.id:
        return left
    if left.subject.state != "pending":  # told once more: a key pressed since is not to be lost
        return replace(left, subject=approval)
    return rearmed(replace(left, subject=approval), fresh)
