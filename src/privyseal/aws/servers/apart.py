"""The program that makes a private network with the metadata address in it: `apart FD PATH`.

It stays for as long as the other end of the socket FD is open, and ends what it started. On that
socket it says once how it went, with descriptors beside it:

    {"error": …}                        there is no private network, and why
    {"network": …, "trouble": …}        by which program it reaches the outside, "" for none
    descriptors                         listening socket, another for a proxy on loopback, socket
                                        tables, user, network, mounts

The kernel ties a socket to the network it was made in and not to who holds it: `privy` itself
answers on the socket made here, outside.
"""

import json
import os
import socket
import sys
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final, NoReturn

from privyseal.aws.servers.desk import listen
from privyseal.aws.servers.namespaces import (
    NEW_MOUNTS,
    NEW_NETWORK,
    NEW_USER,
    cover,
    raise_loopback,
    unshare,
)
from privyseal.aws.servers.wayout import WayOut, connected, find

ADDRESS: Final = "169.254.169.254"
PORT: Final = 80
MAX_FDS: Final = 7
MAX_PACKET: Final = 4096
TABLES: Final = ("/proc/self/net/tcp", "/proc/self/net/tcp6")
SPACES: Final = ("/proc/self/ns/user", "/proc/self/ns/net", "/proc/self/ns/mnt")

_RESOLVER: Final = Path("/etc/resolv.conf")


def main(words: list[str]) -> int:
    """Make the network, say so on the socket, and stay until its other end closes."""
    control = socket.socket(fileno=int(words[0]))
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = os.fork()
    if process == 0:
        mine.close()
        control.close()
        _inside(theirs)
    theirs.close()
    message, fds = receive(mine)
    with ExitStack() as stack:
        if fds:
            message = _connect(stack, find(words[1]), process, mine, control)
        with suppress(OSError):  # who asked may have gone meanwhile
            socket.send_fds(control, [message], fds)
        for fd in fds:
            os.close(fd)
        control.recv(1)
    mine.close()
    os.waitpid(process, 0)
    return 0


def receive(connection: socket.socket) -> tuple[bytes, list[int]]:
    """Return one packet and the descriptors beside it, which no child inherits unasked."""
    flags = socket.MSG_CMSG_CLOEXEC
    message, fds, _, _ = socket.recv_fds(connection, MAX_PACKET, MAX_FDS, flags)
    return message, fds


def _connect(
    stack: ExitStack,
    ways: list[WayOut],
    process: int,
    inside: socket.socket,
    asked: socket.socket,
) -> bytes:
    """Take the first way that works."""
    troubles: list[str] = []
    for way in ways:
        if trouble := stack.enter_context(connected(way, process, asked)):
            troubles.append(trouble)
            continue
        inside.send(way.resolver.encode())
        return _packet(network=way.name, trouble=inside.recv(MAX_PACKET).decode())
    return _packet(trouble="; ".join(troubles))


def _packet(*, network: str = "", trouble: str = "", error: str = "") -> bytes:
    return json.dumps({"network": network, "trouble": trouble, "error": error}).encode()


def _inside(outside: socket.socket) -> NoReturn:
    """Be the process that the namespaces are made around."""
    try:
        unshare(NEW_USER | NEW_NETWORK | NEW_MOUNTS)
        raise_loopback(ADDRESS)
        sockets = [listen(ADDRESS, PORT), listen()]
        fds = [os.open(name, os.O_RDONLY) for name in (*TABLES, *SPACES)]
    except OSError as error:
        outside.send(_packet(error=error.strerror or str(error)))
        os._exit(1)
    socket.send_fds(outside, [_packet()], [*(each.fileno() for each in sockets), *fds])
    while resolver := outside.recv(MAX_PACKET):
        outside.send(_resolve(resolver.decode()).encode())
    os._exit(0)


def _resolve(resolver: str) -> str:
    """Let programs in here ask another name server, whatever address the machine's has."""
    try:
        kept = [
            line
            for line in _RESOLVER.read_text(errors="replace").splitlines()
            if line.split()[:1] in (["search"], ["domain"], ["options"])
        ]
        with tempfile.NamedTemporaryFile("w", prefix="privyseal-") as file:
            file.write("\n".join([f"nameserver {resolver}", *kept, ""]))
            file.flush()
            Path(file.name).chmod(0o644)
            cover(_RESOLVER, Path(file.name))
    except OSError as error:
        return f"names are not resolved: {error.strerror or error}"
    return ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
