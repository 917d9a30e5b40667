"""Calls to AWS: nobody's files are read, and every refusal is one line without a secret."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes import FakeClock
from tests.fakes_aws.aws import FakeAws, fake_aws
from tests.fakes_aws.people import User
from tests.fakes_aws.web import Answer, AwsError, serving, xml_answer
from tests.tls import over_tls, self_signed

from privyseal.aws import sts
from privyseal.aws.calls import call, client
from privyseal.aws.refusals import EndedError, UnknownKeyError, WrongCodeError
from privyseal.errors import (
    DeniedError,
    LimitError,
    PrivysealError,
    UnreachableError,
    UsageError,
)
from privyseal.model.aws import Credentials, FederationStep, Network, RoleStep, SessionStep


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def aws(clock: FakeClock) -> Iterator[FakeAws]:
    with fake_aws(clock) as fake:
        yield fake


@pytest.fixture
def user(aws: FakeAws) -> User:
    return aws.people.add_user(device=True)


@pytest.fixture
def network(aws: FakeAws) -> Network:
    return Network(region="eu-central-1", endpoints={"sts": aws.url, "iam": aws.url})


@pytest.fixture
def own(user: User) -> Credentials:
    return Credentials(
        access_key_id=user.key.access_key_id, secret_access_key=user.key.secret_access_key
    )


def refused(aws: FakeAws, network: Network, own: Credentials, refusal: AwsError) -> PrivysealError:
    aws.refuse("GetCallerIdentity", refusal, times=10)
    with pytest.raises(PrivysealError) as caught:
        sts.identity(network, own)
    return caught.value


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        ("ExpiredToken", EndedError, "the credentials have expired"),
        ("InvalidClientTokenId", UnknownKeyError, "AWS does not know the access key"),
        ("SignatureDoesNotMatch", DeniedError, "the secret key does not belong to the key id"),
        ("AccessDenied", DeniedError, "AWS refuses: 'why'"),
        ("RegionDisabledException", DeniedError, "STS is not enabled in this region"),
        ("ValidationError", UsageError, "AWS finds the request malformed: 'why'"),
        ("PackedPolicyTooLarge", UsageError, "policies and tags are too long together"),
        ("SomethingNew", PrivysealError, "AWS refuses: 'why'"),
    ],
)
def test_each_refusal_has_its_own_kind_and_one_line(
    aws: FakeAws,
    network: Network,
    own: Credentials,
    code: str,
    kind: type[PrivysealError],
    words: str,
):
    error = refused(aws, network, own, AwsError(403, code, "why"))

    assert type(error) is kind
    assert words in str(error)
    assert re.search(rf"\(sts:GetCallerIdentity, {code}, request [0-9a-f-]{{36}}\)$", str(error))
    assert "\n" not in str(error)
    assert aws.calls["GetCallerIdentity"] == 1


def test_a_bad_signature_does_not_show_what_was_signed(
    aws: FakeAws, network: Network, own: Credentials
):
    message = f"The canonical string is x-amz-security-token:{own.secret_access_key}"

    error = refused(aws, network, own, AwsError(403, "SignatureDoesNotMatch", message))

    assert own.secret_access_key not in f"{error} {error.hint} {error.__cause__}"


def test_a_body_that_names_no_error_is_not_quoted():
    body = b'{"clientSecret": "hush-hush", '
    with serving(lambda _: Answer(400, body, {"Content-Type": "application/json"})) as url:
        portal = Network(region="eu-central-1", endpoints={"sso-oidc": url})
        with pytest.raises(PrivysealError, match=r"AWS refuses \(") as caught:
            call(
                client("sso-oidc", portal, None),
                "register_client",
                clientName="us",
                clientType="public",
            )
    assert "hush" not in str(caught.value)


def test_an_instant_that_no_calendar_has_is_not_of_aws(own: Credentials):
    found = {"Credentials": {"Expiration": "-1e132"}}
    body = xml_answer("GetSessionToken", "https://sts.amazonaws.com/doc/2011-06-15/", found).body
    with serving(lambda _: Answer(200, body, {"Content-Type": "text/xml"})) as url:
        there = Network(region="eu-central-1", endpoints={"sts": url})
        with pytest.raises(UnreachableError, match="is not AWS"):
            sts.session(there, own, SessionStep(), "")


def test_an_answer_of_another_shape_is_not_of_aws(own: Credentials):
    body = b"<GetCallerIdentityResponse><GetCallerIdentityResult/></GetCallerIdentityResponse>"
    with serving(lambda _: Answer(200, body, {"Content-Type": "text/xml"})) as url:
        there = Network(region="eu-central-1", endpoints={"sts": url})
        with pytest.raises(UnreachableError, match="what answers for AWS gives no identity"):
            sts.identity(there, own)


def test_a_refusal_that_quotes_a_code_does_not_show_it(
    aws: FakeAws, network: Network, own: Credentials
):
    refusal = AwsError(400, "ValidationError", "Value '987654' failed")
    aws.refuse("GetSessionToken", refusal)

    with pytest.raises(UsageError) as caught:
        sts.session(network, own, SessionStep(mfa="arn:aws:iam::1:mfa/a"), "987654")
    assert "987654" not in str(caught.value)


def test_what_the_library_finds_malformed_is_not_quoted(network: Network, own: Credentials):
    with pytest.raises(UsageError) as caught:
        sts.session(network, own, SessionStep(mfa="arn:aws:iam::1:mfa/a"), "98765")
    assert "98765" not in str(caught.value)
    assert "TokenCode" in str(caught.value)


def test_lines_of_another_are_made_one(aws: FakeAws, network: Network, own: Credentials):
    error = refused(aws, network, own, AwsError(403, "AccessDenied", "a\nb\u202ec" + "d" * 900))

    assert str(error).isprintable()
    assert len(str(error)) < 600


def test_a_wrong_code_is_told_from_other_refusals(network: Network, own: Credentials, user: User):
    assert user.device is not None
    with pytest.raises(WrongCodeError, match="AWS refuses the code of the MFA device"):
        sts.session(network, own, SessionStep(mfa=user.device.serial), "000000")


def test_a_role_that_wants_a_code_says_how_to_give_one(
    aws: FakeAws, network: Network, own: Credentials, clock: FakeClock
):
    refusal = AwsError(
        403, "AccessDenied", "MultiFactorAuthentication failed, must provide MFA TokenCode"
    )
    aws.refuse("AssumeRole", refusal)

    with pytest.raises(DeniedError) as caught:
        sts.role(network, own, RoleStep(arn=aws.people.add_role().arn), "", clock)
    assert not isinstance(caught.value, WrongCodeError)
    assert "mfa_serial" in caught.value.hint


def test_too_long_a_session_says_what_to_do(
    aws: FakeAws, network: Network, own: Credentials, clock: FakeClock
):
    role = aws.people.add_role(max_duration=3600)

    with pytest.raises(UsageError) as caught:
        sts.role(network, own, RoleStep(arn=role.arn, duration=7200), "", clock)
    assert "--duration" in caught.value.hint


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("Signature expired: 20231114T221320Z is now earlier than 20231114T222320Z", "slow"),
        ("Signature not yet current: 21231114T221320Z is still later than 21231114", "fast"),
        ("Signature expired", "the clock of this machine is wrong"),
    ],
)
def test_a_wrong_clock_is_told_by_how_much(
    aws: FakeAws, network: Network, own: Credentials, message: str, words: str
):
    error = refused(aws, network, own, AwsError(403, "SignatureDoesNotMatch", message))

    assert words in str(error)
    assert "clock" in error.hint


def test_throttling_is_borne_for_a_while(aws: FakeAws, network: Network, own: Credentials):
    aws.refuse("GetCallerIdentity", AwsError(400, "Throttling", "Rate exceeded"), times=2)

    assert sts.identity(network, own).user == "alice"
    assert aws.calls["GetCallerIdentity"] == 3


def test_throttling_without_end_is_a_limit(aws: FakeAws, network: Network, own: Credentials):
    aws.refuse("GetCallerIdentity", AwsError(400, "Throttling", "Rate exceeded"), times=9)

    with pytest.raises(LimitError, match="AWS throttles us"):
        call(client("sts", network, own, attempts=2), "get_caller_identity")
    assert aws.calls["GetCallerIdentity"] == 2


def test_a_call_that_must_not_be_made_twice_is_not(
    aws: FakeAws, network: Network, own: Credentials
):
    aws.refuse("GetCallerIdentity", AwsError(500, "InternalFailure", "oops"), times=9)

    with pytest.raises(UnreachableError):
        call(client("sts", network, own, attempts=1), "get_caller_identity")
    assert aws.calls["GetCallerIdentity"] == 1


def test_no_way_to_aws_names_the_address(own: Credentials):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    owner = client("sts", Network(endpoints={"sts": url}), own, attempts=1)

    with pytest.raises(UnreachableError, match=re.escape(f"cannot reach {url!r}")) as caught:
        call(owner, "get_caller_identity")
    assert "HTTPS_PROXY" in caught.value.hint


def test_a_page_of_somebody_else_is_not_taken_for_aws(own: Credentials):
    page = Answer(200, b"<!doctype html><p>Log in to the hotel", {"Content-Type": "text/html"})
    with serving(lambda request: page) as url:
        owner = client("sts", Network(endpoints={"sts": url}), own, attempts=1)

        with pytest.raises(UnreachableError, match="is not AWS"):
            call(owner, "get_caller_identity")


@pytest.mark.parametrize("trusted", [True, False])
def test_who_vouches_for_aws_is_the_machine_s_affair(
    own: Credentials, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, trusted: bool
):
    paths = [tmp_path / "authorities", tmp_path / "key"]
    for path, text in zip(paths, self_signed("localhost"), strict=True):
        path.write_bytes(text)
    if trusted:
        monkeypatch.setattr("privyseal.aws.calls._AUTHORITIES", (paths[0],))
    answer = xml_answer(
        "GetCallerIdentity",
        "https://sts.amazonaws.com/doc/2011-06-15/",
        {"UserId": "x", "Account": "111122223333", "Arn": "arn:aws:iam::111122223333:user/me"},
    )
    with serving(lambda request: answer) as plain, over_tls(plain, *paths) as url:
        network = Network(endpoints={"sts": url})
        if trusted:
            assert sts.identity(network, own).user == "me"
        else:
            with pytest.raises(UnreachableError, match="cannot trust who answers"):
                sts.identity(network, own)


def test_a_federated_user_without_a_name_has_the_users(
    aws: FakeAws, network: Network, own: Credentials
):
    made = sts.federation(network, own, FederationStep(name="", duration=3600))

    assert aws.asked("GetFederationToken")[0]["Name"] == "alice"
    assert sts.identity(network, made).arn.endswith(":federated-user/alice")


@pytest.mark.parametrize(
    ("network", "address"),
    [
        (Network(region="eu-west-1"), "https://sts.eu-west-1.amazonaws.com"),
        (Network(), "https://sts.us-east-1.amazonaws.com"),
        (Network(region="cn-north-1"), "https://sts.cn-north-1.amazonaws.com.cn"),
        (Network(region="eu-west-1", global_sts=True), "https://sts.amazonaws.com"),
        (Network(region="us-east-2", fips=True), "https://sts-fips.us-east-2.amazonaws.com"),
        (Network(region="eu-west-1", dual_stack=True), "https://sts.eu-west-1.api.aws"),
        (
            Network(region="eu-west-1", global_sts=True, endpoints={"sts": "http://[::1]:1"}),
            "http://[::1]:1",
        ),
    ],
)
def test_the_address_follows_from_the_network(network: Network, address: str):
    assert client("sts", network, None).meta.endpoint_url == address


def test_an_own_endpoint_excludes_fips():
    with pytest.raises(UsageError, match="excludes FIPS and dual-stack"):
        client("sts", Network(fips=True, endpoints={"sts": "http://[::1]:1"}), None)


@pytest.mark.parametrize("region", ["eu west", "../x", "a" * 99])
def test_a_malformed_region_is_a_usage_error(region: str):
    with pytest.raises(UsageError, match="cannot reach sts in"):
        client("sts", Network(region=region), None)


POISONED = """
import os, sys
home = os.environ["HOME"]
def hook(event, args):
    if event == "open" and str(args[0]).startswith(home):
        print("opened", args[0]); sys.stdout.flush(); os._exit(9)
