"""Signing in at a portal, renewing, signing out: against a token service that checks everything."""

import io
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from tests.fakes import FakeClock
from tests.fakes_aws import browser
from tests.fakes_aws.access import Assignment
from tests.fakes_aws.aws import FakeAws, fake_aws
from tests.fakes_aws.oidc import DAY
from tests.fakes_aws.web import AwsError
from tests.fakes_stores import MemoryStore

from privyseal.aws import items, sts
from privyseal.aws.engine import carry_out
from privyseal.aws.flights import Flights
from privyseal.aws.means import Means
from privyseal.aws.portal import PortalAccess
from privyseal.aws.ports import Item
from privyseal.aws.talk import TerminalTalk
from privyseal.aws.tokens import Registration, Token
from privyseal.errors import (
    DeniedError,
    ExpiredError,
    LockedError,
    PrivysealError,
    UnreachableError,
)
from privyseal.model.aws import (
    Credentials,
    Link,
    Network,
    Obtain,
    OfferedRole,
    Order,
    Plan,
    Portal,
    PortalRole,
    Roles,
    RoleStep,
    SignIn,
    SignOut,
)
from privyseal.model.secret import Secret
from privyseal.runtime.clock import SystemClock

START = "https://example.awsapps.com/start"
BROWSER = {"BROWSER": f"{sys.executable} {browser.__file__}"}


class World:
    """A portal, a person with or without a browser, and a store."""

    def __init__(self, aws: FakeAws, clock: FakeClock, folder: Path) -> None:
        self.aws, self.clock = aws, clock
        self.store = MemoryStore()
        self.screen = io.StringIO()
        self.environment: dict[str, str] = BROWSER
        self.waits: list[float] = []
        self.allow_after = 1
        self.portal = Portal(start_url=START, region="eu-central-1", session="corp")
        self.network = Network(
            region="us-west-2",
            endpoints=dict.fromkeys(("sso", "sso-oidc", "sts"), aws.url),
        )
        self._flights = Flights(folder / "flights")

    def wait(self, seconds: float) -> None:
        """Let time pass; after some waits the person uses the code of her device."""
        self.waits.append(seconds)
        self.clock.advance(seconds)
        if len(self.waits) == self.allow_after:
            for device in self.aws.oidc.devices.values():
                self.aws.oidc.decide(device.user_code, self.aws.oidc.person)

    def access(self, talk: TerminalTalk | None = None) -> PortalAccess:
        return PortalAccess(self.portal, self.network, self.means(talk))

    def means(self, talk: TerminalTalk | None = None) -> Means:
        return Means(self.store, talk or self.talk, self.clock, self._flights)

    @property
    def talk(self) -> TerminalTalk:
        return Patient(self)

    def credentials(self, role: str = "admin") -> Credentials:
        return self.access().role_credentials("111122223333", role)

    def sign_in(self) -> list[str]:
        return self.access().sign_in()

    def sign_out(self) -> list[str]:
        return self.access().sign_out()

    def carry_out(self, order: Order) -> bytes:
        return carry_out(order, self.means())

    @property
    def pages(self) -> int:
        return self.aws.calls["authorize"]

    @property
    def grants(self) -> list[str]:
        return [asked["grantType"] for asked in self.aws.asked("CreateToken")]

    def kept(self) -> dict[str, object]:
        found = json.loads(self.store.read(items.token_key(START)).value.expose())
        assert isinstance(found, dict)
        return found


class Patient(TerminalTalk):
    """The person at a terminal in a world whose time the test lets pass."""

    def __init__(self, world: World) -> None:
        super().__init__(lambda *_: "", SystemClock(), world.environment, world.screen)
        self._world = world

    def wait(self, seconds: float) -> None:
        self._world.wait(seconds)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    clock = FakeClock()
    with fake_aws(clock) as aws:
        aws.access.add_portal(
            Assignment("111122223333", "Sandbox", "reader"),
            Assignment("111122223333", "Sandbox", "admin"),
            Assignment("444455556666", "Production", "reader", "prod@example.com"),
            start_url=START,
        )
        yield World(aws, clock, tmp_path)


