"""Which files `privy provision` writes, from the templates in `deploy/`."""

import re
import sys
from pathlib import Path
from typing import Final

import privyseal
from privyseal.cli.journal import Entry
from privyseal.errors import PrivysealError
from privyseal.model.value import encode
from privyseal.runtime.companion import RECORDS, Companion

STATE: Final = Path("/var/lib/privyseal")
UNITS: Final = Path("/etc/systemd/system")
POLICIES: Final = Path("/etc/dbus-1/system.d")
ACTIVATION: Final = Path("/usr/local/share/dbus-1/system-services")
SYSUSERS: Final = Path("/etc/sysusers.d")

_TEMPLATES: Final = (
    "privyseal-agent@.service",
    "privyseal-aws@.service",
    "privyseal-aws@.socket",
    "privyseal-bus@.service",
    "privyseal-companion@.target",
    "privyseal-console@.service",
    "privyseal-keeper@.service",
    "privyseal-provider@.service",
    "privyseal-sleep.service",
    "privyseal-witness@.service",
    "privyseal-witness@.socket",
)


def at(root: Path, path: Path) -> Path:
    """Return where an absolute path lies when the file system begins at `root`."""
    return root / path.relative_to("/")


def journal_path(uid: int | None = None) -> Path:
    """Return the journal of one companion's files, or of those that all companions share."""
    return STATE / ("provision.json" if uid is None else f"provision-{uid}.json")


def shared_files() -> dict[Path, Entry]:
    """Return the template units: one of each kind, for every companion."""
    files = {UNITS / name: Entry.text(_filled(f"systemd/system/{name}")) for name in _TEMPLATES}
    sleep = "privyseal-sleep.service"
    files[UNITS / "sleep.target.wants" / sleep] = Entry.link(f"../{sleep}")
    return files


def shared_folders() -> tuple[Path, ...]:
    """Return the folders that hold files of several companions, none of them alone."""
    return (
        STATE,
        RECORDS,
        POLICIES,
        ACTIVATION,
        SYSUSERS,
        *(UNITS / f"{target}.target.wants" for target in ("multi-user", "sockets")),
    )


def account_files(companion: Companion) -> dict[Path, Entry]:
    """Return the files that have to be there before the second user is: record and sysusers entry."""
    uid = companion.uid
    return {
        RECORDS / f"{uid}.json": Entry.text(encode(companion).decode() + "\n"),
        SYSUSERS / f"privyseal-{uid}.conf": Entry.text(_filled("sysusers.conf", companion)),
    }


def own_files(companion: Companion) -> dict[Path, Entry]:
    """Return the files of one companion that name its account: policy, activation, units."""
    uid = companion.uid
    console, faces = f"privyseal-console@{uid}.service", ("witness", "aws")
    return {
        POLICIES / f"{companion.bus_name}.conf": Entry.text(
            _filled("dbus/system-policy.conf", companion)
        ),
        ACTIVATION / f"{companion.bus_name}.service": Entry.text(
            _filled("dbus/activation.service", companion)
        ),
        UNITS / f"{console}.d" / "50-terminal.conf": Entry.text(
            _filled("systemd/system/console.conf", companion)
        ),
        UNITS / f"user@{uid}.service.d" / "50-privyseal.conf": Entry.text(
            _filled("systemd/system/user@.conf", companion)
        ),
        UNITS / "multi-user.target.wants" / console: Entry.link("../privyseal-console@.service"),
        **{
            UNITS / "sockets.target.wants" / f"privyseal-{face}@{uid}.socket": Entry.link(
                f"../privyseal-{face}@.socket"
            )
            for face in faces
        },
    }


def deploy() -> Path:
    """Return the folder of the package that holds what is installed into other places."""
    return Path(privyseal.__file__).parent / "deploy"


def _filled(name: str, companion: Companion | None = None) -> str:
    """Return a template with its `@WORD@`s replaced.

    Raises:
        PrivysealError: It cannot be read, or a path of this installation cannot stand in a unit.
    """
    template = deploy() / name
    try:
        text = template.read_text()
    except OSError as error:
        raise PrivysealError(f"cannot read {template}: {error.strerror}") from error
    words = {"PYTHON": sys.executable, "DEPLOY": str(deploy())}
    for path in words.values():
        if re.search(r"[^\w@+=:,./-]", path):
            raise PrivysealError(
                f"the path {path!r} cannot stand in a unit", hint="install into /opt/privyseal"
            )
    if companion is not None:
        words |= {"UID": str(companion.uid), "VT": str(companion.vt)}
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    return text
