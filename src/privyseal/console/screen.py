"""The trusted screen as a pure function: from what is known to the styled lines of one frame.

Foreign text stands to the right of a gutter, in its own style, and has passed the sanitiser; it can
contain neither the gutter nor any other part of a frame. Marks carry every meaning, colours only
repeat it. A secret value is never drawn, nor how long a passphrase is.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from privyseal.console import detail
from privyseal.console.layout import (
    GUTTER,
    Line,
    Span,
    column,
    foreign,
    line,
    pad,
    plain,
    rule,
    spread,
)
from privyseal.console.state import MIN_COLUMNS, MIN_ROWS, ScreenState, View
from privyseal.model.approval import Approval, Lease
from privyseal.model.ask import Create
from privyseal.model.lifecycle import State
from privyseal.wire.sanitise import fit, width, wrap

OWN_SESSION: Final = "own-session: a program running as you could approve this"

NO_WITNESS: Final = "no witness: facts are only reported"

_NAME: Final = " PRIVYSEAL "
_EDGE: Final[Span] = ("│", "frame")
_MARGIN: Final = 8
"""Cells before the gutter of the list."""

_OUTCOMES: Final[dict[State, Span]] = {
    "allowed": ("yes", "good"),
    "denied": ("no", "bad"),
    "expired": ("late", "warn"),
    "cancelled": ("left", "plain"),
    "abandoned": ("lost", "warn"),
    "leased": ("auto", "good"),
    "ruled": ("rule", "plain"),
    "ignored": ("auto", "plain"),
}
_KEYS: Final[dict[View, str]] = {
    "requests": "↑↓ choose  tab scope  h history  e leases  l lock  u unlock  ? help  q quit",
    "history": "↑↓ choose  enter details  esc back",
    "leases": "↑↓ choose  r revoke  esc back",
    "overview": "esc back",
    "rules": "esc back",
    "unlock": "enter unlock  esc back",
    "pins": "enter answer  esc refuse",
    "log-out": "esc back",
    "help": "esc back",
}
_COMPANION_KEYS: Final = (
    "↑↓ choose  0 overview  h history  e leases  i rules  l lock  u unlock  o out  ?"
)
_HELP: Final = (
    "Marks    = verified: the kernel or root said so",
    "         ? reported: the desktop session or the program itself said so",
    "         ! warning: read this line twice",
    "         Right of a thin line stands what others wrote, left of it our words.",
    "         A character named there, like U+202E, would have been a trick.",
    "Allow    Type the two letters on the screen. They are drawn for exactly what",
    "         you see and change with it. They count a moment after a change; a",
    "         wrong pair locks them for three seconds.",
    "Deny     n",
    "Reach    tab, or 1 to 6: it may read this so often or so long without asking,",
    "         or till you lock the store, or till that very program exits",
    "Items    ← → choose one of several; space leaves it out or takes it in",
    "Read     page up, page down; space too where there is one item at most",
    "Else     ↑ ↓ (k j) choose a request, 0 overview, h history, e leases, i rules",
)
_HELP_OWN: Final = (
    "         l lock the store, u unlock it",
    "         q leave: requests go on waiting; a trial ends",
)
_HELP_COMPANION: Final = (
    "         l lock everything, u unlock the store or answer GnuPG, o log out",
    "Leave    Switch to another terminal: what you began to type is forgotten.",
    "         While you type a switch is refused, but never for long.",
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
    keys = _KEYS[state.view]
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
    said = ["GnuPG asks a passphrase: u"] if state.pins else []
    said += [NO_WITNESS] if not state.status.witness else []
    said += ["trouble: 0"] if state.status.troubles else []
    return f" ! {'; '.join(said)}" if said else ""


def _header(state: ScreenState) -> Line:
    status = state.status
    if status is None:
        store = "keeper away" if state.linked else "not logged in"
    elif not status.initialised:
        store = "no store yet"
    else:
        store = "locked" if status.locked else "unlocked"
    if status is not None and not status.witness:
        store = f"no witness   {store}"
    right = line((f"{state.waiting} waiting   {store} ", "bar"))
    room = state.columns - len(_NAME) - width(plain(right)) - 2
    # The phrase is what tells this screen from an imitation: everything else gives way to it.
    place = f"vt{state.vt}   {state.phrase}" if state.vt else ""
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
        pane = _idle(state, right)
    else:
        head, tail = detail.heading(state, subject)
        text = detail.body(state, subject)[state.scroll :]
        below = [line(("─" * right, "frame")), *detail.answers(state, subject)]
        pane = [*column(text, height - len(below), right), *below]
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
    badge: Span = (fit(approval.content.badge, 6), "strong" if here else "plain")
    if approval.state != "pending":
        badge = _OUTCOMES.get(approval.state, ("?", "plain"))
    first = line(("►" if here else " ", "strong"), (f"{badge[0]:<6} ", badge[1]))
    who = approval.content.evidence.summary
    room, console = cells - _MARGIN, state.console_font
    return [
        (*first, *foreign(_what(approval), room, console=console)),
        (*line(" " * _MARGIN), *foreign(who, room, console=console)),
    ]


def _outcome(state: ScreenState, approval: Approval, cells: int) -> Line:
    word, style = _OUTCOMES.get(approval.state, ("?", "plain"))
    number, unit = detail.span(state.wall - approval.resolved).split()
    ago = f"{number}{unit[0]}"
    what = foreign(_what(approval), cells - _MARGIN, console=state.console_font)
    return (*line((f" {word:<4}", style), f"{ago:>3}"), *what)


def _what(approval: Approval) -> str:
    content = approval.content
    if isinstance(approval.ask, Create):
        return approval.ask.label
    if content.items:
        more = f" +{len(content.items) - 1}" if len(content.items) > 1 else ""
        return (content.items[0].label or content.items[0].ref.item) + more
    facts = (fact.value for fact in content.details)
    return next(iter((*content.collections, *facts)), content.title)


def _idle(state: ScreenState, cells: int, _height: int = 0) -> list[Line]:
    status, console = state.status, state.console_font
    rows: list[Line] = [()]
    if state.vt:
        rows += [line("   phrase    ", (state.phrase, "strong")), *_ways(state), ()]
    if status is None and state.linked:
        return [
            *rows,
            line((" The keeper is away.", "warn")),
            line(" Waiting for it to come back."),
        ]
    if status is None:
        user = fit(state.user, cells - 40, console=console)
        return [*rows, line((f" {user} is not logged in: nothing to decide.", "strong"))]
    if status.locked:
        word, verb = ("locked", "opens it") if status.initialised else ("new", "sets a passphrase")
        store = line("   store     ", (word, "warn"), f"; u {verb}")
    else:
        store = line("   store     unlocked; l locks it")
    up = detail.span(state.wall - status.since)
    backend = wrap(status.backend, cells - 14, 3, console=console)
    notes = [text for note in state.notes for text in wrap(note, cells - 2, 4)]
    rows += [*(line(f" {text}") for text in notes), *([()] if notes else []), store]
    rows += [line(f"{'' if n else '   backend':<13}{text}") for n, text in enumerate(backend)]
    if state.vt:
        user = fit(state.user, cells - 32, console=console)
        rows += [line(f"   user      {user}, logged in; keeper up {up}")]
        witness = line("there") if status.witness else line(("missing", "warn"))
        rows += [(*line("   witness   "), *witness)]
    else:
        rows += [line(f"   keeper    {status.mode}, up {up}")]
    rows += [line(f"   audit     {status.audit_entries} recorded"), ()]
    for trouble in status.troubles:
        said = wrap(trouble, cells - 5, 2, console=console)
        rows += [line((" ! ", "warn"), (GUTTER, "frame"), (text, "foreign")) for text in said]
    for pin in state.pins:
        text = foreign(pin.text, cells - 17, console=console)
        rows += [(*line((" u ", "bar"), " passphrase? "), *text)]
    rows.append(line((" Leases, the next to run out first", "strong")))
    soon = sorted(state.leases, key=lambda lease: lease.expires or float("inf"))
    rows += [_lease(state, lease, cells, mark="  ") for lease in soon]
    return rows if soon else [*rows, line("   none: every program has to ask")]


def _ways(state: ScreenState) -> list[Line]:
    return [
        line(f"   way in    Ctrl+Alt+F{state.vt}"),
        line("             Ctrl+Alt+Shift+Esc with systemd 257"),
        line("   way out   Ctrl+Alt+F1, F2 and so on"),
    ]


def _lease(state: ScreenState, lease: Lease, cells: int, *, mark: str) -> Line:
    end = f"{detail.countdown(lease.expires - state.wall)} left" if lease.expires else ""
    uses = f"{lease.uses_left} uses" if lease.uses_left >= 0 else ""
    tail = ", ".join(filter(None, (uses, end))) or fit(lease.scope, 18)
    row = _pair(state, ", ".join(lease.labels) or lease.id, lease.holder, cells - len(mark) - 20)
    return (*line((mark, "strong")), *row, *line(f"{tail:>19} "))


def _pair(state: ScreenState, what: str, who: str, cells: int) -> Line:
    console = state.console_font
    first = foreign(what, cells // 2, console=console)
    return (*first, *foreign(who, cells - cells // 2, console=console))


def _page(state: ScreenState) -> list[Line]:
    cells, height = state.columns - 2, state.rows - 5
    title, draw = _PAGES[state.view]
    rows = column(draw(state, cells, height - 1), height - 1, cells)
    said = pad(line((f" {fit(state.said, cells - 2, console=state.console_font)}", "warn")), cells)
    return [
        rule(line((f" {title} ", "strong")), state.columns, "┌─", "─┐"),
        *((_EDGE, *row, _EDGE) for row in (*rows, said)),
        (("└" + "─" * cells + "┘", "frame"),),
    ]


def _history(state: ScreenState, cells: int, height: int) -> list[Line]:
    if not state.recent:
        return [(), line(" Nothing was asked yet.")]
    start = max(state.row - height + 1, 0)
    return [
        _past(state, approval, cells, mark="►" if number == state.row else " ")
        for number, approval in enumerate(state.recent)
    ][start : start + height]


def _past(state: ScreenState, approval: Approval, cells: int, *, mark: str) -> Line:
    ago = f"{detail.span(state.wall - approval.resolved)} ago"
    word, style = _OUTCOMES.get(approval.state, ("?", "plain"))
    start = line((mark, "strong"), (f"{word:<6}", style), f"{fit(approval.content.badge, 7):<8}")
    pair = _pair(state, _what(approval), approval.content.evidence.summary, cells - 29)
    return (*start, *pair, *line((f"{ago:>13} ", "plain")))


def _leases(state: ScreenState, cells: int, height: int) -> list[Line]:
    if not state.leases:
        return [(), line(" No lease is in force: every program has to ask.")]
    start = max(state.row - height + 1, 0)
    return [
        _lease(state, lease, cells, mark=" ► " if number == state.row else "   ")
        for number, lease in enumerate(state.leases)
    ][start : start + height]


def _unlock(state: ScreenState, cells: int, _height: int) -> list[Line]:
    new = state.status is not None and not state.status.initialised
    backend = state.status.backend if state.status else ""
    what = fit(backend, cells - 18, console=state.console_font)
    end = "or your last session ends, or it sleeps" if state.vt else "or the keeper ends"
    if new:
        ask = "The same once more" if state.chosen else "A passphrase for the new store"
    else:
        ask = "Passphrase"
    rows = [
        (),
        line(f" This opens     {what}"),
        line(f" Until          you lock it, {end}"),
        line(" Then           programs still have to ask for each secret"),
        (),
        *_entry_field(ask),
    ]
    if new:
        rows += [(), line((" Nobody can recover it: without it the secrets are lost.", "warn"))]
    return rows


def _pins(state: ScreenState, cells: int, _height: int) -> list[Line]:
    text = state.pins[0].text if state.pins else ""
    said = [
        line("   ", (GUTTER, "frame"), (row, "foreign"))
        for row in wrap(text, cells - 6, 8, console=state.console_font)
    ]
    asks = line(" GnuPG of your companion asks for a passphrase, in its own words:")
    more = len(state.pins) - 1
    rows = [(), asks, (), *said, (), *_entry_field("Passphrase")]
    return [*rows, (), line(f" {more} more of them wait.")] if more > 0 else rows


def _entry_field(ask: str) -> list[Line]:
    # The dots never change: neither the length nor the rhythm is for those who look on.
    return [line((f" {ask}", "strong")), line(" ", (" •••••••••••• ", "bar"))]


def _log_out(state: ScreenState, _cells: int, _height: int) -> list[Line]:
    return [
        (),
        line(" Everything of your companion ends, and every key leaves the memory."),
        line(" What waits now is recorded as abandoned. Nothing stored is lost."),
        line(" It starts again when a program asks for a secret, or at your next login."),
        (),
        line(" To log out type ", *detail.pair(state)),
    ]


def _rules(state: ScreenState, _cells: int, height: int) -> list[Line]:
    if state.policy is None:
        return [(), line(" Asking the keeper ...")]
    rows: list[Line] = [line((" Ask a person, allow or deny", "strong"))]
    verdicts = msgspec.structs.asdict(state.policy.verdicts)
    rows += [_rule(name, value) for name, value in verdicts.items()]
    more: list[Line] = [line((" Seconds", "strong"))]
    more += [
        _rule(name, f"{value:g}")
        for name, value in msgspec.structs.asdict(state.policy.timing).items()
    ]
    more += [(), line((" At most", "strong"))]
    more += [
        _rule(name, str(value))
        for name, value in msgspec.structs.asdict(state.policy.limits).items()
    ]
    left = column(rows, height - 1, 42)
    right = column(more, height - 1, 36)
    where = line(" They can only be read here: the configuration file sets them.")
    return [*((*a, *b) for a, b in zip(left, right, strict=True)), where]


def _rule(name: str, value: str) -> Line:
    return line(f"   {name.replace('_', ' '):<24}{value}")


def _help(state: ScreenState, _cells: int, _height: int) -> list[Line]:
    text = (*_HELP, *(_HELP_COMPANION if state.vt else _HELP_OWN))
    return [(), *(line(f" {row}") for row in text)]


_PAGES: Final[dict[View, tuple[str, Callable[[ScreenState, int, int], list[Line]]]]] = {
    "history": ("History", _history),
    "leases": ("Leases", _leases),
    "overview": ("Overview", _idle),
    "rules": ("Rules in force", _rules),
    "unlock": ("Unlock", _unlock),
    "pins": ("A passphrase for GnuPG", _pins),
    "log-out": ("Log out", _log_out),
    "help": ("Help", _help),
}


def frame_text(state: ScreenState) -> list[str]:
    """Return a frame without its styles."""
    return [plain(row) for row in render(state)]