def test_a_browser_signs_in_by_pkce_and_the_credentials_work(world: World) -> None:
    found = world.credentials()
    identity = sts.identity(world.network, found)
    assert identity.account == found.account == "111122223333"
    assert "assumed-role/AWSReservedSSO_admin_" in identity.arn
    assert found.expires == world.clock.wall() + 3600
    assert (world.pages, world.grants) == (1, ["authorization_code"])


def test_one_sign_in_serves_every_role_until_its_end(world: World) -> None:
    world.credentials()
    world.clock.advance(3000)
    world.credentials("reader")
    assert (world.pages, len(world.grants)) == (1, 1)


def test_without_a_browser_a_code_is_shown_and_its_page(world: World) -> None:
    world.environment = {}
    world.allow_after = 3
    world.credentials()
    device = world.aws.asked("StartDeviceAuthorization")
    shown = world.screen.getvalue()
    code = shown.rpartition("the code ")[2].strip()
    assert len(device) == 1
    assert f"/device?user_code={code}\n" in shown
    assert world.waits == [1, 1, 1]
    assert world.pages == 0


def test_slow_down_is_obeyed_and_not_fatal(world: World) -> None:
    world.environment = {}
    world.aws.refuse("CreateToken", AwsError(400, "SlowDownException"), times=2)
    world.credentials()
    assert world.waits == [1, 6, 11]


def test_a_broken_connection_while_a_device_waits_is_not_fatal(world: World) -> None:
    world.environment = {}
    world.aws.refuse("CreateToken", AwsError(503, "ServiceUnavailable"))
    world.credentials()
    assert world.waits == [1, 6]


def test_a_client_is_registered_once_with_scopes_and_for_each_flow(world: World) -> None:
    world.sign_in()
    world.sign_in()
    world.environment = {}
    world.sign_in()
    world.waits.clear()
    world.sign_in()
    redirect, device = world.aws.asked("RegisterClient")
    assert redirect["scopes"] == device["scopes"] == ["sso:account:access"]
    assert redirect["grantTypes"] == ["authorization_code", "refresh_token"]
    assert redirect["redirectUris"] == ["http://127.0.0.1/oauth/callback"]
    assert redirect["issuerUrl"] == START
    assert len(world.grants) == 4


def test_a_client_that_ends_or_lacks_a_scope_is_registered_anew(world: World) -> None:
    world.sign_in()
    world.clock.advance(90 * DAY - 60)
    world.sign_in()
    assert world.aws.calls["RegisterClient"] == 2
    world.portal = Portal(
        start_url=START, region="eu-central-1", scopes=("sso:account:access", "codewhisperer:all")
    )
    world.sign_in()
    assert world.aws.asked("RegisterClient")[2]["scopes"][1] == "codewhisperer:all"


def test_a_client_registered_elsewhere_opens_no_page_of_elsewhere(world: World) -> None:
    honest = world.network
    with fake_aws(world.clock) as evil:
        evil.access.add_portal(Assignment("111122223333", "Sandbox", "reader"), start_url=START)
        world.network = Network(endpoints=dict.fromkeys(("sso", "sso-oidc"), evil.url))
        world.sign_in()
        assert evil.calls["authorize"] == 1
        world.network = honest
        world.sign_in()
        assert evil.calls["authorize"] == 1
    assert world.aws.calls["RegisterClient"] == world.pages == 1


def test_a_client_that_aws_forgot_is_registered_anew(world: World) -> None:
    world.environment = {}
    world.sign_in()
    world.aws.oidc.clients.clear()
    world.waits.clear()
    world.sign_in()
    assert world.aws.calls["RegisterClient"] == 2


def test_where_aws_takes_no_redirects_a_code_does(world: World) -> None:
    world.aws.refuse("RegisterClient", AwsError(400, "UnsupportedGrantTypeException"))
    world.credentials()
    assert (world.pages, world.aws.calls["StartDeviceAuthorization"]) == (0, 1)
    assert "the code " in world.screen.getvalue()


def test_when_nobody_comes_back_from_the_page_the_client_is_registered_anew(world: World) -> None:
    world.sign_in()
    world.aws.oidc.clients.clear()

    class Impatient(TerminalTalk):
        def page(self, url: str, *, code: str = "", redirect: bool = False) -> str:
            assert browser.visit(url).text == "unknown client"
            self.close()
            raise ExpiredError("nobody came back")

    talk = Impatient(lambda *_: "", SystemClock(), BROWSER, io.StringIO())
    with pytest.raises(ExpiredError):
        world.access(talk).sign_in()
    world.sign_in()
    assert world.aws.calls["RegisterClient"] == 2


