"""`privy aws remove`: forget a long-lived key, or what was made from it."""

from typing import Final

from privyseal.cli.aws import tty
from privyseal.cli.aws.door import open_door
from privyseal.cli.aws.lines import print_lines
from privyseal.cli.aws.options import STORE
from privyseal.cli.fetch import TIMEOUT
from privyseal.cli.spec import Argument, Option, Spec, Values
from privyseal.errors import NotFoundError
from privyseal.model.aws import Clear, Remove
from privyseal.wire.aws.profiles import nearest
from privyseal.wire.sanitise import fit

FORCE: Final = Option("--force", "Do not ask.", short="-f")
SESSIONS: Final = Option("--sessions-only", "Forget what was made from it alone.", short="-s")
_WIDE: Final = 1000
_AS_AWS_VAULT: Final = ("Cleared", "Deleted")


def run(values: Values) -> int:
    """Ask, unless that is not wanted, and forget the key."""
    name, only = values["profile"], values["sessions_only"]
    question = f'Delete credentials for profile "{fit(name, _WIDE)}"?'
    with open_door(values) as door:
        kept = door.keys()
        if not name or (not only and name not in kept):  # nobody is asked about what is not there
            raise NotFoundError(
                f"there is no key named {name!r} with {door.description}",
                hint=nearest(name, sorted(kept)) or "see `privy aws list`",
            )
        if not only and not values["force"] and not tty.agreed(question, hint="use --force"):
            return 0
        # A person sees what happens: no key is touched when sessions alone are forgotten.
        result = door.carry_out(Clear(name=name) if only else Remove(name=name))
    print_lines(result, _AS_AWS_VAULT)
    return 0


SPEC: Final = Spec(
    "Forget a long-lived key.",
    run,
    (FORCE, SESSIONS, TIMEOUT, *STORE),
    (Argument("profile", complete="profiles"),),
)
