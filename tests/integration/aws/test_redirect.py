"""The loopback redirect gives itself up to its own sign-in, and to nobody else."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from http.client import HTTPConnection, HTTPResponse
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings, strategies as st
from tests.fakes import FakeClock
from tests.integration.aws.credential_servers import FETCH, STRANGER
from tests.soak import times
from tests.waiting import PATIENCE, until

from privyseal.aws.redirect import Redirect
from privyseal.errors import ExpiredError
from privyseal.runtime.clock import SystemClock

STATE = "the-state"


@pytest.fixture
def redirect() -> Iterator[Redirect]:
    with Redirect() as made:
        yield made


@pytest.fixture
def waiting(redirect: Redirect) -> Iterator[Future[str]]:
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(redirect.wait, STATE, clock=SystemClock(), seconds=20)
        yield future
        if not future.done():
            get(redirect, f"/oauth/callback?state={STATE}&end=1")


def get(
    redirect: Redirect, target: str, *, method: str = "GET", host: str = ""
) -> tuple[int, str, HTTPResponse]:
    authority = urlsplit(redirect.uri).netloc
    connection = HTTPConnection(authority, timeout=PATIENCE)
    try:
        connection.request(method, target, headers={"Host": host or authority})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), answer
    finally:
        connection.close()


def test_the_redirect_of_the_sign_in_is_returned(redirect: Redirect, waiting: Future[str]) -> None:
    status, text, answer = get(redirect, f"/oauth/callback?code=c%2F1&state={STATE}")
    assert (status, waiting.result(PATIENCE)) == (200, f"code=c%2F1&state={STATE}")
    assert "go back to the terminal" in text
    assert answer.headers["Cache-Control"] == "no-store"
    assert "c%2F1" not in text


def test_a_refusal_is_returned_too(redirect: Redirect, waiting: Future[str]) -> None:
    _, text, _ = get(redirect, f"/oauth/callback?error=access_denied&state={STATE}")
    assert waiting.result(PATIENCE) == f"error=access_denied&state={STATE}"
    assert "refused" in text


@pytest.mark.parametrize(
    ("target", "method", "host", "status"),
    [
        (f"/oauth/callback?code=evil&state={STATE}", "GET", "rebound.example", 421),
        (f"/oauth/callback?code=evil&state={STATE}", "GET", "localhost", 421),
        ("/oauth/callback?code=evil&state=guess", "GET", "", 403),
        ("/oauth/callback?code=evil", "GET", "", 403),
        (f"/oauth/callback?code=evil&state={STATE}&state=x", "GET", "", 403),
        (f"/oauth/callback?code=evil&state={STATE}", "POST", "", 405),
        (f"/other?code=evil&state={STATE}", "GET", "", 404),
        ("/favicon.ico", "GET", "", 404),
        ("//[x", "GET", "", 400),
    ],
)
def test_what_is_not_this_sign_in_is_answered_and_forgotten(
    redirect: Redirect, waiting: Future[str], target: str, method: str, host: str, status: int
) -> None:
    assert get(redirect, target, method=method, host=host)[0] == status
    get(redirect, f"/oauth/callback?code=mine&state={STATE}")
    assert waiting.result(PATIENCE) == f"code=mine&state={STATE}"


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be another user")
def test_another_user_who_read_the_command_line_ends_no_sign_in(
    redirect: Redirect, waiting: Future[str]
) -> None:
    target = f"{redirect.uri}?code=evil&state={STATE}"
    forged = subprocess.run(
        [sys.executable, "-I", "-c", FETCH, str(STRANGER), target],
        capture_output=True,
        text=True,
        check=False,
    )

    assert "HTTP Error 403" in forged.stderr
    get(redirect, f"/oauth/callback?code=mine&state={STATE}")
    assert waiting.result(PATIENCE) == f"code=mine&state={STATE}"


def test_silent_and_rambling_visitors_hold_nobody_up(
    redirect: Redirect, waiting: Future[str]
) -> None:
    authority = urlsplit(redirect.uri)
    assert authority.hostname is not None
    where = (authority.hostname, authority.port or 0)
    visitors = [socket.create_connection(where, timeout=PATIENCE) for _ in range(40)]
    try:
        visitors[-1].sendall(b"\x16\x03\x01\x00\xff this is no HTTP\r\n\r\n")
        assert visitors[-1].recv(100).startswith(b"HTTP/1.1 400")
        visitors[-2].sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * 13_000)
        assert visitors[-2].recv(100).startswith(b"HTTP/1.1 4")
        visitors[-3].sendall(b"GET /")
        get(redirect, f"/oauth/callback?code=mine&state={STATE}")
        assert waiting.result(PATIENCE) == f"code=mine&state={STATE}"
    finally:
        for visitor in visitors:
            visitor.close()


@settings(max_examples=times(60, soak=2000), deadline=None)
@given(st.binary(max_size=200), st.binary(max_size=200))
def test_no_bytes_end_the_wait(head: bytes, tail: bytes) -> None:
    with Redirect() as redirect, ThreadPoolExecutor(1) as pool:
        future = pool.submit(redirect.wait, STATE, clock=SystemClock(), seconds=20)
        for blob in (
            head,
            b"GET " + head + b" HTTP/1.1\r\nHost: " + tail + b"\r\n\r\n",
            b"GET /%s HTTP/1.1\r\nHost: %s\r\n\r\n"
            % (
                head.replace(b" ", b"").replace(b"\r", b"").replace(b"\n", b""),
                urlsplit(redirect.uri).netloc.encode(),
            ),
        ):
            where = urlsplit(redirect.uri)
            with socket.create_connection(
                (where.hostname, where.port), timeout=PATIENCE
            ) as visitor:
                visitor.sendall(blob)
        get(redirect, f"/oauth/callback?code=mine&state={STATE}")
        assert future.result(PATIENCE) == f"code=mine&state={STATE}"


def test_it_listens_on_loopback_alone_and_ends_with_its_clock(redirect: Redirect) -> None:
    assert urlsplit(redirect.uri).hostname == "127.0.0.1"
    clock = FakeClock()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(redirect.wait, STATE, clock=clock, seconds=600)
        get(redirect, "/favicon.ico")  # it listens now
        clock.advance(600)
        refuses(redirect)  # it looks at its clock again
        with pytest.raises(ExpiredError, match="in 10 minutes"):
            future.result(PATIENCE)
    redirect.close()
    until(lambda: refuses(redirect))


def refuses(redirect: Redirect) -> bool:
    where = urlsplit(redirect.uri)
    with socket.socket() as visitor:
        return visitor.connect_ex((where.hostname, where.port)) != 0