def test_a_token_at_its_end_is_renewed_without_a_person(world: World) -> None:
    world.credentials()
    first = world.kept()["Token"]
    for _ in range(5):
        world.clock.advance(3600)
        world.credentials()
    assert world.pages == 1
    assert world.grants == ["authorization_code"] + 5 * ["refresh_token"]
    assert world.kept()["Token"] != first


def test_a_renewed_token_is_kept_before_it_is_used(world: World) -> None:
    world.credentials()
    used: list[int] = []

    class Watched(MemoryStore):
        def write(self, item: Item) -> None:
            used.append(world.aws.calls["GetRoleCredentials"])
            super().write(item)

    watched = Watched()
    for key in world.store.entries():
        watched.write(world.store.read(key))
    used.clear()
    world.store = watched
    world.clock.advance(3600)
    world.credentials()
    assert used == [1]


def test_a_store_that_takes_nothing_costs_the_next_sign_in_only(world: World) -> None:
    class Full(MemoryStore):
        def write(self, item: Item) -> None:
            raise LockedError("the store is locked")

    world.store = Full()
    assert world.credentials().access_key_id
    assert "the token cannot be kept: the store is locked" in world.screen.getvalue()


def test_when_the_portal_ends_the_session_the_person_signs_in_again(world: World) -> None:
    world.credentials()
    world.clock.advance(8 * 3600)
    world.credentials()
    assert world.pages == 2
    assert world.grants[1:] == ["refresh_token", "authorization_code"]


def test_a_token_that_is_rejected_is_replaced_once(world: World) -> None:
    world.credentials()
    world.aws.oidc.revoke_all()
    world.credentials()
    assert (world.pages, world.aws.calls["GetRoleCredentials"]) == (2, 3)
    refusal = AwsError(401, "UnauthorizedException")
    world.aws.refuse("GetRoleCredentials", refusal, times=2)
    with pytest.raises(DeniedError, match="rejects a token that was issued just now"):
        world.credentials()


def test_a_token_that_was_replaced_meanwhile_is_used_in_place_of_a_rejected_one(
    world: World,
) -> None:
    world.credentials()
    world.aws.refuse("GetRoleCredentials", AwsError(401, "UnauthorizedException"))
    world.credentials()
    assert (world.pages, world.grants) == (1, ["authorization_code", "refresh_token"])


@pytest.mark.parametrize("code", ["ServiceUnavailable", "InternalServerException"])
def test_an_outage_at_renewal_costs_nothing_while_the_token_lasts(world: World, code: str) -> None:
    world.credentials()
    world.clock.advance(3600 - 200)
    world.aws.refuse("CreateToken", AwsError(500, code), times=2)
    world.credentials()
    world.clock.advance(195)
    with pytest.raises(PrivysealError):
        world.credentials()
    assert world.pages == 1


@pytest.mark.parametrize("code", ["InvalidRequestException", "AccessDeniedException"])
def test_a_renewal_that_is_refused_in_whatever_words_is_a_new_sign_in(
    world: World, code: str
) -> None:
    world.credentials()
    world.clock.advance(3600)
    world.aws.refuse("CreateToken", AwsError(400, code))
    world.credentials()
    assert world.pages == 2


def test_the_token_lies_in_aws_vaults_form_with_what_may_be_known_beside_it(world: World) -> None:
    world.credentials()
    kept = world.kept()
    assert list(kept) == ["Token", "Expiration", "ClientId"]
    token = kept["Token"]
    assert isinstance(token, dict)
    assert list(token) == [
        "AccessToken",
        "ExpiresIn",
        "IdToken",
        "RefreshToken",
        "TokenType",
        "ResultMetadata",
    ]
    assert (token["ExpiresIn"], token["TokenType"]) == (3600, "Bearer")
    assert (token["IdToken"], token["ResultMetadata"]) == (None, {})
    assert kept["Expiration"] == "2023-11-14T23:13:20Z"
    item = world.store.read(f"oidc:{START}")
    assert item.label == f"aws-vault oidc token for {START} (expires 2023-11-14T23:13:20Z)"
    assert item.notes == {"session": "corp", "expires": "1700003600", "refreshable": "yes"}


