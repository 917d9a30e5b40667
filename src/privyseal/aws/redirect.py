"""The loopback end of a browser sign-in (RFC 8252 §7.3): one port, one redirect, then nothing.

Any page of the browser and any user of this machine can reach the port. So a request counts only
when it is addressed to the very address that was given out, which a rebound host name is not, and
carries the state that only the sign-in page was told. Everything else is answered and forgotten.
"""

import hmac
import selectors
import socket
from contextlib import ExitStack
from typing import Final, NamedTuple, Self
from urllib.parse import parse_qs, urlsplit

import h11

from privyseal.errors import ExpiredError, UnreachableError
from privyseal.model.clock import Clock

PATH: Final = "/oauth/callback"
"""The only path on loopback that Identity Center sends anybody to."""

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


class Redirect:
    """Listens from the start; `wait` returns what the browser brings. A context manager.

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
    def uri(self) -> str:
        """Where the sign-in page is to send the browser."""
        return f"http://{self._authority}{PATH}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the port back."""
        self._listener.close()

    def wait(self, state: str, *, clock: Clock, seconds: float) -> str:
        """Return the query string of the redirect that carries `state`.

        Raises:
            ExpiredError: Nobody came for so many seconds.
        """
        until = clock.monotonic() + seconds
        with selectors.DefaultSelector() as selector, ExitStack() as visits:
            selector.register(self._listener, selectors.EVENT_READ)
            while (left := until - clock.monotonic()) > 0:
                for key, _ in selector.select(left):
                    if key.data is None:
                        self._welcome(selector, visits)
                    elif query := self._hear(key.data, selector, state):
                        return query
        raise ExpiredError(
            f"nobody came back from the browser in {seconds / 60:.0f} minutes",
            hint="try again, or use --stdout to sign in on another machine",
        )

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

    def _hear(self, visit: "_Visit", selector: selectors.BaseSelector, state: str) -> str:
        """Read on, and answer a whole request; return the query string if it is the one."""
        try:
            visit.protocol.receive_data(visit.link.recv(_CHUNK))
            event = visit.protocol.next_event()
        except BlockingIOError:
            return ""
        except OSError:
            event = h11.ConnectionClosed()
        except h11.RemoteProtocolError as error:
            _answer(visit.link, _Verdict(error.error_status_hint, "This is no request."))
            event = h11.ConnectionClosed()
        if event is h11.NEED_DATA:
            return ""
        verdict = _Verdict(0, "")
        if isinstance(event, h11.Request):
            verdict = self._judge(event, state)
            _answer(visit.link, verdict)
        _part(visit, selector)
        return verdict.query

    def _judge(self, request: h11.Request, state: str) -> "_Verdict":
        hosts = [value for name, value in request.headers if name == b"host"]
        # DNS rebinding: a page that got its name resolved to us still sends that name.
        if hosts != [self._authority.encode()]:
            return _Verdict(421, "This is not the address of a sign-in.")
        target = urlsplit(request.target.decode("ascii", "replace"))
        if target.path != PATH:
            return _Verdict(404, "There is nothing here.")
        if request.method != b"GET":
            return _Verdict(405, "A sign-in comes back by GET.")
        found = parse_qs(target.query)
        if not hmac.compare_digest("".join(found.get("state", ())).encode(), state.encode()):
            return _Verdict(403, "This belongs to no sign-in that waits here.")
        if "error" in found:
            return _Verdict(200, "The sign-in was refused. Go back to the terminal.", target.query)
        return _Verdict(
            200, "Signed in. Close this page and go back to the terminal.", target.query
        )


class _Visit:
    """A connection, and how far its request has come."""

    def __init__(self, link: socket.socket) -> None:
        self.link = link
        self.protocol = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEAD)


class _Verdict(NamedTuple):
    """How a visitor is answered; `query` is what she brought if she is the one."""

    status: int
    text: str
    query: str = ""


def _part(visit: _Visit, selector: selectors.BaseSelector) -> None:
    selector.unregister(visit.link)
    visit.link.close()


def _answer(visitor: socket.socket, verdict: _Verdict) -> None:
    body = _PAGE.format(verdict.text).encode()
    protocol = h11.Connection(h11.SERVER)
    headers = [*_HEADERS, ("Content-Length", str(len(body)))]
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
