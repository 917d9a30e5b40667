"""How `export` writes credentials: for a shell, a file of variables, or another tool."""

import json
import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any, Final

from privyseal.cli.aws.environment import refuse_controls, variables
from privyseal.cli.aws.obtained import document
from privyseal.errors import UsageError

_PLAIN: Final = re.compile(r"[A-Za-z0-9_./:@%+=,-]*")
_POWERSHELL_QUOTES: Final = re.compile("(['\u2018\u2019\u201a\u201b])")


def write(
    name: str, profile: str, credentials: Mapping[str, Any], region: str, endpoint: str = ""
) -> str:
    """Return the text of one format, each line with its end.

    Args:
        name: A key of `FORMATS`.
        profile: Names the section of `ini`.
        credentials: The JSON of `Credentials`.
        region: "" for none.
        endpoint: Where AWS is reached, "" for its own addresses; the formats of aws-vault have none.

    Raises:
        UsageError: A value cannot be written in this format.
    """
    if name == "json":
        return _json(credentials)
    if name == "ini":
        return _ini(profile, credentials, region)
    found = variables(credentials)
    if region:
        refuse_controls("the region", region)
        found |= {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}
    if endpoint and name not in _OF_AWS_VAULT:
        refuse_controls("the endpoint", endpoint)
        found["AWS_ENDPOINT_URL"] = endpoint
    line = _LINES[name]
    return "".join(f"{line(variable, value)}\n" for variable, value in found.items())


def _json(credentials: Mapping[str, Any]) -> str:
    # aws-vault's document has no account.
    return json.dumps(document({**credentials, "account": ""}), indent=2) + "\n"


def _ini(profile: str, credentials: Mapping[str, Any], region: str) -> str:
    refuse_controls("the name of the profile", profile)
    refuse_controls("the region", region)
    if "]" in profile:
        raise UsageError(f"no section of a file can have the name {profile!r}")
    found = variables(credentials) | ({"region": region} if region else {})
    lines = [f"{variable.lower()}={value}" for variable, value in found.items()]
    return "\n".join([f"[{profile}]", *lines, ""])


def _raw(variable: str, value: str) -> str:
    return f"{variable}={value}"


def _export(variable: str, value: str) -> str:
    return f"export {variable}={shlex.quote(value)}"


def _posix(variable: str, value: str) -> str:
    quoted = value.replace("'", "'\\''")
    return f"export {variable}='{quoted}'"


def _fish(variable: str, value: str) -> str:
    quoted = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"set -gx {variable} '{quoted}'"


def _powershell(variable: str, value: str) -> str:
    # Four typographic quotes end a text there just as the plain one does.
    quoted = _POWERSHELL_QUOTES.sub(r"\1\1", value)
    return f"$Env:{variable} = '{quoted}'"


def _dotenv(variable: str, value: str) -> str:
    # In single quotes nothing is expanded; what holds one has to stand in double quotes.
    if _PLAIN.fullmatch(value):
        return f"{variable}={value}"
    if "'" not in value:
        return f"{variable}='{value}'"
    quoted = re.sub(r'([\\"$`])', r"\\\1", value)
    return f'{variable}="{quoted}"'


_LINES: Final[dict[str, Callable[[str, str], str]]] = {
    "env": _raw,
    "export-env": _export,
    "posix": _posix,
    "fish": _fish,
    "powershell": _powershell,
    "dotenv": _dotenv,
    "docker": _raw,
}

_OF_AWS_VAULT: Final = ("env", "export-env", "json", "ini")
FORMATS: Final = (*_OF_AWS_VAULT, *list(_LINES)[2:])
