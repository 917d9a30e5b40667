"""Credentials that were got, and what a command is told besides."""

from __future__ import annotations

from privyseal.cli.aws.environment import rfc3339
from privyseal.errors import PrivysealError
from privyseal.wire import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class Obtained:
    """Credentials as JSON of `privyseal.model.aws.Credentials`, and what goes with them."""

    __slots__ = ("credentials", "endpoint", "region")

    def __init__(self, credentials: Mapping[str, Any], *, region: str, endpoint: str) -> None:
        self.credentials = credentials
        self.region = region
        self.endpoint = endpoint

    def __repr__(self) -> str:
        return f"Obtained(region={self.region!r}, endpoint={self.endpoint!r})"


def parse(result: bytes) -> dict[str, Any]:
    """Return the credentials that an order gave."""
    try:
        found = jsontext.read(result.decode())
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise PrivysealError("the result of the order is malformed")
    return found


def document(credentials: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document of a credential_process."""
    found = {
        "Version": 1,
        "AccessKeyId": credentials["access_key_id"],
        "SecretAccessKey": credentials["secret_access_key"],
    }
    if credentials.get("session_token"):
        found["SessionToken"] = credentials["session_token"]
    if credentials.get("expires"):
        found["Expiration"] = rfc3339(float(credentials["expires"]))
    if credentials.get("account"):
        found["AccountId"] = credentials["account"]
    return found
