"""`privy aws clear`: forget cached sessions and portal tokens."""

import os
from typing import Final

from privyseal.cli.aws.door import Door, KeeperDoor, open_door
from privyseal.cli.aws.environment import outside
from privyseal.cli.aws.files import load_profiles
from privyseal.cli.aws.lines import print_lines
from privyseal.cli.aws.options import STORE
from privyseal.cli.fetch import TIMEOUT
from privyseal.cli.spec import Argument, Spec, Values
from privyseal.errors import LockedError, NotFoundError
from privyseal.model.aws import Clear, Portal, Vaulted
from privyseal.wire.aws.profiles import Profiles, nearest
from privyseal.wire.aws.sources import portal, session_portal


def run(values: Values) -> int:
    """Forget the sessions of a profile and the token of its portal, or all of them."""
    name = values["profile"]
    profiles = load_profiles(os.environ)
    order = Clear(name=name, portal=_portal(profiles, name) if name else None)
    with open_door(values) as door:
        # Nobody is asked about what is not there.
        if name and order.portal is None and name not in profiles.names():
            _check(name, profiles, door.known())
        if isinstance(door, KeeperDoor) and not _anything(order, door):
            print("Cleared 0 sessions.")
            return 0
        result = door.carry_out(order)
    print_lines(result)
    return 0


def _anything(order: Clear, door: Door) -> bool:
    """Return whether something is kept that this might forget; which key made a session is not told."""
    try:
        kept = door.known()
    except LockedError:
        return True
    portals = {token.start_url for token in kept.tokens}
    if order.name:
        portals &= {order.portal.start_url} if order.portal else set()
    return bool(kept.sessions or portals)


def _check(name: str, profiles: Profiles, kept: Vaulted) -> None:
    names = {key.name for key in kept.keys} | {session.profile for session in kept.sessions}
    if name not in names:
        known = [*profiles.names(), *profiles.sso_sessions(), *sorted(names)]
        raise NotFoundError(
            f"there is no profile {name!r}, and nothing was kept for one",
            hint=nearest(name, known) or "see `privy aws list`",
        )


def _portal(profiles: Profiles, name: str) -> Portal | None:
    if name in profiles.sso_sessions() and name not in profiles.names():
        return session_portal(profiles, name)
    profile = profiles.resolve(name, outside(os.environ))
    return portal(profile) if profile.exists else None


SPEC: Final = Spec(
    "Forget cached sessions and tokens.",
    run,
    (TIMEOUT, *STORE),
    (Argument("profile", complete="profiles", optional=True),),
    details="Without a profile: all of them. The name of an sso-session stands for its portal. Long-lived "
    "keys stay.",
)
