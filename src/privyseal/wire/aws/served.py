"""Credentials as the two local servers write them."""

from datetime import UTC, datetime
from typing import Final

from privyseal.model.aws import Credentials

ENDLESS: Final = 3600.0
"""Seconds after which a client asks again for credentials that have no end of their own."""


def members(credentials: Credentials, now: float) -> dict[str, str]:
    """Return the members that both servers give; clients refuse an answer without an end."""
    return {
        "AccessKeyId": credentials.access_key_id,
        "Expiration": timestamp(credentials.expires or now + ENDLESS),
        "SecretAccessKey": credentials.secret_access_key,
        "Token": credentials.session_token,
    }


def account(credentials: Credentials) -> dict[str, str]:
    """Return the member that names the account, where it is known."""
    return {"AccountId": credentials.account} if credentials.account else {}


def timestamp(seconds: float) -> str:
    """Return an instant in ISO 8601, in whole seconds and UTC; never later than the instant.

    What no calendar holds (a source may say anything) becomes the nearest year that one does.
    """
    bounded = min(max(seconds, 0.0), 253_402_300_799.0)
    return datetime.fromtimestamp(int(bounded), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
