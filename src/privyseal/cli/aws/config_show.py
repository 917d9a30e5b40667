"""`privy aws config show`: the values that hold for profiles, as a configuration."""

import os
from collections.abc import Iterator
from typing import Final

from privyseal.cli.aws.environment import outside
from privyseal.cli.aws.files import load_profiles
from privyseal.cli.report import print_json
from privyseal.cli.spec import JSON, Argument, Spec, Values
from privyseal.errors import NotFoundError
from privyseal.wire.aws.profiles import Profile
from privyseal.wire.aws.vocabulary import section_of
from privyseal.wire.sanitise import clean


def run(values: Values) -> int:
    """Print one profile, or all of them, with what they include and what the environment sets."""
    environment = outside(os.environ)
    profiles = load_profiles(environment)
    wanted = str(values["profile"])
    if wanted and wanted not in profiles.names():
        raise NotFoundError(f"no profile {wanted!r}", hint=profiles.near(wanted))
    names = (wanted,) if wanted else profiles.names()
    found = [profiles.resolve(name, environment) for name in names]
    if values["json"]:
        print_json(
            {
                profile.name: {
                    key: {"value": setting.value, "origin": setting.origin}
                    for key, setting in profile.settings.items()
                }
                for profile in found
            }
        )
        return 0
    for profile in found:
        for line in _section(profile):
            print(line)
    return 0


def _section(profile: Profile) -> Iterator[str]:
    yield clean(f"[{section_of(profile.name)}]")
    for key, setting in profile.settings.items():
        if setting.origin == "default":
            continue
        own, *block = setting.value.split("\n")
        yield f"# set by {clean(setting.origin)}"
        yield clean(f"{key} = {own}".rstrip())
        for line in block:
            yield f"  {clean(line)}"
    yield ""


SPEC: Final = Spec(
    "Print the values that hold for profiles, as a configuration.",
    run,
    (JSON,),
    (Argument("profile", complete="profiles", optional=True),),
    "What a profile includes and what variables of the environment set is part of it.",
)
