"""`privy deny`: refuse a request."""

import sys
from typing import Final

from privyseal.cli import approval as told
from privyseal.cli.approve import ON_CONSOLE, decision, refuse_in_companion_mode, waiting
from privyseal.cli.report import RED, paint, say
from privyseal.cli.spec import Argument, Spec, Values
from privyseal.errors import ConflictError, DeniedError
from privyseal.runtime.blocking import Keeper
from privyseal.runtime.wayin import ConsoleOnlyError
from privyseal.wire.sanitise import fit


def run(values: Values) -> int:
    """Deny the request; nothing of it is done."""
    refuse_in_companion_mode(values["id"])
    try:
        with Keeper.open() as keeper:
            approval = waiting(keeper, values["id"])
            ended = keeper.decide(decision(approval, told.lines(approval), allow=False))
    except ConsoleOnlyError as error:
        raise DeniedError(ON_CONSOLE.format(values["id"])) from error
    if ended["state"] != "denied":
        raise ConflictError(f"the request is {ended['state']}: {ended['id']}")
    say(f"{paint('denied', RED, sys.stderr)} {ended['id']}: {fit(told.what(ended), 200)}")
    return 0


SPEC: Final = Spec(
    "Deny a request.",
    run,
    (),
    (Argument("id", complete="waiting"),),
    "ID is any unique beginning of its identifier.",
)
