"""How a profile says that AWS is reached: its region, endpoints, FIPS and dual-stack."""

import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import urlsplit

from privyseal.errors import UsageError
from privyseal.model.aws import Network
from privyseal.wire.aws import partitions
from privyseal.wire.aws.profiles import Profile
from privyseal.wire.aws.vocabulary import SERVICES

_SIGNIN: Final = "signin"
_REGION: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")


def network(
    profile: Profile,
    environment: Mapping[str, str],
    partition: str = "",
    others: Iterable[str] = (),
    *,
    login: bool = False,
) -> Network:
    """Return how AWS is reached for a profile.

    Without a region of its own it takes the first of `others`, then the home of `partition`. An
    address for sign-in counts for a `login` of the AWS CLI; links to the console have their own.

    Raises:
        UsageError: A region, an address or a switch is malformed.
    """
    chosen = region(profile)
    for other in others:
        chosen = chosen or other
    known = partitions.named(partition)
    if not chosen and known is not None and known is not partitions.AWS:
        chosen = known.home
    return Network(
        region=chosen,
        endpoints=_endpoints(profile, environment, login=login),
        dual_stack=profile.flag("use_dualstack_endpoint"),
        fips=profile.flag("use_fips_endpoint"),
        global_sts=_global_sts(profile, chosen),
        ca_bundle=profile["ca_bundle"],
    )


def region(profile: Profile) -> str:
    """Return the region of a profile, "" for none.

    Raises:
        UsageError: It could not be part of a host's name.
    """
    name = profile["region"]
    if name and not _REGION.fullmatch(name):
        raise UsageError(f"{profile.where('region')} is no region: {name[:200]!r}")
    return name


def _global_sts(profile: Profile, chosen: str) -> bool:
    mode = profile["sts_regional_endpoints"].lower()
    if mode not in {"", "legacy", "regional"}:
        raise UsageError(
            f"{profile.where('sts_regional_endpoints')} wants legacy or regional, not {mode[:200]!r}"
        )
    return mode == "legacy" and (not chosen or chosen in partitions.LEGACY_GLOBAL)


def _endpoints(profile: Profile, environment: Mapping[str, str], *, login: bool) -> dict[str, str]:
    found: dict[str, str] = {}
    for service, name in SERVICES.items():
        address, where = _endpoint(profile, environment, name)
        if address:
            checked = _checked(address, where)
            if login or service != _SIGNIN:
                found[service] = checked
    return found


def _endpoint(profile: Profile, environment: Mapping[str, str], service: str) -> tuple[str, str]:
    # The order of the SDK reference, "service-specific endpoints".
    general = profile.settings.get("endpoint_url")
    if general and general.origin.startswith("--"):
        return general.value, general.origin
    if profile.flag("ignore_configured_endpoint_urls"):
        return "", ""
    variable = f"AWS_ENDPOINT_URL_{service.upper()}"
    if environment.get(variable):
        return environment[variable], variable
    own = profile.services.get(service)
    if own and not (general and general.origin == "AWS_ENDPOINT_URL"):
        return own.value, f"endpoint_url of {service} of {own.origin}"
    return (general.value, profile.where("endpoint_url")) if general else ("", "")


def _checked(address: str, where: str) -> str:
    if any(char in address for char in "@?#"):
        # Not quoted: what stands before an @ may be a password.
        raise UsageError(f"{where} wants an address without user, query and fragment")
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"{where} is no address: {address[:200]!r}") from error
    if parts.scheme not in {"http", "https"} or not host or not address.isprintable():
        raise UsageError(
            f"{where} is no address: {address[:200]!r}", hint="it begins with https:// or http://"
        )
    return address
