"""Trials: what the keeper of `privy try` keeps ends with it, so nothing else may be the only copy."""

from typing import Final

from privyseal.cli.aws.options import KEEPER
from privyseal.cli.reach import reach
from privyseal.cli.report import say
from privyseal.cli.trialfolder import of_trial
from privyseal.errors import UnreachableError, UsageError

_SERVED: Final = frozenset({"", KEEPER, "secret-service"})
"""The stores that the keeper is, or that the agent before it serves to this session."""

_FORGETS: Final = "the keeper here is that of `privy try`, which forgets all keys when it ends"


def forgets(backend: str) -> bool:
    """Return whether what this store keeps, "" being the default one, is gone when a trial ends."""
    if backend not in _SERVED:
        return False
    try:
        with reach() as keeper:
            return of_trial(keeper)
    except UnreachableError:
        return False


def warn(more: str) -> None:
    """Say that a trial forgets, and what follows from that."""
    say(f"{_FORGETS}: {more}")


def refuse_deletion() -> None:
    """Refuse to delete what would be the only copy that lasts.

    Raises:
        UsageError: Always.
    """
    raise UsageError(
        f"nothing is deleted for a trial: {_FORGETS}",
        hint="leave out --delete-source, or install Privyseal: privy service install",
    )
