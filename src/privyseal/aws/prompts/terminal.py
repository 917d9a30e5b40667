"""Ask for a code on the controlling terminal, wherever input and output go."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from privyseal.errors import DeniedError, UsageError

_TERMINAL: Final = Path("/dev/tty")
_MAX_ANSWER: Final = 256


def terminal(message: str, serial: str, environment: Mapping[str, str]) -> str:
    """Return the line that the person types; it is shown, a code is of no use afterwards.

    Raises:
        UsageError: There is no terminal.
        DeniedError: She ended the input.
        KeyboardInterrupt: She gave up.
    """
    del serial, environment
    try:
        with _TERMINAL.open("r+b", buffering=0) as tty:
            tty.write(message.encode(errors="replace"))
            answer = tty.readline(_MAX_ANSWER)
    except OSError:
        raise UsageError(
            "there is no terminal to ask for an MFA code",
            hint="use --mfa-token, --prompt or `mfa_process` in the profile",
        ) from None
    if not answer:
        raise DeniedError("no code was typed")
    return answer.decode(errors="replace").strip()


def there() -> bool:
    """Tell whether there is a terminal."""
    try:
        with _TERMINAL.open("r+b", buffering=0):
            return True
    except OSError:
        return False
