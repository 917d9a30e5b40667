"""Which files make Privyseal permanent for one user: units, activation, and a demoted keyring."""

import os
import re
import shutil
import sys
from pathlib import Path
from typing import Final, NamedTuple

import privyseal
from privyseal.cli.journal import Entry
from privyseal.errors import PrivysealError
from privyseal.runtime.names import SECRETS
from privyseal.runtime.paths import config_home, data_home

UNITS: Final = ("privyseal-keeper.service", "privyseal-agent.service")
KEYRING_UNIT: Final = "gnome-keyring-daemon.service"
_TO_AGENT: Final = "SystemdService=privyseal-agent.service\n"
_ALSO_KEYRING: Final = {"org.gnome.keyring": False, "org.freedesktop.impl.portal.Secret": True}
"""Names whose activation starts gnome-keyring with its Secret Service, behind our back.

The agent serves the portal in its place; nothing of ours stands in for the other.
"""

_NOTHING: Final = "/bin/false"
_AWAIT_SECONDS: Final = 20
"""How long a call waits for the agent of a companion, which starts just after the login."""

_AUTOSTART: Final = "gnome-keyring-secrets.desktop"
_COMPONENTS: Final = re.compile(r'--components=("?)([\w,]*)\1')


class Places(NamedTuple):
    """Where this user's files go and where the system's lie, the first folder winning."""

    config: Path
    data: Path
    shared_data: tuple[Path, ...]
    shared_config: tuple[Path, ...]
    system_units: tuple[Path, ...]

    @classmethod
    def of_this_user(cls) -> "Places":
        """Return the places by the XDG variables and systemd.unit(5)."""
        return cls(
            config=config_home().parent,
            data=data_home().parent,
            shared_data=_folders("XDG_DATA_DIRS", "/usr/local/share:/usr/share"),
            shared_config=_folders("XDG_CONFIG_DIRS", "/etc/xdg"),
            system_units=tuple(
                Path(base) / "systemd/user" for base in ("/etc", "/usr/local/lib", "/usr/lib")
            ),
        )


def wanted(
    places: Places, options: tuple[str, ...] = (), *, companion: bool = False
) -> dict[Path, Entry]:
    """Return every file of the installation; `options` are further words for the keeper.

    With a `companion` keeper and agent are units of the system, which no program of the user can
    stop: what stays is that nothing else is started in the agent's place.
    """
    units = places.config / "systemd" / "user"
    activation = places.data / "dbus-1" / "services"
    files: dict[Path, Entry] = {}
    for unit in () if companion else UNITS:
        files[units / unit] = Entry.text(_unit(unit, options))
        files[units / "default.target.wants" / unit] = Entry.link(f"../{unit}")
    for name, agents in ((SECRETS, True), *_ALSO_KEYRING.items()):
        leads_to = _TO_AGENT if agents and not companion else ""
        command = _awaiting() if agents and companion else _NOTHING
        file = f"{name}.service"
        if name == SECRETS or _find(places.shared_data, f"dbus-1/services/{file}"):
            files[activation / file] = Entry.text(_activation(name, command, leads_to))
    if unit_file := _find(places.system_units, KEYRING_UNIT):
        files[units / f"{KEYRING_UNIT}.d" / "50-privyseal.conf"] = Entry.text(_demoted(unit_file))
    if _find(places.shared_config, f"autostart/{_AUTOSTART}"):
        files[places.config / "autostart" / _AUTOSTART] = Entry.text(
            "[Desktop Entry]\nType=Application\nName=Secret Storage Service\nHidden=true\n"
        )
    return files


def _unit(name: str, options: tuple[str, ...]) -> str:
    template = Path(privyseal.__file__).parent / "deploy" / "systemd" / "user" / name
    try:
        text = template.read_text()
    except OSError as error:
        raise PrivysealError(f"cannot read the unit {template}: {error.strerror}") from error
    words = "".join(f" {_quoted(option)}" for option in options)
    return text.replace("@PYTHON@", _quoted(sys.executable)).replace("@OPTIONS@", words)


def _quoted(word: str) -> str:
    """Return one word of a command line as systemd.service(5) reads it."""
    for special, escaped in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%"), ("$", "$$")):
        word = word.replace(special, escaped)
    return f'"{word}"' if re.search(r"[^\w@%+=:,./-]", word) else word


def _activation(name: str, command: str, more: str) -> str:
    return f"[D-BUS Service]\nName={name}\nExec={command}\n{more}"


def _awaiting() -> str:
    """Return a command that serves nothing: while it lives, the bus keeps calls for the agent."""
    sleep = shutil.which("sleep", path="/usr/bin:/bin:/run/current-system/sw/bin")
    return f"{sleep} {_AWAIT_SECONDS}" if sleep else _NOTHING


def _demoted(unit_file: Path) -> str:
    """Return a drop-in that starts gnome-keyring as before, without its Secret Service."""
    starts = [
        line.partition("=")[2]
        for line in unit_file.read_text(errors="replace").splitlines()
        if line.startswith("ExecStart=")
    ]
    start = starts[-1] if starts else "/usr/bin/gnome-keyring-daemon --foreground"
    match = _COMPONENTS.search(start)
    kept = ",".join(c for c in match[2].split(",") if c != "secrets") if match else "pkcs11"
    bare = " ".join(_COMPONENTS.sub("", start).split())
    return f"[Service]\nExecStart=\nExecStart={bare} --components={kept or 'pkcs11'}\n"


def _find(folders: tuple[Path, ...], name: str) -> Path | None:
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


def _folders(variable: str, fallback: str) -> tuple[Path, ...]:
    value = os.environ.get(variable) or fallback
    return tuple(Path(folder) for folder in value.split(":") if folder.startswith("/"))
