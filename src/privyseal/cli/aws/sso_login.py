"""`privy aws sso login`: sign in at a portal now."""

import os
from typing import Final

from privyseal.cli.aws.door import open_door
from privyseal.cli.aws.environment import outside
from privyseal.cli.aws.files import load_profiles
from privyseal.cli.aws.lines import print_lines
from privyseal.cli.aws.options import STORE
from privyseal.cli.aws.portals import find_portal
from privyseal.cli.aws.wishes import STDOUT
from privyseal.cli.fetch import TIMEOUT
from privyseal.cli.spec import Argument, Spec, Values
from privyseal.model.aws import SignIn


def run(values: Values) -> int:
    """Sign in, whether or not a token is kept."""
    environment = outside(os.environ)
    where = find_portal(values["portal"], load_profiles(environment), os.environ)
    with open_door(values) as door:
        result = door.carry_out(SignIn(portal=where.portal, network=where.network))
    print_lines(result)
    return 0


SPEC: Final = Spec(
    "Sign in at a portal now.",
    run,
    (STDOUT, TIMEOUT, *STORE),
    (Argument("portal", complete="profiles", optional=True),),
    "PORTAL is an sso-session or a profile; without it AWS_PROFILE, or the only portal there is. "
    "Nobody needs to: whatever wants a token signs in by itself. Over SSH and with --stdout a code is "
    "shown, to be compared with the page on another device.",
)
