"""`privy lock`: lock the store."""

from typing import Final

from privyseal.cli.report import say
from privyseal.cli.spec import Spec, Values
from privyseal.runtime.blocking import Keeper


def run(values: Values) -> int:
    """Lock the store; leases that last until then end."""
    del values
    with Keeper.open() as keeper:
        keeper.lock()
    say("locked")
    return 0


SPEC: Final = Spec("Lock the store.", run)
