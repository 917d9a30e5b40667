"""Where the keeper of this user is: on the session bus, or in companion mode on the system bus."""

import os

from privyseal.errors import ConflictError, UnreachableError
from privyseal.runtime.blocking import Keeper
from privyseal.runtime.wayin import WayIn, any_recorded, console_only, find


def way_in() -> WayIn | None:
    """Return the way in to this user's companion, or None in own-session mode."""
    return find(os.getuid())


def reach(*, wake: bool = False) -> Keeper:
    """Connect to the keeper of this user.

    With `wake` that starts a companion which is logged out: a request does, a look does not.

    Raises:
        LoggedOutError: The companion is logged out, and shall not be started.
        UnreachableError: There is none within reach.
    """
    found = way_in()
    if found is None:
        return _of_root() if os.getuid() == 0 and any_recorded() else Keeper.open()
    from privyseal.runtime.companionkeeper import (  # noqa: PLC0415 - own-session mode needs none of it
        CompanionKeeper,
    )

    return CompanionKeeper.reach(found, wake=wake)


def _of_root() -> Keeper:
    try:
        return Keeper.open()
    except UnreachableError as error:
        hint = "look at a user's with `privy provision --check --user NAME`"
        raise UnreachableError("root has no companion", hint=hint) from error


def deciding(what: str) -> Keeper:
    """Connect to the keeper for what in companion mode is done at the console alone.

    Raises:
        ConsoleOnlyError: This is companion mode; the text begins with `what`.
    """
    only_own_session(what)
    return Keeper.open()


def only_own_session(what: str) -> None:
    """Refuse what in companion mode is done at the console alone.

    Raises:
        ConsoleOnlyError: This is companion mode.
    """
    found = way_in()
    if found is not None:
        raise console_only(what, found.keys)


def no_companion(what: str) -> None:
    """Refuse what makes no sense for a user whose secrets a companion keeps.

    Raises:
        ConflictError: This user has one.
    """
    found = way_in()
    if found is not None:
        raise ConflictError(
            f"{what}: the secrets of {found.user} are kept by the companion {found.account}",
            hint="see `privy status`",
        )
