"""An HTTP proxy for one private network, where no program is installed that would connect it.

It is asked inside and connects outside, as the same user: its listening socket was made in there.
"""

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final

from privyseal.aws.servers.desk import attending
from privyseal.aws.servers.peers import Peers
from privyseal.errors import UsageError
from privyseal.wire.aws.addresses import parts_of
from privyseal.wire.aws.relay import END, MAX_HEAD, read_head

_CONNECTIONS: Final = 128
_SECONDS: Final = 30.0
_CHUNK: Final = 64 * 1024
_VARIABLES: Final = ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY")
_GRANTED: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"


@contextmanager
def relaying(
    listening: socket.socket, environment: Mapping[str, str], peers: Peers
) -> Iterator[dict[str, str]]:
    """Relay what comes on a socket while the block runs; lend the variables that lead to it.

    Where `environment` names a proxy of HTTP already, everything goes on to that.

    Raises:
        UsageError: What it names is no address.
    """
    named = next((name for name in _VARIABLES if environment.get(name)), "")
    given = environment.get(named, "")
    try:
        outer = parts_of(given if "//" in given else f"http://{given}")
    except UsageError:  # which quotes it, and there may be a password in it
        raise UsageError(f"what {named} names is no address of a proxy") from None
    beyond = (outer.hostname, outer.port or 80) if outer.hostname else None

    def attend(connection: socket.socket) -> None:
        connection.settimeout(_SECONDS)
        if beyond is not None:
            _pass_on(connection, beyond, b"")
        else:
            _relay(connection)

    address, port = listening.getsockname()
    user, at, _ = outer.netloc.rpartition("@")
    url = f"http://{user}{at}{address}:{port}"
    with attending(listening, attend, peers, _CONNECTIONS):
        yield dict.fromkeys(_VARIABLES, url)


def _relay(connection: socket.socket) -> None:
    head = b""
    while END not in head:
        part = connection.recv(_CHUNK)
        if not part or len(head) > MAX_HEAD:
            return
        head += part
    end = head.index(END) + len(END)
    try:
        passage = read_head(head[:end])
        place = (passage.host, passage.port)
        _pass_on(connection, place, passage.head + head[end:], grant=passage.tunnel)
    except UsageError as error:
        connection.sendall(f"HTTP/1.1 400 Bad Request\r\n\r\n{error}\n".encode())


def _pass_on(
    connection: socket.socket, place: tuple[str, int], first: bytes, *, grant: bool = False
) -> None:
    try:
        there = socket.create_connection(place, timeout=_SECONDS)
    except (OSError, UnicodeError, OverflowError):  # a name may be none, a port out of range
        connection.sendall(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
        return
    with there:
        for end in (connection, there):
            end.settimeout(None)
        if grant:
            connection.sendall(_GRANTED)
        there.sendall(first)
        back = threading.Thread(target=_copy, args=(there, connection), daemon=True)
        back.start()
        _copy(connection, there)
        back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while part := source.recv(_CHUNK):
            target.sendall(part)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
