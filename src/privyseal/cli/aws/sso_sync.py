"""`privy aws sso sync`: write a profile for every account and role of a portal."""

import os
from collections.abc import Mapping
from typing import Any, Final

from privyseal.cli.aws.configedit import Change, print_diff, propose
from privyseal.cli.aws.door import open_door
from privyseal.cli.aws.environment import outside
from privyseal.cli.aws.files import config_file, load_profiles
from privyseal.cli.aws.options import STORE
from privyseal.cli.aws.portals import Where, find_portal, new_portal
from privyseal.cli.aws.tty import agreed
from privyseal.cli.aws.wishes import STDOUT
from privyseal.cli.fetch import TIMEOUT
from privyseal.cli.report import print_json, say
from privyseal.cli.spec import JSON, Argument, Option, Spec, Values
from privyseal.errors import UsageError
from privyseal.model.aws import OfferedRole, Portal, Roles
from privyseal.model.value import decode
from privyseal.wire.aws.offers import TEMPLATE, Offers, compare
from privyseal.wire.aws.profiles import Profiles
from privyseal.wire.sanitise import fit

DRY_RUN: Final = Option("--dry-run", "Show the changes, and write nothing.")
YES: Final = Option("--yes", "Write without asking.", short="-y")
PRUNE: Final = Option("--prune", "Take away profiles of ours whose role is offered no more.")
NAMES: Final = Option("--names", f"How profiles are called: {TEMPLATE!r}.", "TEMPLATE")
REGION: Final = Option("--region", "Write this region into new profiles.", "REGION")
START_URL: Final = Option("--start-url", "Address of a portal that no profile names yet.", "URL")
SSO_REGION: Final = Option("--sso-region", "The region that this portal is in.", "REGION")
_WIDE: Final = 300


def run(values: Values) -> int:
    """Show what would change, ask, and write it."""
    environment = outside(os.environ)
    profiles = load_profiles(environment)
    where = _where(values, profiles, os.environ)
    with open_door(values) as door:
        result = door.carry_out(Roles(portal=where.portal, network=where.network))
    offers = compare(
        decode(result, list[OfferedRole], what="the list of the portal"),
        where.portal,
        profiles,
        template=values["names"] or TEMPLATE,
        region=values["region"],
    )
    change = propose(
        config_file(environment),
        lambda file: offers.apply(file, where.portal, prune=values["prune"]),
    )
    written = _settle(change, values)
    if values["json"]:
        print_json(_report(offers, values, written=written))
    elif not change.diff():
        roles = "the one role" if offers.kept == 1 else f"each of {offers.kept} roles"
        print(f"nothing to write: there is a profile for {roles}")
    if offers.past and not values["prune"]:
        gone = fit(", ".join(offers.past), _WIDE)
        say(f"offered no more, and left in the file: {gone}; --prune takes them away")
    return 0


def _where(values: Values, profiles: Profiles, environment: Mapping[str, str]) -> Where:
    if not values["start_url"]:
        if values["sso_region"]:
            raise UsageError("--sso-region goes with --start-url")
        return find_portal(values["portal"], profiles, environment)
    if not values["sso_region"]:
        raise UsageError("--start-url wants --sso-region, too")
    name = values["portal"] or "sso"
    if name in profiles.sso_sessions():
        raise UsageError(
            f"there is an sso-session {name!r} already",
            hint="leave --start-url out, or name another one",
        )
    given = Portal(start_url=values["start_url"], region=values["sso_region"], session=name)
    return new_portal(given, profiles, outside(environment))


def _settle(change: Change, values: Values) -> bool:
    if not change.diff():
        return False
    if not values["json"]:
        print_diff(change)
    if values["dry_run"]:
        return False
    if not values["yes"] and not agreed(f"Write {str(change.path)!r}?", hint="use --yes"):
        return False
    change.write()
    return True


def _report(offers: Offers, values: Values, *, written: bool) -> dict[str, Any]:
    return {
        "added": [{"profile": name, **section} for name, section in offers.missing.items()],
        "removed": list(offers.past) if values["prune"] else [],
        "past": list(offers.past),
        "kept": offers.kept,
        "written": written,
    }


SPEC: Final = Spec(
    "Write a profile for every account and role of a portal.",
    run,
    (
        DRY_RUN,
        YES,
        PRUNE,
        NAMES,
        REGION,
        START_URL,
        SSO_REGION,
        JSON,
        STDOUT,
        TIMEOUT,
        *STORE,
    ),
    (Argument("portal", complete="profiles", optional=True),),
    "PORTAL is an sso-session or a profile; without it AWS_PROFILE, or the only portal there is. The "
    "changes are shown first, and written when you agree. A profile that there is for a role stays "
    "as it is, comments and order of the file with it. In the names of new ones stand {account_name}, "
    "{account}, {role} and {email}.",
)