def test_a_token_that_aws_vault_wrote_is_used(world: World) -> None:
    world.credentials()
    access = world.aws.oidc.sessions[0].access_token
    theirs = {
        "Token": {
            "AccessToken": access,
            "ExpiresIn": 28800,
            "IdToken": None,
            "RefreshToken": None,
            "TokenType": "Bearer",
            "ResultMetadata": {},
        },
        "Expiration": "2023-11-15T00:13:20.123456789+01:00",
    }
    for key in list(world.store.entries()):
        world.store.remove(key)
    world.store.write(Item(f"oidc:{START}", Secret(json.dumps(theirs).encode())))
    world.credentials("reader")
    assert world.pages == 1
    world.clock.advance(3600)
    world.credentials("reader")
    assert world.pages == 2


@pytest.mark.parametrize(
    "junk", [b"", b"{", b"[]", b'{"Token":{}}', b"\xff", b'{"Token":{"AccessToken":"x"}}']
)
def test_a_token_that_cannot_be_read_is_written_over(world: World, junk: bytes) -> None:
    world.store.write(Item(f"oidc:{START}", Secret(junk)))
    world.credentials()
    assert world.kept()["Token"]


def test_signing_out_revokes_and_forgets_the_token_and_its_sessions(world: World) -> None:
    found = world.credentials()
    token = world.aws.oidc.sessions[0].access_token
    session = items.session_key("sso.GetRoleCredentials", "prod", START, "ab12", found.expires)
    other = items.session_key("sso.GetRoleCredentials", "else", "https://other", "ab12", 2e9)
    for key in (session, other):
        world.store.write(items.session_item(key, found, {}))
    lines = world.sign_out()
    assert lines == [
        f"signed out of {START}",
        "forgot the credentials of 1 role; copies last until they end",
    ]
    with pytest.raises(AwsError, match="not found or invalid"):
        world.aws.oidc.session(token)
    left = {items.classify(key) for key in world.store.entries()}
    assert left == {"client", "session"}
    assert other in world.store.entries()
    assert world.sign_out() == [f"there is no sign-in at {START} to end"]


def test_signing_out_ends_a_session_whose_token_has_expired(world: World) -> None:
    world.credentials()
    world.clock.advance(3601)
    world.sign_out()
    assert world.aws.oidc.sessions == []
    assert f"oidc:{START}" not in world.store.entries()


def test_signing_out_while_aws_is_away_forgets_and_says_so(world: World) -> None:
    world.credentials()
    world.aws.refuse("Logout", AwsError(503, "ServiceUnavailable"), times=9)
    with pytest.raises(UnreachableError, match="forgotten here, but AWS was not told"):
        world.sign_out()
    assert f"oidc:{START}" not in world.store.entries()


def test_roles_of_all_pages_are_listed_by_account_and_name(world: World) -> None:
    world.aws.access.page_size = 1
    found = world.access().roles()
    assert [(role.account_name, role.account, role.role) for role in found] == [
        ("Production", "444455556666", "reader"),
        ("Sandbox", "111122223333", "admin"),
        ("Sandbox", "111122223333", "reader"),
    ]
    assert found[0].email == "prod@example.com"


def test_roles_of_many_accounts_are_all_listed_though_the_token_ends_meanwhile(
    world: World,
) -> None:
    names = [f"{number:012}" for number in range(100)]
    world.aws.access.assignments[START] = [Assignment(name, name, "reader") for name in names]
    world.sign_in()
    world.aws.oidc.revoke_all()
    found = world.access().roles()
    assert [role.account for role in found] == names
    assert world.pages == 2
    world.aws.refuse("ListAccountRoles", AwsError(401, "UnauthorizedException"))
    assert len(world.access().roles()) == 100
    assert (world.pages, world.grants.count("refresh_token")) == (2, 2)


def test_a_list_of_many_pages_reads_the_store_once(world: World) -> None:
    world.sign_in()
    world.store.reads.clear()
    world.aws.access.page_size = 1
    world.access().roles()
    assert world.aws.calls["ListAccountRoles"] == 3
    assert world.store.reads == [items.token_key(START)]


