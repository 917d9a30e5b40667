"""From the name of a profile to credentials: what `exec`, `export` and `credential-process` share.

An unchanged profile whose keys are the keeper's goes the short way: the plan is remembered, and
neither the configuration nor anything slow is read. Everything else is planned anew.
"""

from __future__ import annotations

import os

from privyseal.cli.aws import remembered
from privyseal.cli.aws.environment import outside
from privyseal.cli.aws.keeperdoor import NoKeeperError, keeper_link, shown
from privyseal.cli.aws.obtained import Obtained, parse
from privyseal.cli.aws.options import KEEPER, backend
from privyseal.cli.aws.wishes import patience, person, wanted
from privyseal.cli.spec import Values
from privyseal.errors import NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from privyseal.aws.ports import Talk


def obtain(values: Values, profile: str, command: Sequence[str] = ()) -> Obtained:
    """Return credentials for a profile; waits for a person where one has to decide.

    Args:
        values: The options of the command; they hold `OPTIONS`.
        profile: Its name.
        command: What runs with them, for the person to see.

    Raises:
        NotFoundError: There is no such profile.
        DeniedError: A person, a rule or AWS refused.
    """
    settings = wanted(values)
    environment = outside(os.environ)
    source = remembered.made_from(profile, settings, environment)
    if backend(values, os.environ) in {"", KEEPER}:
        known = remembered.recall(source)
        if known is not None and (found := _again(values, known, command)) is not None:
            return found
    from privyseal.cli.aws.planned import obtain_planned  # noqa: PLC0415 - all that is slow

    return obtain_planned(values, settings, profile, command, source)


def _again(values: Values, known: remembered.Remembered, command: Sequence[str]) -> Obtained | None:
    order = {"order": "obtain", "plan": known["plan"], "command": shown(command)}

    def talk() -> Talk:
        return person(values, known["mfa_process"])

    try:
        with keeper_link(talk, wake=True, seconds=patience(values)) as link:
            result = link.carry_out(order)
    except (NotFoundError, NoKeeperError):
        # The key is gone, or the keeper: what holds now is found out from the beginning.
        remembered.forget()
        return None
    return Obtained(parse(result), region=known["region"], endpoint=known["endpoint"])
