"""What keys do: when an allow counts, when it does not, and that nothing moves by itself."""

from dataclasses import replace

import msgspec
import pytest
from tests.unit.console.sample import (
    COMPANION,
    LEASES,
    NOW,
    PIN,
    STATUS,
    approval,
    aws,
    companion,
    delete,
    hostile,
    item,
    screen,
    terraform,
)

from privyseal.console.keys import (
    Answer,
    AskRules,
    Command,
    Decide,
    Lock,
    LogOut,
    Quit,
    Revoke,
    Unlock,
    press,
)
from privyseal.console.screen import frame_text
from privyseal.console.state import LETTERS, ScreenState, left, rearmed, synced, told
from privyseal.model.aws import Obtain, RoleStep
from privyseal.model.decision import Scope
from privyseal.model.secret import Secret
from privyseal.wire.keeper import Notice

FRESH = b"\x21"
LOCKED = msgspec.structs.replace(COMPANION, locked=True)


def after(state: ScreenState, *keys: str) -> tuple[ScreenState, list[Command]]:
    commands = []
    for key in keys:
        state, command = press(state, key, FRESH)
        commands += [command] if command else []
    return state, commands


def later(state: ScreenState, seconds: float = 10.0) -> ScreenState:
    return replace(state, mono=state.mono + seconds)


def asked(state: ScreenState, *names: str) -> ScreenState:
    for name in names:
        state = told(state, Notice(what="asked", approval=approval(name)), FRESH)
    return state


def decision(commands: list[Command]) -> Decide:
    (command,) = commands
    assert isinstance(command, Decide)
    return command


def test_the_pair_on_the_screen_allows_what_was_drawn() -> None:
    state = screen(approval(), delete())
    sent = decision(after(state, *state.challenge)[1]).decision
    assert (sent.request, sent.allow, sent.face) == ("3f9a", True, "console")
    assert sent.digest == approval().content.digest()
    assert sent.scope == Scope()
    assert any("GitHub token" in line for line in sent.screen)


def test_the_recorded_screen_holds_no_escape() -> None:
    state = screen(hostile(), rows=100)
    sent = decision(after(state, *state.challenge)[1]).decision
    assert all(line.isprintable() for line in sent.screen)


@pytest.mark.parametrize("key", ["enter", "esc"])
def test_a_key_puts_away_what_has_ended_and_nothing_that_waits(key: str) -> None:
    state = asked(screen(approval()), "second")
    assert after(state, key)[0].subject == state.subject
    ended = told(state, Notice(what="resolved", approval=approval(state="denied")), FRESH)
    following = after(ended, key)[0].subject
    assert following is not None
    assert following.id == "second"


def test_an_end_told_twice_takes_no_key_pressed_between() -> None:
    over = Notice(what="resolved", approval=approval(state="allowed"))
    once = told(screen(approval()), over, b"\x11")

    assert told(once, over, b"\x22").challenge == once.challenge


def test_a_decision_from_this_screen_is_told_from_others() -> None:
    state = screen(approval())
    allowed = Notice(what="resolved", approval=approval(state="allowed", resolved=NOW))
    by_us = told(after(state, *state.challenge)[0], allowed, FRESH)
    assert any("you, on this screen" in row for row in frame_text(by_us))
    assert not any("you, on this screen" in row for row in frame_text(told(state, allowed, FRESH)))


def test_n_denies() -> None:
    assert decision(after(screen(approval()), "n")[1]).decision.allow is False


@pytest.mark.parametrize(("waited", "counts"), [(0.0, False), (0.69, False), (0.71, True)])
def test_a_pair_counts_a_moment_after_the_last_change(waited: float, counts: bool) -> None:
    state = later(rearmed(screen(approval()), b"\x7a"), waited)
    assert bool(after(state, *state.challenge)[1]) is counts
    assert bool(after(state, "n")[1]) is counts


def test_the_pair_is_not_drawn_before_it_counts() -> None:
    state = rearmed(screen(approval()), b"\x7a")
    shown = " ".join(state.challenge)
    assert not any(f"type  {shown}" in line for line in frame_text(state))
    assert any(f"type  {shown}" in line for line in frame_text(later(state)))


def test_a_wrong_pair_disarms_for_three_seconds_and_draws_another() -> None:
    state = screen(approval())
    wrong = next(letter for letter in LETTERS if letter not in state.challenge)
    state, commands = after(state, wrong, wrong)
    assert commands == []
    assert after(later(state, 2.9), *state.challenge)[1] == []
    assert after(later(state, 3.1), *state.challenge)[1]


