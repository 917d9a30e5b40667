"""Where the credentials of a profile begin, when not with a key in the store."""

import shlex
from pathlib import PurePath
from typing import Final

from privyseal.errors import NotFoundError, UsageError
from privyseal.model.aws import Ambient, Portal, PortalRole, Process, Source, WebIdentity
from privyseal.wire.aws import arn, limits
from privyseal.wire.aws.profiles import Profile, Profiles, Setting

_SCOPES: Final = ("sso:account:access",)
_OURSELVES: Final = frozenset(["privy", "aws-vault", "privyseal.cli.main"])


def source(profiles: Profiles, profile: Profile) -> Source:
    """Return where the credentials of a profile begin; first of all that its settings allow.

    Raises:
        NotFoundError: The profile says nowhere to begin.
        UsageError: A setting is missing or malformed.
    """
    if profile["credential_source"]:
        return _ambient(profile)
    if profile["sso_start_url"] or profile["sso_session"]:
        return _portal_role(profile)
    if profile["web_identity_token_file"] or profile["web_identity_token_process"]:
        return _web_identity(profile)
    if profile["login_session"]:
        return Ambient(kind="login", session=profile["login_session"])
    if profile["credential_process"]:
        return Process(command=_process(profile))
    raise _nothing(profiles, profile)


def portal(profile: Profile) -> Portal | None:
    """Return the portal that a profile signs in at, None when it does not.

    Raises:
        UsageError: A setting is missing or malformed.
    """
    return _portal(profile) if profile["sso_start_url"] or profile["sso_session"] else None


def session_portal(profiles: Profiles, session: str) -> Portal:
    """Return the portal of an `[sso-session]` section.

    Raises:
        NotFoundError: There is none of this name.
        UsageError: A setting is missing or malformed.
    """
    named = {"sso_session": Setting(session, "the command line")}
    return _portal(Profile(session, {**named, **profiles.portal(session)}))


def _portal(profile: Profile) -> Portal:
    start_url = _wanted(profile, "sso_start_url")
    if not start_url.startswith(("https://", "http://")) or not start_url.isprintable():
        raise UsageError(f"{profile.where('sso_start_url')} is no address: {start_url[:200]!r}")
    scopes = profile["sso_registration_scopes"].replace(",", " ").split()
    return Portal(
        start_url=start_url,
        region=_wanted(profile, "sso_region"),
        session=profile["sso_session"],
        scopes=tuple(scopes) or _SCOPES,
    )


def _ambient(profile: Profile) -> Ambient:
    given = profile["credential_source"]
    match given.lower():
        case "environment":
            return Ambient(kind="environment")
        case "ec2instancemetadata":
            return Ambient(kind="ec2")
        case "ecscontainer":
            return Ambient(kind="ecs")
        case _:
            raise UsageError(
                f"{profile.where('credential_source')} is not known: {given[:200]!r}",
                hint="write Environment, Ec2InstanceMetadata or EcsContainer",
            )


def _portal_role(profile: Profile) -> PortalRole:
    return PortalRole(
        portal=_portal(profile),
        account=_wanted(profile, "sso_account_id"),
        role=_wanted(profile, "sso_role_name"),
    )


def _web_identity(profile: Profile) -> WebIdentity:
    role = _wanted(profile, "role_arn")
    arn.role(role, profile.where("role_arn"))
    name = profile["role_session_name"]
    return WebIdentity(
        role=role,
        session_name=limits.session_name(name, profile.where("role_session_name")) if name else "",
        duration=limits.role(
            profile.seconds("duration_seconds"), profile.where("duration_seconds")
        ),
        token_file=profile["web_identity_token_file"],
        token_command=profile["web_identity_token_process"],
    )


def _process(profile: Profile) -> str:
    command = profile["credential_process"]
    try:
        words = shlex.split(command)
    except ValueError:
        words = command.split()
    ours = [at for at, word in enumerate(words) if PurePath(word).name in _OURSELVES]
    if ours and profile.name in words[ours[0] + 1 :]:
        raise UsageError(
            f"the credential_process of profile {profile.name!r} asks for that profile again",
            hint=f"keep a key with `privy aws add {profile.name}`, or take the line out",
        )
    return command


def _wanted(profile: Profile, key: str) -> str:
    value = profile[key]
    if not value:
        raise UsageError(f"profile {profile.name!r} has no {key}")
    return value


def _nothing(profiles: Profiles, profile: Profile) -> NotFoundError:
    message = f"profile {profile.name!r}: credentials missing"
    if profile.name in profiles.plaintext():
        return NotFoundError(
            f"{message}: its key lies in a file as plain text",
            hint="take it over with `privy aws migrate`",
        )
    return NotFoundError(message, hint=f"keep a key with `privy aws add {profile.name}`")
