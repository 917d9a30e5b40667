"""The trusted screen as a pure function: from what is known to the styled lines of one frame.

Foreign text stands to the right of a gutter, in its own style, and has passed the sanitiser; it can
contain neither the gutter nor any other part of a frame. Marks carry every meaning, colours only
repeat it. A secret value is never drawn, nor how long a passphrase is.
"""

from typing import Final

from privyseal.console import detail
from privyseal.console.layout import (
    Line,
    Span,
    Style,
    column,
    foreign,
    line,
    pad,
    plain,
    rule,
    spread,
)
from privyseal.console.pages import OUTCOMES, PAGES, WANTS, overview, what
from privyseal.console.state import MIN_COLUMNS, MIN_ROWS, ScreenState, View
from privyseal.model.approval import Approval
from privyseal.wire.sanitise import fit, width

OWN_SESSION: Final = "own-session: a program running as you could approve this"

NO_WITNESS: Final = "no witness: facts are only reported"

_NAME: Final = " PRIVYSEAL "
_EDGE: Final[Span] = ("│", "frame")
_MARGIN: Final = 7
"""Cells before the gutter of the list."""

_KEYS: Final[dict[View, str]] = {
    "requests": "↑↓ choose  tab scope  h history  e leases  l lock  u unlock  ? help  q quit",
    "overview": "0 or esc back",
    "history": "↑↓ choose  enter details  h or esc back",
    "leases": "↑↓ choose  r revoke  e or esc back",
    "rules": "i or esc back",
    "help": "? or esc back",
    "unlock": "enter unlock  esc back",
    "pins": "enter answer  esc refuse",
}
_COMPANION_KEYS: Final = (
    "↑↓ choose  0 overview  h history  e leases  i rules  l lock  u unlock  o out  ?"
)


def render(state: ScreenState) -> list[Line]:
    """Return one frame: exactly `state.rows` lines of exactly `state.columns` cells."""
    if not state.enough_room:
        said = f"Privyseal needs {MIN_COLUMNS} x {MIN_ROWS} characters; "
        said += f"here are {state.columns} x {state.rows}."
        rows = [line(said), line("Enlarge the window. Nothing can be decided here.")]
        return column(rows, state.rows, state.columns)
    if not state.front:
        away = line(" This screen was left. It is drawn anew when you come back.")
        return [_header(state), *column([(), away], state.rows - 1, state.columns)]
    keys = _KEYS.get(state.view, "esc back")
    if state.vt and state.view == "requests":
        keys = _COMPANION_KEYS if state.linked else "? help"
    return [
        _header(state),
        *(_requests(state) if state.view == "requests" else _page(state)),
        pad(line((_warning(state), "warn")), state.columns),
        pad(line((f" {keys}", "faint")), state.columns),
    ]


def _warning(state: ScreenState) -> str:
    if state.status is None:
        return ""
    if state.status.mode == "own-session":
        return f" ! {OWN_SESSION}"
    said = [f"{pin.of} asks a {WANTS[pin.of]}: u" for pin in state.pins[:1]]
    said += [NO_WITNESS] if not state.status.witness else []
    said += ["trouble: 0"] if state.status.troubles else []
    return f" ! {'; '.join(said)}" if said else ""


def _header(state: ScreenState) -> Line:
    status = state.status
    if status is None:
        gone = "logged out" if state.logged_in else "not logged in"
        store = "keeper away" if state.linked else gone
    elif not status.initialised:
        store = "no store yet"
    else:
        store = "locked" if status.locked else "unlocked"
    # The phrase is what tells this screen from an imitation: everything else gives way to it.
    place = f"vt{state.vt}   {state.phrase}" if state.vt else ""
    most = state.columns - len(_NAME) - width(place) - 6
    told = ("no witness   ", "") if status is not None and not status.witness else ("",)
    ends = [f" {state.waiting} waiting   {more}{store} " for more in told]
    right = line((next((one for one in ends if len(one) <= most), ends[-1]), "bar"))
    room = state.columns - len(_NAME) - width(plain(right)) - 2
    banner = fit(state.banner, room, console=state.console_font)
    if place:
        user = fit(state.user, max(room - width(place) - 3, 1), console=state.console_font)
        banner = f"{user}   {place}"
    return spread(line((f"{_NAME}  {banner}", "bar")), right, state.columns, "bar")


