"""The life of a request as data: from state and event to state; what is not listed cannot happen.

`new` is the instant before a request has an identifier. The other states are ends, except `pending`:

    allowed, denied   a person decided               leased   a lease covered it
    expired           nobody decided in time         ruled    the policy decided without a person
    cancelled         the requester left or withdrew ignored  a known probe was answered, harmlessly
    abandoned         the keeper died while it waited
"""

from typing import Final, Literal

from privyseal.errors import ConflictError

State = Literal[
    "new",
    "pending",
    "allowed",
    "denied",
    "expired",
    "cancelled",
    "abandoned",
    "leased",
    "ruled",
    "ignored",
]
Event = Literal[
    "ask", "lease", "rule", "refuse", "ignore", "allow", "deny", "expire", "leave", "restart"
]

TRANSITIONS: Final[dict[tuple[State, Event], State]] = {
    ("new", "ask"): "pending",
    ("new", "lease"): "leased",
    ("new", "rule"): "ruled",
    ("new", "refuse"): "denied",
    ("new", "ignore"): "ignored",
    ("pending", "allow"): "allowed",
    ("pending", "deny"): "denied",
    ("pending", "expire"): "expired",
    ("pending", "leave"): "cancelled",
    ("pending", "restart"): "abandoned",
}

GRANTED: Final[frozenset[State]] = frozenset({"allowed", "leased", "ruled", "ignored"})
"""The end states in which the requester gets what it asked for."""


def advance(state: State, event: Event) -> State:
    """Return the state after `event`.

    Raises:
        ConflictError: The table does not list the pair: the request has ended already.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise ConflictError(f"the request is {state} already, cannot {event} it") from None
