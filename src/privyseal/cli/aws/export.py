"""`privy aws export`: print credentials of a profile for a shell or a file."""

import sys
from typing import Final

from privyseal.cli.aws.credentials import obtain
from privyseal.cli.aws.formats import FORMATS, write
from privyseal.cli.aws.profile import chosen_profile
from privyseal.cli.aws.wishes import OPTIONS, refuse_nested
from privyseal.cli.spec import Argument, Option, Spec, Values
from privyseal.errors import UsageError

FORMAT: Final = Option("--format", f"One of {', '.join(FORMATS)}.", "NAME", complete="formats")


def run(values: Values) -> int:
    """Print the credentials in one format."""
    name = values["format"] or "env"
    if name not in FORMATS:
        raise UsageError(f"no format {name!r}", hint=f"use one of {', '.join(FORMATS)}")
    refuse_nested(values)
    return print_one(values, chosen_profile(values, interactive=True), name)


def print_one(values: Values, profile: str, name: str) -> int:
    """Print the credentials of a profile in a format."""
    found = obtain(values, profile, ("export", f"--format={name}"))
    sys.stdout.write(write(name, profile, found.credentials, found.region, found.endpoint))
    return 0


SPEC: Final = Spec(
    "Print credentials of a profile for a shell or a file.",
    run,
    (FORMAT, *OPTIONS, Option("--nested", "Do so inside a session, too.")),
    (Argument("profile", complete="profiles", optional=True),),
    "Everything that a shell could misread is quoted in the formats that know quotes; a value with a "
    "control character is refused.",
)
