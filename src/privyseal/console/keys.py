"""What a key does: from state and key to state and commands, as a pure function."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from privyseal.console import detail
from privyseal.console.state import DWELL, PENALTY, ScreenState, View, rearmed, shown
from privyseal.model.approval import Approval
from privyseal.model.decision import Decision
from privyseal.model.passphrase import SHORTEST
from privyseal.model.secret import Secret

_MAX_PASSPHRASE: Final = 1024
_OPENS: Final[dict[str, View]] = {
    "0": "overview",
    "h": "history",
    "e": "leases",
    "i": "rules",
    "?": "help",
}


@dataclass(frozen=True, slots=True)
class Decide:
    """Send a decision to the keeper."""

    decision: Decision


@dataclass(frozen=True, slots=True)
class Revoke:
    """End a lease."""

    lease: str


@dataclass(frozen=True, slots=True)
class Lock:
    """Lock the store."""


@dataclass(frozen=True, slots=True)
class Unlock:
    """Unlock the store, or create it."""

    passphrase: Secret


@dataclass(frozen=True, slots=True)
class Answer:
    """Give gpg-agent a passphrase, or refuse it."""

    pin: str
    passphrase: Secret | None


@dataclass(frozen=True, slots=True)
class AskRules:
    """Find out which policy is in force."""


@dataclass(frozen=True, slots=True)
class LogOut:
    """End the companion until somebody asks again."""


@dataclass(frozen=True, slots=True)
class Quit:
    """Leave the screen."""


Command = Decide | Revoke | Lock | Unlock | Answer | AskRules | LogOut | Quit
Outcome = tuple[ScreenState, Command | None]


def noticed(state: ScreenState) -> ScreenState:
    """Remember that the subject was read to its end, once its last line is on the screen."""
    subject = state.subject
    if subject is None or state.view != "requests" or not state.enough_room:
        return state
    if state.read == subject.digest or detail.unread(state, subject):
        return state
    return replace(state, read=subject.digest)


def press(state: ScreenState, key: str, fresh: bytes) -> Outcome:
    """Return the state after a key and what is to be done; `fresh` feeds the next challenge."""
    state = noticed(state)
    if not state.front:
        return state, None
    # The console of a companion stays: leaving it is switching to another terminal.
    quits = {"ctrl-c", "q"} if state.view == "requests" or not state.enough_room else {"ctrl-c"}
    if key in quits:
        return state, None if state.vt else Quit()
    if not state.enough_room:
        return state, None
    if not state.armed:
        # A hand that goes on typing as this screen comes up never gets to where letters count.
        state = replace(state, armed_at=max(state.armed_at, state.mono + DWELL))
    began = state.mono if not state.unfinished else state.began
    state, command = _VIEWS[state.view](state, key, fresh)
    return replace(state, began=began, touched=state.mono), command


def _request(state: ScreenState, key: str, fresh: bytes) -> Outcome:
    state = replace(state, said="")
    if key in _COMMANDS:
        return _COMMANDS[key](replace(state, typed=""), fresh)
    if state.subject is None or state.subject.state != "pending":
        return state, None
    if key in "123456789":
        return _scope(state, int(key) - 1, fresh), None
    return _letter(state, state.subject, key, fresh)


def _letter(state: ScreenState, subject: Approval, key: str, fresh: bytes) -> Outcome:
    state, whole = _paired(state, key, fresh, counts=detail.can_allow(state, subject))
    return _decide(state, subject, allow=True) if whole else (state, None)


def _paired(
    state: ScreenState, key: str, fresh: bytes, *, counts: bool = True
) -> tuple[ScreenState, bool]:
    """Take a letter of the challenge; say whether the pair is whole and right."""
    if not counts or not state.armed or len(key) != 1:
        return replace(state, typed=""), False
    typed = state.typed + key
    if len(typed) < len(state.challenge):
        return replace(state, typed=typed), False
    if typed == state.challenge:
        return replace(state, typed=""), True
    said = replace(state, said="That was not the pair on the screen.")
    return rearmed(said, fresh, PENALTY), False


def _decide(state: ScreenState, subject: Approval, *, allow: bool) -> Outcome:
    narrowed = allow and len(state.kept) < len(subject.content.items)
    decision = Decision(
        request=subject.id,
        digest=subject.digest,
        allow=allow,
        scope=state.scopes[state.scope] if allow else state.scopes[0],
        items=state.kept if narrowed else (),
        face="console",
        screen=detail.transcript(state, subject),
    )
    return replace(state, decided=subject.id, typed=""), Decide(decision)


def _deny(state: ScreenState, _fresh: bytes) -> Outcome:
    subject = state.subject
    if subject is None or not state.armed or not detail.can_deny(state, subject):
        return state, None
    return _decide(state, subject, allow=False)


def _scope(state: ScreenState, number: int, fresh: bytes) -> ScreenState:
    if number >= len(state.scopes) or number == state.scope:
        return state
    return rearmed(replace(state, scope=number), fresh)


def _next_scope(state: ScreenState, fresh: bytes) -> Outcome:
    return _scope(state, (state.scope + 1) % len(state.scopes), fresh), None


def _toggle(state: ScreenState, fresh: bytes) -> Outcome:
    items = state.subject.content.items if state.subject else ()
    if len(items) < 2:  # noqa: PLR2004 - one item is all or nothing
        return _scroll(1, state, fresh)
    if state.item >= len(items):
        return state, None
    return rearmed(replace(state, off=state.off ^ {items[state.item].ref}), fresh), None


def _item(step: int, state: ScreenState, _fresh: bytes) -> Outcome:
    last = len(state.subject.content.items) - 1 if state.subject else 0
    return replace(state, item=max(0, min(state.item + step, last))), None


def _scroll(step: int, state: ScreenState, fresh: bytes) -> Outcome:
    if state.subject is None:
        return state, None
    stay, paged = detail.body(state, state.subject)
    room = detail.body_rows(state) - len(stay)
    last = max(len(paged) - room, 0)
    moved = replace(state, scroll=max(0, min(state.scroll + step * (room - 1), last)))
    return (state if moved == state else noticed(rearmed(moved, fresh))), None


def _select(step: int, state: ScreenState, fresh: bytes) -> Outcome:
    subject = state.subject
    if subject is None:
        return state, None
    at = next((n for n, a in enumerate(state.listed) if a.id == subject.id), -1)
    ahead = state.listed[at + 1 :] if step > 0 else state.listed[: max(at, 0)][::-1]
    return (shown(state, ahead[0], fresh), None) if ahead else _back(state, fresh)


def moved_on(state: ScreenState, fresh: bytes) -> ScreenState:
    """Put a request that ended away, and show the next that waits."""
    if state.subject is None or state.subject.state == "pending":
        return state
    return shown(state, state.listed[0] if state.listed else None, fresh)


def _back(state: ScreenState, fresh: bytes) -> Outcome:
    return moved_on(state, fresh), None


def _open(view: View, state: ScreenState, fresh: bytes) -> Outcome:
    fields = replace(state, view=view, row=0, said="", entered="", chosen="")
    return rearmed(fields, fresh), None


def _ask_passphrase(state: ScreenState, fresh: bytes) -> Outcome:
    if not state.linked:
        return state, None
    pin = state.pins[0].id if state.pins else ""
    return _open("pins" if pin else "unlock", replace(state, pin=pin), fresh)


def _page(state: ScreenState, key: str, fresh: bytes) -> Outcome:
    if key in {"esc", "q"} or _OPENS.get(key) == state.view:
        return _open("requests", state, fresh)
    if key in _OPENS:
        return _COMMANDS[key](state, fresh)
    length = len(state.leases) if state.view == "leases" else len(state.recent)
    step = {"down": 1, "j": 1, "up": -1, "k": -1, "page-down": 15, "page-up": -15}.get(key, 0)
    if step:
        return replace(state, row=max(0, min(state.row + step, length - 1))), None
    if key == "enter" and state.view == "history" and state.row < length:
        past = shown(state, state.recent[state.row], fresh)
        return replace(past, view="requests"), None
    if key == "r" and state.view == "leases" and state.row < length:
        return state, Revoke(state.leases[state.row].id)
    return state, None


def _passphrase(state: ScreenState, key: str, fresh: bytes) -> Outcome:
    pin = state.question if state.view == "pins" else None
    if key == "esc":
        return _open("requests", state, fresh)[0], Answer(pin.id, None) if pin else None
    if state.view == "pins" and pin is None:
        return replace(state, entered=""), None
    erased = {"backspace": state.entered[:-1], "ctrl-u": ""}
    if key in erased:
        return replace(state, entered=erased[key]), None
    if key == "enter":
        return _entered(state)
    if len(key) == 1 and len(state.entered) < _MAX_PASSPHRASE:
        return replace(state, entered=state.entered + key, said=""), None
    return state, None


def _entered(state: ScreenState) -> Outcome:
    entered, state = state.entered, replace(state, entered="")
    if not entered or state.status is None:
        return state, None
    if state.view == "pins":
        others = tuple(pin for pin in state.pins if pin.id != state.pin)
        return replace(state, view="requests", pins=others), Answer(state.pin, _secret(entered))
    if not state.status.initialised and not state.chosen:
        if len(entered) < SHORTEST:
            return replace(state, said=f"Too short: choose at least {SHORTEST} characters."), None
        return replace(state, chosen=entered), None
    if state.chosen and entered != state.chosen:
        return replace(state, chosen="", said="The two differ. Start again."), None
    said = replace(state, chosen="", said="Unlocking ...")
    return said, Unlock(_secret(entered))


def _secret(entered: str) -> Secret:
    return Secret(entered.encode("utf-8", "surrogateescape"))


def _leaving(state: ScreenState, key: str, fresh: bytes) -> Outcome:
    if key == "esc":
        return _open("requests", state, fresh)
    state, whole = _paired(state, key, fresh)
    if not whole:
        return state, None
    return replace(rearmed(state, fresh), said="Logging out ..."), LogOut()


_COMMANDS: Final[dict[str, Callable[[ScreenState, bytes], Outcome]]] = {
    **dict.fromkeys(("down", "j"), partial(_select, 1)),
    **dict.fromkeys(("up", "k"), partial(_select, -1)),
    "left": partial(_item, -1),
    "right": partial(_item, 1),
    "page-down": partial(_scroll, 1),
    "page-up": partial(_scroll, -1),
    "tab": _next_scope,
    " ": _toggle,
    **dict.fromkeys(("enter", "esc"), _back),
    "n": _deny,
    **{key: partial(_open, view) for key, view in _OPENS.items()},
    "u": _ask_passphrase,
    "i": lambda state, fresh: (_open("rules", state, fresh)[0], AskRules()),
    "l": lambda state, _fresh: (state, Lock()),
    "o": lambda state, fresh: _open("log-out", state, fresh) if state.vt else (state, None),
}
_VIEWS: Final[dict[View, Callable[[ScreenState, str, bytes], Outcome]]] = {
    "requests": _request,
    "overview": _page,
    "history": _page,
    "leases": _page,
    "rules": _page,
    "unlock": _passphrase,
    "pins": _passphrase,
    "log-out": _leaving,
    "help": _page,
}
