"""A 1Password Connect server with one vault in memory: the item calls of its REST interface."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "connect-token"
VAULT = "vault1"


class FakeConnect(ThreadingHTTPServer):
    """Keeps items; `calls` are method and path of what was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Calls)
        self.items: dict[str, dict[str, Any]] = {}
        self.calls: list[tuple[str, str]] = []
        self.forced: tuple[int, bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, method: str, target: str, body: dict[str, Any] | None) -> tuple[int, Any]:
        parts = urlsplit(target)
        self.calls.append((method, parts.path))
        top = f"/v1/vaults/{VAULT}/items"
        if parts.path == top and method == "GET":
            return 200, self._listed(parse_qs(parts.query).get("filter", [""])[0])
        if parts.path == top and method == "POST":
            assert body is not None
            name = f"item{len(self.calls)}"
            self.items[name] = {**body, "id": name}
            return 200, self.items[name]
        name = parts.path.removeprefix(f"{top}/")
        if name not in self.items:
            return 404, {"status": 404, "message": "Item not found"}
        if method == "DELETE":
            del self.items[name]
            return 204, None
        if method == "PUT":
            assert body is not None
            self.items[name] = body
        return 200, self.items[name]

    def _listed(self, wanted: str) -> list[dict[str, Any]]:
        overviews = [
            {name: item[name] for name in ("id", "title", "tags", "category", "vault")}
            for item in self.items.values()
        ]
        if not wanted:
            return overviews
        assert wanted.startswith('title eq "')
        title = json.loads(wanted.removeprefix("title eq "))
        return [item for item in overviews if item["title"] == title]


class _Calls(BaseHTTPRequestHandler):
    def _serve(self) -> None:
        server = self.server
        assert isinstance(server, FakeConnect)
        length = int(self.headers.get("Content-Length") or 0)
        text = self.rfile.read(length)
        status: int
        found: Any
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            status, found = 401, {"status": 401, "message": "Invalid token signature"}
        elif server.forced:
            self._send(*server.forced)
            return
        else:
            body = json.loads(text) if text else None
            status, found = server.answer(self.command, self.path, body)
        self._send(status, b"" if found is None else json.dumps(found).encode())

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def _send(self, status: int, text: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Say nothing on stderr."""


@contextmanager
def fake_connect() -> Iterator[FakeConnect]:
    """Serve until the block ends."""
    with FakeConnect() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