@pytest.mark.parametrize("key", ["tab", "3", "down"])
def test_another_choice_draws_another_pair(key: str) -> None:
    before = screen(approval(), delete())
    state, _ = after(before, key)
    assert state.challenge != before.challenge
    assert after(state, *state.challenge)[1] == []


def test_leaving_an_item_out_draws_another_pair_and_narrows_the_decision() -> None:
    state = screen(approval(items=(item("a", 1), item("b", 2))), rows=40)
    toggled, _ = after(state, "right", " ")
    assert toggled.challenge != state.challenge
    sent = decision(after(later(toggled), *toggled.challenge)[1]).decision
    assert [ref.item for ref in sent.items] == ["i1"]


def test_without_any_item_nothing_can_be_allowed() -> None:
    state, _ = after(screen(approval(items=(item("a", 1), item("b", 2)))), " ", "right", " ")
    state = later(state)
    assert after(state, *state.challenge)[1] == []


def test_the_chosen_scope_is_sent() -> None:
    state = later(after(screen(approval()), "3")[0])
    sent = decision(after(state, *state.challenge)[1]).decision
    assert sent.scope == Scope(kind="minutes", amount=15)


def test_only_reading_can_be_leased() -> None:
    assert screen(delete()).scopes == (Scope(),)


def test_one_frame_takes_one_decision() -> None:
    state = screen(approval())
    state, commands = after(state, *state.challenge, *state.challenge, "n", "n")
    assert len(commands) == 1


def test_new_requests_never_move_the_selection() -> None:
    before = screen(approval())
    state = asked(before, "b", "c", "d")
    assert state.subject == before.subject
    assert state.challenge == before.challenge
    assert decision(after(state, *state.challenge)[1]).decision.request == "3f9a"


def test_an_ended_request_stays_until_the_person_moves() -> None:
    gone = msgspec.structs.replace(approval(), state="cancelled")
    state = told(screen(approval(), delete()), Notice(what="resolved", approval=gone), FRESH)
    state = later(asked(state, "x"))
    assert state.subject == gone
    assert [one.id for one in state.listed] == ["b07c", "x"]
    assert after(state, *state.challenge, "n")[1] == []
    moved, _ = after(state, "down")
    assert moved.subject is not None
    assert moved.subject.id == "b07c"


def test_a_changed_request_is_drawn_anew_and_says_so() -> None:
    other = approval(items=(item("Bank token"),))
    state = screen(approval())
    changed = told(state, Notice(what="changed", approval=other), FRESH)
    assert changed.challenge != state.challenge
    assert after(changed, *changed.challenge)[1] == []
    assert any("changed while you looked" in line for line in frame_text(changed))


def test_what_does_not_fit_must_be_read_before_it_can_be_allowed() -> None:
    state = screen(approval(items=tuple(item(f"k{n}", n) for n in range(20))))
    assert any("more lines: page down" in line for line in frame_text(state))
    assert after(state, *state.challenge)[1] == []
    for _ in range(10):
        state, _ = after(later(state), "page-down")
    state = later(state)
    assert decision(after(state, *state.challenge)[1]).decision.allow


def test_space_reads_on_where_there_is_no_item_to_choose() -> None:
    state = screen(approval(before="word " * 200), rows=24)
    assert any("more lines: space" in line for line in frame_text(state))
    assert after(state, *state.challenge)[1] == []
    for _ in range(10):
        state, _ = after(later(state), " ")
    state = later(state)
    assert decision(after(state, *state.challenge)[1]).decision.allow


def test_a_locked_store_must_be_unlocked_first() -> None:
    locked = msgspec.structs.replace(STATUS, locked=True)
    state = screen(approval(needs_unlock=True), status=locked)
    assert after(state, *state.challenge)[1] == []
    state = later(told(state, Notice(what="unlocked"), FRESH))
    assert after(state, *state.challenge)[1]


@pytest.mark.parametrize("where", [{"columns": 79}, {"rows": 23}, {"status": None}])
def test_nothing_is_decided_that_cannot_be_drawn(where: dict[str, object]) -> None:
    state = replace(screen(approval()), **where)  # type: ignore[arg-type]  # one of its fields
    assert after(state, *state.challenge, "n")[1] == []


def test_a_keeper_that_comes_back_without_a_request_ends_it() -> None:
    state = synced(screen(approval()), STATUS, [], [], FRESH)
    assert state.subject is not None
    assert state.subject.state == "abandoned"


def test_a_passphrase_is_sent_once_and_forgotten() -> None:
    state, commands = after(screen(), "u", *"hunter3", "backspace", "2", "enter")
    (command,) = commands
    assert isinstance(command, Unlock)
    assert command.passphrase.expose() == b"hunter2"
    assert state.entered == ""
    assert "hunter" not in repr(after(screen(), "u", *"hunter2")[0])


