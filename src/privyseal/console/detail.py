"""The request in the detail pane: what is asked, who asks, and what a person can answer."""

from collections.abc import Iterator
from math import ceil
from typing import Final

from privyseal.console.layout import GUTTER, Line, Span, Style, line, plain, rule, spread
from privyseal.console.state import ScreenState
from privyseal.model.approval import Approval
from privyseal.model.ask import OfAws
from privyseal.model.decision import Scope
from privyseal.model.evidence import Evidence, Fact, Grade
from privyseal.model.keyring import ItemInfo
from privyseal.model.lifecycle import State
from privyseal.wire.sanitise import fit, width, wrap

LIST_CELLS: Final = 21
WIDE_LIST_CELLS: Final = 34
WIDE: Final = 110

_NAME: Final = 14
_VALUE_LINES: Final = 4
_WHOLE: Final = 4096
"""More lines than any text has: what an order for AWS does is drawn to its last character."""
_ANSWERS: Final = 3
_PAGED: Final = 4
"""Fewer lines than these are too few to page through."""
_SCOPE_CELLS: Final = (13, 16, 16)
_HURRY: Final = 30.0

_MARKS: Final[dict[Grade, tuple[str, Style]]] = {
    "verified": ("=", "good"),
    "reported": ("?", "plain"),
    "warning": ("!", "warn"),
}
_ENDS: Final[dict[State, tuple[str, Style]]] = {
    "allowed": ("Allowed", "good"),
    "denied": ("Denied", "bad"),
    "expired": ("Nobody decided in time", "warn"),
    "cancelled": ("The program that asked has left", "plain"),
    "abandoned": ("Lost when the keeper stopped", "warn"),
    "leased": ("Allowed by a lease", "good"),
    "ruled": ("Decided by a rule", "plain"),
    "ignored": ("Answered as a known probe", "plain"),
}


def list_cells(state: ScreenState) -> int:
    """Return how wide the list is."""
    return WIDE_LIST_CELLS if state.columns >= WIDE else LIST_CELLS


def pane_size(state: ScreenState) -> tuple[int, int]:
    """Return columns and rows inside the detail pane."""
    return state.columns - list_cells(state) - 3, state.rows - 5


def span(seconds: float) -> str:
    """Return a length of time in the fewest words a person needs."""
    whole = max(int(seconds), 0)
    if whole < 60:  # noqa: PLR2004 - seconds in a minute
        return f"{whole} s"
    if whole < 3600:  # noqa: PLR2004 - seconds in an hour
        return f"{whole // 60} min"
    return f"{whole // 3600} h" if whole < 2 * 86400 else f"{whole // 86400} days"


def countdown(seconds: float) -> str:
    """Return what is left as minutes and seconds, or more coarsely when it is long."""
    whole = max(int(seconds), 0)
    return f"{whole // 60}:{whole % 60:02}" if whole < 3600 else span(seconds)  # noqa: PLR2004 - seconds in an hour


def heading(state: ScreenState, subject: Approval) -> tuple[Line, Line]:
    """Return the title of the pane and what stands at its right end."""
    title = fit(subject.content.title, pane_size(state)[0] - 20, console=state.console_font)
    if subject.state != "pending":
        return line((f" {title} ", "strong")), line((" ended ", "plain"))
    left = subject.expires - state.wall
    return line((f" {title} ", "strong")), line(
        (f" {countdown(left)} left ", "warn" if left < _HURRY else "plain")
    )


def body(state: ScreenState, subject: Approval) -> tuple[list[Line], list[Line]]:
    """Return the lines that stay in the pane, and those that page below them.

    What is asked for, which program asks and every warning stay, so that nobody answers without
    them before his eyes. What is too long for the pane stands below who asks, and its end pages.
    """
    what, who, more = (list(part(state, subject)) for part in (_asked, _asker, _surroundings))
    room = body_rows(state)
    if len(what) + len(who) + len(more) <= room or len(what) + len(who) <= room - _PAGED:
        return what + who, more
    titles = ("─ What is asked for ", "─ More of who asks ")
    asked, about = (rule(line((t, "strong")), pane_size(state)[0], "", "") for t in titles)
    rows = [*who, asked, *what, about, *more]
    # Nobody pages through dozens of items by a few lines at a time.
    stay = room - _PAGED if len(rows) <= 2 * room else room // 2
    stay = stay if len(who) + 1 < stay else 0
    return rows[:stay], rows[stay:]