sys.addaudithook(hook)
from privyseal.aws import sts
from privyseal.aws.calls import client
from privyseal.model.aws import Credentials, Network
network = Network(region="eu-central-1", endpoints={"sts": sys.argv[1]})
key = Credentials(access_key_id=sys.argv[2], secret_access_key=sys.stdin.read())
print(sts.identity(network, key).arn, client("iam", Network(), key).meta.endpoint_url)
"""


def test_files_and_variables_of_the_user_are_not_read(aws: FakeAws, user: User, tmp_path: Path):
    folder = tmp_path / ".aws"
    (folder / "models/sts/2011-06-15").mkdir(parents=True)
    (folder / "models/sts/2011-06-15/service-2.json").write_text("{}")
    (folder / "models/endpoints.json").write_text("{}")
    for name in ("config", "credentials"):
        (folder / name).write_text(
            "[default]\naws_access_key_id = AKIAEVIL\nendpoint_url = http://x"
        )
    (tmp_path / "evil.py").write_text("raise SystemExit('loaded')")
    poison = {
        "HOME": str(tmp_path),
        "PATH": os.environ["PATH"],
        "AWS_PROFILE": "missing",
        "AWS_ACCESS_KEY_ID": "AKIAEVIL",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_SESSION_TOKEN": "x",
        "AWS_REGION": "nowhere-1",
        "AWS_DEFAULT_REGION": "nowhere-1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ENDPOINT_URL_STS": "http://127.0.0.1:1",
        "AWS_ENDPOINT_URL_IAM": "http://127.0.0.1:1",
        "AWS_USE_FIPS_ENDPOINT": "true",
        "AWS_USE_DUALSTACK_ENDPOINT": "true",
        "AWS_CA_BUNDLE": str(tmp_path / "bundle"),
        "REQUESTS_CA_BUNDLE": str(tmp_path / "bundle"),
        "AWS_DATA_PATH": str(folder / "models"),
        "AWS_CONFIG_FILE": str(folder / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"),
        "AWS_MAX_ATTEMPTS": "none",
        "AWS_RETRY_MODE": "nonsense",
        "AWS_DEFAULTS_MODE": "nonsense",
        "AWS_CSM_ENABLED": "true",
        "BOTOCORE_EXPERIMENTAL__PLUGINS": "evil=evil",
        "PYTHONPATH": str(tmp_path),
    }

    ran = subprocess.run(
        [sys.executable, "-c", POISONED, aws.url, user.key.access_key_id],
        input=user.key.secret_access_key,
        env=poison,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.stdout.strip() == f"{user.arn} https://iam.amazonaws.com", ran.stderr
