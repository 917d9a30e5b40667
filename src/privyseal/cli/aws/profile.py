"""Which profile a command is about: named, in the environment, or chosen from a list."""

from __future__ import annotations

import os

from privyseal.cli.spec import Values
from privyseal.errors import NotFoundError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

DEFAULT: Final = "default"


def chosen_profile(values: Values, *, interactive: bool) -> str:
    """Return the profile that was named, AWS_PROFILE, or what a person picks.

    Args:
        values: The arguments of the command; they hold `profile`.
        interactive: Nothing else needs the terminal, so a person can be asked.

    Raises:
        UsageError: None was named, and nobody can be asked.
        NotFoundError: There is no profile at all.
    """
    named = values["profile"] or os.environ.get("AWS_PROFILE", "")
    if named:
        return str(named)
    from privyseal.cli.aws.files import config_file, load_profiles  # noqa: PLC0415 - rarely needed

    names = load_profiles(os.environ).names()
    if not names:
        raise NotFoundError(
            f"no profile was named, and there is none in {config_file(os.environ)!r}",
            hint="keep a key with `privy aws add NAME`",
        )
    if len(names) == 1:
        return names[0]
    from privyseal.cli.aws.pick import pick, terminal  # noqa: PLC0415 - the same

    if interactive and terminal():
        return pick("Choose AWS profile:", names)
    if DEFAULT in names:
        return DEFAULT
    raise UsageError("no profile was named", hint="name one, or set AWS_PROFILE")
