"""A machine as the grading sees it: files under a root folder, and what one user may do with them."""

import errno
import os
import stat
import struct
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final, Literal, NamedTuple

State = Literal["ok", "weak", "void", "broken", "unknown"]

READ: Final = 4
WRITE: Final = 2

_PIECE: Final = 256 * 1024
"""proc(5) does not say it: a read of 4 MiB and more from /proc/sys fails with ENOMEM."""

_MOST_PIECES: Final = 16
_ACL_HEAD: Final = struct.Struct("<I")
_ACL_ENTRY: Final = struct.Struct("<HHI")
_NO_ACL: Final = frozenset({errno.ENODATA, errno.EOPNOTSUPP, errno.ENOSYS})
_ACCOUNT_FIELDS: Final = 7
_GROUP_FIELDS: Final = 4
_DIGITS: Final = 10


class Finding(NamedTuple):
    """What one check found.

    `ok` is as it should be. `weak`: somebody can watch or disturb. `void`: a program of the user
    can decide or read, so the second user protects nothing. `broken`: a piece does not work.
    `unknown`: it could not be seen, mostly for want of root.
    """

    check: str
    state: State
    text: str
    hint: str = ""


class Account(NamedTuple):
    """One line of /etc/passwd (passwd(5))."""

    name: str
    uid: int
    gid: int
    home: Path
    shell: str


class Host:
    """The files of a machine below `root`, seen for one user."""

    def __init__(self, root: Path, uid: int, user: str) -> None:
        self.root = root
        self.uid = uid
        self.user = user
        self.accounts = tuple(parse_accounts(self.text("etc/passwd")))
        self.group_numbers = {}
        members: dict[str, frozenset[str]] = {}
        for name, number, names in parse_groups(self.text("etc/group")):
            self.group_numbers[name] = number
            members[name] = names
        self.groups = self._groups_of(user, members)
        self.gids = frozenset(self.group_numbers[name] for name in self.groups)

    def path(self, place: str) -> Path:
        """Return where a file of the machine lies."""
        return self.root / place.lstrip("/")

    def text(self, place: str) -> str:
        """Return what a file holds, "" when it is not there or may not be read.

        Bytes that can stand in no text or path of a machine are replaced.
        """
        try:
            with self.path(place).open("rb") as file:
                pieces = islice(iter(partial(file.read, _PIECE), b""), _MOST_PIECES)
                text = b"".join(pieces).decode(errors="replace")
                return text.replace("\0", "\N{REPLACEMENT CHARACTER}")
        except OSError:
            return ""

    def readable(self, place: str) -> bool:
        """Return whether a file is there and we may read it."""
        return os.access(self.path(place), os.R_OK)

    def account(self, name: str) -> Account | None:
        """Return the account of that name."""
        return next((account for account in self.accounts if account.name == name), None)

    def groups_of(self, name: str) -> frozenset[str]:
        """Return the names of all groups of an account, its own one included."""
        members = {group: names for group, _, names in parse_groups(self.text("etc/group"))}
        return self._groups_of(name, members)

    def may(self, path: Path, wanted: int) -> bool:
        """Return whether the user may read or write a file by its mode and its access list.

        The folders above it are not looked at; `path` is followed if it is a symbolic link.
        """
        try:
            found = path.stat()
        except OSError:
            return False
        return bool(permitted(found, access_list(path), self.uid, self.gids) & wanted)

    def _groups_of(self, name: str, members: dict[str, frozenset[str]]) -> frozenset[str]:
        account = self.account(name)
        own = {group for group, gid in self.group_numbers.items() if account and gid == account.gid}
        return frozenset(own | {group for group, names in members.items() if name in names})


def is_number(text: str) -> bool:
    """Return whether a text is a number of at most 32 bits, as users, groups and settings have."""
    return text.isascii() and text.isdecimal() and len(text) <= _DIGITS


def parse_accounts(text: str) -> Iterator[Account]:
    """Yield the accounts of a passwd file; lines that are none are left out."""
    for line in text.splitlines():
        parts = line.split(":")
        if len(parts) == _ACCOUNT_FIELDS and is_number(parts[2]) and is_number(parts[3]):
            yield Account(parts[0], int(parts[2]), int(parts[3]), Path(parts[5]), parts[6])


def parse_groups(text: str) -> Iterator[tuple[str, int, frozenset[str]]]:
    """Yield name, number and members of each line of a group file (group(5))."""
    for line in text.splitlines():
        parts = line.split(":")
        if len(parts) == _GROUP_FIELDS and is_number(parts[2]):
            names = frozenset(name.strip() for name in parts[3].split(",") if name.strip())
            yield parts[0], int(parts[2]), names


def access_list(path: Path) -> bytes:
    """Return the raw POSIX access list of a file, b"" when it has none (acl(5))."""
    try:
        return os.getxattr(path, "system.posix_acl_access")
    except OSError as error:
        if error.errno in _NO_ACL or error.errno == errno.EACCES:
            return b""
        raise


def permitted(found: os.stat_result, acl: bytes, uid: int, gids: frozenset[int]) -> int:
    """Return the permission bits (4 read, 2 write, 1 execute) that an unprivileged user has.

    `acl` is the value of `system.posix_acl_access`: a version, then tag, bits and number of each
    entry, little-endian (linux/posix_acl_xattr.h).
    """
    mode = stat.S_IMODE(found.st_mode)
    if uid == 0:
        return 7
    if uid == found.st_uid:
        return mode >> 6 & 7
    if len(acl) <= _ACL_HEAD.size or (len(acl) - _ACL_HEAD.size) % _ACL_ENTRY.size:
        return mode >> 3 & 7 if found.st_gid in gids else mode & 7
    return _by_entries(acl, found.st_gid, uid, gids)


_USER, _GROUP_OF_FILE, _GROUP, _MASK, _OTHERS = 0x02, 0x04, 0x08, 0x10, 0x20


def _by_entries(acl: bytes, owner: int, uid: int, gids: frozenset[int]) -> int:
    mask, others, named = 7, 0, -1
    of_groups: list[int] = []
    for tag, bits, number in _ACL_ENTRY.iter_unpack(acl[_ACL_HEAD.size :]):
        if tag == _MASK:
            mask = bits
        elif tag == _OTHERS:
            others = bits
        elif tag == _USER and number == uid:
            named = bits
        elif (tag == _GROUP_OF_FILE and owner in gids) or (tag == _GROUP and number in gids):
            of_groups.append(bits)
    if named >= 0:
        return named & mask
    if of_groups:
        # Any one matching entry that grants what is asked suffices (acl(5), access check).
        granted = 0
        for bits in of_groups:
            granted |= bits
        return granted & mask
    return others
