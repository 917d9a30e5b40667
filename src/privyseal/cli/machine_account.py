"""The companion's account, home and record, and where our own code is loaded from."""

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import privyseal
from privyseal.cli.machine_host import Finding, Host
from privyseal.runtime.companion import Companion

NO_SHELLS: Final = frozenset({"nologin", "false"})
_NOT_OURS: Final = 0o022
_MAX_FILES: Final = 100_000
_AGAIN: Final = "privy provision"


def account(host: Host, companion: Companion) -> Iterator[Finding]:
    """Check the second user, by the files of accounts."""
    name = "account"
    found = host.account(companion.account)
    if found is None:
        yield Finding(name, "broken", f"there is no user {companion.account}", _AGAIN)
        return
    yield Finding(name, "ok", f"{companion.account} is user {found.uid}")
    if Path(found.shell).name in NO_SHELLS:
        yield Finding("login shell", "ok", f"none: {found.shell}")
    else:
        hint = f"usermod -s /usr/sbin/nologin {companion.account}"
        yield Finding("login shell", "broken", f"it could log in: {found.shell!r}", hint)
    yield _password(host, companion)
    own = {group for group, gid in host.group_numbers.items() if gid == found.gid}
    if others := sorted(host.groups_of(companion.account) - own):
        text = f"{companion.account} is in groups it has no use for: {', '.join(others)}"
        yield Finding("its groups", "broken", text, f"usermod -G '' {companion.account}")
    else:
        yield Finding("its groups", "ok", "none but its own")
    yield from _home(host, companion, found.uid)


def _password(host: Host, companion: Companion) -> Finding:
    name = "password"
    if not host.readable("etc/shadow"):
        return Finding(name, "unknown", "/etc/shadow can only be read by root", "run it as root")
    for line in host.text("etc/shadow").splitlines():
        user, _, rest = line.partition(":")
        if user == companion.account:
            if rest.startswith(("!", "*")):
                return Finding(name, "ok", "is locked")
            return Finding(name, "broken", "it has one", f"passwd -l {companion.account}")
    return Finding(name, "ok", "there is none")


def _home(host: Host, companion: Companion, uid: int) -> Iterator[Finding]:
    name = "home"
    try:
        status = host.path(str(companion.home)).lstat()
    except OSError as error:
        text = f"{companion.home} cannot be seen: {error.strerror}"
        yield Finding(name, "broken", text, _AGAIN)
        return
    mode = stat.S_IMODE(status.st_mode)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != uid or mode != 0o700:  # noqa: PLR2004
        text = f"{companion.home} has mode {mode:04o} and belongs to user {status.st_uid}"
        hint = f"chown {companion.account} {companion.home}; chmod 0700 {companion.home}"
        yield Finding(name, "broken", text, hint)
    else:
        yield Finding(name, "ok", f"{companion.home}: 0700, its own")


def import_path(places: list[Path], root: Path = Path("/")) -> Finding:
    """Check that everybody can load our programs, and nobody but root can change them.

    Args:
        places: What is loaded, as `loaded_from` names it.
        root: Where the file system begins: folders above it may be anything.
    """
    name, seen = "import path", 0
    if (reason := unreadable(places, root)) is not None:
        return Finding(name, "broken", reason, "install it with scripts/install.sh")
    for place in places:
        for above in sorted({*place.parents, *place.resolve().parents, place}):
            if (reason := _changeable(above)) is not None:
                return Finding(name, "broken", reason, "install it where only root writes")
        for folder, folders, files in os.walk(place):
            for entry in [*folders, *files]:
                seen += 1
                if (reason := _changeable(Path(folder) / entry)) is not None:
                    return Finding(name, "broken", reason, "install it where only root writes")
            if seen > _MAX_FILES:
                return Finding(name, "unknown", f"only {_MAX_FILES} files were looked at")
    return Finding(name, "ok", f"{seen} files, all of them only root's to write")


def unreadable(places: list[Path], root: Path = Path("/")) -> str | None:
    """Return the first thing that keeps other users from loading our programs, None if nothing does.

    Bytecode does not count: Python does without it.
    """
    for place in places:
        for above in sorted({*place.parents, *place.resolve().parents, place.resolve()}):
            if above.is_relative_to(root) and (reason := _closed(above)) is not None:
                return reason
        for folder, folders, files in os.walk(place):
            folders[:] = [entry for entry in folders if entry != "__pycache__"]
            for entry in [*folders, *files]:
                if (reason := _closed(Path(folder) / entry)) is not None:
                    return reason
    return None


def loaded_from() -> list[Path]:
    """Return the files and folders that this interpreter is and loads, without those inside others."""
    program = Path(sys.executable)
    named: list[str | Path] = [
        *sys.path,
        program,
        program.resolve(),
        Path(sys.prefix) / "pyvenv.cfg",
        Path(privyseal.__file__).parent,
    ]
    places = {Path(place) for place in named if place and Path(place).exists()}
    return sorted(p for p in places if not any(q in places for q in p.parents))


def _closed(path: Path) -> str | None:
    """Return what keeps others from reading a file, entering a folder or starting a program."""
    try:
        status = path.lstat()
    except OSError as error:
        return f"{path} cannot be seen: {error.strerror}"
    mode = stat.S_IMODE(status.st_mode)
    if stat.S_ISDIR(status.st_mode):
        return None if mode & stat.S_IXOTH else f"{path} lets no other user in: mode {mode:04o}"
    runs = not mode & stat.S_IXUSR or mode & stat.S_IXOTH
    if stat.S_ISLNK(status.st_mode) or (mode & stat.S_IROTH and runs):
        return None
    return f"{path} cannot be read by other users: mode {mode:04o}"


def _changeable(path: Path) -> str | None:
    try:
        status = path.lstat()
    except OSError as error:
        return f"{path} cannot be seen: {error.strerror}"
    if stat.S_ISLNK(status.st_mode):
        return None if status.st_uid == 0 else f"{path} belongs to user {status.st_uid}"
    sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
    if status.st_uid != 0:
        return f"{path} belongs to user {status.st_uid}"
    if status.st_mode & _NOT_OURS and not sticky:
        return f"{path} can be written by others: mode {stat.S_IMODE(status.st_mode):04o}"
    return None
