"""A whole configuration checked: every profile is planned, as if the keys it needs were stored."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple

from privyseal.errors import PrivysealError
from privyseal.wire.aws import sources
from privyseal.wire.aws.planning import plan
from privyseal.wire.aws.profiles import Profile, Profiles

_BEGINNINGS = (
    "credential_process",
    "credential_source",
    "login_session",
    "source_profile",
    "sso_session",
    "sso_start_url",
    "web_identity_token_file",
    "web_identity_token_process",
)


class Problem(NamedTuple):
    """Why a profile, or with `sso-session NAME` a portal, gives no credentials."""

    name: str
    text: str
    hint: str


def check(profiles: Profiles) -> Iterator[Problem]:
    """Yield what is wrong with profiles and portals, in the order of the file.

    A profile that says nowhere to begin counts as one with a stored key, as does a missing one
    that others build on; `unsettled` names these.
    """
    keys = _assumed(profiles)
    for name in profiles.names():
        try:
            plan(profiles, name, keys=keys, environment={})
        except PrivysealError as error:
            yield Problem(name, str(error), error.hint)
    for session in profiles.sso_sessions():
        try:
            sources.session_portal(profiles, session)
        except PrivysealError as error:
            yield Problem(f"sso-session {session}", str(error), error.hint)


def unsettled(profiles: Profiles) -> Iterator[tuple[str, str]]:
    """Yield profiles that build on one without a section, and its name: a key must be stored."""
    names = frozenset(profiles.names())
    for name in profiles.names():
        source = profiles.own(name).get("source_profile", "")
        if source and source not in names:
            yield name, source


def regionless(profiles: Profiles, environment: Mapping[str, str]) -> Iterator[str]:
    """Yield the profiles for which no region is set anywhere, but for those that are only included.

    One that others take for their source is named: commands run with its own key, too.
    """
    names = profiles.names()
    included, sources = (
        {profiles.own(name).get(key, "") for name in names}
        for key in ("include_profile", "source_profile")
    )
    for name in names:
        with suppress(PrivysealError):  # `check` tells of it
            if name not in included - sources and not profiles.resolve(name, environment)["region"]:
                yield name


def _assumed(profiles: Profiles) -> frozenset[str]:
    found = {source for _, source in unsettled(profiles)}
    for name in profiles.names():
        try:
            profile = profiles.resolve(name, {})
        except PrivysealError:
            continue
        if not _begins(profile):
            found.add(name)
    return frozenset(found)


def _begins(profile: Profile) -> bool:
    return any(profile[key] and profile[key] != profile.name for key in _BEGINNINGS)
