"""`privy aws logout`: sign out of a portal, and forget its token."""

import os
from typing import Final

from privyseal.cli.aws.door import Door, open_door
from privyseal.cli.aws.environment import outside
from privyseal.cli.aws.files import load_profiles
from privyseal.cli.aws.lines import print_lines
from privyseal.cli.aws.options import STORE
from privyseal.cli.aws.portals import Where, all_portals, find_portal
from privyseal.cli.fetch import TIMEOUT
from privyseal.cli.report import say
from privyseal.cli.spec import Argument, Option, Spec, Values
from privyseal.errors import PrivysealError, UsageError
from privyseal.model.aws import SignOut
from privyseal.wire.sanitise import fit

ALL: Final = Option("--all", "Every portal that there is a token of.")
_WIDE: Final = 300


def run(values: Values) -> int:
    """Revoke tokens and forget them."""
    if values["all"] and values["portal"]:
        raise UsageError("--all and a name exclude each other")
    environment = outside(os.environ)
    profiles = load_profiles(environment)
    if not values["all"]:
        where = find_portal(values["portal"], profiles, os.environ)
        with open_door(values) as door:
            url, kept = where.portal.start_url, door.known()
            # To aws-vault the portal is what a device is for other sessions.
            if url in {token.start_url for token in kept.tokens} | {
                one.mfa for one in kept.sessions
            }:
                _sign_out(door, where)
            else:  # nobody is asked about what is not there
                print(f"there is no sign-in at {fit(url, _WIDE)} to end")
        return 0
    known = {where.portal.start_url: where for where in all_portals(profiles, environment)}
    with open_door(values) as door:
        return _sign_out_of_all(door, known)


def _sign_out_of_all(door: Door, known: dict[str, Where]) -> int:
    status = 0
    if not (tokens := door.known().tokens):
        say("there is no sign-in to end")
    for token in tokens:
        where = known.get(token.start_url)
        if where is None:
            say(
                f"no profile names {fit(token.start_url, _WIDE)}: `privy aws clear` forgets its "
                "token without a word to AWS"
            )
            status = 1
            continue
        try:
            _sign_out(door, where)
        except PrivysealError as error:
            say(f"{fit(token.start_url, _WIDE)}: {fit(str(error), _WIDE)}")
            status = error.exit_status
    return status


def _sign_out(door: Door, where: Where) -> None:
    order = SignOut(portal=where.portal, network=where.network)
    print_lines(door.carry_out(order))


SPEC: Final = Spec(
    "Sign out of a portal, and forget its token.",
    run,
    (ALL, TIMEOUT, *STORE),
    (Argument("portal", complete="profiles", optional=True),),
    "PORTAL is an sso-session or a profile; without it AWS_PROFILE, or the only portal there is. AWS "
    "ends the session; credentials that were handed out before last until they expire.",
)
