"""Giving a secret address to the browser without writing it where others read: its command line.

A link that signs in is as good as the credentials it was made of, and every user of a machine sees
the arguments of every program. The browser is told a port on loopback instead, which sends it on:
once, and only a program of the same user.
"""

import hmac
import secrets
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Final
from urllib.parse import SplitResult

from privyseal.aws.browser import check_page, open_page
from privyseal.aws.loopback import Loopback, Verdict
from privyseal.aws.servers.peers import Peers, open_peers
from privyseal.errors import ExpiredError, UnreachableError, UnsupportedError
from privyseal.model.clock import Clock

PATIENCE: Final = 60
"""How long a browser may take to start, in seconds."""


def open_secretly(url: str, environment: Mapping[str, str], clock: Clock) -> None:
    """Open a page whose address is a secret.

    Raises:
        UnreachableError: There is no browser here.
        UnsupportedError: This machine does not say whose program comes for the address.
        ExpiredError: The browser did not come for the address.
    """
    check_page(url)
    with ExitStack() as opened:
        try:
            peers = opened.enter_context(open_peers())
        except UnsupportedError as error:
            raise UnsupportedError(str(error), hint="use --stdout") from error
        loopback = opened.enter_context(Loopback())
        path = f"/{secrets.token_urlsafe(32)}"
        if not open_page(loopback.url + path, environment):
            raise UnreachableError(
                "there is no browser to open the page in", hint="use --stdout, or set BROWSER"
            )

        def judge(target: SplitResult, link: socket.socket) -> Verdict:
            return _judge(target, link, path, url, peers)

        if not loopback.wait(judge, clock=clock, seconds=PATIENCE):
            raise ExpiredError("the browser did not open the page", hint="use --stdout")


def _judge(target: SplitResult, link: socket.socket, path: str, url: str, peers: Peers) -> Verdict:
    if not hmac.compare_digest(target.path.encode(), path.encode()):
        return Verdict(404, "There is nothing here.")
    if not peers.admits(link):
        return Verdict(403, "This is for the user who asked for it.")
    return Verdict(302, "Go on to the console.", result="done", location=url)
