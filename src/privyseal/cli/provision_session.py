"""What `privy provision` has the desktop user do: the session's side, which is that user's own."""

import shlex
import sys
from pathlib import Path
from typing import Final

from privyseal.cli.provision_host import Heard, Host
from privyseal.runtime.companion import Companion
from privyseal.wire.sanitise import clean

_NOTHING_DONE: Final = {"installed already", "not installed"}
"""What `privy service` says when it leaves everything as it is."""


def as_person(host: Host, companion: Companion, *words: str) -> list[tuple[str, ...]]:
    """Return the command `privy service …` as the desktop user; none when there is no such user."""
    account = host.account(companion.user)
    if account is None or account.uid != companion.uid:
        return []
    runtime = f"XDG_RUNTIME_DIR=/run/user/{account.uid}"
    privy = str(Path(sys.executable).with_name("privy"))
    become = ("runuser", "-u", account.name, "--", "env", f"HOME={account.home}", runtime)
    return [(*become, privy, "service", *words)]


def tell(words: tuple[str, ...], heard: Heard) -> list[str]:
    """Print and return the lines that the user's own side has to tell of what it changed."""
    if words[0] != "runuser":
        return []
    # Another program of that user may have put words into its mouth, and this is root's terminal.
    lines = [clean(line) for line in heard.output.splitlines() if line not in _NOTHING_DONE]
    for line in lines:
        print(line)
    return lines


def foretell(host: Host, words: tuple[str, ...]) -> None:
    """Print a command, and what the user's own side says it would change there."""
    print(f"would run: {shlex.join(words)}")
    if words[0] != "runuser":
        return
    heard = host.hear(*words, "--dry-run")
    tell(words, heard)
    if heard.complaint:
        print(f"what that would change cannot be shown: {heard.complaint}")
