"""A browser without a person: it goes where a page sends it. As a program it is a $BROWSER."""

import sys
from http.client import HTTPConnection
from typing import NamedTuple
from urllib.parse import urlsplit

MOST_REDIRECTS = 5


class Page(NamedTuple):
    """Where the browser ended, and what it saw there."""

    url: str
    status: int
    text: str


def visit(url: str) -> Page:
    """Open a page and follow its redirects as far as they stay on loopback."""
    for _ in range(MOST_REDIRECTS):
        parts = urlsplit(url)
        if parts.hostname != "127.0.0.1":
            return Page(url, 0, "")
        connection = HTTPConnection(parts.hostname, parts.port or 80, timeout=60)
        try:
            connection.request("GET", f"{parts.path}?{parts.query}" if parts.query else parts.path)
            answer = connection.getresponse()
            text = answer.read().decode()
            location = answer.headers.get("Location")
        finally:
            connection.close()
        if location is None:
            return Page(url, answer.status, text)
        url = location
    raise AssertionError("the pages send each other round in circles")


if __name__ == "__main__":
    visit(sys.argv[1])
