"""Secret words from the person at the terminal, typed unseen."""

import os
from getpass import getpass
from typing import Final

from privyseal.errors import LockedError, UsageError
from privyseal.model.passphrase import check_new
from privyseal.model.secret import Secret

_LONGEST: Final = 4096


def hidden(prompt: str, *, new: bool = False) -> Secret:
    """Return what the person types after a prompt; twice, and not too short, when it is new.

    Raises:
        LockedError: There is no terminal.
        UsageError: She typed nothing, or two different words.
    """
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError as error:
        raise LockedError(
            f"there is no terminal to ask on: {prompt.rstrip(': ')!r}",
            hint="run it from a terminal, or set the variable that the guide names for this store",
        ) from error
    try:
        first = Secret(getpass(prompt).encode(errors="surrogateescape"))
        if not 0 < len(first) <= _LONGEST:
            raise UsageError("that is empty, or much too long")
        if new:
            check_new(first)
            if first != Secret(getpass("Once more: ").encode(errors="surrogateescape")):
                raise UsageError("the two differ")
    except EOFError as error:
        raise UsageError("nothing was typed") from error
    except UnicodeDecodeError:  # which holds what was typed
        raise UsageError("that is no text in the terminal's encoding") from None
    return first
