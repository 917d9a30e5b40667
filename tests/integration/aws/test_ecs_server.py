"""The container credentials server on a real port, asked by real clients and hostile ones."""

import itertools
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from tests.integration.aws.credential_servers import (
    STRANGER,
    Source,
    ask,
    clean,
    fetch,
    place,
    send,
)
from tests.waiting import PATIENCE, until

from privyseal.aws.servers.ecs import serve_ecs
from privyseal.aws.servers.listener import Limits
from privyseal.errors import DeniedError

URI = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
TOKEN = "AWS_CONTAINER_AUTHORIZATION_TOKEN"
TOKEN_FILE = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
ROLE = "arn:aws:iam::123456789012:role/Admin"

BOTOCORE = """
import json, botocore.session
credentials = botocore.session.get_session().get_credentials()
uses = [credentials.get_frozen_credentials() for _ in range(4)]
print(json.dumps([credentials.method, uses[-1].access_key, uses[-1].token, credentials.account_id]))
"""
SERVE = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
from tests.integration.aws.credential_servers import Source, ask
from privyseal.aws.servers.ecs import serve_ecs
uid = int(sys.argv[2])
os.setgroups([]); os.setgid(uid); os.setuid(uid)
del os.environ["XDG_RUNTIME_DIR"]
with serve_ecs(Source(), {}) as variables:
    print(json.dumps(variables), flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def served(source: Source) -> Iterator[dict[str, str]]:
    with serve_ecs(source, {}, limits=Limits(seconds=1.0, connections=8)) as variables:
        yield variables


def authorised(served: dict[str, str]) -> dict[str, str]:
    return {"Authorization": served[TOKEN]}


def test_the_token_opens_the_profile_and_its_roles(served: dict[str, str]) -> None:
    profile = ask(served[URI], headers=authorised(served))
    role = ask(served[URI], f"/role-arn/{ROLE}", headers=authorised(served))

    assert profile.status == role.status == 200
    assert profile.json()["AccessKeyId"] == "ASIA1"
    assert profile.json()["AccountId"] == "123456789012"
    assert role.json()["AccessKeyId"] == "ASIA2dmin"


def test_the_token_lies_in_a_private_file_that_ends_with_the_server(source: Source) -> None:
    with serve_ecs(source, {}, plain_token=False) as variables:
        path = Path(variables[TOKEN_FILE])
        assert TOKEN not in variables
        assert path.stat().st_mode & 0o777 == 0o600
        assert ask(variables[URI], headers={"Authorization": path.read_text()}).status == 200
    assert not path.exists()


@pytest.mark.parametrize("left_out", [TOKEN, TOKEN_FILE])
def test_botocore_takes_credentials_once_by_token_or_by_file(
    served: dict[str, str], source: Source, left_out: str
) -> None:
    variables = {name: value for name, value in served.items() if name != left_out}
    done = subprocess.run(
        [sys.executable, "-c", BOTOCORE],
        env=clean(variables),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )

    assert json.loads(done.stdout) == ["container-role", "ASIA1", "session", "123456789012"]
    assert source.asked == [""]


def test_a_source_of_short_lives_is_not_asked_at_every_use() -> None:
    source = Source(life=840.0)
    with serve_ecs(source, {}) as variables:
        subprocess.run([sys.executable, "-c", BOTOCORE], env=clean(variables), check=True)

    assert source.asked == [""]


def test_the_aws_command_finds_the_server(served: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "awscli", "configure", "list"],
        env=clean(served),
        capture_output=True,
        text=True,
        check=True,
    )

    assert "container-role" in done.stdout


def test_credentials_are_got_before_the_child_starts(source: Source) -> None:
    source.error = DeniedError("a person said no")

    with pytest.raises(DeniedError), serve_ecs(source, {}):
        pytest.fail("the child would have started")


def test_a_lazy_server_asks_when_it_is_asked(source: Source) -> None:
    source.error = DeniedError("a person said no")
    with serve_ecs(source, {}, lazy=True) as variables:
        assert source.asked == []
        reply = ask(variables[URI], headers=authorised(variables))

    assert (reply.status, reply.json()) == (500, {"Message": "a person said no"})


def test_a_defect_of_the_source_is_not_told_to_the_client(source: Source) -> None:
    source.error = ValueError("inner detail")
    with serve_ecs(source, {}, lazy=True) as variables:
        reply = ask(variables[URI], headers=authorised(variables))

    assert reply.status == 500
    assert "inner detail" not in reply.body


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": ""},
        {"Authorization": "guess"},
        {"Host": "rebound.evil.example"},
        {"Host": "127.0.0.1"},
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Referer": "https://evil.example/"},
        {"X-Forwarded-For": "198.51.100.7"},
        {"Via": "1.1 proxy"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "PUT"])
def test_a_hostile_page_gets_nothing(
    served: dict[str, str], headers: dict[str, str], method: str
) -> None:
    # What a page can make a browser send; one that stole the token sends that too.
    for known in ({}, authorised(served)):
        reply = ask(served[URI], method=method, headers=known | headers)
        assert reply.status == 403
        assert "SecretAccessKey" not in reply.body
        assert not any(name.startswith("access-control") for name in reply.headers)


