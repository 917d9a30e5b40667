"""Whatever bytes a client sends: one well-formed answer or none, and no credentials without token."""

import socket
import threading

from hypothesis import given, settings, strategies as st
from tests.soak import times
from tests.waiting import PATIENCE

from privyseal.aws.servers.listener import Answer, Limits, converse
from privyseal.model.aws import Credentials
from privyseal.wire.aws import ecs, imds
from privyseal.wire.aws.exchange import Request, Response

HOST = "127.0.0.1:4567"
ECS = ecs.Gate("t0ken", frozenset({HOST}))
IMDS = imds.Gate(b"k" * 32)
SECRET = Credentials(access_key_id="AKIA", secret_access_key="hidden")
LIMITS = Limits(header=2048, body=64, seconds=5.0)

PIECES = st.sampled_from(
    [
        *(b"GET", b"PUT", b"HEAD", b"CONNECT", b"POST", b" ", b"/", b"/latest/api/token"),
        *(b"/latest/meta-data/iam/security-credentials/local-credentials", b"/role-arn/"),
        *(
            b" HTTP/1.1\r\n",
            b" HTTP/1.0\r\n",
            b"Host: 127.0.0.1:4567\r\n",
            b"Host: 169.254.169.254\r\n",
        ),
        *(b"Authorization: ", b"X-aws-ec2-metadata-token: ", b"Expect: 100-continue\r\n"),
        *(b"X-aws-ec2-metadata-token-ttl-seconds: 60\r\n", b"Transfer-Encoding: chunked\r\n"),
        *(b"Content-Length: 5\r\n", b"5\r\nhello\r\n", b"0\r\n\r\n", b"Upgrade: h2c\r\n"),
        *(b"Connection: Upgrade\r\n", b"\r\n", b"\n", b"\0", b"x" * 3000),
    ]
)


def container(request: Request) -> Response:
    wanted = ecs.judge(request, ECS)
    return wanted if isinstance(wanted, Response) else ecs.grant(SECRET, 0.0)


def instance(request: Request) -> Response:
    wanted = imds.judge(request, IMDS, 0.0, bytes(imds.NONCE_BYTES))
    return wanted if isinstance(wanted, Response) else imds.grant(SECRET, 0.0)


@settings(max_examples=times(300, soak=20_000), deadline=None)
@given(
    raw=st.binary(max_size=300)
    | st.lists(PIECES | st.binary(max_size=9), max_size=30).map(b"".join),
    answer=st.sampled_from([container, instance]),
)
def test_any_bytes_get_one_answer_or_none_and_never_a_secret(raw: bytes, answer: Answer) -> None:
    ours, theirs = socket.socketpair()
    failed: list[BaseException] = []

    def serve() -> None:
        try:
            with ours:
                converse(ours, answer, LIMITS)
        except OSError:
            pass
        except BaseException as error:  # noqa: BLE001 - told to the test, below
            failed.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    with theirs:
        theirs.settimeout(PATIENCE)
        got = b""
        try:
            theirs.sendall(raw)
            theirs.shutdown(socket.SHUT_WR)
            while part := theirs.recv(65536):
                got += part
        except (BrokenPipeError, ConnectionResetError):
            pass
    thread.join(PATIENCE)

    assert failed == []
    assert b"hidden" not in got
    assert got == b"" or got.startswith(b"HTTP/1.1 ")
