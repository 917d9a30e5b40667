"""`privy unlock`: give the passphrase of the store."""

from typing import Final

from privyseal.cli.passphrase import passphrase
from privyseal.cli.reach import deciding
from privyseal.cli.report import say
from privyseal.cli.spec import Option, Spec, Values, number
from privyseal.cli.trialfolder import of_trial
from privyseal.errors import LockedError

PASSPHRASE_FD: Final = Option(
    "--passphrase-fd", "Read the passphrase from file descriptor N, up to its end.", "N"
)


def run(values: Values) -> int:
    """Unlock the store; make it when there is none."""
    with deciding("the store can only be unlocked") as keeper:
        status = keeper.status()
        if status["initialised"] and not status["locked"]:
            say("the store is unlocked already")
            return 0
        new = not status["initialised"]
        if not new and of_trial(keeper):
            raise LockedError(
                "a trial that was locked stays so: its passphrase is random",
                hint="end it with Ctrl-C and start another",
            )
        fd = number(values, PASSPHRASE_FD, -1, most=1 << 20)
        if new and fd < 0:
            say("there is no store yet: choose a passphrase for a new one")
        what = "New passphrase" if new else "Passphrase"
        secret = passphrase(what, None if fd < 0 else fd, option="--passphrase-fd", new=new)
        keeper.unlock(secret)
    say("unlocked" if status["initialised"] else "made and unlocked")
    return 0


SPEC: Final = Spec(
    "Unlock the store, creating it the first time.",
    run,
    (PASSPHRASE_FD,),
    (),
    "Asks for the passphrase on the terminal, twice when the store is new.",
)
