"""The EC2 metadata server on a real port, asked by real clients and hostile ones."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping

import pytest
from tests.integration.aws.credential_servers import (
    STRANGER,
    Reply,
    Source,
    ask,
    clean,
    fetch,
    place,
)
from tests.waiting import until

from privyseal.aws.servers.imds import Offer, serve_imds
from privyseal.errors import DeniedError

URI = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
ROLES = "/latest/meta-data/iam/security-credentials/"
MINE = f"{ROLES}local-credentials"
TTL = "X-aws-ec2-metadata-token-ttl-seconds"
TOKEN = "X-aws-ec2-metadata-token"

BOTOCORE = """
import json, botocore.session
credentials = botocore.session.get_session().get_credentials()
uses = [credentials.get_frozen_credentials() for _ in range(4)]
print(json.dumps([credentials.method, uses[-1].access_key, uses[-1].token]))
"""


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def served(source: Source) -> Iterator[dict[str, str]]:
    with serve_imds(source, {}, Offer(region="eu-west-1")) as variables:
        yield variables


def issue(url: str, headers: Mapping[str, str] | None = None) -> Reply:
    return ask(url, "/latest/api/token", method="PUT", headers={TTL: "60"} | dict(headers or {}))


def run(code: str, variables: dict[str, str]) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.check_output(command, env=clean(variables), text=True)


def test_a_token_got_by_put_opens_the_credentials(served: dict[str, str]) -> None:
    token = {TOKEN: issue(served[URI]).body}

    assert ask(served[URI], ROLES, headers=token).body == "local-credentials"
    assert ask(served[URI], MINE, headers=token).json()["AccessKeyId"] == "ASIA1"


def test_without_a_token_there_is_nothing(served: dict[str, str]) -> None:
    assert ask(served[URI], MINE).status == 401


def test_botocore_takes_credentials_once(served: dict[str, str], source: Source) -> None:
    assert json.loads(run(BOTOCORE, served)) == ["iam-role", "ASIA1", "session"]
    assert source.asked == [""]


def test_botocore_is_not_led_astray_by_a_proxy(source: Source) -> None:
    proxy = {"http_proxy": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
    with serve_imds(source, proxy) as variables:
        assert json.loads(run(BOTOCORE, proxy | variables))[0] == "iam-role"


def test_a_client_of_the_first_version_is_answered_only_on_request(source: Source) -> None:
    with serve_imds(source, {}, Offer(version_1=True)) as variables:
        assert ask(variables[URI], MINE).json()["Code"] == "Success"


def test_servers_stand_side_by_side_on_ports_of_their_own(source: Source) -> None:
    with serve_imds(source, {}) as one, serve_imds(source, {}) as other:
        assert one[URI] != other[URI]
        assert ask(one[URI], MINE, headers={TOKEN: issue(other[URI]).body}).status == 401
        assert ask(one[URI], "/stop", headers={TOKEN: issue(one[URI]).body}).status == 404


def test_a_token_of_one_server_opens_no_other(source: Source) -> None:
    with serve_imds(source, {}) as before:
        old = issue(before[URI]).body
    with serve_imds(source, {}) as after:
        assert ask(after[URI], MINE, headers={TOKEN: old}).status == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "rebound.evil.example"}, 401),
        ({"Host": "169.254.169.254"}, 401),
        ({"X-Forwarded-For": "198.51.100.7"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Sec-Fetch-Mode": "no-cors"}, 403),
    ],
)
@pytest.mark.parametrize("version_1", [False, True])
def test_a_hostile_page_gets_neither_token_nor_credentials(
    source: Source, headers: dict[str, str], status: int, *, version_1: bool
) -> None:
    with serve_imds(source, {}, Offer(version_1=version_1)) as variables:
        url = variables[URI]
        token = {TOKEN: issue(url).body}
        replies = [
            issue(url, headers),
            ask(url, MINE, headers=headers),
            ask(url, MINE, headers=token | headers),
            ask(url, "/latest/api/token", method="OPTIONS", headers=headers),
        ]

    assert [reply.status for reply in replies] == [status] * len(replies)
    assert not any("Secret" in reply.body or TTL.lower() in reply.headers for reply in replies)


def test_a_failure_comes_before_the_child_or_as_a_gateway_timeout(source: Source) -> None:
    source.error = DeniedError("a person said no")

    with pytest.raises(DeniedError), serve_imds(source, {}):
        pytest.fail("the child would have started")
    with serve_imds(source, {}, Offer(lazy=True, version_1=True)) as variables:
        reply = ask(variables[URI], MINE)
    assert (reply.status, reply.body) == (504, "a person said no\n")


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be another user")
def test_another_user_gets_nothing_even_from_the_first_version(source: Source) -> None:
    with serve_imds(source, {}, Offer(version_1=True)) as variables:
        mine = fetch(f"{variables[URI]}{MINE}", {})
        theirs = fetch(f"{variables[URI]}{MINE}", {}, uid=STRANGER)

    assert "SecretAccessKey" in mine.stdout
    assert (theirs.returncode, theirs.stdout) == (1, "")


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to read packets")
@pytest.mark.parametrize("hops", [1, 3])
def test_answers_travel_no_further_than_the_hop_limit(source: Source, hops: int) -> None:
    seen: set[int] = set()
    done = threading.Event()
    with (
        socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800)) as wire,
        serve_imds(source, {}, Offer(hops=hops)) as variables,
    ):
        wire.bind(("lo", 0x0800))
        wire.settimeout(0.05)
        port = place(variables[URI])[1].to_bytes(2, "big")

        def watch() -> None:
            while not done.is_set():
                try:
                    packet = wire.recv(2048)
                except TimeoutError:
                    continue
                # IPv4 without options (RFC 791): time to live, protocol, and then TCP's own ports.
                if packet[9] == socket.IPPROTO_TCP and packet[20:22] == port:
                    seen.add(packet[8])

        watching = threading.Thread(target=watch)
        watching.start()
        assert issue(variables[URI]).status == 200
        until(lambda: bool(seen))
        done.set()
        watching.join()

    assert seen == {hops}
