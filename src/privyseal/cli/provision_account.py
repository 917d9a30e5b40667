"""The companion's account and its home: made, and removed without a trace."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from privyseal.cli.journal import Entry, look, put
from privyseal.cli.provision_files import SYSUSERS, at, deploy
from privyseal.cli.provision_host import Host
from privyseal.errors import PrivysealError
from privyseal.runtime.companion import Companion

_BACKUPS: Final = ("passwd-", "shadow-", "group-", "gshadow-", "subuid-", "subgid-", ".pwd.lock")
_NO_SECRETS: Final = {"phrase", "audit", "receipt.key"}
_PHRASE_WORDS: Final = 3


def make_account(host: Host, companion: Companion) -> None:
    """Create the second user from its sysusers entry: locked, without a shell.

    Raises:
        PrivysealError: systemd-sysusers refused.
    """
    entry = at(host.root, SYSUSERS) / f"{companion.account}.conf"
    with _backups_kept(host.root):
        complaint = host.run("systemd-sysusers", str(entry))
    if host.account(companion.account) is None:
        raise PrivysealError(
            f"cannot create {companion.account}: {complaint or 'no such user'}",
            hint="run it again, or take it back with --undo",
        )


def remove_account(host: Host, companion: Companion) -> None:
    """Delete the second user; one that is not there is no mistake.

    Raises:
        PrivysealError: userdel refused.
    """
    if host.account(companion.account) is None:
        return
    with _backups_kept(host.root):
        complaint = host.run("userdel", companion.account)
    if host.account(companion.account) is not None:
        raise PrivysealError(f"cannot delete {companion.account}: {complaint}")


def make_home(host: Host, companion: Companion) -> bool:
    """Make the home and the phrase in it where they are missing; return whether they were.

    Raises:
        PrivysealError: They cannot be made.
    """
    home = at(host.root, companion.home)
    account = host.account(companion.account)
    if account is None:
        raise PrivysealError(f"there is no user {companion.account!r}")
    made = False
    try:
        if not home.exists():
            home.mkdir(mode=0o700)
            made = True
        status = home.stat()
        if (status.st_uid, status.st_gid) != (account.uid, account.gid):
            os.chown(home, account.uid, account.gid)
            made = True
        if status.st_mode & 0o777 != 0o700:  # noqa: PLR2004 - a mode reads best as it is
            home.chmod(0o700)
            made = True
    except OSError as error:
        raise PrivysealError(f"cannot make {home}: {error.strerror}") from error
    phrase = home / "phrase"
    if look(phrase) is None:
        # Process 1 reads it for the console; the companion itself has no use for it.
        words = (deploy() / "words.txt").read_text().split()
        text = ".".join(secrets.choice(words) for _ in range(_PHRASE_WORDS))
        put(phrase, Entry(kind="file", content=text.encode(), mode=0o400))
        made = True
    return made


def stored(host: Host, companion: Companion) -> list[Path]:
    """Return what lies in the home and may hold secrets, as far as files say."""
    home = at(host.root, companion.home)
    found: list[Path] = []
    for folder, _folders, files in os.walk(home):
        paths = [Path(folder, name) for name in files]
        found += [
            path
            for path in paths
            if path.relative_to(home).parts[0] not in _NO_SECRETS and path.lstat().st_size
        ]
    return sorted(found)


def remove_home(host: Host, companion: Companion) -> None:
    """Delete the home with everything in it.

    Raises:
        PrivysealError: It cannot be deleted.
    """
    home = at(host.root, companion.home)
    try:
        shutil.rmtree(home)
    except FileNotFoundError:
        return
    except OSError as error:
        raise PrivysealError(f"cannot delete {home}: {error.strerror}") from error


@contextmanager
def _backups_kept(root: Path) -> Iterator[None]:
    """Leave the backups of the account files as they are.

    The tools copy each file aside before they change it. Then one change and its undoing would
    leave those copies changed, and the only copy from before somebody else's mistake lost.
    """
    folder = at(root, Path("/etc"))
    before = {name: look(folder / name) for name in _BACKUPS}
    owners = {
        name: (status.st_uid, status.st_gid)
        for name in _BACKUPS
        if before[name] is not None and (status := (folder / name).lstat())
    }
    yield
    for name, entry in before.items():
        file = folder / name
        if look(file) == entry:
            continue
        if entry is None:
            with suppress(FileNotFoundError):
                file.unlink()
        else:
            put(file, entry)
            os.chown(file, *owners[name])
