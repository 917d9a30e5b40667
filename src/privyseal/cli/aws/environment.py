"""The environment of a command that gets credentials: what it loses, and what it is given.

Imported on the path of every `exec`: nothing here may be slow to load.
"""

from __future__ import annotations

from time import gmtime, strftime

from privyseal.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Final

CREDENTIAL_INPUTS: Final = frozenset(
    {
        "AMAZON_ACCESS_KEY_ID",
        "AMAZON_SECRET_ACCESS_KEY",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CREDENTIAL_EXPIRATION",
        "AWS_CREDENTIAL_FILE",
        "AWS_DEFAULT_PROFILE",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
        "AWS_LOGIN_CACHE_DIRECTORY",
        "AWS_PROFILE",
        "AWS_ROLE_ARN",
        "AWS_ROLE_SESSION_NAME",
        "AWS_SDK_LOAD_CONFIG",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SECRET_KEY",
        "AWS_SECURITY_TOKEN",
        "AWS_SESSION_TOKEN",
        "AWS_SHARED_CREDENTIALS_FILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "BOTO_CONFIG",
    }
)
"""Every variable by which an SDK or a tool takes credentials, or chooses where from."""

CREDENTIAL_PREFIXES: Final = ("AWS_BEARER_TOKEN_",)
"""Beginnings of more of them, one for each service."""

OUR_SECRETS: Final = frozenset(
    {
        "AWS_VAULT_FILE_PASSPHRASE",
        "AWS_VAULT_OP_CONNECT_TOKEN",
        "AWS_VAULT_OP_SERVICE_ACCOUNT_TOKEN",
        "AWS_VAULT_PROTON_PASS_PERSONAL_ACCESS_TOKEN",
        "OP_CONNECT_TOKEN",
        "OP_SERVICE_ACCOUNT_TOKEN",
        "PROTON_PASS_PERSONAL_ACCESS_TOKEN",
    }
)
"""Every variable that opens one of the stores."""

SESSION: Final = "AWS_VAULT"
"""The profile of the session that a process runs in, as aws-vault sets it."""

STACK: Final = "PRIVY_AWS_STACK"
"""The profiles of all sessions around a process, the outermost first."""

OURS: Final = "PRIVY_AWS_SET"
"""Names of the variables with settings, not credentials, that a session has set."""

EXPIRATION: Final = "AWS_CREDENTIAL_EXPIRATION"
BETWEEN: Final = " > "

_SETTINGS: Final = frozenset({"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"})


def cleaned(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without any credentials, or a way to some, or a secret of a store."""
    return {
        name: value
        for name, value in environment.items()
        if name not in CREDENTIAL_INPUTS
        and name not in OUR_SECRETS
        and not name.startswith(CREDENTIAL_PREFIXES)
    }


def outside(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment as it was before the sessions that a nested command runs in.

    A region that an outer session set must not become the region of an inner one.
    """
    if SESSION not in environment:
        return dict(environment)
    added = {*environment.get(OURS, "").split()} & _SETTINGS
    lost = added | CREDENTIAL_INPUTS | {SESSION, STACK, OURS}
    return {name: value for name, value in environment.items() if name not in lost}


def stack(environment: Mapping[str, str]) -> list[str]:
    """Return the profiles of the sessions around this process, the outermost first."""
    if SESSION not in environment:
        return []
    inner = environment[SESSION]
    around = [name for name in environment.get(STACK, "").split(BETWEEN) if name]
    return around if around and around[-1] == inner else [*around, inner]


def session(
    environment: Mapping[str, str], profile: str, *, region: str = "", endpoint: str = ""
) -> dict[str, str]:
    """Return the cleaned environment with the marks of a session, yet without credentials."""
    child = cleaned(environment)
    settings = {}
    if region:
        settings["AWS_REGION"] = settings["AWS_DEFAULT_REGION"] = region
    if endpoint:
        settings["AWS_ENDPOINT_URL"] = endpoint
    child |= settings
    child[SESSION] = profile
    child[STACK] = BETWEEN.join([*stack(environment), profile])
    # What she set herself holds for an inner session, too: an endpoint must not turn into AWS's own.
    before = outside(environment)
    child[OURS] = " ".join(name for name, text in settings.items() if before.get(name) != text)
    return child


def variables(credentials: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables that hand over credentials, given as the JSON of `Credentials`.

    Raises:
        UsageError: One holds a character that no environment can, or that no shell should see.
    """
    found = {
        "AWS_ACCESS_KEY_ID": str(credentials["access_key_id"]),
        "AWS_SECRET_ACCESS_KEY": str(credentials["secret_access_key"]),
    }
    if credentials.get("session_token"):
        found["AWS_SESSION_TOKEN"] = str(credentials["session_token"])
    if credentials.get("expires"):
        found[EXPIRATION] = rfc3339(float(credentials["expires"]))
    for name, value in found.items():
        refuse_controls(name, value)
    return found


def rfc3339(seconds: float) -> str:
    """Return an instant as AWS writes it: `2026-11-22T08:00:00Z`."""
    return strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(seconds))


def refuse_controls(what: str, value: str) -> None:
    """Refuse a value that would break out of its line.

    Raises:
        UsageError: It holds a control character.
    """
    if any(char < " " or "\x7f" <= char < "\xa0" or char in "\u2028\u2029" for char in value):
        raise UsageError(f"{what} holds a control character, and is not handed on")
