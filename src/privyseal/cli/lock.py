"""`privy lock`: lock the store."""

from typing import Final

from privyseal.cli.reach import reach
from privyseal.cli.report import say
from privyseal.cli.spec import Spec, Values
from privyseal.cli.trialfolder import of_trial
from privyseal.runtime.wayin import LoggedOutError

_FINAL: Final = "a trial stays so, as its passphrase is random: end it and start another"


def run(values: Values) -> int:
    """Lock the store; leases that last until then end."""
    del values
    try:
        with reach() as keeper:
            final = of_trial(keeper)
            keeper.lock()
    except LoggedOutError:
        say("the companion is logged out, and so locked")
        return 0
    say(f"locked; {_FINAL}" if final else "locked")
    return 0


SPEC: Final = Spec("Lock the store.", run)
