"""HTTP for one listening socket: threads around h11, with a limit on everything a client sends.

One request per connection: a local client wants one every quarter of an hour, and a connection that
ends needs no idle time.
"""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

import h11

from privyseal.aws.servers.desk import attending
from privyseal.aws.servers.peers import Peers
from privyseal.wire.aws.exchange import Request, Response, from_text

Answer = Callable[[Request], Response]

_READ: Final = 4096
_LEFTOVER: Final = 64 * 1024


class Limits(NamedTuple):
    """What one client may cost: bytes of header and body, seconds to send both, connections."""

    header: int = 8192
    body: int = 1024
    seconds: float = 5.0
    connections: int = 32


LIMITS: Final = Limits()


class _Excess(Exception):  # noqa: N818 - never leaves this module
    """The client sent more than it may."""


@contextmanager
def answering(
    listening: socket.socket, answer: Answer, peers: Peers, limits: Limits = LIMITS
) -> Iterator[None]:
    """Answer the peers on a socket while the block runs; takes the socket over.

    `answer` is called in several threads at once, and may take its time.
    """

    def attend(connection: socket.socket) -> None:
        converse(connection, answer, limits)

    with attending(listening, attend, peers, limits.connections):
        yield


def converse(connection: socket.socket, answer: Answer, limits: Limits = LIMITS) -> None:
    """Answer the one request of a connection; says nothing to a client that is too slow.

    Raises:
        OSError: The client has left.
    """
    protocol = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.header)
    try:
        request = _receive(connection, protocol, limits)
    except _Excess:
        _send(connection, protocol, from_text(413, "the body is too long\n"))
    except h11.RemoteProtocolError as error:
        _send(connection, protocol, from_text(error.error_status_hint, "this is not HTTP\n"))
    else:
        if request is None:
            return
        response = _guarded(request, answer)
        if request.method == "HEAD":
            response = response._replace(body=b"")
        connection.settimeout(limits.seconds)
        _send(connection, protocol, response)
    _leave(connection)


def _receive(connection: socket.socket, protocol: h11.Connection, limits: Limits) -> Request | None:
    """Return the request once its body is here too; None when the client left or is too slow."""
    until = time.monotonic() + limits.seconds
    head: h11.Request | None = None
    body = 0
    while True:
        event = protocol.next_event()
        if isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += len(event.data)
            if body > limits.body:
                raise _Excess
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            return _request(head)
        elif event is h11.NEED_DATA:
            left = until - time.monotonic()
            if left <= 0:
                return None
            connection.settimeout(left)
            protocol.receive_data(connection.recv(_READ))
        else:
            return None


def _request(head: h11.Request) -> Request:
    headers = tuple(
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers
    )
    return Request(head.method.decode("latin-1"), head.target.decode("latin-1"), headers)


def _guarded(request: Request, answer: Answer) -> Response:
    try:
        return answer(request)
    except Exception:  # noqa: BLE001 - the barrier of a connection: the server outlives a defect
        return from_text(500, "internal error\n")


def _send(connection: socket.socket, protocol: h11.Connection, response: Response) -> None:
    headers = [
        *response.headers,
        ("content-length", str(len(response.body))),
        ("connection", "close"),
    ]
    if protocol.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
        return
    out = protocol.send(h11.Response(status_code=response.status, headers=headers))
    if response.body:
        out = (out or b"") + (protocol.send(h11.Data(data=response.body)) or b"")
    connection.sendall(out or b"")


def _leave(connection: socket.socket) -> None:
    """End the connection so that the answer arrives: unread bytes would turn its end into a RST."""
    connection.shutdown(socket.SHUT_WR)
    connection.settimeout(1.0)
    left = _LEFTOVER
    while left > 0 and (part := connection.recv(_READ)):
        left -= len(part)
