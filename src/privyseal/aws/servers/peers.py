"""Which processes may talk to a local server: those of the user whose credentials it serves.

The token alone is not enough: it stands in the environment of every program that the child starts,
and programs write their environment to logs. Root is refused as well: a service of root that can be
made to fetch an address would fetch for anybody.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from privyseal.errors import UnsupportedError
from privyseal.wire.aws.sockettable import End, Owner, find_owner

TABLE: Final = "/proc/self/net/tcp"
TABLE_6: Final = "/proc/self/net/tcp6"

_CHUNK: Final = 64 * 1024
_MAX_TABLE: Final = 64 * 1024 * 1024
_ATTEMPTS: Final = 3


class Peers:
    """Knows the other ends of connections by the socket tables of one network namespace."""

    def __init__(self, tables: tuple[int, ...], uid: int) -> None:
        self._tables = tables
        self._uid = uid

    def admits(self, connection: socket.socket) -> bool:
        """Return whether the other end of an IPv4 connection belongs to the user."""
        try:
            owner = self._owner(connection)
        except OSError:  # the other end has left, or the server is ending
            return False
        # A socket without an inode has been closed; its user reads 0 then, whoever it was.
        return owner is not None and owner.inode != 0 and owner.uid == self._uid

    def _owner(self, connection: socket.socket) -> Owner | None:
        here, there = End(*connection.getsockname()), End(*connection.getpeername())
        # The kernel walks its hash table while others change it; a line may be missed once.
        for _ in range(_ATTEMPTS):
            for table in self._tables:
                # The other end's own address is what is foreign to ours.
                if owner := find_owner(_read(table), there, here):
                    return owner
        return None


@contextmanager
def open_peers() -> Iterator[Peers]:
    """Lend the peers of this process's own network namespace that have its user.

    Raises:
        UnsupportedError: /proc does not show sockets, so that strangers could not be told apart.
    """
    tables: list[int] = []
    try:
        tables.append(_open(TABLE))
        if Path(TABLE_6).exists():  # not where the kernel has no IPv6
            tables.append(_open(TABLE_6))
        yield Peers(tuple(tables), os.geteuid())
    finally:
        for table in tables:
            os.close(table)


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise UnsupportedError(
            f"cannot see whose sockets connect: {path}: {error.strerror}",
            hint="mount /proc without subset=pid, or run the command without a server",
        ) from error


def _read(table: int) -> str:
    parts: list[bytes] = []
    size = 0
    while size < _MAX_TABLE and (part := os.pread(table, _CHUNK, size)):
        parts.append(part)
        size += len(part)
    return b"".join(parts).decode("ascii", "replace")
