"""The loopback end of a browser sign-in (RFC 8252 §7.3): one port, one redirect, then nothing.

A redirect counts only when it carries the state that only its own sign-in page was told, and comes
from a program of this user: a browser's command line, with the state on it, is everybody's to read.
"""

import hmac
import socket
from contextlib import ExitStack
from typing import Final, Self
from urllib.parse import SplitResult, parse_qs

from privyseal.aws.loopback import Loopback, Verdict
from privyseal.aws.servers.peers import Peers, open_peers
from privyseal.errors import ExpiredError
from privyseal.model.clock import Clock

PATH: Final = "/oauth/callback"
"""The only path on loopback that Identity Center sends anybody to."""


class Redirect:
    """Listens from the start; `wait` returns what the browser brings. A context manager.

    Raises:
        UnreachableError: There is no port to listen on.
        UnsupportedError: Strangers could not be told apart.
    """

    def __init__(self) -> None:
        with ExitStack() as opened:
            self._peers = opened.enter_context(open_peers())
            self._loopback = opened.enter_context(Loopback())
            self._opened = opened.pop_all()

    @property
    def uri(self) -> str:
        """Where the sign-in page is to send the browser."""
        return self._loopback.url + PATH

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the port back."""
        self._opened.close()

    def wait(self, state: str, *, clock: Clock, seconds: float) -> str:
        """Return the query string of the redirect that carries `state`.

        Raises:
            ExpiredError: Nobody came for so many seconds.
        """

        def judge(target: SplitResult, link: socket.socket) -> Verdict:
            return _judge(target, link, state, self._peers)

        query = self._loopback.wait(judge, clock=clock, seconds=seconds)
        if not query:
            raise ExpiredError(
                f"nobody came back from the browser in {seconds / 60:.0f} minutes",
                hint="try again, or use --stdout to sign in on another machine",
            )
        return query


def _judge(target: SplitResult, link: socket.socket, state: str, peers: Peers) -> Verdict:
    if target.path != PATH:
        return Verdict(404, "There is nothing here.")
    found = parse_qs(target.query)
    if not hmac.compare_digest("".join(found.get("state", ())).encode(), state.encode()):
        return Verdict(403, "This belongs to no sign-in that waits here.")
    if not peers.admits(link):
        return Verdict(403, "This is for the user who signs in.")
    if "error" in found:
        return Verdict(200, "The sign-in was refused. Go back to the terminal.", target.query)
    return Verdict(200, "Signed in. Close this page and go back to the terminal.", target.query)
