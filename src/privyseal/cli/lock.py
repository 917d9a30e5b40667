"""`privy lock`: lock the store."""

from typing import Final

from privyseal.cli.reach import reach
from privyseal.cli.report import say
from privyseal.cli.spec import Spec, Values


def run(values: Values) -> int:
    """Lock the store; leases that last until then end."""
    del values
    with reach() as keeper:
        keeper.lock()
    say("locked")
    return 0


SPEC: Final = Spec("Lock the store.", run)
