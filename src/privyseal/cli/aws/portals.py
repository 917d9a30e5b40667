"""Which portal a command is about: a section, a profile's, or the only one there is."""

from collections.abc import Mapping
from typing import NamedTuple

from privyseal.cli.aws.environment import outside
from privyseal.cli.aws.files import config_file
from privyseal.errors import NotFoundError, UsageError
from privyseal.model.aws import Network, Portal
from privyseal.wire.aws.network import network
from privyseal.wire.aws.profiles import Profiles, nearest
from privyseal.wire.aws.sources import portal, session_portal


class Where(NamedTuple):
    """A portal, and how AWS is reached for it."""

    portal: Portal
    network: Network


def find_portal(name: str, profiles: Profiles, environment: Mapping[str, str]) -> Where:
    """Return the portal of an `[sso-session]` section or of a profile.

    Without a name it is that of AWS_PROFILE, else the only one of the configuration. `environment`
    is the command's own; what a session around it has set says nothing of how AWS is reached.

    Raises:
        NotFoundError: There is none, or none of this name.
        UsageError: There are several.
    """
    variable = environment.get("AWS_PROFILE", "")
    environment = outside(environment)
    if name in profiles.sso_sessions():
        return _of_session(name, profiles, environment)
    if name := name or variable:
        profile = profiles.resolve(name, environment)
        if not profile.exists:
            raise NotFoundError(
                f"no profile and no sso-session {name!r} in {config_file(environment)!r}",
                hint=nearest(name, [*profiles.sso_sessions(), *profiles.names()]),
            )
        found = portal(profile)
        if found is None:
            raise UsageError(f"profile {name!r} signs in at no portal")
        return Where(found, network(profile, environment))
    known = all_portals(profiles, environment)
    if len(known) == 1:
        return known[0]
    if not known:
        raise NotFoundError(
            f"no portal in {config_file(environment)!r}",
            hint="name one: privy aws sso sync --start-url URL --sso-region REGION",
        )
    names = [where.portal.session or where.portal.start_url for where in known]
    raise UsageError(
        f"there are {len(known)} portals: {', '.join(names)}",
        hint="name the sso-session, or a profile",
    )


def all_portals(profiles: Profiles, environment: Mapping[str, str]) -> list[Where]:
    """Return every portal of the configuration, once for each start URL."""
    found: dict[str, Where] = {}
    for session in profiles.sso_sessions():
        where = _of_session(session, profiles, environment)
        found.setdefault(where.portal.start_url, where)
    for name in profiles.names():
        if "sso_start_url" in profiles.own(name):
            profile = profiles.resolve(name, environment)
            if one := portal(profile):
                found.setdefault(one.start_url, Where(one, network(profile, environment)))
    return list(found.values())


def new_portal(given: Portal, profiles: Profiles, environment: Mapping[str, str]) -> Where:
    """Return a portal that the configuration does not know yet.

    Raises:
        UsageError: Its address is none.
    """
    if not given.start_url.startswith(("https://", "http://")):
        raise UsageError(f"--start-url is no address: {given.start_url!r}")
    return Where(given, _network(profiles, environment))


def _of_session(name: str, profiles: Profiles, environment: Mapping[str, str]) -> Where:
    return Where(session_portal(profiles, name), _network(profiles, environment))


def _network(profiles: Profiles, environment: Mapping[str, str]) -> Network:
    # The section of a portal has no endpoints of its own; those of the environment hold.
    return network(profiles.resolve("", environment, target=False), environment)