def test_a_new_passphrase_is_typed_twice() -> None:
    new = screen(status=msgspec.structs.replace(STATUS, initialised=False, locked=True))
    assert after(new, "u", *"tr0ub4dor", "enter", *"tr0ub4d0r", "enter")[1] == []
    (command,) = after(new, "u", *"tr0ub4dor", "enter", *"tr0ub4dor", "enter")[1]
    assert isinstance(command, Unlock)


def test_a_passphrase_too_short_for_a_new_store_is_refused_before_it_is_typed_twice() -> None:
    new = screen(status=msgspec.structs.replace(STATUS, initialised=False, locked=True))
    state, commands = after(new, "u", *"1234567", "enter", *"1234567", "enter")
    assert (commands, state.unfinished) == ([], False)
    assert any("Too short: choose at least 8 characters." in row for row in frame_text(state))
    old = screen(status=msgspec.structs.replace(STATUS, locked=True))
    assert len(after(old, "u", "x", "enter")[1]) == 1


def test_the_chosen_lease_is_revoked() -> None:
    assert after(screen(), "e", "down", "r")[1] == [Revoke(LEASES[1].id)]


@pytest.mark.parametrize(("key", "command"), [("l", Lock()), ("q", Quit()), ("ctrl-c", Quit())])
def test_a_command_key_does_its_command(key: str, command: Command) -> None:
    assert after(screen(approval()), key)[1] == [command]


def test_no_letter_of_a_challenge_is_a_command() -> None:
    state = screen(approval())
    assert all(after(state, letter)[0].view == "requests" for letter in LETTERS)
    assert all(after(state, letter)[1] == [] for letter in LETTERS)


def typing(state: ScreenState) -> ScreenState:
    """Return the state with the first letter of the pair typed just now."""
    return after(state, state.challenge[0])[0]


@pytest.mark.parametrize(("waited", "holds"), [(0.0, True), (2.9, True), (3.1, False)])
def test_a_switch_away_is_refused_for_three_seconds_after_a_letter(
    waited: float, holds: bool
) -> None:
    state = typing(companion(approval()))
    assert later(state, waited).holds is holds


def test_a_switch_away_is_refused_only_under_a_hand_that_types() -> None:
    assert not companion(approval()).holds
    assert not after(companion(), "h", "down")[0].holds
    assert not after(companion(), "u")[0].holds


def kept_typing(state: ScreenState, *keys: str, seconds: float) -> ScreenState:
    """Return the state after these keys, one each second, again and again."""
    for n in range(int(seconds)):
        state, _ = after(later(state, 1.0), keys[n % len(keys)])
    return state


@pytest.mark.parametrize(("seconds", "holds"), [(28, True), (31, False)])
def test_a_passphrase_holds_the_screen_for_half_a_minute_in_all(
    seconds: float, holds: bool
) -> None:
    state, _ = after(companion(status=LOCKED), "u", "x")
    assert kept_typing(state, "x", seconds=seconds).holds is holds


def test_letters_hold_the_screen_for_ten_seconds_in_all() -> None:
    state = typing(companion(approval()))
    state = replace(state, touched=state.touched + 9.9)
    assert later(state, 9.9).holds
    assert not later(replace(state, touched=state.touched + 1), 10.1).holds


def test_a_typed_and_erased_passphrase_holds_nothing() -> None:
    assert not after(companion(status=LOCKED), "u", "x", "backspace")[0].holds


@pytest.mark.parametrize("keys", [("u", "x"), ("u", "x", "enter"), ("g",), ("o", "g"), ("h",)])
def test_leaving_the_terminal_forgets_everything_that_was_begun(keys: tuple[str, ...]) -> None:
    new = msgspec.structs.replace(COMPANION, initialised=False, locked=True)
    before = after(companion(approval(), status=new), *keys)[0]
    state = left(before, b"\x99")
    assert (state.view, state.unfinished, state.armed) == ("requests", False, False)
    assert state.challenge != before.challenge


def test_no_key_counts_while_another_terminal_is_in_front() -> None:
    state = companion(approval(), front=False)
    for key in (*state.challenge, "n", "l", "u", "o", "q", "ctrl-c"):
        assert after(state, key) == (state, [])


def test_logging_out_takes_a_pair() -> None:
    state = after(companion(), "o")[0]
    assert after(state, *state.challenge)[1] == []
    state = later(state)
    wrong = next(letter for letter in LETTERS if letter not in state.challenge)
    assert after(state, wrong, wrong)[1] == []
    assert after(state, *state.challenge)[1] == [LogOut()]


