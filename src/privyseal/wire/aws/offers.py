"""From what a portal offers to profiles: which are missing, what they are called, which are past.

A profile that exists for a role keeps its name. One that we wrote says so (`sso_auto_populated`),
and only such a one is ever taken away.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from privyseal.errors import UsageError
from privyseal.model.aws import OfferedRole, Portal
from privyseal.wire.aws.inifile import IniFile
from privyseal.wire.aws.profiles import Profiles
from privyseal.wire.aws.vocabulary import section_of

TEMPLATE: Final = "{account_name}-{role}"
MARK: Final = "sso_auto_populated"
"""The key by which aws-sso-util, too, knows the profiles that it wrote."""

_FIELD: Final = re.compile(r"\{([^{}]*)\}")
_UNFIT: Final = re.compile(r"[^A-Za-z0-9_.@/+-]+")


class Offers(NamedTuple):
    """What `sso sync` would do: sections to write by profile, and profiles to take away.

    `past` are profiles of ours whose role is offered no more; `kept` counts those that stay.
    """

    missing: Mapping[str, Mapping[str, str]]
    past: Sequence[str]
    kept: int

    def apply(self, file: IniFile, portal: Portal, *, prune: bool) -> IniFile:
        """Return the file with what is missing, and with `prune` without what is past.

        Raises:
            UsageError: A name cannot stand in such a file.
        """
        sections = {section_of(name): values for name, values in self.missing.items()}
        head = f"sso-session {portal.session}"
        if sections and portal.session and head not in file.sections():
            sections = {head: _session(portal), **sections}
        file = file.with_sections(sections)
        for name in self.past if prune else ():
            file = file.without(section_of(name))
        return file


def compare(
    offered: Iterable[OfferedRole],
    portal: Portal,
    profiles: Profiles,
    *,
    template: str = TEMPLATE,
    region: str = "",
) -> Offers:
    """Return how the profiles of a configuration differ from what a portal offers.

    Raises:
        UsageError: The template names what a role does not have.
    """
    offered = list(offered)
    taken = set(profiles.names())
    missing: dict[str, dict[str, str]] = {}
    kept = 0
    for role in offered:
        if profile_for(role, portal, profiles):
            kept += 1
            continue
        name = _free(_named(role, template), role, taken)
        taken.add(name)
        missing[name] = _section(role, portal, region)
    known = {(role.account, role.role) for role in offered}
    past = [
        name
        for name in profiles.names()
        if _is_of(profiles.own(name), portal)
        and profiles.own(name).get(MARK, "").lower() == "true"
        and _role(profiles.own(name)) not in known
    ]
    return Offers(missing, past, kept)


def profile_for(role: OfferedRole, portal: Portal, profiles: Profiles) -> str:
    """Return the first profile for a role of a portal, "" when there is none."""
    for name in profiles.names():
        own = profiles.own(name)
        if _is_of(own, portal) and _role(own) == (role.account, role.role) and _plain(own):
            return name
    return ""


def _plain(own: Mapping[str, str]) -> bool:
    return not (own.get("role_arn") or own.get("source_profile"))


def _is_of(own: Mapping[str, str], portal: Portal) -> bool:
    if own.get("sso_session"):
        return own["sso_session"] == portal.session
    return own.get("sso_start_url") == portal.start_url


def _role(own: Mapping[str, str]) -> tuple[str, str]:
    return own.get("sso_account_id", ""), own.get("sso_role_name", "")


def _session(portal: Portal) -> dict[str, str]:
    return {
        "sso_start_url": portal.start_url,
        "sso_region": portal.region,
        "sso_registration_scopes": ",".join(portal.scopes),
    }


def _section(role: OfferedRole, portal: Portal, region: str) -> dict[str, str]:
    where = (
        {"sso_session": portal.session}
        if portal.session
        else {"sso_start_url": portal.start_url, "sso_region": portal.region}
    )
    own = {**where, "sso_account_id": role.account, "sso_role_name": role.role}
    return own | ({"region": region} if region else {}) | {MARK: "true"}


def _named(role: OfferedRole, template: str) -> str:
    fields = {
        "account": role.account,
        "account_name": role.account_name or role.account,
        "role": role.role,
        "email": role.email,
    }

    def filled(match: re.Match[str]) -> str:
        if match[1] not in fields:
            raise UsageError(
                f"a profile's name has no {{{match[1]}}}", hint=f"use {', '.join(fields)}"
            )
        return fields[match[1]]

    # Names are typed, and stand in shells and scripts.
    return _UNFIT.sub("-", _FIELD.sub(filled, template)).strip("-") or role.account


def _free(name: str, role: OfferedRole, taken: set[str]) -> str:
    if name not in taken:
        return name
    longer = f"{name}-{role.account}"
    number = 2
    found = longer
    while found in taken:
        found, number = f"{longer}-{number}", number + 1
    return found
