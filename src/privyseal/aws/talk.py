"""The person at the command that asked: at a terminal, and from another process by a socket.

`TerminalTalk` is the person herself, `SocketTalk` is she as the broker knows her.
"""

import select
import socket
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, TextIO
from urllib.parse import parse_qs

from privyseal.aws.browser import check_page, is_local, open_page
from privyseal.errors import DeniedError, UnsupportedError, UsageError
from privyseal.model.clock import Clock
from privyseal.model.value import decode, encode
from privyseal.wire.aws.addresses import parts_of
from privyseal.wire.broker import (
    MAX_PACKET,
    Answer,
    CodeWanted,
    PageWanted,
    RedirectWanted,
    Saying,
    Told,
)
from privyseal.wire.sanitise import clean

if TYPE_CHECKING:
    from privyseal.aws.redirect import Redirect

REDIRECT_SECONDS: Final = 600
"""How long a browser may take; the codes of Identity Center last no longer."""

_SHOWN: Final = 300
_GONE: Final = "the command that asked has gone"

Codes = Callable[[str, str], str]
"""Asks for a code of the MFA device: takes its serial number, and what was wrong with the last."""


class TerminalTalk:
    """A person at a terminal: codes by the driver that she chose, pages in her browser.

    Args:
        codes: The driver.
        clock: Ends the wait for a browser.
        environment: Says whether there is a browser, and which one.
        out: Where lines for her go.
        show_only: Print the address of a page, and open none (`--stdout`).
    """

    def __init__(
        self,
        codes: Codes,
        clock: Clock,
        environment: Mapping[str, str],
        out: TextIO,
        *,
        show_only: bool = False,
    ) -> None:
        self._codes = codes
        self._clock = clock
        self._environment = environment
        self._out = out
        self._show_only = show_only
        self._redirect: Redirect | None = None

    def code(self, serial: str, again: str = "") -> str:
        """Return a code of the MFA device.

        Raises:
            DeniedError: She gave up.
        """
        return self._codes(serial, again)

    def redirect(self) -> str:
        """Listen on loopback if her browser can come there; return the URI, "" if it cannot.

        Raises:
            UnsupportedError: A library is missing.
        """
        self.close()
        if self._show_only or not is_local(self._environment):
            return ""
        try:
            from privyseal.aws.redirect import Redirect  # noqa: PLC0415 - h11: most talks need none
        except ImportError:
            raise UnsupportedError(
                "a sign-in by the browser needs h11, which is not installed",
                hint="install the extra (pip install 'privyseal[aws]'), or use --stdout",
            ) from None
        self._redirect = Redirect()
        return self._redirect.uri

    def page(self, url: str, *, code: str = "", redirect: bool = False) -> str:
        """Open a page, or print its address where it cannot be opened.

        Raises:
            ExpiredError: The browser did not come back.
            UsageError: It is no page, or nobody listens for a redirect.
        """
        listener = self._redirect
        state = "".join(parse_qs(check_page(url).query).get("state", ()))
        if redirect and (listener is None or not state):
            raise UsageError("nobody listens for this redirect")
        opened = not self._show_only and open_page(url, self._environment)
        self._say(
            "Opening this page in your browser (Ctrl-C to give up):"
            if opened
            else "Open this page in a browser (Ctrl-C to give up):"
        )
        self._say(f"  {url}")
        if code:
            self._say(f"Go on only if the page shows the code {clean(code)}")
        if not redirect or listener is None:
            self.close()
            return ""
        try:
            return listener.wait(state, clock=self._clock, seconds=REDIRECT_SECONDS)
        finally:
            self.close()

    def tell(self, text: str) -> None:
        """Say a line."""
        self._say(clean(text))

    def wait(self, seconds: float) -> None:
        """Let seconds pass; Ctrl-C ends them."""
        time.sleep(max(seconds, 0))

    def close(self) -> None:
        """Stop listening for a redirect that nobody waits for any more."""
        if self._redirect is not None:
            self._redirect.close()
            self._redirect = None

    def _say(self, line: str) -> None:
        print(line, file=self._out, flush=True)


class SocketTalk:
    """A person at the other end of a talk socket; the command there is not trusted.

    Who sent the socket may hold both its ends; so she has left, too, when the `order` that she
    talks about is given up.
    """

    def __init__(self, link: socket.socket, order: socket.socket | None = None) -> None:
        self._link = link
        self._order = order

    def code(self, serial: str, again: str = "") -> str:
        """Return a code of the MFA device.

        Raises:
            DeniedError: She gave up, or her command has gone.
        """
        return self._ask(CodeWanted(serial=serial, again=again))

    def redirect(self) -> str:
        """Return a URI on loopback at her command, "" when it has none.

        Raises:
            DeniedError: Her command has gone, or the URI is not one of loopback.
        """
        uri = self._ask(RedirectWanted())
        parts = parts_of(uri)
        if uri and (parts.scheme, parts.hostname) != ("http", "127.0.0.1"):
            raise DeniedError("the command that asked wants a redirect to another machine")
        return uri

    def page(self, url: str, *, code: str = "", redirect: bool = False) -> str:
        """Show a page; with `redirect` return the query string that comes back.

        Raises:
            DeniedError: She gave up, or her command has gone.
        """
        return self._ask(PageWanted(url=url, code=code, redirect=redirect))

    def tell(self, text: str) -> None:
        """Say a line; nothing is said to a command that has gone."""
        try:
            self._link.send(encode(Told(text=text)))
        except OSError:
            return

    def wait(self, seconds: float) -> None:
        """Let seconds pass.

        Raises:
            DeniedError: Her command has gone meanwhile.
        """
        hung_up = select.poll()  # that an end is closed is told without being asked for
        for end in (self._link, self._order):
            if end is not None:
                hung_up.register(end, 0)
        if hung_up.poll(max(seconds, 0) * 1000):
            raise DeniedError(_GONE)

    def _ask(self, saying: Saying) -> str:
        try:
            self._link.send(encode(saying))
            # Without room for ancillary data the kernel drops descriptors that nobody wants.
            packet = self._link.recv(MAX_PACKET + 1)
        except OSError:
            packet = b""
        if not packet:
            raise DeniedError(_GONE)
        if len(packet) > MAX_PACKET:
            raise UsageError("the command that asked answers at too great length")
        answer = decode(packet, Answer, what="an answer of the command that asked")
        if answer.refused:
            # It may be no command of ours: what it says must not read as ours at the console.
            raise DeniedError(f"the command that asked says {answer.refused[:_SHOWN]!r}")
        return answer.text