def test_logging_out_waits_after_a_wrong_pair() -> None:
    state = later(after(companion(), "o")[0])
    wrong = next(letter for letter in LETTERS if letter not in state.challenge)
    state, _ = after(state, wrong, wrong)
    assert after(later(state, 2.9), *state.challenge)[1] == []
    assert after(later(state, 3.1), *state.challenge)[1] == [LogOut()]


def test_an_own_session_has_nobody_to_log_out() -> None:
    assert after(screen(), "o")[0].view == "requests"


def test_a_passphrase_for_gnupg_goes_to_the_question_on_the_screen() -> None:
    commands = after(companion(pins=(PIN,)), "u", *"tr0ub4dor", "enter")[1]
    assert commands == [Answer("p1", Secret(b"tr0ub4dor"))]


def test_escape_refuses_gnupg() -> None:
    assert after(companion(pins=(PIN,)), "u", "x", "esc")[1] == [Answer("p1", None)]


def test_what_was_typed_for_one_question_never_answers_another() -> None:
    other = msgspec.structs.replace(PIN, id="p2")
    state = after(companion(pins=(PIN, other)), "u", *"tr0ub")[0]
    changed = synced(state, COMPANION, [], [], FRESH, [other])
    after_it, commands = after(changed, *"4dor", "enter")
    assert (after_it.view, after_it.unfinished, commands) == ("pins", False, [])
    assert any("This question is over" in row for row in frame_text(after_it))
    assert after(after_it, "esc") == (after(after_it, "esc")[0], [])
    same = synced(state, COMPANION, [], [], FRESH, [other, PIN])
    assert after(same, *"4dor", "enter")[1] == [Answer("p1", Secret(b"tr0ub4dor"))]


def test_a_hand_that_goes_on_typing_never_gets_to_where_letters_count() -> None:
    state = rearmed(companion(approval()), FRESH)
    for _ in range(50):
        state, commands = after(later(state, 0.5), *state.challenge, "n")
        assert commands == []
    assert after(later(state, 0.71), *state.challenge)[1]


def test_what_waits_is_found_again_from_a_past_request() -> None:
    state = after(companion(approval(), delete()), "h", "enter", "down")[0]
    assert state.subject == approval()


def test_no_passphrase_is_asked_for_while_nobody_is_logged_in() -> None:
    nobody = replace(companion(), status=None, linked=False)
    assert after(nobody, "u")[0].view == "requests"


@pytest.mark.parametrize("key", ["q", "ctrl-c"])
def test_no_key_ends_the_console_of_a_companion(key: str) -> None:
    assert after(companion(approval()), key)[1] == []
    assert after(companion(approval(), columns=40), key)[1] == []


def test_a_past_request_can_be_read_whole_and_put_away() -> None:
    state = after(companion(), "h", "down", "enter")[0]
    assert state.subject is not None
    assert state.subject.id == "0002"
    assert after(later(state), *state.challenge, "n")[1] == []
    assert after(state, "esc")[0].subject is None


@pytest.mark.parametrize("key", ["0", "h", "e", "i", "?"])
def test_the_key_that_opened_a_page_leads_back(key: str) -> None:
    state = companion(approval())
    opened = after(state, key)[0]
    assert opened.view != "requests"
    assert any(f" {key} or esc back" in row for row in frame_text(opened))
    assert after(opened, key)[0].view == after(opened, "esc")[0].view == "requests"


def test_from_one_page_another_is_one_key_away() -> None:
    state, commands = after(companion(), "h", "i")
    assert (state.view, commands) == ("rules", [AskRules()])
    assert after(state, "h", "e")[0].view == "leases"


def test_opening_the_rules_asks_for_them() -> None:
    state, commands = after(companion(), "i")
    assert (state.view, commands) == ("rules", [AskRules()])


def test_what_an_order_for_aws_does_is_read_to_its_end_before_it_is_allowed() -> None:
    actions = [f'"s3:Get{number:03}"' for number in range(200)]
    policy = ",".join([*actions[:100], '"iam:PassRole"', *actions[100:]])
    step = RoleStep(arn="arn:aws:iam::111122223333:role/Deploy", policy=policy)
    plan = msgspec.structs.replace(terraform().plan, steps=(step,))
    state = screen(aws(Obtain(plan=plan, command=("x" * 5000,))))
    seen, commands = frame_text(state), list[Command]()

    for _ in range(20):
        state = later(state)
        if commands := after(state, *state.challenge)[1]:
            break
        state, _ = after(state, "page-down")
        seen += frame_text(state)

    assert decision(commands).decision.allow
    assert any("iam:PassRole" in line for line in seen)
    assert any("5000 long" in line for line in seen), "what it is said to be for is cut as ever"