def _asked(state: ScreenState, subject: Approval) -> Iterator[Line]:
    content = subject.content
    for number, item in enumerate(content.items):
        yield from _item(state, subject, item, number)
    for label in content.collections:
        yield from _row(state, "", "plain", "collection", label)
    for number, fact in enumerate(content.details):
        # Some of these names are attribute names, foreign text that belongs behind the gutter.
        name, value = "" if number else "change", f"{fact.name}: {fact.value}"
        lines = _VALUE_LINES
        if isinstance(subject.ask, OfAws):
            name, value = fact.name, fact.value
            lines = lines if fact.grade == "reported" else _WHOLE
        yield from _row(state, *_MARKS[fact.grade], name, value, lines=lines)


def _asker(state: ScreenState, subject: Approval) -> Iterator[Line]:
    seen = subject.content.evidence
    legend = line((" = verified", "good"), "  ? reported", ("  ! warning ", "warn"))
    yield rule(line(("─ Who asks ", "strong")), pane_size(state)[0], "", "", legend)
    for fact in _foremost(seen):
        yield from _row(state, *_MARKS[fact.grade], fact.name, fact.value)
    if not seen.facts:
        yield from _row(state, "?", "plain", "program", seen.summary or "unknown")
    if not seen.trusted:
        yield line((" ! ", "warn"), "It may not be the program that it seems to be.")
    if subject.blocking and subject.state == "pending":
        yield line((" ! ", "warn"), "Most programs give up this call after 25 seconds.")


def _foremost(seen: Evidence) -> list[Fact]:
    return [fact for n, fact in enumerate(seen.facts) if not n or fact.grade == "warning"]


def _surroundings(state: ScreenState, subject: Approval) -> Iterator[Line]:
    seen = subject.content.evidence
    for fact in seen.facts:
        if fact not in _foremost(seen):
            yield from _row(state, *_MARKS[fact.grade], fact.name, fact.value)
    if subject.content.before:
        yield from _row(state, "", "plain", "before", subject.content.before)


def _item(state: ScreenState, subject: Approval, item: ItemInfo, number: int) -> Iterator[Line]:
    total, mark = len(subject.content.items), ""
    name = "secret" if item.label else "secret id"
    if total > 1:
        mark = "►" if number == state.item and subject.state == "pending" else ""
        name = f"[{' ' if item.ref in state.off else 'x'}] {number + 1}/{total}"
    yield from _row(state, mark, "strong", name, item.label or item.ref.item)
    attributes = "  ".join(f"{key}: {value}" for key, value in item.attributes.items())
    place = f"{item.ref.collection}  {attributes}" if total > 1 else item.ref.collection
    yield from _row(state, "", "plain", "" if total > 1 else "in", place)
    if attributes and total == 1:
        yield from _row(state, "", "plain", "with", attributes)


def _row(
    state: ScreenState, mark: str, style: Style, name: str, value: str, *, lines: int = _VALUE_LINES
) -> Iterator[Line]:
    cells = pane_size(state)[0] - _NAME - 5
    for text in wrap(value, cells, lines, console=state.console_font):
        label = fit(name, _NAME - 1, console=state.console_font)
        label += " " * (_NAME - width(label))
        yield line((f" {mark or ' '} ", style), label, (GUTTER, "frame"), (text, "foreign"))
        mark, name = "", ""


def drawn(state: ScreenState, subject: Approval) -> list[Line]:
    """Return the lines of the body that are on the screen."""
    stay, paged = body(state, subject)
    return [*stay, *paged[state.scroll :]][: body_rows(state)]


def unread(state: ScreenState, subject: Approval) -> int:
    """Return how many lines of the body lie below what is shown."""
    return max(sum(map(len, body(state, subject))) - state.scroll - body_rows(state), 0)


def body_rows(state: ScreenState) -> int:
    """Return how many lines of the body can be shown at once, above a rule and the answers."""
    asked = state.subject is not None and state.subject.state == "pending"
    return pane_size(state)[1] - 1 - (_ANSWERS - 1 if asked and not state.scopes[1:] else _ANSWERS)


def can_allow(state: ScreenState, subject: Approval) -> bool:
    """Whether the challenge is on the screen, armed or about to be."""
    return (
        can_deny(state, subject)
        and state.status is not None
        and not (subject.needs_unlock and state.status.locked)
        and state.read == subject.digest
        and (bool(state.kept) or not subject.content.items)
    )


def can_deny(state: ScreenState, subject: Approval) -> bool:
    """Whether the request waits, was not answered, and is drawn."""
    return (
        subject.state == "pending"
        and state.status is not None
        and state.decided != subject.id
        and state.enough_room
        and state.view == "requests"
    )