def test_requests_meant_for_something_else_get_nothing(served: dict[str, str]) -> None:
    address, port = place(served[URI])
    wrong = [
        b"GET / HTTP/1.0\r\n\r\n",
        f"GET http://{address}:{port}/ HTTP/1.1\r\nHost: {address}:{port}\r\n\r\n".encode(),
        f"GET / HTTP/1.1\r\nHost: {address}:{port}\r\nHost: {address}:{port}\r\n\r\n".encode(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"nonsense\r\n\r\n",
    ]
    for raw in wrong:
        reply = send(served[URI], raw)
        assert reply is None or reply.status in {400, 403}


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000,
        b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n" + b"x" * 5000,
    ],
)
def test_too_much_of_anything_is_refused(served: dict[str, str], raw: bytes) -> None:
    reply = send(served[URI], raw)

    assert reply is None or reply.status in {400, 413, 431}


def test_clients_that_send_slowly_hold_up_nobody_for_long(served: dict[str, str]) -> None:
    slow = [socket.create_connection(place(served[URI])) for _ in range(8)]
    try:
        for connection in slow:
            connection.sendall(b"GET / HT")
        assert ask(served[URI], headers=authorised(served)).status == 200
        for connection in slow:
            connection.settimeout(PATIENCE)
            assert connection.recv(1) == b""
    finally:
        for connection in slow:
            connection.close()


def test_a_client_that_drips_is_cut_off_at_the_same_time(served: dict[str, str]) -> None:
    with socket.create_connection(place(served[URI])) as connection:
        connection.settimeout(0.1)
        began = time.monotonic()
        for letter in itertools.cycle(b"GET / HTTP/1.1\r\nHost: x\r\nX: y"):
            try:
                connection.sendall(bytes([letter]))
                if connection.recv(1) == b"":
                    break
            except TimeoutError:
                assert time.monotonic() < began + 10
            except ConnectionError:
                break


def test_a_client_that_ends_its_own_side_first_is_answered(served: dict[str, str]) -> None:
    address, port = place(served[URI])
    with socket.create_connection((address, port)) as connection:
        connection.sendall(
            f"GET / HTTP/1.1\r\nHost: {address}:{port}\r\n"
            f"Authorization: {served[TOKEN]}\r\n\r\n".encode()
        )
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(15) == b"HTTP/1.1 200 \r\n"


def test_an_ipv6_socket_of_the_same_user_is_served(served: dict[str, str]) -> None:
    # Java opens IPv6 sockets for IPv4 addresses.
    address, port = place(served[URI])
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as connection:
        connection.connect((f"::ffff:{address}", port))
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {address}:{port}\r\n\r\n".encode())
        assert connection.recv(12) == b"HTTP/1.1 403"


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be another user")
def test_another_user_gets_nothing_even_with_the_token(served: dict[str, str]) -> None:
    mine = fetch(served[URI], authorised(served))
    theirs = fetch(served[URI], authorised(served), uid=STRANGER)

    assert "SecretAccessKey" in mine.stdout
    assert theirs.returncode != 0
    assert theirs.stdout == ""
    assert "RemoteDisconnected" in theirs.stderr or "ConnectionReset" in theirs.stderr


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be two users")
def test_root_gets_nothing_from_the_server_of_a_user() -> None:
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, str(root), str(STRANGER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        served = json.loads(server.stdout.readline())
        as_root = fetch(served[URI], authorised(served))
        as_user = fetch(served[URI], authorised(served), uid=STRANGER)
        server.communicate(timeout=PATIENCE)

    assert (as_root.returncode, as_root.stdout) == (1, "")
    assert "SecretAccessKey" in as_user.stdout


def test_the_port_is_closed_when_the_block_ends(source: Source) -> None:
    with serve_ecs(source, {}) as variables:
        connection = socket.create_connection(place(variables[URI]))
    with connection, suppress(ConnectionResetError):
        assert connection.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(place(variables[URI]))


def test_two_servers_stand_side_by_side_with_tokens_of_their_own(source: Source) -> None:
    with serve_ecs(source, {}) as one, serve_ecs(source, {}) as other:
        assert one[URI] != other[URI]
        assert ask(one[URI], headers=authorised(other)).status == 403


def test_fifty_clients_at_one_instant_make_one_call(source: Source) -> None:
    with serve_ecs(source, {}, lazy=True) as variables, ThreadPoolExecutor(50) as pool:
        replies = pool.map(lambda _: ask(variables[URI], headers=authorised(variables)), range(50))
        keys = {reply.json()["AccessKeyId"] for reply in replies}

    assert keys == {"ASIA1"}
    assert source.asked == [""]


def test_a_client_that_leaves_at_once_leaves_nothing_behind(served: dict[str, str]) -> None:
    def served_still() -> bool:
        return ask(served[URI], headers=authorised(served)).status == 200

    for _ in range(50):
        socket.create_connection(place(served[URI])).close()
    until(served_still)
