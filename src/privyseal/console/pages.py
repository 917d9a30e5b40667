"""What the pane and the pages of the screen say, as pure functions from state to styled lines.

A page is drawn whole in the given cells and lines; `screen` puts the frame around it.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from privyseal.console import detail
from privyseal.console.layout import GUTTER, Line, Span, column, foreign, line
from privyseal.console.state import ScreenState, View
from privyseal.model.approval import Approval, Lease
from privyseal.model.ask import Create
from privyseal.model.lifecycle import State
from privyseal.model.passphrase import SHORTEST
from privyseal.model.value import Value
from privyseal.wire.sanitise import fit, wrap

WANTS: Final = {"GnuPG": "passphrase", "AWS": "key"}
"""What the programs of a companion ask for."""

_WHO_ASKS: Final = {"GnuPG": "GnuPG, which keeps your store,", "AWS": "The keeper of your AWS keys"}

Page = Callable[[ScreenState, int, int], list[Line]]

OUTCOMES: Final[dict[State, Span]] = {
    "allowed": ("yes", "good"),
    "denied": ("no", "bad"),
    "expired": ("late", "warn"),
    "cancelled": ("left", "plain"),
    "abandoned": ("lost", "warn"),
    "leased": ("auto", "good"),
    "ruled": ("rule", "plain"),
    "ignored": ("auto", "plain"),
}
"""How a request ended, in the width of a list."""

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


def what(approval: Approval) -> str:
    """Return what a request is about in a few words, which may be foreign text."""
    content = approval.content
    if isinstance(approval.ask, Create):
        return approval.ask.label
    if content.items:
        more = f" +{len(content.items) - 1}" if len(content.items) > 1 else ""
        return (content.items[0].label or content.items[0].ref.item) + more
    facts = (fact.value for fact in content.details)
    return next(iter((*content.collections, *facts)), content.title)


def overview(state: ScreenState, cells: int, _height: int) -> list[Line]:
    """Return what there is to know while nothing has to be decided."""
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
        user = fit(state.user, cells - 46, console=console)
        here = f" {user} is logged in: the next request starts it."
        rested = [line((" The companion is logged out: nothing to decide.", "strong")), line(here)]
        gone = line((f" {user} is not logged in: nothing to decide.", "strong"))
        return [*rows, *(rested if state.logged_in else [gone])]
    if status.locked:
        word, verb = ("locked", "opens it") if status.initialised else ("not made yet", "makes it")
        store = line("   store     ", (word, "warn"), f"; u {verb}")
    else:
        store = line("   store     unlocked; l locks it")
    up = detail.span(state.wall - status.since)
    backend = wrap(status.backend, cells - 14, 3, console=console)
    notes = [text for note in state.notes for text in wrap(note, cells - 2, 4)]
    rows += [*(line(f" {text}") for text in notes), *([()] if notes else []), store]
    rows += [line(f"{'' if n else '   kept in':<13}{text}") for n, text in enumerate(backend)]
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
        text = foreign(pin.text, cells - 7 - len(WANTS[pin.of]), console=console)
        rows += [(*line((" u ", "bar"), f" {WANTS[pin.of]}? "), *text)]
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
    word, style = OUTCOMES.get(approval.state, ("?", "plain"))
    start = line((mark, "strong"), (f"{word:<6}", style), f"{fit(approval.content.badge, 7):<8}")
    pair = _pair(state, what(approval), approval.content.evidence.summary, cells - 29)
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
    end = "or your last session ends, or the machine sleeps" if state.vt else "or the keeper ends"
    if new:
        ask = "The same once more" if state.chosen else "A passphrase for the new store"
    else:
        ask = "Passphrase"
    rows = [
        (),
        line(f" This {'makes' if new else 'opens'}     {what}"),
        line(f" Open until     you lock it, {end}"),
        line(" Then           each program still has to ask you for each secret"),
        (),
        *_entry_field(ask),
    ]
    if new:
        rows += [(), line(f" At least {SHORTEST} characters; several words are easy to keep.")]
        rows += [line((" Nobody can recover it: without it the secrets are lost.", "warn"))]
    return rows


def _pins(state: ScreenState, cells: int, _height: int) -> list[Line]:
    if state.question is None:
        return [(), line(" This question is over: nobody waits for its answer any more.")]
    said = [
        line("   ", (GUTTER, "frame"), (row, "foreign"))
        for row in wrap(state.question.text, cells - 6, 8, console=state.console_font)
    ]
    wants, more = WANTS[state.question.of], len(state.pins) - 1
    asks = line(f" {_WHO_ASKS[state.question.of]} asks for a {wants}, in its own words:")
    rows = [(), asks, (), *said, (), *_entry_field(wants.capitalize())]
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
    policy = state.policy
    verdicts, seconds, most = map(
        _group,
        ("Ask a person, allow or deny", "Seconds", "At most"),
        (policy.verdicts, policy.timing, policy.limits),
    )
    always = fit(", ".join(policy.aws.always_ask), 50, console=state.console_font)
    where = [line(f" For AWS never longer than once: {always}")] if always else []
    where.append(line(" They can only be read here: the configuration file sets them."))
    height -= len(where) - 1
    probe = "answered" if policy.answer_chromium_probe else "ask"
    left = column([*verdicts, _rule("Chromium's probe", probe)], height - 1, 42)
    right = column([*seconds, (), *most], height - 1, 36)
    return [*((*a, *b) for a, b in zip(left, right, strict=True)), *where]


def _group(title: str, values: Value) -> list[Line]:
    rows = [_rule(name, f"{value}") for name, value in msgspec.structs.asdict(values).items()]
    return [line((f" {title}", "strong")), *rows]


def _rule(name: str, value: str) -> Line:
    return line(f"   {name.replace('_', ' '):<24}{value}")


def _help(state: ScreenState, _cells: int, _height: int) -> list[Line]:
    text = (*_HELP, *(_HELP_COMPANION if state.vt else _HELP_OWN))
    return [(), *(line(f" {row}") for row in text)]


PAGES: Final[dict[View, tuple[str, Page]]] = {
    "history": ("History", _history),
    "leases": ("Leases", _leases),
    "overview": ("Overview", overview),
    "rules": ("Rules in force", _rules),
    "unlock": ("Unlock", _unlock),
    "pins": ("A question of your companion", _pins),
    "log-out": ("Log out", _log_out),
    "help": ("Help", _help),
}
"""Title and lines of each view but the requests."""
