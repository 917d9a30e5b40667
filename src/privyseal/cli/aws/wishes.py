"""What a command line says about credentials: the options of `exec`, `export` and the others."""

from __future__ import annotations

import os

from privyseal.cli.aws.options import STORE, check_prompt
from privyseal.cli.fetch import LONGEST_WAIT, TIMEOUT
from privyseal.cli.spec import Option, Values, number
from privyseal.errors import NotFoundError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from privyseal.aws.ports import Talk

DURATION: Final = Option("--duration", "How long they last: 1h30m, 900s.", "DURATION", short="-d")
NO_SESSION: Final = Option(
    "--no-session", "No GetSessionToken: assume roles with the key itself.", short="-n"
)
REGION: Final = Option("--region", "The AWS region.", "REGION")
MFA_TOKEN: Final = Option("--mfa-token", "The code of the MFA device.", "CODE", short="-t")
STDOUT: Final = Option("--stdout", "Print the sign-in link, and open no browser.")
ROLE: Final = (
    Option("--role-arn", "Assume this role as the profile.", "ARN"),
    Option("--chain", "Then assume this role with the one before.", "ARN", many=True),
    Option("--external-id", "The external ID of the last role.", "ID"),
    Option("--role-session-name", "Name of the session of the last role.", "NAME"),
    Option("--source-identity", "Source identity of the last role.", "NAME"),
    Option("--session-tags", "Tags of the last session: key=value,key=value.", "TAGS"),
    Option("--transitive-session-tags", "Which tags are passed on: key,key.", "KEYS"),
    Option("--policy", "Allow no more than this policy: JSON, or @FILE.", "POLICY"),
    Option("--policy-arn", "Allow no more than this managed policy.", "ARN", many=True),
    Option("--read-only", "Allow reading alone."),
)
CALLS: Final = (
    Option("--mfa-serial", "The MFA device, in place of the profile's.", "SERIAL"),
    Option("--endpoint-url", "Where AWS is reached.", "URL"),
    Option("--min-ttl", "Use cached credentials that last at least so long.", "DURATION"),
    Option("--fresh", "Use no cached credentials."),
)
OPTIONS: Final = (
    DURATION, NO_SESSION, REGION, MFA_TOKEN, STDOUT, *ROLE, *CALLS, TIMEOUT, *STORE,
)  # fmt: skip
"""The options of every command that gets credentials."""

_DIGITS: Final = 6
_PLANNED_BY: Final = (DURATION, NO_SESSION, REGION, *ROLE, *CALLS)


def wanted(values: Values) -> dict[str, Any]:
    """Return what the options say about the credentials, as far as a plan depends on it.

    Raises:
        UsageError: An option says what cannot be.
        NotFoundError: There is no policy in a file that one names.
    """
    check_prompt(values, os.environ)
    token = "".join(str(values.get("mfa_token", "")).split())
    if token and not (token.isascii() and token.isdigit() and len(token) == _DIGITS):
        raise UsageError("--mfa-token wants the six digits of a code")
    found = {option.name: values.get(option.name, option.absent) for option in _PLANNED_BY}
    if not found["duration"]:
        found["duration"] = os.environ.get("AWS_VAULT_DURATION", "")
    policy = found["policy"]
    if policy.startswith("@"):
        from privyseal.cli.aws.files import text  # noqa: PLC0415 - for who has one

        found["policy"] = text(os.path.expanduser(policy[1:]))  # noqa: PTH111 - pathlib costs 6 ms
        if not found["policy"]:
            raise NotFoundError(f"no policy in {policy[1:]!r}")
    return found


def person(values: Values, mfa_process: str = "") -> Talk:
    """Return the person at this command, for codes, pages and words."""
    from privyseal.cli.aws.person import person_of  # noqa: PLC0415 - most orders need nothing of her

    return person_of(values, mfa_process, busy=bool(values.get("busy")))


def patience(values: Values) -> float | None:
    """Return the longest wait for a decision, in seconds; None where no option says one."""
    given = {TIMEOUT.name: values.get(TIMEOUT.name, TIMEOUT.absent)}
    return number(given, TIMEOUT, 0, most=LONGEST_WAIT) or None


def refuse_nested(values: Values) -> None:
    """Refuse a session inside a session, unless that is wanted.

    Raises:
        UsageError: This process runs in one.
    """
    if os.environ.get("AWS_VAULT") and not values.get("nested"):
        raise UsageError(
            f"this shell runs in a session of profile {os.environ['AWS_VAULT']!r} already",
            hint="leave it with `exit`, unset AWS_VAULT, or use --nested",
        )
