"""What has to hold before `privy provision` may touch a machine; each refusal is one line."""

import os
import re
import sys
from pathlib import Path
from typing import Final

from privyseal.cli.logind import login_terminals
from privyseal.cli.machine_account import NO_SHELLS, import_path, unreadable
from privyseal.cli.provision_files import UNITS, at
from privyseal.cli.provision_host import Account, Host
from privyseal.errors import (
    ConflictError,
    DeniedError,
    LimitError,
    NotFoundError,
    UnsupportedError,
    UsageError,
)
from privyseal.runtime.companion import RECORDS, Companion, find

FIRST_VT: Final = 8
LAST_VT: Final = 63
_PEOPLE: Final = {"UID_MIN": 1000, "UID_MAX": 60000}
"""Which UIDs people have where login.defs(5) does not say."""


def refuse_unless_root() -> None:
    """Refuse everybody but root.

    Raises:
        DeniedError: This is not root.
    """
    if os.geteuid() != 0:
        raise DeniedError(
            "making a second user takes root", hint="run it with sudo, or see --check"
        )


def refuse_without_services(host: Host) -> None:
    """Refuse a machine that cannot run a companion.

    Raises:
        UnsupportedError: It has no systemd, no system bus, no dbus-daemon or no terminals.
    """
    if not at(host.root, Path("/run/systemd/system")).is_dir():
        raise UnsupportedError("this machine was not booted with systemd")
    if not at(host.root, Path("/run/dbus/system_bus_socket")).exists():
        raise UnsupportedError(
            "no system bus runs here", hint="install and start dbus-daemon or dbus-broker"
        )
    if not at(host.root, Path("/usr/bin/dbus-daemon")).exists():
        raise UnsupportedError(
            "there is no /usr/bin/dbus-daemon, which serves the companion's private bus",
            hint="install the package dbus-daemon",
        )
    if not at(host.root, Path("/dev/tty0")).exists():
        raise UnsupportedError(
            "this machine has no virtual terminals, so nowhere to decide",
            hint="a container or a serial console cannot have a companion",
        )


def person(host: Host, name: str) -> Account:
    """Return the account of the desktop user who gets a companion.

    Raises:
        UsageError: It is none that can have one.
        NotFoundError: There is no such user.
        ConflictError: Another account has the same UID, or the companion's name.
    """
    if not name:
        raise UsageError("whose companion?", hint="name the desktop user with --user")
    account = host.account(name)
    if account is None:
        raise NotFoundError(f"no user {name!r}", hint="see `getent passwd`")
    if account.uid == 0:
        raise UsageError("root needs no companion", hint="name the desktop user with --user")
    if name.startswith("privyseal-"):
        raise UsageError(f"{name!r} is a companion itself", hint="name the desktop user")
    _refuse_system_user(host, account)
    twins = [a.name for a in host.accounts() if a.uid == account.uid and a.name != name]
    if twins:
        raise ConflictError(f"{name!r} and {twins[0]!r} share UID {account.uid}")
    mine = Companion(uid=account.uid, user=name, vt=FIRST_VT)
    other = host.account(mine.account)
    if other is not None and other.home != str(mine.home):
        raise ConflictError(
            f"there is a user {mine.account!r} with the home {other.home!r}, which is not ours",
            hint="rename or delete that user",
        )
    return account


def _refuse_system_user(host: Host, account: Account) -> None:
    """Refuse an account that no person logs in with: it could never reach its console."""
    try:
        text = at(host.root, Path("/etc/login.defs")).read_text(errors="replace")
    except OSError:
        text = ""
    bounds = {
        name: int(found[1]) if (found := re.search(rf"(?m)^\s*{name}\s+(\d+)\s*$", text)) else usual
        for name, usual in _PEOPLE.items()
    }
    low, high = bounds["UID_MIN"], bounds["UID_MAX"]
    if not low <= account.uid <= high:
        reason = f"UID {account.uid} is not between {low} and {high}, see /etc/login.defs"
    elif Path(account.shell).name in NO_SHELLS:
        reason = f"the shell {account.shell!r} lets nobody in"
    elif not at(host.root, Path("/", account.home)).is_dir():
        reason = f"there is no home folder {account.home!r}"
    else:
        return
    raise UsageError(
        f"{account.name!r} is no desktop user: {reason}", hint="name the desktop user with --user"
    )


