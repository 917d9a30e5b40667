"""Programs that ask for a code: one starts, the person answers, what it prints is the code."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from privyseal.errors import DeniedError, PrivysealError

_TITLE: Final = "privy aws"
_TERMINAL: Final = Path("/dev/tty")
_DIALOGUE: Final = """\
on run argv
set answer to display dialog (item 1 of argv) default answer "" buttons {"OK", "Cancel"}
return text returned of answer
end run
"""
_MAX_ANSWER: Final = 4096
_OLD_YKMAN: Final = frozenset({"1", "2", "3"})


def kdialog(message: str, serial: str, environment: Mapping[str, str]) -> str:
    """Ask in a window of KDE."""
    del serial
    return run(["kdialog", "--inputbox", message, "--title", _TITLE], environment)


def zenity(message: str, serial: str, environment: Mapping[str, str]) -> str:
    """Ask in a window of GNOME."""
    del serial
    return run(["zenity", "--entry", "--title", _TITLE, "--text", message], environment)


def osascript(message: str, serial: str, environment: Mapping[str, str]) -> str:
    """Ask in a dialogue of macOS."""
    del serial
    # The message is an argument of the script, not a part of it: quotes in a serial end nothing.
    lines = [word for line in _DIALOGUE.splitlines() for word in ("-e", line)]
    return run(["osascript", *lines, message], environment)


def ykman(message: str, serial: str, environment: Mapping[str, str]) -> str:
    """Let a YubiKey compute the code; it may want to be touched, and says so on the terminal.

    `YKMAN_OATH_CREDENTIAL_NAME` names the account (the serial number otherwise),
    `YKMAN_OATH_DEVICE_SERIAL` one of several keys, `AWS_VAULT_YKMAN_VERSION` an old ykman.
    """
    del message
    old = environment.get("AWS_VAULT_YKMAN_VERSION", "") in _OLD_YKMAN
    device = environment.get("YKMAN_OATH_DEVICE_SERIAL", "")
    account = environment.get("YKMAN_OATH_CREDENTIAL_NAME", "") or serial
    which = ["--device", device] if device else []
    how = ["oath", "code"] if old else ["oath", "accounts", "code"]
    return run(["ykman", *which, *how, "--single", account], environment, terminal=True)


def run(argv: Sequence[str], environment: Mapping[str, str], *, terminal: bool = False) -> str:
    """Return the line that a program prints, without spaces around it.

    With `terminal` it reads from and complains on the terminal, whatever our own input is.

    Raises:
        DeniedError: It ended with a status, as it does when the person cancels.
        PrivysealError: It cannot be started, or its answer is no line.
    """
    try:
        tty = _TERMINAL.open("r+b", buffering=0) if terminal else None
    except OSError:
        tty = None
    quiet = subprocess.DEVNULL
    try:
        process = subprocess.Popen(
            list(argv),
            env=dict(environment),
            stdin=tty or quiet,
            stdout=subprocess.PIPE,
            stderr=tty,
        )
    except OSError as error:
        raise PrivysealError(f"cannot start {argv[0]}: {error.strerror}") from error
    finally:
        if tty:
            tty.close()
    with process:
        assert process.stdout is not None  # noqa: S101 - for the type checker: it is a pipe
        answer = process.stdout.read(_MAX_ANSWER)
        process.stdout.close()
    if process.returncode:
        raise DeniedError(f"no code: {argv[0]} ended with status {process.returncode}")
    return answer.decode(errors="replace").strip()
