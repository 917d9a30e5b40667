"""What a client says to an HTTP proxy first: where it wants to go, and what is passed on there.

Only as much as a relay of one connection needs (RFC 9112, 3.2): `CONNECT host:port` opens a tunnel;
a request with a whole URL is passed on in its short form, and told to be the last one on its
connection, since the next may be for somewhere else.
"""

from typing import Final, NamedTuple
from urllib.parse import urlsplit

from privyseal.errors import UsageError

END: Final = b"\r\n\r\n"
MAX_HEAD: Final = 16 * 1024

_HOP: Final = (b"connection", b"proxy-connection", b"keep-alive", b"proxy-authorization")
_WORDS: Final = 3
_HTTP: Final = 80


class Passage(NamedTuple):
    """Where to connect; `tunnel` says that the client waits for a word before it goes on."""

    host: str
    port: int
    head: bytes = b""

    @property
    def tunnel(self) -> bool:
        """Whether all bytes are passed on as they are."""
        return not self.head


def read_head(head: bytes) -> Passage:
    """Return what the head of a request to a proxy, with its empty line, asks for.

    Raises:
        UsageError: It asks a proxy for nothing that this one does.
    """
    first, *lines = head.removesuffix(END).split(b"\r\n")
    words = first.split(b" ")
    if len(words) != _WORDS:
        raise UsageError("that is no request to a proxy")
    method, target, version = words
    try:
        if method == b"CONNECT":
            url = urlsplit(f"//{target.decode('ascii')}")
            return Passage(_host(url.hostname), url.port or 0)
        url = urlsplit(target.decode("ascii"))
        port = url.port or _HTTP
    except ValueError as error:
        raise UsageError("the address is malformed") from error
    if url.scheme != "http":
        raise UsageError("a proxy is asked by a whole URL, or by CONNECT")
    path = f"{url.path or '/'}?{url.query}" if url.query else url.path or "/"
    kept = [line for line in lines if line.partition(b":")[0].strip().lower() not in _HOP]
    short = b" ".join((method, path.encode("ascii"), version))
    return Passage(
        _host(url.hostname), port, b"\r\n".join((short, *kept, b"Connection: close")) + END
    )


def _host(name: str | None) -> str:
    if not name:
        raise UsageError("the request names no host")
    return name
