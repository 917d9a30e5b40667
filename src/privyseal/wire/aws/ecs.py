"""The container credentials endpoint (ECS, EKS): a request in, whose credentials it wants or no.

The paths and members are those of aws-vault's server:

    GET /                   the credentials of the profile
    GET /role-arn/<ARN>     of a role that they may assume
"""

import hmac
import re
from typing import Final, NamedTuple
from urllib.parse import unquote

from privyseal.model.aws import Credentials
from privyseal.wire.aws import served
from privyseal.wire.aws.exchange import (
    Request,
    Response,
    foreign,
    from_json,
    misdirected,
    not_allowed,
)

ROLE_PATH: Final = "/role-arn/"
_MAX_ARN: Final = 2048  # IAM's own limit
_ROLE: Final = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9_+=,.@/-]+")


class Wanted(NamedTuple):
    """The request is in order and wants the credentials of a role, "" for the profile's own."""

    role: str = ""


class Gate(NamedTuple):
    """What a request must bring: the token in `Authorization`, and one of the `Host` values."""

    token: str
    hosts: frozenset[str]

    def __repr__(self) -> str:
        return f"Gate({sorted(self.hosts)})"


def judge(request: Request, gate: Gate) -> Wanted | Response:
    """Return what the request wants, or the answer that refuses it."""
    if reason := misdirected(request, gate.hosts) or foreign(request) or _unknown(request, gate):
        return _refusal(403, reason)
    if request.method != "GET":
        return not_allowed("GET")
    if request.path in {"", "/"}:
        return Wanted()
    if not request.path.startswith(ROLE_PATH):
        return _refusal(404, "there is / and /role-arn/<ARN>")
    arn = unquote(request.path.removeprefix(ROLE_PATH), errors="replace")
    if len(arn) > _MAX_ARN or _ROLE.fullmatch(arn) is None:
        return _refusal(400, "that is not the ARN of a role")
    return Wanted(arn)


def _unknown(request: Request, gate: Gate) -> str:
    given = request.header("authorization") or ""
    known = hmac.compare_digest(given.encode("utf-8", "replace"), gate.token.encode())
    return "" if known else "the Authorization header does not hold this server's token"


def grant(credentials: Credentials, now: float) -> Response:
    """Return the answer that hands credentials over, at an instant in seconds since 1970."""
    content = served.members(credentials, now) | served.account(credentials)
    return _uncached(from_json(200, content))


def failure(message: str) -> Response:
    """Return the answer when there are no credentials to hand over."""
    return _refusal(500, message)


def _refusal(status: int, message: str) -> Response:
    return _uncached(from_json(status, {"Message": message}))


def _uncached(response: Response) -> Response:
    return response._replace(headers=(*response.headers, ("cache-control", "no-store")))
