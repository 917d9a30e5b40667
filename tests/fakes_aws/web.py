"""The HTTP of the fake AWS: requests and answers as values, and a server for them on loopback."""

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit
from xml.sax.saxutils import escape

from tests.waiting import PATIENCE

LONGEST_BODY = 1024 * 1024


class Request(NamedTuple):
    """What a client sent; names of headers are in lower case."""

    method: str
    path: str
    query_text: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.query_text, keep_blank_values=True))

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))

    @property
    def json(self) -> dict[str, Any]:
        found = json.loads(self.body or b"{}")
        assert isinstance(found, dict)
        return found


class Answer(NamedTuple):
    """What the server sends back."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}


class AwsError(Exception):
    """An error as AWS words it: a code, a message, an HTTP status."""

    def __init__(self, status: int, code: str, message: str = "") -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message


def json_answer(value: object, status: int = 200, **headers: str) -> Answer:
    return Answer(
        status,
        json.dumps(value).encode(),
        {
            "Content-Type": "application/json",
            "x-amzn-RequestId": str(uuid.uuid4()),
            **{name.replace("_", "-"): text for name, text in headers.items()},
        },
    )


def xml_answer(action: str, namespace: str, result: Mapping[str, object] | None) -> Answer:
    """Return a result in the form of the query protocol."""
    inner = "" if result is None else _xml(f"{action}Result", result)
    request_id = f"<ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId></ResponseMetadata>"
    text = f'<{action}Response xmlns="{namespace}">{inner}{request_id}</{action}Response>'
    return Answer(200, text.encode(), {"Content-Type": "text/xml"})


def xml_refusal(refusal: AwsError, namespace: str) -> Answer:
    error = {"Type": "Sender", "Code": refusal.code, "Message": refusal.message}
    request_id = f"<RequestId>{uuid.uuid4()}</RequestId>"
    text = f'<ErrorResponse xmlns="{namespace}">{_xml("Error", error)}{request_id}</ErrorResponse>'
    return Answer(refusal.status, text.encode(), {"Content-Type": "text/xml"})


def _xml(name: str, value: object) -> str:
    if isinstance(value, Mapping):
        inner = "".join(_xml(str(key), part) for key, part in value.items())
    elif isinstance(value, list):
        inner = "".join(_xml("member", part) for part in value)
    else:
        inner = escape(str(value))
    return f"<{name}>{inner}</{name}>"


@contextmanager
def serving(respond: Callable[[Request], Answer]) -> Iterator[str]:
    """Answer requests on a free port of loopback with `respond`; yield the URL."""

    class Connection(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            length = min(int(self.headers.get("Content-Length") or 0), LONGEST_BODY)
            parts = urlsplit(self.path)
            headers = {name.lower(): text for name, text in self.headers.items()}
            answer = respond(
                Request(self.command, parts.path, parts.query, headers, self.rfile.read(length))
            )
            self.send_response(answer.status)
            for name, text in answer.headers.items():
                self.send_header(name, text)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815 - named by http.server

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            """Say nothing: tests look at the counters."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 256

    with Server(("127.0.0.1", 0), Connection) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(PATIENCE)
