"""One HTTP request to a local credential server and its answer, as values, and what both refuse.

The caller is a program on this machine that was told where to ask. A browser is not, however it
was led here, nor is a proxy that passes on what somebody else wants; both say so in their headers.
"""

import json
from collections.abc import Mapping
from typing import Final, NamedTuple

_BROWSER: Final = ("origin", "sec-fetch-site", "sec-fetch-mode", "referer")
_PROXY: Final = ("x-forwarded-for", "x-forwarded-host", "x-real-ip", "forwarded", "via")


class Request(NamedTuple):
    """A request; `headers` holds lower-case names, in order, a repeated one more than once."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    def header(self, name: str) -> str | None:
        """Return the value of a header; None when it is absent, or there more than once."""
        values = [value for key, value in self.headers if key == name]
        return values[0] if len(values) == 1 else None

    def has(self, name: str) -> bool:
        """Return whether the header is there at all."""
        return any(key == name for key, _ in self.headers)


class Response(NamedTuple):
    """An answer; what it says of itself besides its length is in `headers`."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


def from_json(status: int, content: Mapping[str, str]) -> Response:
    """Return an answer in the form that aws-vault gives: sorted keys, no space, one line."""
    text = json.dumps(content, separators=(",", ":"), sort_keys=True) + "\n"
    return Response(status, text.encode(), (("content-type", "application/json"),))


def from_text(status: int, content: str) -> Response:
    """Return an answer in plain text."""
    return Response(status, content.encode(), (("content-type", "text/plain"),))


def misdirected(request: Request, hosts: frozenset[str]) -> str:
    """Return what is wrong with the `Host`, "" when it is one of `hosts` (in lower case).

    A page that made a name of its own point here (DNS rebinding) still sends that name.
    """
    host = request.header("host")
    wrong = host is None or host.lower() not in hosts
    return "this server does not answer to that Host" if wrong else ""


def foreign(request: Request) -> str:
    """Return why no program that was told of the server would send this, "" if it would."""
    if any(request.has(name) for name in _BROWSER):
        return "this server does not answer to browsers"
    if any(request.has(name) for name in _PROXY):
        return "this server does not answer through a proxy"
    return ""


def not_allowed(methods: str) -> Response:
    """Return the answer to a method other than `methods`, which are separated by commas."""
    plain = from_text(405, "method not allowed\n")
    return plain._replace(headers=(*plain.headers, ("allow", methods)))
