"""Opening a page for the person at this terminal, where there is a way to."""

import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from shutil import which
from threading import Thread
from typing import Final
from urllib.parse import SplitResult

from privyseal.errors import UsageError
from privyseal.wire.aws.addresses import parts_of

_ELSEWHERE: Final = ("SSH_CONNECTION", "SSH_TTY", "SSH_CLIENT", "WSL_DISTRO_NAME")


def check_page(url: str) -> SplitResult:
    """Return the parts of the address of a page; it is nothing else to a program or a terminal.

    Raises:
        UsageError: It is not.
    """
    parts = parts_of(url)
    plain = url.isascii() and url.isprintable() and " " not in url
    if not plain or parts.scheme not in {"https", "http"} or not parts.hostname:
        raise UsageError(f"{url!r} is no page to open")
    return parts


def is_local(environment: Mapping[str, str]) -> bool:
    """Tell whether a browser of the person runs on this machine, so that loopback reaches us.

    Over SSH and from within WSL it runs on another one.
    """
    elsewhere = any(environment.get(name) for name in _ELSEWHERE)
    return not elsewhere and bool(_commands("", environment))


def open_page(url: str, environment: Mapping[str, str]) -> bool:
    """Open a page in the browser; tell whether there is a program that could.

    Raises:
        UsageError: The address is not one of a page.
    """
    check_page(url)
    for command in _commands(url, environment):
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C at this terminal does not close the browser
                env=dict(environment),
            )
        except OSError:
            continue
        # The program may become the browser itself: nobody waits for it but this thread.
        Thread(target=process.wait, daemon=True).start()
        return True
    return False


def _commands(url: str, environment: Mapping[str, str]) -> list[Sequence[str]]:
    # BROWSER is a list of commands; %s stands for the address, else it comes last.
    chosen = [text for text in environment.get("BROWSER", "").split(":") if text]
    commands: list[Sequence[str]] = []
    for text in chosen or _openers(environment):
        try:
            words = shlex.split(text)
        except ValueError:
            continue
        if words and which(words[0], path=environment.get("PATH", "")):
            filled = [word.replace("%s", url) for word in words]
            commands.append(filled if filled != words else [*words, url])
    return commands


def _openers(environment: Mapping[str, str]) -> Sequence[str]:
    # Without a screen, xdg-open would give the terminal to a browser for text.
    if sys.platform == "darwin":
        return ("open",)
    if environment.get("WSL_DISTRO_NAME"):
        return ("wslview",)
    screen = environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")
    return ("xdg-open", "gio open", "sensible-browser") if screen else ()
