"""`privy unlock`: give the passphrase of the store."""

import os
from typing import Final

from privyseal.cli.report import say
from privyseal.cli.spec import Option, Spec, Values, number
from privyseal.errors import UsageError
from privyseal.model.secret import Secret
from privyseal.runtime.blocking import Keeper

PASSPHRASE_FD: Final = Option(
    "--passphrase-fd", "Read the passphrase from file descriptor N, up to its end.", "N"
)
LONGEST: Final = 4096


def run(values: Values) -> int:
    """Unlock the store; make it when there is none."""
    with Keeper.open() as keeper:
        status = keeper.status()
        if status["initialised"] and not status["locked"]:
            say("the store is unlocked already")
            return 0
        if values["passphrase_fd"]:
            passphrase = _from_fd(number(values, PASSPHRASE_FD, 0, most=1 << 20))
        else:
            passphrase = _from_terminal(new=not status["initialised"])
        keeper.unlock(passphrase)
    say("unlocked" if status["initialised"] else "made and unlocked")
    return 0


def _from_fd(fd: int) -> Secret:
    value = b""
    try:
        while len(value) <= LONGEST and (more := os.read(fd, LONGEST)):
            value += more
    except OSError as error:
        raise UsageError(f"cannot read descriptor {fd}: {error.strerror}") from error
    return _checked(value.removesuffix(b"\n"))


def _from_terminal(*, new: bool) -> Secret:
    from getpass import getpass  # noqa: PLC0415 - most calls of privy ask nothing

    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError as error:
        raise UsageError(
            "there is no terminal to ask for the passphrase", hint="use --passphrase-fd"
        ) from error
    try:
        if not new:
            return _checked(getpass("Passphrase: ").encode())
        say("there is no store yet: choose a passphrase for a new one")
        first = _checked(getpass("New passphrase: ").encode())
        if first != Secret(getpass("Once more: ").encode()):
            raise UsageError("the two passphrases differ")
    except EOFError as error:
        raise UsageError("no passphrase was given") from error
    return first


def _checked(value: bytes) -> Secret:
    if not value:
        raise UsageError("the passphrase is empty")
    if len(value) > LONGEST:
        raise UsageError(f"the passphrase is longer than {LONGEST} bytes")
    return Secret(value)


SPEC: Final = Spec(
    "Unlock the store, creating it the first time.",
    run,
    (PASSPHRASE_FD,),
    (),
    "Asks for the passphrase on the terminal, twice when the store is new.",
)
