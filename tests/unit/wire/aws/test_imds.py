"""The EC2 metadata service: tokens, who gets none, and the paths that clients read."""

import base64
import json
from collections.abc import Mapping

import pytest
from hypothesis import given, strategies as st

from privyseal.model.aws import Credentials
from privyseal.wire.aws.exchange import Request, Response
from privyseal.wire.aws.imds import Gate, Wanted, failure, grant, judge

KEY = b"k" * 32
NONCE = b"n" * 16
HOST = "169.254.169.254"
V2 = Gate(KEY, region="eu-west-1")
V1 = V2._replace(version_1=True)
ROLES = "/latest/meta-data/iam/security-credentials/"
TTL = "x-aws-ec2-metadata-token-ttl-seconds"
TOKEN = "x-aws-ec2-metadata-token"
NONE: Mapping[str, str] = {}


def judged(
    target: str,
    *,
    method: str = "GET",
    host: str = HOST,
    gate: Gate = V2,
    now: float = 0.0,
    sent: Mapping[str, str] = NONE,
) -> Wanted | Response:
    headers = (("host", host), *sent.items())
    return judge(Request(method, target, headers), gate, now, NONCE)


def ask(
    target: str, *, gate: Gate = V2, now: float = 0.0, sent: Mapping[str, str] = NONE
) -> Response:
    answer = judged(target, gate=gate, now=now, sent=sent)
    assert isinstance(answer, Response)
    return answer


def issue(
    seconds: str = "60",
    *,
    now: float = 0.0,
    gate: Gate = V2,
    host: str = HOST,
    sent: Mapping[str, str] = NONE,
) -> Response:
    sent = {TTL: seconds, **sent}
    answer = judged("/latest/api/token", method="PUT", host=host, now=now, gate=gate, sent=sent)
    assert isinstance(answer, Response)
    return answer


def token(now: float = 0.0, seconds: str = "60", gate: Gate = V2) -> str:
    answer = issue(seconds, now=now, gate=gate)
    assert answer.status == 200
    return answer.body.decode()


def status(answer: Wanted | Response) -> int:
    assert isinstance(answer, Response)
    return answer.status


def test_a_token_opens_the_role_and_its_credentials() -> None:
    mine = token()

    assert ask(ROLES, sent={TOKEN: mine}).body == b"local-credentials"
    assert judged(f"{ROLES}local-credentials", sent={TOKEN: mine}) == Wanted()


def test_a_token_says_how_long_it_lives() -> None:
    assert (TTL, "60") in issue("60").headers


def test_the_extended_path_gives_the_account_too() -> None:
    extended = ROLES.replace("credentials/", "credentials-extended/")

    assert judged(f"{extended}local-credentials", sent={TOKEN: token()}) == Wanted(account=True)


@pytest.mark.parametrize(
    "target", [ROLES, f"{ROLES}local-credentials", "/latest/meta-data/instance-id"]
)
def test_without_a_token_nothing_is_said(target: str) -> None:
    assert status(ask(target)) == 401


def test_a_token_ends_with_its_time() -> None:
    mine = token(now=100.0, seconds="60")

    assert ask(ROLES, now=159.9, sent={TOKEN: mine}).status == 200
    assert ask(ROLES, now=160.0, sent={TOKEN: mine}).status == 401


def test_a_token_of_another_server_is_refused() -> None:
    assert ask(ROLES, sent={TOKEN: token(gate=V2._replace(key=b"x" * 32))}).status == 401


@given(raw=st.binary(max_size=80))
def test_no_made_up_token_is_accepted(raw: bytes) -> None:
    made_up = base64.urlsafe_b64encode(raw).decode()

    assert ask(ROLES, sent={TOKEN: made_up}).status == 401


@given(text=st.text(max_size=80))
def test_no_text_is_a_token(text: str) -> None:
    assert ask(ROLES, sent={TOKEN: text}).status == 401


@given(place=st.integers(0, 55), bit=st.integers(0, 7))
def test_a_changed_token_is_refused(place: int, bit: int) -> None:
    raw = bytearray(base64.urlsafe_b64decode(token()))
    raw[place] ^= 1 << bit

    assert ask(ROLES, sent={TOKEN: base64.urlsafe_b64encode(raw).decode()}).status == 401


@pytest.mark.parametrize(
    "wish", ["", "0", "21601", "-1", "1.5", "60 ", "\uff16\uff10", "9" * 5000, "x"]
)
def test_a_token_for_no_proper_time_is_refused(wish: str) -> None:
    assert status(issue(wish)) == 400


@pytest.mark.parametrize("wish", ["1", "21600"])
def test_a_token_for_the_shortest_and_the_longest_time_is_given(wish: str) -> None:
    assert status(issue(wish)) == 200


