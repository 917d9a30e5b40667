"""The long way to credentials: read the configuration, make a plan, and have it carried out."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from privyseal.cli.aws import remembered
from privyseal.cli.aws.authorities import without_bundle
from privyseal.cli.aws.door import Door, open_door
from privyseal.cli.aws.environment import outside
from privyseal.cli.aws.files import config_file, load_profiles
from privyseal.cli.aws.keeperdoor import shown
from privyseal.cli.aws.obtained import Obtained, parse
from privyseal.cli.aws.wishes import wanted
from privyseal.cli.spec import Values
from privyseal.errors import NotFoundError
from privyseal.model.aws import Obtain, Plan, PortalRole, StoredKey
from privyseal.wire.aws import durations
from privyseal.wire.aws.planning import Purpose, plan as make_plan
from privyseal.wire.aws.profiles import Flags, Profile, Profiles
from privyseal.wire.aws.route import route


def obtain_planned(
    values: Values,
    settings: Mapping[str, Any],
    profile: str,
    command: Sequence[str],
    source: remembered.MadeFrom,
) -> Obtained:
    """Return credentials for a profile, and remember its plan for the next time."""
    with open_door(values) as door:
        found = Survey.of(door, settings, profile)
        door.asked.mfa_process = found.mfa_process
        result = door.carry_out(Obtain(plan=found.plan, command=tuple(shown(command))))
    if door.remembers and isinstance(found.plan.source, StoredKey | PortalRole):
        known = {
            "plan": msgspec.to_builtins(without_bundle(found.plan)),
            "region": found.region,
            "endpoint": found.endpoint,
            "mfa_process": found.mfa_process,
        }
        remembered.remember(source, known)
    return Obtained(parse(result), region=found.region, endpoint=found.endpoint)


def survey(values: Values, profile: str) -> "Survey":
    """Return what the configuration says of a profile, and get nothing."""
    with open_door(values) as door:
        return Survey.of(door, wanted(values), profile)


class Survey:
    """What the configuration says of a profile: its plan, and what a command is told besides."""

    def __init__(self, plan: Plan, profile: Profile, mfa_process: str) -> None:
        self.plan = plan
        self.region = profile["region"]
        self.endpoint = profile["endpoint_url"]
        self.mfa_process = mfa_process

    @classmethod
    def of(
        cls,
        door: Door,
        settings: Mapping[str, Any],
        profile: str,
        *,
        purpose: Purpose = "exec",
    ) -> "Survey":
        """Return the survey of a profile.

        Raises:
            NotFoundError: It has neither a section nor a key.
        """
        environment = outside(os.environ)
        profiles = load_profiles(environment)
        keys = door.keys()
        flags = flags_of(settings)
        found = profiles.resolve(profile, environment, flags)
        if not found.exists and profile not in keys:
            raise NotFoundError(
                f"profile {profile!r} not found in {config_file(environment)} and no stored "
                "credentials exist for it",
                hint=_hint(profiles, profile),
            )
        way = route(profiles, profile, keys=keys, environment=environment, flags=flags)
        plan = make_plan(
            profiles, profile, keys=keys, environment=environment, flags=flags, purpose=purpose
        )
        return cls(plan, found, way.mfa_process)


def _hint(profiles: Profiles, name: str) -> str:
    if name in profiles.plaintext():
        return "its key lies in a file as plain text: take it over with `privy aws migrate`"
    return profiles.near(name) or f"keep a key with `privy aws add {name}`"


def flags_of(settings: Mapping[str, Any]) -> Flags:
    """Return the flags of a plan that the options of a command give.

    Raises:
        UsageError: A length of time is none.
    """
    taken = {"duration", "min_ttl", "chain", "policy_arn"}
    plain = {name: value for name, value in settings.items() if name not in taken}
    return Flags(
        **plain,
        duration=_seconds(settings["duration"], "--duration"),
        least=_seconds(settings["min_ttl"], "--min-ttl"),
        chain=tuple(settings["chain"]),
        policy_arns=tuple(settings["policy_arn"]),
    )


def _seconds(text: str, what: str) -> int:
    return durations.parse(text, what) if text else 0
