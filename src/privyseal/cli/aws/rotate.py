"""`privy aws rotate`: replace a long-lived key by a new one, or finish what stopped halfway."""

import os
from typing import Final

from privyseal.cli.aws import trials
from privyseal.cli.aws.door import open_door
from privyseal.cli.aws.lines import print_lines
from privyseal.cli.aws.options import STORE, backend
from privyseal.cli.aws.planned import Survey
from privyseal.cli.aws.profile import chosen_profile
from privyseal.cli.aws.wishes import CALLS, MFA_TOKEN, NO_SESSION, REGION, wanted
from privyseal.cli.fetch import TIMEOUT
from privyseal.cli.report import say
from privyseal.cli.spec import Argument, Option, Spec, Values
from privyseal.errors import UsageError
from privyseal.model.aws import Plan, Rotate, StoredKey
from privyseal.wire.aws import durations

GRACE: Final = Option(
    "--grace", "Keep the old key so long, deactivated, before it is deleted: 12h.", "DURATION"
)
RESUME: Final = Option("--resume", "Only finish a rotation that stopped halfway.")
_LONGEST_GRACE: Final = 36 * 3600


def run(values: Values) -> int:
    """Find the key that the profile begins with, and have it replaced."""
    profile = chosen_profile(values, interactive=True)
    grace = _grace(values["grace"])
    with open_door(values) as door:
        found = Survey.of(door, wanted(values), profile, purpose="rotate")
        door.asked.mfa_process = found.mfa_process
        name = _stored(found.plan)
        say(_announced(name, found.plan))
        if trials.forgets(backend(values, os.environ)):
            trials.warn("the new one, too, so deny this unless the key is there to be tried")
        order = Rotate(name=name, plan=found.plan, grace=grace, resume=bool(values["resume"]))
        result = door.carry_out(order)
    print_lines(result)
    return 0


def _stored(plan: Plan) -> str:
    if not isinstance(plan.source, StoredKey):
        raise UsageError(f"profile {plan.profile!r} begins with no stored key")
    return plan.source.name


def _announced(name: str, plan: Plan) -> str:
    using = f"a session from profile {plan.profile!r}" if plan.steps else "the key itself"
    return f"Rotating credentials stored for profile {name!r} using {using} (takes 10-20 seconds)"


def _grace(text: str) -> int:
    seconds = durations.parse(text, GRACE.flag) if text else 0
    if seconds > _LONGEST_GRACE:
        raise UsageError(f"{GRACE.flag} is at most {durations.spoken(_LONGEST_GRACE)}, not {text}")
    return seconds


SPEC: Final = Spec(
    "Replace a long-lived key by a new one.",
    run,
    (GRACE, RESUME, NO_SESSION, REGION, MFA_TOKEN, *CALLS, TIMEOUT, *STORE),
    (Argument("profile", complete="profiles", optional=True),),
    "The key is the one that the profile's chain begins with. A new one is made, tried and stored "
    "before the old one is deactivated and deleted; a journal in the store knows how far that has "
    "come, so that whatever stops it, the next run finishes or undoes it.",
)
