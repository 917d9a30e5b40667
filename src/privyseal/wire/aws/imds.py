"""The EC2 instance metadata service, as far as clients want it for credentials and the region.

Version 2 (IMDSv2) by default: a token is got by PUT, for a time that the client names, and brought
with every GET. A token is a message of this server to itself, authenticated with a key that it
forgets when it ends, so that no number of requests makes it remember anything. Version 1, a GET
without a token, is answered only when somebody asked for that.

Source: the EC2 User Guide, "Use the Instance Metadata Service"; the older paths as aws-vault has
them.
"""

import base64
import hmac
import json
import struct
from typing import Final, NamedTuple

from privyseal.model.aws import Credentials
from privyseal.wire.aws import served
from privyseal.wire.aws.exchange import (
    Request,
    Response,
    foreign,
    from_json,
    from_text,
    misdirected,
    not_allowed,
)
from privyseal.wire.aws.instants import timestamp

ADDRESS: Final = "169.254.169.254"
NAMES: Final = frozenset({ADDRESS, f"{ADDRESS}:80"})
"""The values of `Host` that every client sends which found the service at its usual address."""

ROLE: Final = "local-credentials"
MAX_TOKEN_SECONDS: Final = 21_600
NONCE_BYTES: Final = 16

_TOKEN: Final = "/latest/api/token"  # noqa: S105 - a path
_TTL: Final = "x-aws-ec2-metadata-token-ttl-seconds"
_TOKEN_HEADER: Final = "x-aws-ec2-metadata-token"  # noqa: S105 - the name of a header
_ROLES: Final = "/latest/meta-data/iam/security-credentials"
_EXTENDED: Final = "/latest/meta-data/iam/security-credentials-extended"
_FORM: Final = struct.Struct(f">d{NONCE_BYTES}s")  # until when, in monotonic seconds; a nonce
_MAX_DIGITS: Final = 5


class Wanted(NamedTuple):
    """The request is in order and wants the credentials; `account` with the account in them."""

    account: bool = False


class Gate(NamedTuple):
    """What a request must bring, and what else the service says.

    `key` authenticates tokens; `version_1` lets a GET without a token through.
    """

    key: bytes
    hosts: frozenset[str] = NAMES
    region: str = ""
    version_1: bool = False

    def __repr__(self) -> str:
        return f"Gate({sorted(self.hosts)}, {self.region!r}, version_1={self.version_1})"


def judge(request: Request, gate: Gate, now: float, nonce: bytes) -> Wanted | Response:
    """Return what the request wants, or the answer to it.

    Args:
        request: What the client sent.
        gate: What it must bring.
        now: Monotonic seconds.
        nonce: `NONCE_BYTES` random bytes, new for every call.
    """
    if reason := misdirected(request, gate.hosts):
        return from_text(401, f"{reason}\n")
    if reason := foreign(request):
        return from_text(403, f"{reason}\n")
    path = request.path.rstrip("/")
    method = "PUT" if path == _TOKEN else "GET"
    if request.method != method:
        return not_allowed(method)
    if path == _TOKEN:
        return _issue(request, gate, now, nonce)
    if not _admitted(request, gate, now):
        return from_text(401, "bring a token: PUT /latest/api/token\n")
    return _answer(path, gate)


def grant(credentials: Credentials, now: float, *, account: bool = False) -> Response:
    """Return the answer that hands credentials over, at an instant in seconds since 1970."""
    content = served.members(credentials, now)
    if account:
        content |= served.account(credentials)
    fixed = {"Code": "Success", "LastUpdated": timestamp(now), "Type": "AWS-HMAC"}
    return from_json(200, content | fixed)


def failure(message: str) -> Response:
    """Return the answer when there are no credentials to hand over."""
    return from_text(504, f"{message}\n")


def _issue(request: Request, gate: Gate, now: float, nonce: bytes) -> Response:
    wish = request.header(_TTL) or ""
    # isdigit alone takes digits of other scripts, and int() takes any length.
    seconds = int(wish) if wish.isascii() and wish.isdigit() and len(wish) <= _MAX_DIGITS else 0
    if not 1 <= seconds <= MAX_TOKEN_SECONDS:
        return from_text(400, f"{_TTL} must be a number from 1 to {MAX_TOKEN_SECONDS}\n")
    body = _FORM.pack(now + seconds, nonce)
    token = base64.urlsafe_b64encode(body + _seal(body, gate.key)).decode()
    plain = from_text(200, token)
    return plain._replace(headers=(*plain.headers, (_TTL, str(seconds))))


def _admitted(request: Request, gate: Gate, now: float) -> bool:
    if not request.has(_TOKEN_HEADER):
        return gate.version_1
    token = request.header(_TOKEN_HEADER) or ""
    try:
        raw = base64.b64decode(token.encode(), altchars=b"-_", validate=True)
    except ValueError:
        return False
    body, seal = raw[: _FORM.size], raw[_FORM.size :]
    if not hmac.compare_digest(_seal(body, gate.key), seal):
        return False
    until: float
    until, _ = _FORM.unpack(body)
    return now < until


def _seal(body: bytes, key: bytes) -> bytes:
    return hmac.digest(key, body, "sha256")


def _answer(path: str, gate: Gate) -> Wanted | Response:
    for listing, extended in ((_ROLES, False), (_EXTENDED, True)):
        if path == f"{listing}/{ROLE}":
            return Wanted(account=extended)
        if path == listing or path.startswith(f"{listing}/"):
            return from_text(200, ROLE)
    said = {
        "/latest/meta-data/instance-id": "aws-vault",
        "/latest/meta-data/iam/info": '{"Code" : "Success"}',
    }
    if gate.region:
        said |= {
            "/latest/meta-data/placement/region": gate.region,
            "/latest/dynamic/instance-identity/document": json.dumps({"region": gate.region}),
        }
    text = said.get(path)
    return from_text(404, "not found\n") if text is None else from_text(200, text)
