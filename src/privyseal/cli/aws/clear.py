"""`privy aws clear`: forget cached sessions and portal tokens."""

import os
from typing import Final

from privyseal.cli.aws.door import open_door
from privyseal.cli.aws.environment import outside
from privyseal.cli.aws.files import load_profiles
from privyseal.cli.aws.lines import print_lines
from privyseal.cli.aws.options import STORE
from privyseal.cli.fetch import TIMEOUT
from privyseal.cli.spec import Argument, Spec, Values
from privyseal.model.aws import Clear, Portal
from privyseal.wire.aws.sources import portal


def run(values: Values) -> int:
    """Forget the sessions of a profile and the token of its portal, or all of them."""
    name = values["profile"]
    order = Clear(name=name, portal=_portal(name) if name else None)
    with open_door(values) as door:
        result = door.carry_out(order)
    print_lines(result)
    return 0


def _portal(name: str) -> Portal | None:
    profile = load_profiles(os.environ).resolve(name, outside(os.environ))
    return portal(profile) if profile.exists else None


SPEC: Final = Spec(
    "Forget cached sessions and tokens.",
    run,
    (TIMEOUT, *STORE),
    (Argument("profile", complete="profiles", optional=True),),
    details="Without a profile: all of them. Long-lived keys stay.",
)