def recorded(host: Host, user: str) -> Companion | None:
    """Return the companion of a user by name, who may be deleted already."""
    return next((known for known in companions(host) if known.user == user), None)


def companions(host: Host) -> list[Companion]:
    """Return every companion of the machine."""
    records = at(host.root, RECORDS)
    uids = [int(file.stem) for file in records.glob("*.json") if file.stem.isdecimal()]
    return [known for uid in sorted(uids) if (known := find(uid, records)) is not None]


def choose_vt(host: Host, uid: int, wanted: int | None) -> int:
    """Return the terminal for a companion: `wanted`, the one it has, or the next free one.

    Raises:
        UsageError: `wanted` is no terminal that a console may have.
        ConflictError: `wanted` belongs to something else.
        LimitError: There is none left.
    """
    if wanted is not None and not FIRST_VT <= wanted <= LAST_VT:
        raise UsageError(
            f"VT {wanted} is not between {FIRST_VT} and {LAST_VT}: logins and desktops use those below"
        )
    others = companions(host)
    has = next((known.vt for known in others if known.uid == uid), None)
    if has is not None and wanted in {None, has}:
        return has
    if wanted is not None:
        if reason := _taken(host, wanted, others):
            raise ConflictError(
                f"VT {wanted} {reason}", hint="leave out --vt to get the next free one"
            )
        return wanted
    free = (vt for vt in range(FIRST_VT, LAST_VT + 1) if not _taken(host, vt, others))
    vt = next(free, None)
    if vt is None:
        raise LimitError("no virtual terminal is free")
    return vt


def _taken(host: Host, vt: int, others: list[Companion]) -> str:
    """Return what speaks against a terminal, "" when nothing does."""
    for known in others:
        if known.vt == vt:
            return f"is the console of {known.user!r}"
    wants = at(host.root, UNITS).glob(f"*.wants/*getty@tty{vt}.service")
    if any(True for _ in wants):
        return "has a getty"
    if vt in login_terminals(host.root):
        return "is one of logind's (NAutoVTs, ReserveVT)"
    if vt in host.open_terminals():
        return "is in use"
    return ""


def refuse_unfit_code(host: Host) -> None:
    """Refuse an installation that the companion cannot load, or that anybody but root can change.

    Raises:
        UnsupportedError: The companion cannot load it.
        DeniedError: Somebody can change it: root's programs would run it.
    """
    hint = "install it with scripts/install.sh and run that `privy`"
    if (reason := unreadable(host.code(), host.root)) is not None:
        raise UnsupportedError(f"the companion cannot load this program: {reason}", hint=hint)
    finding = import_path(host.code(), host.root)
    if finding.state != "ok":
        raise DeniedError(f"this program is not only root's: {finding.text}", hint=hint)


def refuse_second_installation(host: Host) -> None:
    """Refuse to lead units that work to another installation.

    Raises:
        ConflictError: There are some, and the interpreter that they start exists.
    """
    for unit in sorted(at(host.root, UNITS).glob("privyseal-*.service")):
        found = re.search(
            r"(?m)^ExecStart=(/\S+) -I -m privyseal\.", unit.read_text(errors="replace")
        )
        python = Path(found[1]) if found else Path(sys.executable)
        if python.parent != Path(sys.executable).parent and at(host.root, python).exists():
            privy = python.with_name("privy")
            raise ConflictError(
                f"{unit} runs {python}, this is {sys.executable}",
                hint=f"run {privy}, or first take every companion back with it",
            )
