"""Whatever answers in the place of AWS, of a container, or of 1Password: an error of ours, or a use."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings, strategies as st
from tests.damage import changed, damaged, our_errors_alone
from tests.fake_talk import FakeTalk
from tests.fakes import FakeClock
from tests.fakes_aws.web import Answer, Request, serving, xml_answer
from tests.fakes_stores import MemoryStore
from tests.soak import times

from privyseal.aws import items, sts, tokens
from privyseal.aws.console import link
from privyseal.aws.flights import Flights
from privyseal.aws.iam import Keys
from privyseal.aws.means import Means
from privyseal.aws.portal import PortalAccess
from privyseal.aws.ports import Item
from privyseal.aws.sources import from_surroundings
from privyseal.aws.stores.onepassword import OnePasswordStore
from privyseal.aws.stores.opconnect import ConnectVault
from privyseal.model.aws import (
    Ambient,
    Credentials,
    Network,
    Portal,
    RoleStep,
    SessionStep,
)
from privyseal.model.secret import Secret
from privyseal.model.value import decode, encode

START = "https://example.awsapps.com/start"
SECRET = "hush-hush-hush"
OWN = Credentials(access_key_id="AKIAOWN", secret_access_key="own-secret")
GIVEN = {
    "AccessKeyId": "ASIAEXAMPLE",
    "SecretAccessKey": SECRET,
    "SessionToken": SECRET,
    "Expiration": "2030-01-01T00:00:00Z",
}


class Stranger:
    """Answers requests with what the test put there for their path, "" for any other."""

    def __init__(self) -> None:
        self.url = ""
        self.answers: dict[str, Answer] = {}

    def respond(self, request: Request) -> Answer:
        return self.answers.get(request.path) or self.answers.get("", Answer(404))

    def put(self, path: str, body: bytes, status: int = 200, kind: str = "json") -> None:
        self.answers[path] = Answer(status, body, {"Content-Type": f"application/{kind}"})

    def put_json(self, path: str, found: object) -> None:
        self.put(path, json.dumps(found).encode())

    @property
    def network(self) -> Network:
        names = ("sts", "iam", "sso", "sso-oidc")
        return Network(region="eu-west-1", endpoints=dict.fromkeys(names, self.url))


@pytest.fixture(scope="module")
def stranger() -> Iterator[Stranger]:
    made = Stranger()
    with serving(made.respond) as made.url:
        yield made


def many(usual: int = 40, soak: int = 2_000) -> Callable[[Any], Any]:
    return settings(
        max_examples=times(usual, soak=soak),
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )


STATUSES = st.sampled_from([200, 200, 200, 400, 403])


@st.composite
def xml(draw: st.DrawFn, action: str, result: Mapping[str, object]) -> bytes:
    """Return the answer to an action of the query protocol, whole parts or bytes of it damaged."""
    try:
        body = xml_answer(action, "https://x.example/", draw(changed(result))).body
    except (UnicodeEncodeError, AttributeError):  # halves of surrogates, or no result any more
        body = xml_answer(action, "https://x.example/", result).body
    at = draw(st.integers(0, len(body)))
    junk, rest = draw(st.binary(max_size=6)), draw(st.sampled_from([body[at:], body[at:], b""]))
    return draw(st.sampled_from([body, body[:at] + junk + rest]))


def used(made: Credentials) -> None:
    """Do with credentials what is done with them before they reach a program."""
    assert decode(encode(made), Credentials, what="credentials") == made
    key = items.session_key("sts.AssumeRole", "p", "", "d", max(made.expires, 0))
    assert items.session_item(key, made, {}).value


@many()
@given(data=st.data(), status=STATUSES)
def test_sts(stranger: Stranger, data: st.DataObject, status: int) -> None:
    stranger.put("", data.draw(xml("AssumeRole", {"Credentials": GIVEN})), status, "xml")
    network, clock = stranger.network, FakeClock()
    with our_errors_alone():
        used(sts.role(network, OWN, RoleStep(arn="arn:aws:iam::1:role/r"), "", clock))
    with our_errors_alone():
        used(sts.session(network, OWN, SessionStep(), ""))
    caller = {"UserId": "x", "Account": "111122223333", "Arn": "arn:aws:iam::1:user/jon"}
    stranger.put("", data.draw(xml("GetCallerIdentity", caller)), status, "xml")
    with our_errors_alone():
        assert encode(tuple(sts.identity(network, OWN)))


@many()
@given(data=st.data(), status=STATUSES)
def test_iam(stranger: Stranger, data: st.DataObject, status: int) -> None:
    key = {"AccessKeyId": "AKIANEW", "Status": "Active", "CreateDate": "2030-01-01T00:00:00Z"}
    keys = Keys(stranger.network, OWN, "jon")
    listed = {"AccessKeyMetadata": [key, key], "IsTruncated": "false"}
    stranger.put("", data.draw(xml("ListAccessKeys", listed)), status, "xml")
    with our_errors_alone():
        assert all(str(each) for each in keys.all())
    made = {"AccessKey": {**key, "UserName": "jon", "SecretAccessKey": SECRET}}
    stranger.put("", data.draw(xml("CreateAccessKey", made)), status, "xml")
    with our_errors_alone(SECRET):
        assert keys.create().access_key_id


class Elsewhere(FakeTalk):
    """A person whose browser is on another machine."""

    def page(self, url: str, *, code: str = "", redirect: bool = False) -> str:
        del url, code, redirect
        return ""


def access(stranger: Stranger, folder: Path, *, signed_in: bool) -> PortalAccess:
    clock, store = FakeClock(), MemoryStore()
    portal = Portal(start_url=START, region="eu-west-1")
    if signed_in:
        kept = tokens.Token("token", clock.wall() + 3600)
        store.write(tokens.token_item(portal, kept, now=clock.wall()))
    talk = Elsewhere(waits=lambda seconds: clock.advance(seconds + 10**8))
    return PortalAccess(
        portal, stranger.network, Means(store, talk, clock, Flights(folder / "flights"))
    )


ROLE = {
    "roleCredentials": {
        "accessKeyId": "ASIAEXAMPLE",
        "secretAccessKey": SECRET,
        "sessionToken": SECRET,
        "expiration": 1_900_000_000_000,
    }
}
ACCOUNTS = {"accountList": [{"accountId": "1", "accountName": "Sandbox", "emailAddress": "a@b"}]}
ROLES = {"roleList": [{"roleName": "admin", "accountId": "1"}]}


@many()
@given(role=damaged(ROLE), accounts=damaged(ACCOUNTS), roles=damaged(ROLES))
def test_a_portal(
    stranger: Stranger, tmp_path: Path, role: bytes, accounts: bytes, roles: bytes
) -> None:
    stranger.answers.clear()
    stranger.put("/federation/credentials", role)
    portal = access(stranger, tmp_path, signed_in=True)
    with our_errors_alone(SECRET):
        used(portal.role_credentials("111122223333", "admin"))
    stranger.put("/assignment/accounts", accounts)
    stranger.put("/assignment/roles", roles)
    with our_errors_alone():
        assert encode(portal.roles())
    stranger.put_json("/assignment/accounts", ACCOUNTS)
    with our_errors_alone():
        assert encode(portal.roles())


REGISTERED = {"clientId": "client", "clientSecret": SECRET, "clientSecretExpiresAt": 1_900_000_000}
CODE = {
    "deviceCode": SECRET,
    "userCode": "ABCD-EFGH",
    "verificationUri": "https://x.example/",
    "verificationUriComplete": "https://x.example/?user_code=ABCD-EFGH",
    "expiresIn": 600,
    "interval": 1,
}
TOKEN = {"accessToken": SECRET, "refreshToken": SECRET, "expiresIn": 3600, "tokenType": "Bearer"}
SIGN_IN = {"/client/register": REGISTERED, "/device_authorization": CODE, "/token": TOKEN}


@many()
@given(data=st.data(), odd=st.sampled_from(sorted(SIGN_IN)), status=STATUSES)
def test_a_token_service(
    stranger: Stranger, tmp_path: Path, data: st.DataObject, odd: str, status: int
) -> None:
    stranger.answers.clear()
    for path, document in SIGN_IN.items():
        stranger.put_json(path, document)
    stranger.put(odd, data.draw(damaged(SIGN_IN[odd])), status)
    with our_errors_alone(SECRET):
        assert access(stranger, tmp_path, signed_in=False).sign_in()


@many(20, 300)  # half a second each: botocore tries again
@given(data=st.data())
def test_a_container_and_an_instance(stranger: Stranger, data: st.DataObject) -> None:
    document = {**GIVEN, "Token": SECRET, "AccountId": "1", "Code": "Success"}
    body = data.draw(damaged(document))
    stranger.answers.clear()
    stranger.put("/get", body)
    stranger.put("", body)
    stranger.put("/latest/meta-data/iam/security-credentials/", b"role")
    stranger.put("/latest/api/token", data.draw(st.sampled_from([b"token", b"\xff\n"])))
    for kind, variable, url in (
        ("ecs", "AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{stranger.url}/get"),
        ("ec2", "AWS_EC2_METADATA_SERVICE_ENDPOINT", f"{stranger.url}/"),
    ):
        source = Ambient(kind=kind)  # type: ignore[arg-type]  # one of the two above
        with our_errors_alone(SECRET):
            used(from_surroundings(source, Network(), {variable: url}))


@many()
@given(body=damaged({"SigninToken": SECRET}))
def test_the_sign_in_federation(stranger: Stranger, body: bytes) -> None:
    stranger.answers.clear()
    stranger.put("/federation", body)
    role = Credentials(access_key_id="ASIA", secret_access_key="own", session_token="token")
    with our_errors_alone(SECRET):
        made = link(role, "", 0, "us", f"{stranger.url}/federation", Network(region="eu-west-1"))
        assert made.isascii()


ITEM = {
    "id": "i1",
    "title": "aws-vault: jon",
    "tags": ["aws-vault"],
    "fields": [{"label": "keyring", "type": "CONCEALED", "value": '{"Key":"jon","Data":"AAA="}'}],
}


@many()
@given(listed=damaged([ITEM]), item=damaged(ITEM))
def test_a_connect_server(stranger: Stranger, listed: bytes, item: bytes) -> None:
    top = "/v1/vaults/vault/items"
    vault = ConnectVault(stranger.url, "vault", Secret(b"token"), timeout=5)
    store = OnePasswordStore(vault, prefix="aws-vault", tag="aws-vault")
    for first, second in ((listed, item), (json.dumps([ITEM]).encode(), item)):
        stranger.answers.clear()
        stranger.put(top, first)
        stranger.put(f"{top}/i1", second)
        with our_errors_alone():
            assert isinstance(store.entries(), dict)
        with our_errors_alone():
            assert store.read("jon").key == "jon"
        with our_errors_alone():
            store.write(Item("jon", Secret(b"{}")))
