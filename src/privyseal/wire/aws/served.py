"""Credentials as the two local servers write them."""

from typing import Final

from privyseal.model.aws import Credentials
from privyseal.wire.aws.instants import timestamp

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