def test_a_role_that_the_portal_does_not_give_is_named(world: World) -> None:
    with pytest.raises(DeniedError, match=r"no role 'root' in account 111122223333") as error:
        world.credentials("root")
    assert "privy aws sso list" in error.value.hint


@pytest.mark.parametrize(
    ("environment", "complaint"), [(BROWSER, "access_denied"), ({}, "refused at the page")]
)
def test_who_refuses_at_the_page_gets_nothing(
    world: World, environment: dict[str, str], complaint: str
) -> None:
    world.aws.oidc.person = "deny"
    world.environment = environment
    with pytest.raises(DeniedError, match=complaint):
        world.credentials()


def test_a_code_that_nobody_uses_expires(world: World) -> None:
    world.environment = {}
    world.allow_after = 0
    world.aws.oidc.interval = 60
    with pytest.raises(ExpiredError, match="nobody used the code"):
        world.credentials()
    assert len(world.waits) == 10


def test_a_redirect_of_another_sign_in_is_refused(world: World) -> None:
    class Forging(TerminalTalk):
        def page(self, url: str, *, code: str = "", redirect: bool = False) -> str:
            self.close()
            return "code=stolen&state=other"

    talk = Forging(lambda *_: "", SystemClock(), BROWSER, io.StringIO())
    with pytest.raises(DeniedError, match="belongs to another sign-in"):
        world.access(talk).sign_in()
    assert world.aws.calls["CreateToken"] == 0


def test_many_at_once_open_one_page(world: World) -> None:
    with ThreadPoolExecutor(21) as pool:
        found = list(pool.map(lambda _: world.credentials(), range(21)))
    assert len({each.access_key_id for each in found}) == 21
    assert (world.pages, len(world.grants)) == (1, 1)


def test_no_token_is_printed(world: World) -> None:
    world.credentials()
    secrets = [world.aws.oidc.sessions[0].access_token, world.aws.oidc.sessions[0].refresh_token]
    secrets += [client.client_secret for client in world.aws.oidc.clients.values()]
    texts = [world.screen.getvalue(), *world.sign_in(), *world.sign_out()]
    texts.append(repr(Token(secrets[0], 1.0, secrets[1])))
    texts.append(repr(Registration("id", secrets[2], 1.0)))
    assert not [secret for secret in secrets for text in texts if secret in text]


def test_the_engine_keeps_what_a_portal_gives_and_goes_on_from_it(world: World) -> None:
    world.aws.people.add_role("deploy", trusts=frozenset({"111122223333"}))
    source = PortalRole(portal=world.portal, account="111122223333", role="admin")
    deploy = RoleStep(arn="arn:aws:iam::111122223333:role/deploy", session_name="x1")
    plain = Plan(profile="admin", source=source, network=world.network)
    chain = Plan(profile="deploy", source=source, steps=(deploy,), network=world.network)
    found = [
        msgspec.json.decode(world.carry_out(Obtain(plan=plan)), type=Credentials)
        for plan in (plain, chain, plain, chain)
    ]
    assert found[:2] == found[2:]
    assert world.aws.calls["GetRoleCredentials"] == 1
    assert sts.identity(world.network, found[1]).arn.endswith("assumed-role/deploy/x1")


def test_orders_of_a_portal_and_of_the_console_are_carried_out(world: World) -> None:
    at, by = world.portal, world.network
    lines = json.loads(world.carry_out(SignIn(portal=at, network=by)))["lines"]
    assert lines == [
        f"signed in at {START} for 60 minutes, renewed without you for as long as the portal allows"
    ]
    offered = msgspec.json.decode(
        world.carry_out(Roles(portal=at, network=by)), type=list[OfferedRole]
    )
    assert len(offered) == 3
    source = PortalRole(portal=world.portal, account="111122223333", role="admin")
    plan = Plan(profile="admin", source=source, network=world.network)
    link = Link(plan=plan, duration=7200, federation=f"{world.aws.url}/federation")
    browser.visit(json.loads(world.carry_out(link))["url"])
    assert world.aws.signin.signed_in[0][2] == 7200
    lines = json.loads(world.carry_out(SignOut(portal=at, network=by)))["lines"]
    assert lines[0] == f"signed out of {START}"
    assert world.pages == 1
