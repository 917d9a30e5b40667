"""Asking the keeper for something and waiting for a person, for as long as the command line says."""

from __future__ import annotations

from privyseal.cli.spec import Option
from privyseal.errors import (
    DeniedError,
    ExpiredError,
    NotFoundError,
    PrivysealError,
    UnreachableError,
)
from privyseal.model.secret import Secret
from privyseal.runtime.blocking import Json, Keeper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Final

TIMEOUT: Final = Option("--timeout", "Give up after so many seconds.", "SECONDS")
LONGEST_WAIT: Final = 7 * 24 * 3600

_ENDINGS: Final = frozenset(
    {
        "the keeper does not run",
        "the message bus closed the connection",
        "this program is stopping",
    }
)
"""What is heard of a keeper that goes; AWS may be out of reach as well, and is another matter."""

_GRANTED: Final = frozenset({"allowed", "leased", "ruled", "ignored"})


def _say(text: str) -> None:
    from privyseal.cli.report import say  # noqa: PLC0415 - only where a person decides

    say(text)


def ask(
    keeper: Keeper,
    requester: str,
    wish: Json,
    seconds: float | None,
    inputs: Sequence[int] = (),
    *,
    grace: float = 0,
    told: Callable[[str], None] = _say,
) -> tuple[Json, list[Secret]]:
    """Return the ticket of a request that was granted, with what it released.

    `grace` is how many seconds to wait in silence: under a lease only the work takes time. `told`
    gets what is said then.

    Raises:
        DeniedError: A person or a rule refused.
        ExpiredError: Nobody decided in time; the request is withdrawn.
        UnreachableError: The keeper ended while it waited.
    """
    ticket, secrets = keeper.submit(requester, wish, inputs)
    if ticket["state"] == "pending":
        request = str(ticket["id"])
        try:
            if not (grace and _soon(keeper, request, grace)):
                where = keeper.how_to_decide.format(request)
                told(ticket.get("reason") or f"waiting for a decision: {where}")
                keeper.resolved(request, seconds)
            ticket, secrets = keeper.collect(request)
        except (KeyboardInterrupt, ExpiredError):
            from contextlib import suppress  # noqa: PLC0415 - only for who gives up

            with suppress(PrivysealError):
                keeper.cancel(request)
            raise
        except (NotFoundError, UnreachableError) as error:
            if str(error) in {*_ENDINGS, f"no request {request!r}"}:
                raise keeper.stopped() from error
            raise
    if ticket["state"] not in _GRANTED:
        raise _refused(ticket)
    return ticket, secrets


def _soon(keeper: Keeper, request: str, seconds: float) -> bool:
    try:
        keeper.resolved(request, seconds)
    except ExpiredError:
        return False
    return True


def _refused(ticket: Json) -> PrivysealError:
    state, reason = ticket["state"], ticket.get("reason") or ""
    text = f"{reason}: {ticket['id']}" if reason else f"the request was {state}: {ticket['id']}"
    if state == "expired":
        return ExpiredError(f"nobody decided in time: {ticket['id']}")
    if state == "denied":
        return DeniedError(text)
    if state == "abandoned":
        return UnreachableError(text)
    return PrivysealError(text)
