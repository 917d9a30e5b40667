"""The life of a request: what can happen, and that nothing else can."""

from typing import get_args

import pytest

from privyseal.errors import ConflictError
from privyseal.model.lifecycle import GRANTED, TRANSITIONS, Event, State, advance


@pytest.mark.parametrize("state", get_args(State))
@pytest.mark.parametrize("event", get_args(Event))
def test_only_listed_transitions_happen(state: State, event: Event) -> None:
    if (state, event) in TRANSITIONS:
        assert advance(state, event) == TRANSITIONS[state, event]
    else:
        with pytest.raises(ConflictError):
            advance(state, event)


def test_an_ended_request_never_changes_again() -> None:
    ends = set(get_args(State)) - {"new", "pending"}
    assert ends.isdisjoint(state for state, _ in TRANSITIONS)
    assert ends > GRANTED
