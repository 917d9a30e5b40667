"""Trials: what the keeper of `privy try` keeps ends with it, so nothing else may be the only copy."""

from typing import Final

from privyseal.cli.aws.options import KEEPER
from privyseal.cli.reach import reach
from privyseal.cli.report import say
from privyseal.cli.trialfolder import PREFIX
from privyseal.errors import UnreachableError, UsageError

_SERVED: Final = frozenset({"", KEEPER, "secret-service"})
"""The stores that the keeper is, or that the agent before it serves to this session."""

_FORGETS: Final = "the keeper here is that of `privy try`, which forgets all keys when it ends"


def forgets(backend: str) -> bool:
    """Return whether what this store keeps, "" being the default one, is gone when a trial ends."""
    if backend not in _SERVED:
        return False
    from pathlib import Path  # noqa: PLC0415 - only for whoever moves keys about

    from privyseal.cli.checkup import program_of  # noqa: PLC0415 - likewise

    try:
        with reach() as keeper:
            _, words = program_of(keeper.pid())
    except UnreachableError:
        return False
    state = words[words.index("--state") + 1] if "--state" in words[:-1] else ""
    return Path(state).parent.name.startswith(PREFIX)


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