def _requests(state: ScreenState) -> list[Line]:
    left, (right, height) = detail.list_cells(state), detail.pane_size(state)
    subject = state.subject
    head, tail = line((" Nothing is waiting ", "strong")), line()
    if subject is None:
        pane = overview(state, right, height)
    else:
        head, tail = detail.heading(state, subject)
        below = detail.answers(state, subject)
        pane = [*column(detail.drawn(state, subject), height - len(below), right), *below]
    listed, shown = column(_list(state, left, height), height, left), column(pane, height, right)
    top = rule(line((" Waiting ", "strong")), left + 1, "┌─", "")
    return [
        (*top, *rule(head, right + 2, "┬─", "─┐", tail)),
        *((_EDGE, *a, _EDGE, *b, _EDGE) for a, b in zip(listed, shown, strict=True)),
        (("└" + "─" * left + "┴" + "─" * right + "┘", "frame"),),
    ]


def _list(state: ScreenState, cells: int, height: int) -> list[Line]:
    recent = [_outcome(state, a, cells) for a in state.recent[: max((height - 4) // 3, 2)]]
    room = (height - len(recent) - 3) // 2
    ids = [a.id for a in state.listed]
    at = ids.index(state.subject.id) if state.subject and state.subject.id in ids else 0
    start = min(max(at - room + 1, 0), max(len(ids) - room, 0))
    rows: list[Line] = []
    for approval in state.listed[start : start + room]:
        rows += _entry(state, approval, cells)
    more = len(ids) - room
    rows.append(line((f"   {more} more", "plain")) if more > 0 else ())
    rows += [()] * (height - len(rows) - len(recent) - 1)
    return [*rows, line((" Recent", "strong")), *recent] if recent else rows


def _entry(state: ScreenState, approval: Approval, cells: int) -> list[Line]:
    here = state.subject is not None and approval.id == state.subject.id
    badge = fit(approval.content.badge, _MARGIN - 1)
    style: Style = "strong" if here else "plain"
    first = line(("►" if here else " ", "strong"), (f"{badge:<{_MARGIN - 1}}", style))
    who = approval.content.evidence.summary
    room, console = cells - _MARGIN, state.console_font
    return [
        (*first, *foreign(what(approval), room, console=console)),
        (*line(" " * _MARGIN), *foreign(who, room, console=console)),
    ]


def _outcome(state: ScreenState, approval: Approval, cells: int) -> Line:
    word, style = OUTCOMES.get(approval.state, ("?", "plain"))
    number, unit = detail.span(state.wall - approval.resolved).split()
    ago = f"{number}{unit[0]}"
    text = foreign(what(approval), cells - _MARGIN, console=state.console_font)
    return (*line((f"{word:<4}", style), f"{ago:>3}"), *text)


def _page(state: ScreenState) -> list[Line]:
    cells, height = state.columns - 2, state.rows - 5
    title, draw = PAGES[state.view]
    if state.view == "unlock" and state.status and not state.status.initialised:
        title = "Make the store"
    rows = column(draw(state, cells, height - 1), height - 1, cells)
    said = pad(line((f" {fit(state.said, cells - 2, console=state.console_font)}", "warn")), cells)
    return [
        rule(line((f" {title} ", "strong")), state.columns, "┌─", "─┐"),
        *((_EDGE, *row, _EDGE) for row in (*rows, said)),
        (("└" + "─" * cells + "┘", "frame"),),
    ]


def frame_text(state: ScreenState) -> list[str]:
    """Return a frame without its styles."""
    return [plain(row) for row in render(state)]
