"""What tests of the local credential servers share: raw requests, another user, a source."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from typing import NamedTuple

from tests.waiting import PATIENCE

from privyseal.model.aws import Credentials
from privyseal.runtime.clock import SystemClock

STRANGER = 65533
"""A user that nobody is, and that the servers were not started by."""

FETCH = """
import os, sys, urllib.request
uid, url, *headers = sys.argv[1:]
"".encode("idna")  # loaded while the modules can be read
if int(uid) >= 0:
    os.setgroups([]); os.setgid(int(uid)); os.setuid(int(uid))
request = urllib.request.Request(url, headers=dict(header.split("=", 1) for header in headers))
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
print(opener.open(request, timeout=60).read().decode(), end="")
"""


class Reply(NamedTuple):
    """An HTTP answer, taken apart."""

    status: int
    headers: dict[str, str]
    body: str

    def json(self) -> dict[str, str]:
        """Return the body's members."""
        content = json.loads(self.body)
        assert isinstance(content, dict)
        return content


class Source:
    """Gives credentials for an hour, with the role in the access key's id."""

    def __init__(self, life: float = 3600.0) -> None:
        self.asked: list[str] = []
        self.life = life
        self.error: Exception | None = None

    def __call__(self, role: str) -> Credentials:
        self.asked.append(role)
        if self.error is not None:
            raise self.error
        return Credentials(
            access_key_id=f"ASIA{len(self.asked)}{role[-4:]}",
            secret_access_key="secret",
            session_token="session",
            expires=SystemClock().wall() + self.life,
            account="123456789012",
        )


def place(url: str) -> tuple[str, int]:
    """Return the address and port of a URL of ours."""
    address, _, port = url.removeprefix("http://").partition("/")[0].partition(":")
    return address, int(port)


def send(url: str, raw: bytes) -> Reply | None:
    """Send bytes and return the answer, None when the connection was ended without one."""
    with socket.create_connection(place(url), timeout=PATIENCE) as connection:
        try:
            connection.sendall(raw)
            parts = b""
            while part := connection.recv(65536):
                parts += part
        except ConnectionError:
            return None
    if not parts:
        return None
    head, _, body = parts.decode().partition("\r\n\r\n")
    first, *rest = head.split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in rest)
    return Reply(int(first.split()[1]), headers, body)


def ask(
    url: str, path: str = "/", *, method: str = "GET", headers: Mapping[str, str] | None = None
) -> Reply:
    """Send a request with the right Host, unless `headers` has another, and return the answer."""
    address, port = place(url)
    sent = {"Host": f"{address}:{port}"} | dict(headers or {})
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items())]
    reply = send(url, ("\r\n".join(lines) + "\r\n\r\n").encode())
    assert reply is not None
    return reply


def fetch(
    url: str, headers: Mapping[str, str], *, uid: int = -1
) -> subprocess.CompletedProcess[str]:
    """Ask from a process of its own, as another user if `uid` is not negative."""
    sent = [f"{name}={value}" for name, value in headers.items()]
    return subprocess.run(
        [sys.executable, "-I", "-c", FETCH, str(uid), url, *sent],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def clean(variables: Mapping[str, str]) -> dict[str, str]:
    """Return an environment for a child in which AWS is known by `variables` alone."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    nowhere = {"AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent"}
    return kept | nowhere | dict(variables)
