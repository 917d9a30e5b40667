"""Secrets that lie within the user's reach, and other programs that would keep them there."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from privyseal.cli.machine_host import Finding, Host


def keyrings(host: Host, home: str) -> Iterator[Finding]:
    """Find secrets that still lie where every program of the user can read them."""
    found = [*_keyring_files(host, home), *_other_stores(host, home), *_providers(host, home)]
    yield from found
    if found:
        return
    if not host.readable(home):
        yield Finding("leftovers", "unknown", f"{home} cannot be read", "run it as root")
    else:
        yield Finding("leftovers", "ok", "no secrets are left in the user's home")


def _keyring_files(host: Host, home: str) -> Iterator[Finding]:
    for file in sorted(host.path(f"{home}/.local/share/keyrings").glob("*.keyring")):
        readable = os.access(file, os.R_OK)
        count = _items_in(file.read_bytes()) if readable else -1
        if count:
            how = f"{count} items" if count > 0 else "items"
            text = f"{file} holds {how} within reach of every program of the user"
            yield Finding("leftovers", "weak", text, _IMPORT.format(host.user))


def _other_stores(host: Host, home: str) -> Iterator[Finding]:
    for pattern, hint in _STORES.items():
        for store in sorted(host.path(home).glob(pattern)):
            text = f"{store} is within reach of every program of the user"
            yield Finding("leftovers", "weak", text, hint.format(host.user))


_IMPORT: Final = "privy provision --import --user {}"
_STORES: Final = {
    ".local/share/kwalletd/*.kwl": _IMPORT,
    ".kde/share/apps/kwallet/*.kwl": _IMPORT,
    ".password-store": "move it to the companion",
    ".local/share/gopass/stores/*": "move it to the companion",
}
_PROVIDER: Final = re.compile(r"(?m)^Exec=.*(?:keepassxc|kwalletd|ksecretd|gnome-keyring-daemon)")
_OTHER_PARTS: Final = re.compile(r"--components=(?!\S*secrets)")
_HIDDEN: Final = re.compile(r"(?mi)^Hidden=true")
_NAME: Final = re.compile(r"(?m)^Name=(org\.freedesktop\.secrets|org\.gnome\.keyring)\s*$")
_NOTHING: Final = re.compile(r"(?m)^Exec=(?:/[\w.-]+)*/(?:false|true|sleep \d+)\s*$")
_AUTOSTART: Final = (".config/autostart", "/etc/xdg/autostart")
_ACTIVATION: Final = (
    ".local/share/dbus-1/services",
    "/usr/local/share/dbus-1/services",
    "/usr/share/dbus-1/services",
)


def _providers(host: Host, home: str) -> Iterator[Finding]:
    """Find what starts another provider in the session: at login, or when our agent is away."""
    for file, text in _winners(host, home, _AUTOSTART, "*.desktop"):
        started = _PROVIDER.search(text) and not _OTHER_PARTS.search(text)
        if started and not _HIDDEN.search(text):
            said = f"{file} starts another keeper of secrets in the session"
            yield Finding("leftovers", "weak", said, "switch its Secret Service off")
    for file, text in _winners(host, home, _ACTIVATION, "*.service"):
        name = _NAME.search(text)
        if name is not None and "privyseal" not in text and not _NOTHING.search(text):
            said = f"{file} starts another keeper of secrets when somebody calls {name[1]}"
            hint = f"put a file of that name with Exec=/bin/false into {home}/{_ACTIVATION[0]}"
            yield Finding("leftovers", "weak", said, hint)


def _winners(
    host: Host, home: str, places: tuple[str, ...], pattern: str
) -> Iterator[tuple[Path, str]]:
    """Yield each file that counts: of several with one name, the one in the first folder."""
    seen = set()
    for place in places:
        folder = host.path(place if place.startswith("/") else f"{home}/{place}")
        for file in sorted(folder.glob(pattern)):
            if file.name not in seen:
                seen.add(file.name)
                yield file, host.text(str(file.relative_to(host.root)))


_MAGIC: Final = b"GnomeKeyring\n\r\0\n"


def _items_in(data: bytes) -> int:
    """Return how many items a file of gnome-keyring holds, -1 if that cannot be seen.

    Binary files say so in plain (gnome-keyring's docs/file-format.txt): four bytes of version and
    algorithms, a name with its length before it (all ones for none), 56 bytes of times, flags,
    counts, salt and reserved words, then the number, big-endian.
    """
    if not data.startswith(_MAGIC):
        if not data.startswith(b"[keyring]"):
            return -1
        return len(re.findall(rb"(?m)^\[\d+\]\s*$", data))
    place = len(_MAGIC) + 4
    length = int.from_bytes(data[place : place + 4], "big")
    place += 4 + (0 if length == 0xFFFFFFFF else length)  # noqa: PLR2004 - "no string"
    place += 8 + 8 + 4 + 4 + 4 + 8 + 16
    number = data[place : place + 4]
    return int.from_bytes(number, "big") if len(number) == 4 else -1  # noqa: PLR2004 - a word
