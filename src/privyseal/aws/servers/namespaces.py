"""System calls for a private network of one's own: namespaces(7), netdevice(7), mount(2).

Standard library only, and imported by small programs of their own: a process with threads cannot
enter a user namespace.
"""

import ctypes
import fcntl
import os
import socket
import struct
from pathlib import Path
from typing import Final

NEW_MOUNTS: Final = 0x0002_0000
NEW_USER: Final = 0x1000_0000
NEW_NETWORK: Final = 0x4000_0000

_SIOCSIFFLAGS: Final = 0x8914
_SIOCSIFADDR: Final = 0x8916
_SIOCSIFNETMASK: Final = 0x891C
_UP_AND_RUNNING: Final = 0x1 | 0x40
_BIND: Final = 4096
_LOOPBACK: Final = "lo"

_libc: Final = ctypes.CDLL(None, use_errno=True)


def unshare(kinds: int) -> None:
    """Move this process into new namespaces of these kinds, in which it is the same user.

    Raises:
        OSError: The system does not let this user have them.
    """
    uid, gid = os.geteuid(), os.getegid()
    _check(_libc.unshare(kinds), "unshare")
    own = Path("/proc/self")
    # Without this nobody but root may write gid_map (user_namespaces(7)).
    (own / "setgroups").write_text("deny")
    (own / "uid_map").write_text(f"{uid} {uid} 1")
    (own / "gid_map").write_text(f"{gid} {gid} 1")


def enter(namespace: int) -> None:
    """Move this process into the namespace behind a descriptor.

    Raises:
        OSError: The kernel refuses.
    """
    _check(_libc.setns(namespace, 0), "setns")


def cover(path: Path, by: Path) -> None:
    """Let the content of one file be seen in place of another, in this mount namespace.

    Raises:
        OSError: The kernel refuses.
    """
    done = _libc.mount(os.fsencode(by), os.fsencode(path), None, ctypes.c_ulong(_BIND), None)
    _check(done, f"mount over {path}")


def raise_loopback(address: str) -> None:
    """Bring the loopback interface of this network namespace up, with one more IPv4 address.

    Raises:
        OSError: The process has no power over the network namespace.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        flags = struct.pack("H22x", _UP_AND_RUNNING)
        fcntl.ioctl(control, _SIOCSIFFLAGS, _request(_LOOPBACK, flags))
        alias = f"{_LOOPBACK}:1"
        fcntl.ioctl(control, _SIOCSIFADDR, _request(alias, _address(address)))
        fcntl.ioctl(control, _SIOCSIFNETMASK, _request(alias, _address("255.255.255.255")))


def _request(interface: str, payload: bytes) -> bytes:
    return struct.pack("16s24s", interface.encode(), payload)


def _address(text: str) -> bytes:
    return struct.pack("HH4s", socket.AF_INET, 0, socket.inet_aton(text))


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
