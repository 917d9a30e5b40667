"""`privy lock`: lock the store."""

from typing import Final

from privyseal.cli.reach import reach
from privyseal.cli.report import say
from privyseal.cli.spec import Spec, Values
from privyseal.runtime.wayin import LoggedOutError


def run(values: Values) -> int:
    """Lock the store; leases that last until then end."""
    del values
    try:
        with reach() as keeper:
            keeper.lock()
    except LoggedOutError:
        say("the companion is logged out, and so locked")
        return 0
    say("locked")
    return 0


SPEC: Final = Spec("Lock the store.", run)
