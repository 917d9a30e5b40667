"""`privy aws credential-process`: the document that AWS tools expect from a credential_process."""

from __future__ import annotations

import os
import sys

from privyseal.cli.aws.credentials import obtain
from privyseal.cli.aws.obtained import document
from privyseal.cli.aws.wishes import OPTIONS
from privyseal.cli.spec import Argument, Spec, Values
from privyseal.errors import UsageError
from privyseal.wire import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

RUNNING: Final = "PRIVY_AWS_CREDENTIAL_PROCESS"
"""Profiles whose credentials are being got, by a process and its parents."""


def run(values: Values) -> int:
    """Print the document on one line."""
    profile = values["profile"]
    asked = os.environ.get(RUNNING, "").split("\n")
    if profile in asked:
        raise UsageError(
            f"the credential_process of profile {profile!r} asks for itself",
            hint="name another profile there, or keep a key under this name",
        )
    os.environ[RUNNING] = "\n".join([*filter(None, asked), profile])
    found = obtain(values, profile, ("credential-process",))
    print(jsontext.write(document(found.credentials)))
    sys.stdout.flush()
    return 0


SPEC: Final = Spec(
    "Print credentials for the credential_process of another tool.",
    run,
    OPTIONS,
    (Argument("profile", complete="profiles"),),
    "In ~/.aws/config: `credential_process = privy aws credential-process PROFILE`. Version, keys and "
    "Expiration stand in one JSON document.",
)