def test_a_token_is_refused_without_a_time() -> None:
    assert status(judged("/latest/api/token", method="PUT")) == 400


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "OPTIONS"])
def test_a_token_is_given_to_put_only(method: str) -> None:
    answer = judged("/latest/api/token", method=method, sent={TTL: "60"})

    assert isinstance(answer, Response)
    assert answer.status == 405
    assert ("allow", "PUT") in answer.headers


@pytest.mark.parametrize("name", ["x-forwarded-for", "forwarded", "via"])
def test_a_token_is_not_given_through_a_proxy(name: str) -> None:
    assert status(issue(sent={name: "10.0.0.1"})) == 403


@pytest.mark.parametrize("name", ["origin", "sec-fetch-site", "referer"])
@pytest.mark.parametrize("gate", [V1, V2])
def test_a_browser_gets_nothing_with_or_without_tokens(name: str, gate: Gate) -> None:
    assert status(issue(gate=gate, sent={name: "null"})) == 403
    assert status(ask(ROLES, gate=gate, sent={name: "null"})) == 403


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1:1", "169.254.169.254:81", ""])
@pytest.mark.parametrize("gate", [V1, V2])
def test_a_rebound_name_gets_nothing_with_or_without_tokens(host: str, gate: Gate) -> None:
    assert status(judged(ROLES, host=host, gate=gate)) == 401
    assert status(issue(host=host, gate=gate)) == 401


def test_version_1_is_answered_where_somebody_asked_for_it() -> None:
    assert judged(f"{ROLES}local-credentials", gate=V1) == Wanted()


def test_a_wrong_token_is_refused_where_none_is_needed() -> None:
    assert ask(ROLES, gate=V1, sent={TOKEN: "x"}).status == 401


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/latest/meta-data/instance-id/", "aws-vault"),
        ("/latest/meta-data/iam/info/", '{"Code" : "Success"}'),
        ("/latest/dynamic/instance-identity/document", '{"region": "eu-west-1"}'),
        ("/latest/meta-data/placement/region", "eu-west-1"),
        (f"{ROLES}anything", "local-credentials"),
        (ROLES.rstrip("/"), "local-credentials"),
    ],
)
def test_the_paths_of_aws_vault_are_answered(path: str, text: str) -> None:
    answer = ask(path, gate=V1)

    assert (answer.status, answer.body.decode()) == (200, text)


@pytest.mark.parametrize(
    "path", ["/", "/stop", "/latest", "/latest/user-data", "/latest/meta-data/"]
)
def test_everything_else_is_not_found(path: str) -> None:
    assert status(ask(path, gate=V1)) == 404


def test_without_a_region_none_is_invented() -> None:
    bare = V1._replace(region="")

    assert status(ask("/latest/meta-data/placement/region", gate=bare)) == 404


def test_nothing_but_get_reads() -> None:
    assert status(judged(ROLES, method="POST", gate=V1)) == 405


@given(
    method=st.sampled_from(["GET", "PUT", "POST"]) | st.text(),
    target=st.sampled_from(["/latest/api/token", ROLES, f"{ROLES}local-credentials"]) | st.text(),
    headers=st.lists(
        st.tuples(
            st.sampled_from(["host", TTL, TOKEN, "x-forwarded-for"]) | st.text(),
            st.sampled_from([HOST, "60"]) | st.text(),
        )
    ),
)
def test_no_request_without_an_issued_token_gets_credentials(
    method: str, target: str, headers: list[tuple[str, str]]
) -> None:
    assert isinstance(judge(Request(method, target, tuple(headers)), V2, 0.0, NONCE), Response)


def test_credentials_are_written_as_the_service_writes_them() -> None:
    answer = grant(
        Credentials(
            access_key_id="A", secret_access_key="s", session_token="t", expires=60.0, account="1"
        ),
        0.0,
    )

    assert json.loads(answer.body) == {
        "AccessKeyId": "A",
        "Code": "Success",
        "Expiration": "1970-01-01T00:01:00Z",
        "LastUpdated": "1970-01-01T00:00:00Z",
        "SecretAccessKey": "s",
        "Token": "t",
        "Type": "AWS-HMAC",
    }


def test_the_account_is_told_when_it_is_wanted() -> None:
    known = Credentials(access_key_id="A", secret_access_key="s", account="123456789012")

    assert json.loads(grant(known, 0.0, account=True).body)["AccountId"] == "123456789012"


def test_a_failure_is_a_gateway_timeout() -> None:
    assert failure("nobody decided") == Response(
        504, b"nobody decided\n", (("content-type", "text/plain"),)
    )


def test_the_key_is_not_printed() -> None:
    assert "k" * 8 not in repr(V2)
