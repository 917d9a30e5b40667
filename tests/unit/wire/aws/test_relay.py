"""What clients say to a proxy, and what is passed on."""

import pytest
from hypothesis import given, strategies as st

from privyseal.errors import UsageError
from privyseal.wire.aws.relay import Passage, read_head


@pytest.mark.parametrize(
    ("target", "host", "port"),
    [
        (b"sts.amazonaws.com:443", "sts.amazonaws.com", 443),
        (b"[fd00::1]:443", "fd00::1", 443),
        (b"nowhere", "nowhere", 0),
    ],
)
def test_a_tunnel_is_opened_to_where_the_client_says(target: bytes, host: str, port: int) -> None:
    passage = read_head(b"CONNECT " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")

    assert passage == Passage(host, port)
    assert passage.tunnel


def test_a_whole_url_is_shortened_and_the_connection_ends_with_it() -> None:
    head = (
        b"GET http://example:8080/a?b=c HTTP/1.1\r\nHost: example:8080\r\n"
        b"Connection: keep-alive\r\nProxy-Authorization: Basic x\r\nX-Own: 1\r\n\r\n"
    )

    assert read_head(head) == Passage(
        "example",
        8080,
        b"GET /a?b=c HTTP/1.1\r\nHost: example:8080\r\nX-Own: 1\r\nConnection: close\r\n\r\n",
    )


def test_a_url_without_path_and_port_has_the_usual_ones() -> None:
    passage = read_head(b"GET http://example HTTP/1.1\r\n\r\n")

    assert passage == Passage("example", 80, b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"GET / HTTP/1.1",
        b"GET https://example/ HTTP/1.1",
        b"GET http:/// HTTP/1.1",
        b"CONNECT :443 HTTP/1.1",
        b"CONNECT a:99999 HTTP/1.1",
        b"CONNECT a:b HTTP/1.1",
        b"CONNECT \xff:1 HTTP/1.1",
        b"GET http://[::1/ HTTP/1.1",
    ],
)
def test_what_is_for_no_proxy_is_refused(head: bytes) -> None:
    with pytest.raises(UsageError):
        read_head(head + b"\r\n\r\n")


@given(
    method=st.sampled_from([b"CONNECT", b"GET"]) | st.binary(),
    target=st.binary() | st.binary().map(lambda rest: b"http://" + rest),
    lines=st.lists(st.binary()),
)
def test_every_head_is_understood_or_refused(
    method: bytes, target: bytes, lines: list[bytes]
) -> None:
    try:
        passage = read_head(b"\r\n".join((b" ".join((method, target, b"HTTP/1.1")), *lines)))
    except UsageError:
        return
    assert passage.host
    assert 0 <= passage.port < 65536
