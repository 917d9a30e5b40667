"""The fake AWS is held to AWS's own service models, library and command line."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from xml.etree import ElementTree as ET

import pytest
from botocore.exceptions import ClientError
from tests.fakes import FakeClock
from tests.fakes_aws.access import Assignment
from tests.fakes_aws.aws import FakeAws, fake_aws
from tests.fakes_aws.browser import visit
from tests.fakes_aws.clients import REGION, client
from tests.fakes_aws.oidc import DEVICE_GRANT
from tests.fakes_aws.people import Key
from tests.fakes_aws.web import AwsError

from privyseal.runtime.clock import SystemClock

VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"  # RFC 7636, appendix B
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
CALLBACK = "http://127.0.0.1:45678/oauth/callback"
MAY_BE_ABSENT = {"refreshToken", "idToken", "nextToken", "authorizationEndpoint", "tokenEndpoint"}
TYPES: dict[str, Any] = {
    "structure": dict,
    "list": list,
    "string": str,
    "integer": int,
    "long": int,
}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def aws(clock: FakeClock) -> Iterator[FakeAws]:
    with fake_aws(clock) as made:
        made.access.add_portal(
            Assignment("111122223333", "Sandbox", "admin"),
            Assignment("111122223333", "Sandbox", "reader"),
            Assignment("444455556666", "Production", "reader"),
        )
        yield made


@pytest.fixture
def clients(aws: FakeAws) -> Iterator["Clients"]:
    with ExitStack() as stack:
        yield Clients(aws, stack)


class Clients:
    """Makes botocore clients, and looks at every raw answer they get."""

    def __init__(self, aws: FakeAws, stack: ExitStack) -> None:
        self._aws = aws
        self._stack = stack
        self._made: dict[tuple[str, str], Any] = {}

    def of(self, service: str, key: Key | None = None) -> Any:
        name = (service, key.access_key_id if key else "")
        if name not in self._made:
            made = self._stack.enter_context(client(service, self._aws, key))
            made.meta.events.register("before-parse", judge)
            self._made[name] = made
        return self._made[name]

    def registered(self, **more: object) -> dict[str, str]:
        """Register a client for everything; return what its calls have to say of it."""
        found = self.of("sso-oidc").register_client(
            clientName="test",
            clientType="public",
            **{
                "scopes": ["sso:account:access"],
                "grantTypes": ["authorization_code", "refresh_token", DEVICE_GRANT],
                "redirectUris": ["http://127.0.0.1/oauth/callback"],
                "issuerUrl": "https://example.awsapps.com/start",
                **more,
            },
        )
        return {"clientId": found["clientId"], "clientSecret": found["clientSecret"]}

    def token(self, who: dict[str, str]) -> dict[str, Any]:
        """Sign in as a device does, the person allowing it at once."""
        oidc = self.of("sso-oidc")
        start = "https://example.awsapps.com/start"
        device = oidc.start_device_authorization(startUrl=start, **who)
        visit(device["verificationUriComplete"])
        self._aws.oidc.devices[device["deviceCode"]].polled -= device["interval"]
        found = oidc.create_token(grantType=DEVICE_GRANT, deviceCode=device["deviceCode"], **who)
        assert isinstance(found, dict)
        return found


def judge(operation_model: Any, response_dict: dict[str, Any], **_: object) -> None:
    """Hold a raw answer to its model: nothing invented, nothing of a wrong type, nothing missing."""
    if response_dict["status_code"] >= 300:
        modelled = {shape.name: shape for shape in operation_model.error_shapes}
        code = response_dict["headers"].get("x-amzn-ErrorType", "")
        if code in modelled:
            status = modelled[code].metadata["error"]["httpStatusCode"]
            assert response_dict["status_code"] == status
        return
    shape, body = operation_model.output_shape, response_dict["body"]
    if operation_model.service_model.protocol == "query":
        root = ET.fromstring(body)  # noqa: S314 - the fake's own answer
        name = operation_model.name
        assert (
            root.tag
            == f"{{{operation_model.service_model.metadata['xmlNamespace']}}}{name}Response"
        )
        if shape is not None:
            result = next(part for part in root if part.tag.endswith(f"}}{name}Result"))
            judge_xml(result, shape)
    elif shape is not None and shape.members:
        judge_json(json.loads(body), shape)


def judge_json(value: Any, shape: Any) -> None:
    assert isinstance(value, TYPES[shape.type_name]), shape
    if shape.type_name == "structure":
        # These models call no member required, so all but what may be absent is.
        assert set(shape.members) - MAY_BE_ABSENT <= set(value)
        for name, part in value.items():
            judge_json(part, shape.members[name])
    elif shape.type_name == "list":
        for part in value:
            judge_json(part, shape.member)


def judge_xml(element: ET.Element, shape: Any) -> None:
    if shape.type_name == "structure":
        found = {part.tag.rpartition("}")[2]: part for part in element}
        assert set(shape.required_members) <= set(found)
        for name, part in found.items():
            judge_xml(part, shape.members[name])
    elif shape.type_name == "list":
        for part in element:
            judge_xml(part, shape.member)


def key_of(found: Any, like: Key) -> Key:
    """Return the credentials of an answer as a key to sign with."""
    credentials = found["Credentials"]
    key = Key(
        kind="session", arn="", principal="", account=like.account, user_id="", user=like.user
    )
    key.access_key_id = credentials["AccessKeyId"]
    key.secret_access_key = credentials["SecretAccessKey"]
    key.session_token = credentials["SessionToken"]
    return key


def code_of(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def test_every_session_that_sts_gives_authenticates(aws: FakeAws, clients: Clients) -> None:
    user = aws.people.add_user()
    role = aws.people.add_role()
    sts = clients.of("sts", user.key)
    assert sts.get_caller_identity()["Arn"] == user.arn
    session = sts.get_session_token()
    federated = sts.get_federation_token(Name="alice", Policy="{}")
    assumed = sts.assume_role(
        RoleArn=role.arn,
        RoleSessionName="test",
        SourceIdentity="alice",
        Tags=[{"Key": "team", "Value": "blue"}, {"Key": "cost", "Value": "7"}],
    )
    arns = [
        clients.of("sts", key_of(found, user.key)).get_caller_identity()["Arn"]
        for found in (session, federated, assumed)
    ]
    assert arns == [
        user.arn,
        "arn:aws:sts::111122223333:federated-user/alice",
        "arn:aws:sts::111122223333:assumed-role/admin/test",
    ]
    assert assumed["SourceIdentity"] == "alice"
    key = aws.people.find(assumed["Credentials"]["AccessKeyId"])
    assert key is not None
    assert key.tags == {"team": "blue", "cost": "7"}


def test_a_web_identity_needs_no_signature(aws: FakeAws, clients: Clients) -> None:
    role = aws.people.add_role(trusts=frozenset({"issuer.example"}))
    found = clients.of("sts").assume_role_with_web_identity(
        RoleArn=role.arn, RoleSessionName="test", WebIdentityToken="issuer.example:me"
    )
    assert found["AssumedRoleUser"]["Arn"].endswith("assumed-role/admin/test")


def test_a_key_is_rotated_and_never_more_than_two(aws: FakeAws, clients: Clients) -> None:
    user = aws.people.add_user()
    iam = clients.of("iam", user.key)
    made = iam.create_access_key()["AccessKey"]
    with pytest.raises(iam.exceptions.LimitExceededException):
        iam.create_access_key(UserName="alice")
    old = user.key.access_key_id
    iam.update_access_key(AccessKeyId=made["AccessKeyId"], Status="Inactive")
    states = {k["AccessKeyId"]: k["Status"] for k in iam.list_access_keys()["AccessKeyMetadata"]}
    assert states == {old: "Active", made["AccessKeyId"]: "Inactive"}
    iam.delete_access_key(AccessKeyId=made["AccessKeyId"])
    assert iam.get_user()["User"]["Arn"] == user.arn
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.delete_access_key(AccessKeyId=made["AccessKeyId"])


def test_a_wrong_key_or_signature_is_refused(aws: FakeAws, clients: Clients) -> None:
    user = aws.people.add_user()
    stranger = aws.people.add_user("bob").key
    stranger.secret_access_key = "wrong"
    sts = clients.of("sts", stranger)
    stranger.secret_access_key = "right"
    with pytest.raises(ClientError) as error:
        sts.get_caller_identity()
    assert code_of(error) == "SignatureDoesNotMatch"
    sts = clients.of("sts", user.key)
    user.key.active = False
    with pytest.raises(ClientError) as error:
        sts.get_caller_identity()
    assert code_of(error) == "InvalidClientTokenId"


def test_an_expired_session_is_refused(aws: FakeAws, clients: Clients, clock: FakeClock) -> None:
    user = aws.people.add_user()
    found = clients.of("sts", user.key).get_session_token(DurationSeconds=900)
    sts = clients.of("sts", key_of(found, user.key))
    clock.advance(899)
    sts.get_caller_identity()
    clock.advance(1)
    with pytest.raises(ClientError) as error:
        sts.get_caller_identity()
    assert code_of(error) == "ExpiredToken"


@pytest.mark.parametrize("seconds", [899, 129_601])
def test_a_duration_out_of_bounds_is_refused(aws: FakeAws, clients: Clients, seconds: int) -> None:
    with pytest.raises(ClientError) as error:
        clients.of("sts", aws.people.add_user().key).get_session_token(DurationSeconds=seconds)
    assert code_of(error) == "ValidationError"


def test_a_role_lasts_as_long_as_it_may_and_an_hour_in_a_chain(
    aws: FakeAws, clients: Clients
) -> None:
    user = aws.people.add_user()
    role = aws.people.add_role(max_duration=7200)
    asked = {"RoleArn": role.arn, "RoleSessionName": "test"}
    sts = clients.of("sts", user.key)
    with pytest.raises(ClientError, match="MaxSessionDuration"):
        sts.assume_role(**asked, DurationSeconds=7201)
    first = sts.assume_role(**asked, DurationSeconds=7200)
    chained = clients.of("sts", key_of(first, user.key))
    with pytest.raises(ClientError, match="1 hour session limit"):
        chained.assume_role(**asked, DurationSeconds=3601)
    chained.assume_role(**asked, DurationSeconds=3600)


def test_a_code_is_good_once_and_only_for_its_device(
    aws: FakeAws, clients: Clients, clock: FakeClock
) -> None:
    user = aws.people.add_user(device=True)
    role = aws.people.add_role(mfa=True)
    assert user.device is not None
    sts = clients.of("sts", user.key)
    code = user.device.code()
    asked = {"SerialNumber": user.device.serial, "TokenCode": code}
    session = sts.get_session_token(**asked)
    with pytest.raises(ClientError, match="invalid MFA one time pass code"):
        sts.get_session_token(**asked)
    clock.advance(30)
    sts.get_session_token(**asked | {"TokenCode": user.device.code()})
    with pytest.raises(ClientError, match="unable to validate MFA code"):
        sts.get_session_token(SerialNumber="arn:aws:iam::1:mfa/x", TokenCode="123456")
    wanted = {"RoleArn": role.arn, "RoleSessionName": "test"}
    with pytest.raises(ClientError, match="not authorized to perform: sts:AssumeRole"):
        sts.assume_role(**wanted)
    clients.of("sts", key_of(session, user.key)).assume_role(**wanted)


def test_the_devices_codes_are_those_of_rfc_6238(aws: FakeAws, clock: FakeClock) -> None:
    device = aws.people.add_user(device=True).device
    assert device is not None
    device.seed = b"12345678901234567890"
    clock.advance(1_234_567_890 - clock.wall())
    assert device.code() == "005924"


def test_federation_credentials_call_nothing_and_sessions_no_iam(
    aws: FakeAws, clients: Clients
) -> None:
    user = aws.people.add_user()
    sts = clients.of("sts", user.key)
    federated = key_of(sts.get_federation_token(Name="alice"), user.key)
    session = key_of(sts.get_session_token(), user.key)
    with pytest.raises(ClientError) as error:
        clients.of("sts", federated).get_session_token()
    assert code_of(error) == "AccessDenied"
    with pytest.raises(ClientError) as error:
        clients.of("iam", session).get_user()
    assert code_of(error) == "InvalidClientTokenId"


def test_a_malformed_policy_is_the_modelled_error(aws: FakeAws, clients: Clients) -> None:
    sts = clients.of("sts", aws.people.add_user().key)
    with pytest.raises(sts.exceptions.MalformedPolicyDocumentException):
        sts.get_federation_token(Name="alice", Policy="{")


def test_a_device_waits_slows_down_and_gets_a_token(
    aws: FakeAws, clients: Clients, clock: FakeClock
) -> None:
    aws.oidc.person = "pending"
    oidc = clients.of("sso-oidc")
    who = clients.registered()
    start = "https://example.awsapps.com/start"
    device = oidc.start_device_authorization(startUrl=start, **who)
    asked = {"grantType": DEVICE_GRANT, "deviceCode": device["deviceCode"], **who}
    clock.advance(1)
    with pytest.raises(oidc.exceptions.AuthorizationPendingException):
        oidc.create_token(**asked)
    with pytest.raises(oidc.exceptions.SlowDownException):
        oidc.create_token(**asked)
    aws.oidc.decide(device["userCode"], "allow")
    clock.advance(1 + 5)
    token = oidc.create_token(**asked)
    assert token["tokenType"] == "Bearer"
    with pytest.raises(oidc.exceptions.InvalidGrantException):
        oidc.create_token(**asked)


def test_a_device_is_denied_or_expires(aws: FakeAws, clients: Clients, clock: FakeClock) -> None:
    oidc = clients.of("sso-oidc")
    who = clients.registered()
    for verdict, seconds, error in (
        ("deny", 1, oidc.exceptions.AccessDeniedException),
        ("pending", 600, oidc.exceptions.ExpiredTokenException),
    ):
        aws.oidc.person = verdict  # type: ignore[assignment]  # a literal, through a tuple
        start = "https://example.awsapps.com/start"
        device = oidc.start_device_authorization(startUrl=start, **who)
        visit(device["verificationUriComplete"])
        clock.advance(seconds)
        with pytest.raises(error):
            oidc.create_token(grantType=DEVICE_GRANT, deviceCode=device["deviceCode"], **who)


def test_the_code_of_a_redirect_is_good_once_with_its_verifier_and_address(
    aws: FakeAws, clients: Clients
) -> None:
    oidc = clients.of("sso-oidc")
    who = clients.registered()
    query = {
        "response_type": "code",
        "client_id": who["clientId"],
        "redirect_uri": CALLBACK,
        "state": "s",
        "code_challenge_method": "S256",
        "code_challenge": CHALLENGE,
        "scopes": "sso:account:access",
    }
    right = {"redirectUri": CALLBACK, "codeVerifier": VERIFIER}
    for wrong in ({"codeVerifier": "w" * 43}, {"redirectUri": CALLBACK + "x"}, {}):
        answer = aws.oidc.authorize(query)
        found = parse_qs(urlsplit(answer.headers["Location"]).query)
        assert found["state"] == ["s"]
        asked = {"grantType": "authorization_code", "code": found["code"][0], **who, **right}
        if wrong:
            with pytest.raises(oidc.exceptions.InvalidGrantException):
                oidc.create_token(**asked | wrong)
        else:
            assert oidc.create_token(**asked)["refreshToken"]
        with pytest.raises(oidc.exceptions.InvalidGrantException):
            oidc.create_token(**asked)
    foreign = visit(f"{aws.url}/authorize?{urlencode(query | {'redirect_uri': 'http://evil/'})}")
    assert (foreign.status, foreign.text) == (400, "wrong redirect_uri")


def test_a_refresh_token_is_good_once(aws: FakeAws, clients: Clients, clock: FakeClock) -> None:
    oidc = clients.of("sso-oidc")
    who = clients.registered()
    first = clients.token(who)
    asked = {"grantType": "refresh_token", "refreshToken": first["refreshToken"], **who}
    second = oidc.create_token(**asked)
    assert second["refreshToken"] != first["refreshToken"]
    with pytest.raises(oidc.exceptions.InvalidGrantException):
        oidc.create_token(**asked)
    clock.advance(8 * 3600)
    with pytest.raises(oidc.exceptions.InvalidGrantException):
        oidc.create_token(**asked | {"refreshToken": second["refreshToken"]})


def test_what_a_client_may_not_is_the_modelled_error(aws: FakeAws, clients: Clients) -> None:
    oidc = clients.of("sso-oidc")
    who = clients.registered(grantTypes=["authorization_code"])
    with pytest.raises(oidc.exceptions.UnauthorizedClientException):
        oidc.create_token(grantType="refresh_token", refreshToken="x", **who)
    with pytest.raises(oidc.exceptions.UnsupportedGrantTypeException):
        oidc.create_token(grantType="password", **who)
    with pytest.raises(oidc.exceptions.InvalidClientException):
        oidc.create_token(grantType="refresh_token", clientId="x", clientSecret="y")
    with pytest.raises(oidc.exceptions.InvalidRedirectUriException):
        clients.registered(redirectUris=["http://evil.example/oauth/callback"])
    with pytest.raises(oidc.exceptions.InvalidRequestException):
        oidc.start_device_authorization(startUrl="https://unknown.example/start", **who)
    aws.refuse("RegisterClient", AwsError(500, "InternalServerException"))
    with pytest.raises(oidc.exceptions.InternalServerException):
        clients.registered()


def test_the_portal_lists_pages_of_roles_and_gives_keys_that_work(
    aws: FakeAws, clients: Clients
) -> None:
    aws.access.page_size = 1
    sso = clients.of("sso")
    token = clients.token(clients.registered())["accessToken"]
    accounts = sso.get_paginator("list_accounts").paginate(accessToken=token)
    found = [
        (account["accountName"], role["roleName"])
        for page in accounts
        for account in page["accountList"]
        for roles in sso.get_paginator("list_account_roles").paginate(
            accessToken=token, accountId=account["accountId"]
        )
        for role in roles["roleList"]
    ]
    assert found == [("Sandbox", "admin"), ("Sandbox", "reader"), ("Production", "reader")]
    given = sso.get_role_credentials(accountId="111122223333", roleName="admin", accessToken=token)
    key = aws.people.find(given["roleCredentials"]["accessKeyId"])
    arn = clients.of("sts", key).get_caller_identity()["Arn"]
    assert arn.startswith("arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_admin_")


def test_a_token_that_was_logged_out_or_expired_is_unauthorized(
    aws: FakeAws, clients: Clients, clock: FakeClock
) -> None:
    sso = clients.of("sso")
    who = clients.registered()
    token = clients.token(who)
    sso.logout(accessToken=token["accessToken"])
    with pytest.raises(sso.exceptions.UnauthorizedException):
        sso.list_accounts(accessToken=token["accessToken"])
    oidc = clients.of("sso-oidc")
    with pytest.raises(oidc.exceptions.InvalidGrantException):
        oidc.create_token(grantType="refresh_token", refreshToken=token["refreshToken"], **who)
    token = clients.token(who)
    clock.advance(3600)
    with pytest.raises(sso.exceptions.UnauthorizedException):
        sso.list_accounts(accessToken=token["accessToken"])
    again = clients.token(who)["accessToken"]
    with pytest.raises(ClientError) as error:
        sso.get_role_credentials(accountId="444455556666", roleName="admin", accessToken=again)
    assert code_of(error) == "ForbiddenException"


def test_the_command_line_of_aws_gets_credentials_that_work(tmp_path: Path) -> None:
    def run(*words: str, **env: str) -> Any:
        command = (sys.executable, "-m", "awscli", *words, "--endpoint-url", url)
        surroundings = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            **env,
        }
        found = subprocess.run(command, env=surroundings, check=True, capture_output=True)
        return json.loads(found.stdout)

    with fake_aws(SystemClock()) as aws:
        url = aws.url
        user = aws.people.add_user(device=True)
        assert user.device is not None
        session = run(
            *("sts", "get-session-token", "--serial-number", user.device.serial),
            *("--token-code", user.device.code(), "--duration-seconds", "900"),
            AWS_ACCESS_KEY_ID=user.key.access_key_id,
            AWS_SECRET_ACCESS_KEY=user.key.secret_access_key,
        )["Credentials"]
        identity = run(
            *("sts", "get-caller-identity"),
            AWS_ACCESS_KEY_ID=session["AccessKeyId"],
            AWS_SECRET_ACCESS_KEY=session["SecretAccessKey"],
            AWS_SESSION_TOKEN=session["SessionToken"],
        )
    assert identity["Arn"] == user.arn
