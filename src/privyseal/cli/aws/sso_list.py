"""`privy aws sso list`: the accounts and roles that a portal offers."""

import os
from typing import Final

import msgspec

from privyseal.cli.aws.door import open_door
from privyseal.cli.aws.environment import outside
from privyseal.cli.aws.files import load_profiles
from privyseal.cli.aws.options import STORE
from privyseal.cli.aws.portals import find_portal
from privyseal.cli.aws.wishes import STDOUT
from privyseal.cli.fetch import TIMEOUT
from privyseal.cli.report import print_json, print_table
from privyseal.cli.spec import JSON, Argument, Spec, Values
from privyseal.model.aws import OfferedRole, Roles
from privyseal.model.value import decode
from privyseal.wire.aws.offers import profile_for

_COLUMNS: Final = ("ACCOUNT", "NAME", "ROLE", "PROFILE")
_WIDTHS: Final = (16, 40, 40, 60)


def run(values: Values) -> int:
    """Print every role, with the profile that there is for it."""
    environment = outside(os.environ)
    profiles = load_profiles(environment)
    where = find_portal(values["portal"], profiles, os.environ)
    with open_door(values) as door:
        result = door.carry_out(Roles(portal=where.portal, network=where.network))
    offered = decode(result, list[OfferedRole], what="the list of the portal")
    named = [(role, profile_for(role, where.portal, profiles)) for role in offered]
    if values["json"]:
        print_json([msgspec.to_builtins(role) | {"profile": name} for role, name in named])
        return 0
    rows = [(role.account, role.account_name, role.role, name or "-") for role, name in named]
    print_table(_COLUMNS, rows, _WIDTHS)
    return 0


SPEC: Final = Spec(
    "List the accounts and roles that a portal offers.",
    run,
    (JSON, STDOUT, TIMEOUT, *STORE),
    (Argument("portal", complete="profiles", optional=True),),
    "PORTAL is an sso-session or a profile; without it AWS_PROFILE, or the only portal there is.",
)
