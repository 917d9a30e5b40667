"""A port on loopback for one visit of the browser: who comes is judged, one is the right one.

Any page of the browser and any user of this machine can reach the port. So a visitor counts only
when she asks for the very address that was given out, which a rebound host name is not, and passes
the judge. Everybody else is answered and forgotten.
"""

import selectors
import socket
from collections.abc import Callable
from contextlib import ExitStack
from typing import Final, NamedTuple, Self
from urllib.parse import SplitResult

import h11

from privyseal.errors import UnreachableError, UsageError
from privyseal.model.clock import Clock
from privyseal.wire.aws.addresses import parts_of

_HOST: Final = "127.0.0.1"
_MAX_HEAD: Final = 12 * 1024
_MAX_CONNECTIONS: Final = 32
_CHUNK: Final = 4096

_PAGE: Final = (
    '<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Privyseal</title>'
    '<body style="font: 18px sans-serif; margin: 4em auto; max-width: 32em"><p>{}</p>'
)
_HEADERS: Final = (
    ("Content-Type", "text/html; charset=utf-8"),
    ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"),
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("Connection", "close"),
)


class Verdict(NamedTuple):
    """How a visitor is answered; `result` is what `wait` returns when she is the right one."""

    status: int
    text: str
    result: str = ""
    location: str = ""


Judge = Callable[[SplitResult, socket.socket], Verdict]
"""Judges a GET by its target and its connection."""


class Loopback:
    """Listens from the start. A context manager.

    Raises:
        UnreachableError: There is no port to listen on.
    """

    def __init__(self) -> None:
        try:
            self._listener = socket.create_server((_HOST, 0), backlog=_MAX_CONNECTIONS)
        except OSError as error:
            raise UnreachableError(f"cannot listen on loopback: {error.strerror}") from error
        self._listener.setblocking(False)  # noqa: FBT003 - its only form
        self._authority = f"{_HOST}:{self._listener.getsockname()[1]}"

    @property
    def url(self) -> str:
        """The address of the port, without a path."""
        return f"http://{self._authority}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the port back."""
        self._listener.close()

    def wait(self, judge: Judge, *, clock: Clock, seconds: float) -> str:
        """Return the result for the right visitor, "" when she did not come in time."""
        until = clock.monotonic() + seconds
        with selectors.DefaultSelector() as selector, ExitStack() as visits:
            selector.register(self._listener, selectors.EVENT_READ)
            while (left := until - clock.monotonic()) > 0:
                for key, _ in selector.select(left):
                    if key.data is None:
                        self._welcome(selector, visits)
                    elif key.data.gone:  # made room for a newcomer of this very round
                        continue
                    elif result := self._hear(key.data, selector, judge):
                        return result
        return ""

    def _welcome(self, selector: selectors.BaseSelector, visits: ExitStack) -> None:
        try:
            link, _ = self._listener.accept()
        except OSError:
            return
        visits.callback(link.close)
        link.setblocking(False)  # noqa: FBT003 - its only form
        guests = [key for key in selector.get_map().values() if key.data is not None]
        if len(guests) == _MAX_CONNECTIONS:
            # Browsers open connections that they never use; the oldest has been heard long ago.
            _part(guests[0].data, selector)
        selector.register(link, selectors.EVENT_READ, _Visit(link))

    def _hear(self, visit: "_Visit", selector: selectors.BaseSelector, judge: Judge) -> str:
        """Read on, and answer a whole request; return the result if it is the right one."""
        try:
            visit.protocol.receive_data(visit.link.recv(_CHUNK))
            event = visit.protocol.next_event()
        except BlockingIOError:
            return ""
        except OSError:
            event = h11.ConnectionClosed()
        except h11.RemoteProtocolError as error:
            _answer(visit.link, Verdict(error.error_status_hint, "This is no request."))
            event = h11.ConnectionClosed()
        if event is h11.NEED_DATA:
            return ""
        verdict = Verdict(0, "")
        if isinstance(event, h11.Request):
            verdict = self._judge(event, visit.link, judge)
            _answer(visit.link, verdict)
        _part(visit, selector)
        return verdict.result

    def _judge(self, request: h11.Request, link: socket.socket, judge: Judge) -> Verdict:
        hosts = [value for name, value in request.headers if name == b"host"]
        # DNS rebinding: a page that got its name resolved to us still sends that name.
        if hosts != [self._authority.encode()]:
            return Verdict(421, "This is not the address of anything here.")
        if request.method != b"GET":
            return Verdict(405, "Only GET is answered here.")
        try:
            target = parts_of(request.target.decode("ascii", "replace"))
        except UsageError:
            return Verdict(400, "This is no address.")
        return judge(target, link)


class _Visit:
    """A connection, and how far its request has come."""

    def __init__(self, link: socket.socket) -> None:
        self.link = link
        self.gone = False
        self.protocol = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEAD)


def _part(visit: _Visit, selector: selectors.BaseSelector) -> None:
    visit.gone = True
    selector.unregister(visit.link)
    visit.link.close()


def _answer(visitor: socket.socket, verdict: Verdict) -> None:
    body = _PAGE.format(verdict.text).encode()
    protocol = h11.Connection(h11.SERVER)
    headers = [*_HEADERS, ("Content-Length", str(len(body)))]
    if verdict.location:
        headers.append(("Location", verdict.location))
    parts = (
        protocol.send(h11.Response(status_code=verdict.status, headers=headers)),
        protocol.send(h11.Data(data=body)),
    )
    # Some hundred bytes always fit into the buffer of a fresh connection; who left gets nothing.
    try:
        visitor.send(b"".join(part for part in parts if part))
        visitor.shutdown(socket.SHUT_WR)
    except OSError:
        return
