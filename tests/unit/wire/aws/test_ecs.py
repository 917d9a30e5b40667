"""The container credentials endpoint: who gets what, and what a hostile page gets."""

import json

import pytest
from hypothesis import example, given, strategies as st

from privyseal.model.aws import Credentials
from privyseal.wire.aws.ecs import Gate, Wanted, failure, grant, judge
from privyseal.wire.aws.exchange import Request, Response

TOKEN = "t0ken"
HOST = "127.0.0.1:4567"
GATE = Gate(TOKEN, frozenset({HOST}))
ROLE = "arn:aws:iam::123456789012:role/path/Admin@x"


def ask(
    target: str = "/", *, method: str = "GET", host: str = HOST, token: str = TOKEN, **headers: str
) -> Wanted | Response:
    sent = [("host", host), ("authorization", token)]
    sent += [(name.replace("_", "-"), value) for name, value in headers.items()]
    return judge(Request(method, target, tuple(sent)), GATE)


def refused(answer: Wanted | Response, status: int) -> str:
    assert isinstance(answer, Response)
    assert answer.status == status
    return str(json.loads(answer.body)["Message"])


@pytest.mark.parametrize("target", ["/", "", "/?x=1"])
def test_the_profile_itself_is_at_the_root(target: str) -> None:
    assert ask(target) == Wanted()


@pytest.mark.parametrize("written", [ROLE, ROLE.replace(":", "%3A").replace("/", "%2F")])
def test_a_role_is_named_by_its_arn_in_the_path(written: str) -> None:
    assert ask(f"/role-arn/{written}") == Wanted(ROLE)


@pytest.mark.parametrize(
    "arn",
    [
        "",
        "x",
        "arn:aws:iam::1:role/x",
        "arn:aws:iam::123456789012:user/x",
        f"{ROLE}%0a",
        f"{ROLE} ",
    ],
)
def test_what_is_no_role_is_refused(arn: str) -> None:
    assert refused(ask(f"/role-arn/{arn}"), 400)


def test_an_endless_arn_is_refused() -> None:
    assert refused(ask(f"/role-arn/{ROLE}{'x' * 2048}"), 400)


@pytest.mark.parametrize("token", ["", "t0ke", "t0kenx", "T0KEN", "Bearer t0ken", "t\udcff"])
def test_a_wrong_token_is_refused(token: str) -> None:
    assert "Authorization" in refused(ask(token=token), 403)


def test_a_token_given_twice_is_refused() -> None:
    request = Request("GET", "/", (("host", HOST), *[("authorization", TOKEN)] * 2))

    assert refused(judge(request, GATE), 403)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:4567", "127.0.0.1", "localhost:1"])
def test_a_rebound_name_is_refused_even_with_the_token(host: str) -> None:
    assert "Host" in refused(ask(host=host), 403)


def test_no_host_and_two_hosts_are_refused() -> None:
    token = ("authorization", TOKEN)

    for hosts in ([], [("host", HOST)] * 2):
        assert refused(judge(Request("GET", "/", (*hosts, token)), GATE), 403)


@pytest.mark.parametrize("name", ["origin", "sec_fetch_site", "sec_fetch_mode", "referer"])
def test_a_browser_is_refused_even_with_the_token(name: str) -> None:
    assert "browsers" in refused(ask(**{name: "same-origin"}), 403)


@pytest.mark.parametrize("name", ["x_forwarded_for", "forwarded", "via", "x_real_ip"])
def test_a_proxied_request_is_refused_even_with_the_token(name: str) -> None:
    assert "proxy" in refused(ask(**{name: "10.0.0.1"}), 403)


@pytest.mark.parametrize("method", ["POST", "PUT", "HEAD", "OPTIONS", "DELETE", "get"])
def test_only_get_is_answered_and_no_other_origin_is_ever_allowed(method: str) -> None:
    answer = ask(method=method)

    assert isinstance(answer, Response)
    assert answer.status == 405
    assert ("allow", "GET") in answer.headers
    assert not any(name.startswith("access-control") for name, _ in answer.headers)


def test_an_unknown_path_is_not_found() -> None:
    assert refused(ask("/stop"), 404)


@given(
    method=st.sampled_from(["GET", "PUT", "POST", "HEAD", "OPTIONS"]) | st.text(),
    target=st.text() | st.just("/"),
    headers=st.lists(
        st.tuples(
            st.sampled_from(["host", "authorization", "origin", "x-forwarded-for"]) | st.text(),
            st.sampled_from([HOST, "evil"]) | st.text(),
        )
    ),
)
@example(method="GET", target="/role-arn/%ff%00", headers=[])
def test_no_request_without_the_token_gets_anything(
    method: str, target: str, headers: list[tuple[str, str]]
) -> None:
    answer = judge(Request(method, target, tuple(headers)), GATE)

    assert isinstance(answer, Response)
    assert answer.status == 403


@given(target=st.text())
def test_every_path_with_the_token_has_a_definite_answer(target: str) -> None:
    answer = ask(target)

    assert isinstance(answer, Wanted) or answer.status in {400, 404}


def test_credentials_are_written_as_aws_vault_writes_them() -> None:
    found = grant(
        Credentials(
            access_key_id="AKIA",
            secret_access_key="s/+",
            session_token="t",
            expires=1_700_000_000.9,
            account="123456789012",
        ),
        0.0,
    )

    assert found.body == (
        b'{"AccessKeyId":"AKIA","AccountId":"123456789012","Expiration":"2023-11-14T22:13:20Z",'
        b'"SecretAccessKey":"s/+","Token":"t"}\n'
    )
    assert ("content-type", "application/json") in found.headers
    assert ("cache-control", "no-store") in found.headers


@pytest.mark.parametrize("expires", [0.0, 1e300, -5.0])
def test_credentials_without_an_end_on_the_calendar_get_one(expires: float) -> None:
    found = json.loads(
        grant(Credentials(access_key_id="A", secret_access_key="s", expires=expires), 100.0).body
    )

    assert len(found["Expiration"]) == len("2023-11-14T22:13:20Z")
    assert "AccountId" not in found


def test_a_failure_says_why() -> None:
    assert refused(failure("a person said no"), 500) == "a person said no"


def test_the_token_is_not_printed() -> None:
    assert TOKEN not in repr(GATE)
