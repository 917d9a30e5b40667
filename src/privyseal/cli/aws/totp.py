"""`privy aws totp`: keep the seed of a virtual MFA device, and ask for no code any more."""

import re
from typing import Final

from privyseal.aws.items import seed_key
from privyseal.aws.mfa import seed_item
from privyseal.cli.aws import tty
from privyseal.cli.aws.door import open_door
from privyseal.cli.aws.lines import print_lines
from privyseal.cli.aws.options import STORE
from privyseal.cli.fetch import TIMEOUT
from privyseal.cli.spec import Argument, Option, Spec, Values
from privyseal.errors import UsageError
from privyseal.model.aws import AccessKey, Keep, Remove
from privyseal.model.secret import Secret
from privyseal.model.value import encode

REMOVE: Final = Option("--remove", "Forget the seed: codes are asked for again.")
REPLACE: Final = Option("--replace", "Replace the seed that is there.")
FORCE: Final = Option("--force", "Do not ask.", short="-f")
_SERIAL: Final = re.compile(r"arn:[a-z-]+:iam::\d{12}:mfa/[\w+=/:,.@-]+", re.ASCII)


def run(values: Values) -> int:
    """Ask for the seed, or whether to forget it, and do so."""
    serial = values["serial"]
    if not _SERIAL.fullmatch(serial):
        raise UsageError(
            f"{serial!r} is no virtual MFA device",
            hint="give its ARN, as `mfa_serial` has it: arn:aws:iam::111122223333:mfa/NAME",
        )
    if values["remove"]:
        question = f"Delete the seed of {serial}?"
        if not values["force"] and not tty.agreed(question, hint="use --force"):
            return 0
        return _done(values, Remove(name=seed_key(serial)))
    seed = tty.secret(f"Enter the seed of {serial}: ", hint="run it from a terminal")
    seed_item(serial, seed)  # refuses what is none, before anybody is asked
    value = AccessKey(access_key_id="MFA seed", secret_access_key=seed)
    order = Keep(name=seed_key(serial), replace=values["replace"])
    return _done(values, order, Secret(encode(value)))


def _done(values: Values, order: Keep | Remove, value: Secret | None = None) -> int:
    with open_door(values) as door:
        result = door.carry_out(order, value)
    print_lines(result)
    return 0


SPEC: Final = Spec(
    "Keep the seed of a virtual MFA device.",
    run,
    (REMOVE, REPLACE, FORCE, TIMEOUT, *STORE),
    (Argument("serial"),),
    "The seed is the text that AWS shows beside the QR code of a new virtual device. With it in the "
    "store, codes are computed and nobody is asked for one: whoever may use the key has the second "
    "factor, too. That is a choice to make, and never the default.",
)
