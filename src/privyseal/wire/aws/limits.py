"""What AWS accepts, checked before it is asked, so that the answer says what to change.

Sources: the API references of STS (AssumeRole, GetSessionToken, GetFederationToken).
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Final

from privyseal.errors import UsageError
from privyseal.wire.aws.durations import spoken

LEAST: Final = 900
"""Shortest life of any credentials, in seconds."""

SESSION_MOST: Final = 36 * 3600
"""Longest life of a session of a user, or of a federated one."""

ROLE_MOST: Final = 12 * 3600
"""Longest life that a role can allow; AWS allows 1 h unless the role says more."""

CHAINED_MOST: Final = 3600
"""Longest life of a role that is assumed from a role or from a session."""

ROLES_MOST: Final = 11
"""Longest chain of roles in a plan."""

_SESSION_NAME: Final = re.compile(r"[A-Za-z0-9_+=,.@-]{2,64}")
_EXTERNAL_ID: Final = re.compile(r"[A-Za-z0-9_+=,.@:/\\-]{2,1224}")
_SERIAL: Final = re.compile(r"[A-Za-z0-9_+=,.@:/-]{9,256}")
_TAG_KEY: Final = re.compile(r"[\w\s.:/=+@-]{1,128}")
_TAG_VALUE: Final = re.compile(r"[\w\s.:/=+@-]{0,256}")
_MOST_TAGS: Final = 50
_MOST_POLICIES: Final = 10
_POLICY_LONGEST: Final = 2048


def session(seconds: int, what: str) -> int:
    """Return the life of a session of GetSessionToken or GetFederationToken.

    Raises:
        UsageError: AWS gives none so short or so long; `what` names where it was set.
    """
    return _within(seconds, SESSION_MOST, what, "a session")


def role(seconds: int, what: str) -> int:
    """Return the life of a role's credentials.

    Raises:
        UsageError: AWS gives none so short or so long; `what` names where it was set.
    """
    return _within(seconds, ROLE_MOST, what, "a role")


def session_name(text: str, what: str) -> str:
    """Return the name of a role's session, or a source identity.

    Raises:
        UsageError: AWS would refuse it.
    """
    return _matching(_SESSION_NAME, text, what, "2 to 64 letters, digits or _+=,.@-")


def external_id(text: str, what: str) -> str:
    """Return an external id.

    Raises:
        UsageError: AWS would refuse it.
    """
    return _matching(_EXTERNAL_ID, text, what, "2 to 1224 letters, digits or _+=,.@:/-")


def serial(text: str, what: str) -> str:
    """Return the serial number or ARN of an MFA device.

    Raises:
        UsageError: AWS would refuse it.
    """
    return _matching(_SERIAL, text, what, "the ARN or serial number of an MFA device")


def tags(text: str, what: str) -> dict[str, str]:
    """Return session tags, written as `key=value,key=value`.

    Raises:
        UsageError: They are written otherwise, or AWS would refuse them.
    """
    found: dict[str, str] = {}
    for piece in text.split(","):
        key, equals, value = (part.strip() for part in piece.partition("="))
        if not equals or not _TAG_KEY.fullmatch(key) or not _TAG_VALUE.fullmatch(value):
            raise UsageError(f"{what} wants tags as key=value,key=value, not {piece[:200]!r}")
        if key.lower() in (other.lower() for other in found):
            raise UsageError(f"{what} gives the tag {key!r} twice")
        found[key] = value
    if len(found) > _MOST_TAGS:
        raise UsageError(f"{what} gives {len(found)} tags; AWS takes {_MOST_TAGS}")
    return found


def transitive(text: str, given: Mapping[str, str], what: str) -> tuple[str, ...]:
    """Return the keys of the tags that roles further on inherit, written as `key,key`.

    Raises:
        UsageError: One of them is no tag that is given.
    """
    keys = tuple(dict.fromkeys(key.strip() for key in text.split(",") if key.strip()))
    for key in keys:
        if key not in given:
            raise UsageError(f"{what} names {key!r}, which is no session tag")
    return keys


def policy(text: str, what: str) -> str:
    """Return a session policy without the spaces between its words.

    Raises:
        UsageError: It is no JSON object, or longer than AWS takes.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{what} is no JSON text") from error
    if not isinstance(found, dict) or "Statement" not in found:
        raise UsageError(f"{what} is no policy: it has no Statement")
    short = json.dumps(found, separators=(",", ":"), ensure_ascii=False)
    if len(short) > _POLICY_LONGEST:
        raise UsageError(f"{what} has {len(short)} characters; AWS takes {_POLICY_LONGEST}")
    return short


def policy_arns(arns: Sequence[str], what: str) -> tuple[str, ...]:
    """Return the ARNs of managed session policies.

    Raises:
        UsageError: One has another form, or there are more than AWS takes.
    """
    for arn in arns:
        if not arn.startswith("arn:") or ":policy/" not in arn or not arn.isprintable():
            raise UsageError(f"{what} is not the ARN of a policy: {arn[:200]!r}")
    if len(arns) > _MOST_POLICIES:
        raise UsageError(f"{what} gives {len(arns)} policies; AWS takes {_MOST_POLICIES}")
    return tuple(arns)


def _within(seconds: int, most: int, what: str, giver: str) -> int:
    if seconds < LEAST:
        raise UsageError(
            f"{what} asks for {spoken(seconds)}; {giver} lasts at least {spoken(LEAST)}"
        )
    if seconds > most:
        raise UsageError(f"{what} asks for {spoken(seconds)}; {giver} lasts at most {spoken(most)}")
    return seconds


def _matching(pattern: re.Pattern[str], text: str, what: str, form: str) -> str:
    if not pattern.fullmatch(text):
        raise UsageError(f"{what} wants {form}, not {text[:200]!r}")
    return text
