"""What tells a trial: its keeper and store lie in a folder that ends with it."""

from typing import Final

from privyseal.runtime.blocking import Keeper

PREFIX: Final = "privy-try-"
"""What the name of that folder begins with."""


def of_trial(keeper: Keeper) -> bool:
    """Return whether this keeper is that of `privy try`, and what it keeps is gone at its end."""
    from pathlib import Path  # noqa: PLC0415 - only for whoever locks, or moves keys about

    from privyseal.cli.checkup import program_of  # noqa: PLC0415 - likewise

    _, words = program_of(keeper.pid())
    state = words[words.index("--state") + 1] if "--state" in words[:-1] else ""
    return Path(state).parent.name.startswith(PREFIX)
