"""/proc/net/tcp and tcp6 (proc(5)): whose socket is at the other end of a connection.

TCP has no SO_PEERCRED. For a connection within the machine both ends stand in this table, each
with the user that made its socket.
"""

import ipaddress
import sys
from typing import Final, NamedTuple

_MAPPED: Final = bytes(10) + b"\xff\xff"
_OWN, _OTHER, _UID, _INODE, _FIELDS = 1, 2, 7, 9, 10


class End(NamedTuple):
    """One end of a connection: an IPv4 address as people write it, and a port."""

    address: str
    port: int


class Owner(NamedTuple):
    """Whose socket it is. An `inode` of 0: nobody's any more, and the user says nothing."""

    uid: int
    inode: int


def find_owner(table: str, here: End, there: End) -> Owner | None:
    """Return who has the socket whose own end is `here` and whose other end is `there`.

    An IPv6 socket that talks to an IPv4 address is found by that address, as Java's are. Lines that
    no kernel writes are passed over.
    """
    own, other = _written(here), _written(there)
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) < _FIELDS or fields[_OWN] not in own or fields[_OTHER] not in other:
            continue
        if fields[_UID].isdecimal() and fields[_INODE].isdecimal():
            return Owner(int(fields[_UID]), int(fields[_INODE]))
    return None


def _written(end: End) -> frozenset[str]:
    raw = ipaddress.IPv4Address(end.address).packed
    return frozenset(f"{_words(prefix + raw)}:{end.port:04X}" for prefix in (b"", _MAPPED))


def _words(raw: bytes) -> str:
    # The kernel prints each 32-bit word as a number in the order of this machine.
    words = [raw[start : start + 4] for start in range(0, len(raw), 4)]
    return "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words)