def answers(state: ScreenState, subject: Approval) -> list[Line]:
    """Return the rule below the body, with what is to be said in it, and what can be answered."""
    cells = pane_size(state)[0]
    said = fit(state.said, cells - 4, console=state.console_font)
    *rows, last = _answers(state, subject)
    top = rule(line((f"─ {said} " if said else "", "warn")), cells, "", "")
    blank = pane_size(state)[1] - body_rows(state) - len(rows) - 2
    return [top, *rows, *[()] * blank, last]


def _answers(state: ScreenState, subject: Approval) -> list[Line]:
    if subject.state != "pending":
        return _ending(state, subject)
    if state.status is None:
        return [line((" The keeper is away: nothing can be decided.", "warn"))]
    if state.decided == subject.id:
        return [line(" Sent. Waiting for the keeper to record it.")]
    return [*_scope_rows(state), _challenge(state, subject)]


def _ending(state: ScreenState, subject: Approval) -> list[Line]:
    word, style = _ENDS.get(subject.state, (subject.state, "plain"))
    ago = f" {span(state.wall - subject.resolved)} ago" if subject.resolved else ""
    rows = [line((f" {word}{ago}", style))]
    by = "you, on this screen" if state.decided == subject.id else subject.decided_by
    name, why = ("reason", subject.reason) if subject.reason else ("by", by)
    rows += _row(state, "", "plain", name, why, lines=1) if why else []
    more = (
        f"{state.waiting} waiting: enter shows the next."
        if state.waiting
        else "enter puts it away."
    )
    return [*rows, line(" It is over. ", (more, "strong"))]


def _words(scope: Scope) -> str:
    if scope.kind == "minutes":
        hours, minutes = divmod(scope.amount, 60)
        return f"{hours} h" if hours and not minutes else f"{scope.amount} min"
    words = {"once": "once", "uses": f"{scope.amount} uses", "until-lock": "till lock"}
    return words.get(scope.kind, "till exit")


def _scope_rows(state: ScreenState) -> list[Line]:
    cells: list[Span] = []
    for number, scope in enumerate(state.scopes):
        chosen = number == state.scope
        text = f"{number + 1} ({'•' if chosen else ' '}) {_words(scope)}"
        cells.append((f"{text:<{_SCOPE_CELLS[number % 3]}}", "strong" if chosen else "plain"))
    rows = [cells[start : start + 3] for start in range(0, len(cells), 3)]
    return [line(" Allow " if n == 0 else "       ", *row) for n, row in enumerate(rows)]


def _challenge(state: ScreenState, subject: Approval) -> Line:
    deny = line("Deny: type ", (" n ", "bar"), " ")
    left = line(*_offer(state, subject))
    return spread(left, deny, pane_size(state)[0])


def _offer(state: ScreenState, subject: Approval) -> list[str | Span]:
    if state.status is not None and subject.needs_unlock and state.status.locked:
        new = not state.status.initialised
        return [
            (f" {'No store yet: u makes' if new else 'The store is locked: u unlocks'} it", "warn")
        ]
    if state.read != subject.digest:
        key = "page down" if len(subject.content.items) > 1 else "space"
        return [(f" ▼ {unread(state, subject)} more lines: {key}", "warn")]
    if not can_allow(state, subject):
        return [(" No item is chosen", "warn")]
    total = len(subject.content.items)
    few = f" {len(state.kept)} of {total}" if len(state.kept) < total else ""
    what = f" Allow{few} {_words(state.scopes[state.scope])}: type "
    return [what, *pair(state)]


def pair(state: ScreenState) -> list[Span]:
    """Return the challenge, or how long it takes until it counts."""
    if not state.armed:
        wait = state.armed_at - state.mono
        return [(f" wait {ceil(wait)} s " if wait > 1 else " · · ", "faint")]
    shown = " ".join(state.challenge)
    return [(f" {'•' + shown[1:] if state.typed else shown} ", "bar")]


def transcript(state: ScreenState, subject: Approval) -> tuple[str, ...]:
    """Return the pane as plain text, with the lines that were scrolled over: what was decided on."""
    cells = pane_size(state)[0]
    title, right = heading(state, subject)
    stay, paged = body(state, subject)
    rows = [rule(title, cells, "─", "─", right), *stay, *paged, *answers(state, subject)]
    return tuple(plain(row).rstrip() for row in rows)[:200]
