"""Plans become credentials: against an AWS that checks what AWS checks."""

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Barrier, Thread

import msgspec
import pytest
from tests.fake_talk import FakeTalk
from tests.fakes import FakeClock
from tests.fakes_aws.aws import FakeAws, fake_aws
from tests.fakes_aws.people import User
from tests.fakes_stores import MemoryStore

from privyseal.aws import items, sts
from privyseal.aws.engine import Engine, carry_out
from privyseal.aws.flights import Flights
from privyseal.aws.means import Means
from privyseal.aws.refusals import UnknownKeyError
from privyseal.errors import (
    ConflictError,
    DeniedError,
    NotFoundError,
    UnreachableError,
    UsageError,
)
from privyseal.model.aws import (
    AccessKey,
    Clear,
    Credentials,
    FederationStep,
    Keep,
    Known,
    Network,
    Obtain,
    Order,
    Plan,
    Remove,
    RoleStep,
    SessionStep,
    Step,
    StoredKey,
    Vaulted,
)
from privyseal.model.secret import Secret
from privyseal.model.value import encode


class World:
    """One user with a stored key, an AWS that knows her, and an engine between them."""

    def __init__(self, aws: FakeAws, clock: FakeClock, folder: Path) -> None:
        self.aws, self.clock, self.flights = aws, clock, Flights(folder / "flights")
        self.user: User = aws.people.add_user(device=True)
        assert self.user.device is not None
        self.device = self.user.device
        self.store = MemoryStore()
        self.put("base")
        self.talk = self.person(lambda serial, again: self.device.code())
        self.network = Network(region="eu-central-1", endpoints={"sts": aws.url})

    def person(self, codes: Callable[[str, str], str]) -> FakeTalk:
        return FakeTalk(codes, waits=self.clock.advance)

    def put(self, name: str) -> None:
        key = self.user.keys[-1]
        kept = AccessKey(
            access_key_id=key.access_key_id,
            secret_access_key=key.secret_access_key,
            account=self.user.account,
        )
        self.store.write(items.key_item(name, kept, added=self.clock.wall()))

    def plan(self, *steps: Step, profile: str = "prod", fresh: bool = False) -> Plan:
        return Plan(
            profile=profile,
            source=StoredKey(name="base"),
            steps=steps,
            network=self.network,
            fresh=fresh,
        )

    def engine(self) -> Engine:
        return Engine(self.means)

    @property
    def means(self) -> Means:
        return Means(self.store, self.talk, self.clock, self.flights)

    def obtain(self, *steps: Step, profile: str = "prod", fresh: bool = False) -> Credentials:
        return self.engine().obtain(self.plan(*steps, profile=profile, fresh=fresh))

    def sessions(self) -> list[str]:
        return [key for key in self.store.entries() if items.classify(key) == "session"]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    clock = FakeClock()
    with fake_aws(clock) as aws:
        yield World(aws, clock, tmp_path)


def test_key_session_and_role_need_one_code(world: World):
    role = world.aws.people.add_role()
    session = SessionStep(duration=8 * 3600, mfa=world.device.serial)

    made = world.obtain(session, RoleStep(arn=role.arn, session_name="me", duration=3600))

    who = sts.identity(world.network, made)
    assert who.arn == "arn:aws:sts::111122223333:assumed-role/admin/me"
    assert made.account == "111122223333"
    assert made.expires == world.clock.wall() + 3600
    assert world.talk.asked == [(world.device.serial, "")]


def test_what_is_cached_calls_nobody(world: World):
    role = world.aws.people.add_role()
    steps = (SessionStep(), RoleStep(arn=role.arn))

    first, second = world.obtain(*steps), world.obtain(*steps)

    assert first == second
    assert world.aws.calls == {"GetSessionToken": 1, "AssumeRole": 1}


def test_cached_credentials_are_found_without_reading_the_key(world: World):
    world.obtain(SessionStep())
    world.store.reads.clear()

    world.obtain(SessionStep())

    assert [items.classify(key) for key in world.store.reads] == ["session"]


def test_one_session_serves_two_roles(world: World):
    session = SessionStep(mfa=world.device.serial)
    for name in ("one", "two"):
        world.obtain(session, RoleStep(arn=world.aws.people.add_role(name).arn), profile=name)

    assert world.aws.calls == {"GetSessionToken": 1, "AssumeRole": 2}
    assert len(world.talk.asked) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"arn": "arn:aws:iam::111122223333:role/other"},
        {"duration": 1800},
        {"tags": {"team": "blue"}},
        {"source_identity": "alice"},
        {"external_id": "x-1"},
        {"policy": '{"Version":"2012-10-17","Statement":[]}'},
        {"session_name": "elsewhere"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_an_edited_role_is_not_served_from_the_cache(world: World, change: dict[str, object]):
    for name in ("admin", "other"):
        world.aws.people.add_role(name)
    step = RoleStep(arn="arn:aws:iam::111122223333:role/admin")
    world.obtain(step)

    world.obtain(msgspec.structs.replace(step, **change))

    assert world.aws.calls["AssumeRole"] == 2


def test_another_region_is_another_session(world: World):
    world.obtain(SessionStep())
    world.network = msgspec.structs.replace(world.network, region="eu-west-1")

    world.obtain(SessionStep())

    assert world.aws.calls["GetSessionToken"] == 2


@pytest.mark.parametrize("keeps_notes", [True, False])
def test_another_key_under_the_same_name_finds_no_old_session(world: World, keeps_notes: bool):
    world.store = MemoryStore(keeps_notes=keeps_notes)
    world.put("base")
    world.obtain(SessionStep())
    world.user.add_key()
    world.put("base")

    world.obtain(SessionStep())

    assert world.aws.calls["GetSessionToken"] == 2


def test_aws_vault_finds_none_of_our_sessions(world: World):
    world.obtain(SessionStep(mfa=world.device.serial))

    (key,) = world.sessions()

    its_prefix = items.session_key("sts.GetSessionToken", "base", world.device.serial, "", 0)[:-1]
    assert not key.startswith(its_prefix)
    assert items.classify(key) == "session"


def test_credentials_are_renewed_before_twenty_minutes_are_left(world: World):
    role = RoleStep(arn=world.aws.people.add_role().arn, duration=3600)
    world.obtain(role)

    world.clock.advance(3600 - 20 * 60 - 1)
    world.obtain(role)
    assert world.aws.calls["AssumeRole"] == 1
    world.clock.advance(2)
    renewed = world.obtain(role)

    assert world.aws.calls["AssumeRole"] == 2
    assert renewed.expires == world.clock.wall() + 3600


def test_a_short_session_is_not_renewed_at_every_use(world: World):
    role = RoleStep(arn=world.aws.people.add_role().arn, duration=900)

    for _ in range(5):
        world.obtain(role)
        world.clock.advance(60)

    assert world.aws.calls["AssumeRole"] == 1


def test_what_still_holds_serves_while_aws_cannot_be_reached(world: World):
    role = RoleStep(arn=world.aws.people.add_role().arn, duration=3600)
    first = world.obtain(role)
    world.clock.advance(3600 - 600)
    for key in world.user.keys:
        key.active = False

    assert world.obtain(role) == first
    world.clock.advance(301)
    with pytest.raises(DeniedError, match="does not know the access key"):
        world.obtain(role)


def test_what_still_holds_serves_while_nobody_can_be_asked(world: World):
    session = SessionStep(duration=3600, mfa=world.device.serial)
    first = world.obtain(session)
    world.clock.advance(3600 - 600)

    def nobody(serial: str, again: str) -> str:
        raise UsageError("there is no terminal to ask for an MFA code")

    world.talk = world.person(nobody)

    assert world.obtain(session) == first
    world.clock.advance(301)
    with pytest.raises(UsageError, match="there is no terminal"):
        world.obtain(session)


def test_a_kept_session_that_aws_takes_no_more_is_made_anew(world: World):
    session = SessionStep(duration=8 * 3600)
    first = world.obtain(session)
    role = RoleStep(arn=world.aws.people.add_role().arn)
    revoked = world.aws.people.find(first.access_key_id)
    assert revoked is not None
    revoked.active = False

    world.obtain(session, role)

    assert world.aws.calls["GetSessionToken"] == 2
    assert len(world.sessions()) == 2


def test_a_key_that_aws_does_not_know_is_not_tried_again(world: World):
    world.user.key.active = False

    with pytest.raises(UnknownKeyError):
        world.obtain(SessionStep())
    assert world.aws.calls["GetSessionToken"] == 1


def test_expired_sessions_are_swept_out(world: World):
    world.obtain(SessionStep(duration=3600))
    world.store.write(
        items.session_item(
            items.session_key("sts.GetSessionToken", "old", "", "", 1_600_000_000),
            Credentials(access_key_id="ASIAX", secret_access_key="x", expires=1_600_000_000),
            {},
        )
    )
    world.clock.advance(3601)

    world.obtain(SessionStep(duration=3600))

    assert len(world.sessions()) == 1


def test_fresh_takes_nothing_from_the_cache_and_leaves_it_new(world: World):
    session = SessionStep(mfa=world.device.serial)
    world.obtain(session)
    world.clock.advance(60)

    made = world.obtain(session, fresh=True)

    assert world.aws.calls["GetSessionToken"] == 2
    assert world.obtain(session) == made
    assert len(world.sessions()) == 1


def test_a_plain_key_is_handed_over_as_it_is(world: World):
    made = world.obtain()

    assert made.access_key_id == world.user.key.access_key_id
    assert made.expires == 0
    assert world.sessions() == []


def test_nothing_that_is_kept_but_a_key_is_begun_with(world: World):
    kept = Credentials(access_key_id="AKIAX", secret_access_key="kept", expires=4e9)
    session = items.session_key("credential_process", "other", "", "ab", kept.expires)
    world.store.write(items.session_item(session, kept, {}))
    plan = msgspec.structs.replace(world.plan(), source=StoredKey(name=session))

    with pytest.raises(NotFoundError, match="no key named"):
        world.engine().obtain(plan)


def test_a_missing_key_is_named(world: World):
    world.store.remove("base")

    with pytest.raises(NotFoundError, match="'base'") as caught:
        world.obtain(SessionStep())
    assert caught.value.hint == "add it with `privy aws add base`"


def test_a_store_that_keeps_nothing_costs_no_credentials(world: World):
    refuse = UnreachableError("the store is full")

    class FullStore(MemoryStore):
        def write(self, item):
            raise refuse

    full = FullStore()
    full._items = world.store._items
    world.store = full

    assert world.obtain(SessionStep()).session_token
    assert world.talk.told == ["the next command asks AWS again: the store is full"]


def test_orders_answer_in_json(world: World):
    order = Obtain(plan=world.plan(SessionStep()))

    raw = carry_out(order, world.means)
    known = carry_out(Known(), world.means)

    made = msgspec.json.decode(raw, type=Credentials)
    assert sts.identity(world.network, made).user == "alice"
    vaulted = msgspec.json.decode(known, type=Vaulted)
    (key,) = vaulted.keys
    assert (key.name, key.tail, key.account) == (
        "base",
        world.user.key.access_key_id[-4:],
        "111122223333",
    )
    (session,) = vaulted.sessions
    assert (session.profile, session.kind) == ("base", "sts.GetSessionToken")
    assert world.user.key.secret_access_key.encode() not in known


def test_a_federated_session_bears_its_users_name_and_is_narrowed_by_its_policies_alone(
    world: World,
):
    reading = "arn:aws:iam::aws:policy/ReadOnlyAccess"

    made = world.obtain(FederationStep(name="", duration=3600, policy_arns=(reading,)))

    assert sts.identity(world.network, made).arn.endswith(":federated-user/alice")
    (asked,) = world.aws.asked("GetFederationToken")
    assert asked["PolicyArns.member.1.arn"] == reading
    assert "Policy" not in asked


def lines(world: World, order: Order, value: bytes = b"") -> list[str]:
    secret = Secret(value) if value else None
    raw = carry_out(order, world.means, secret)
    return list(msgspec.json.decode(raw)["lines"])


def test_keys_are_kept_and_removed_by_order(world: World):
    key = world.user.add_key()
    given = AccessKey(access_key_id=key.access_key_id, secret_access_key=key.secret_access_key)

    said = lines(world, Keep(name="second", network=world.network, unverified=True), encode(given))
    assert said == ['Added credentials to profile "second" in vault']
    assert {kept.name for kept in world.engine().known().keys} == {"base", "second"}

    assert lines(world, Remove(name="second")) == ["Deleted credentials."]
    assert {kept.name for kept in world.engine().known().keys} == {"base"}


def test_sessions_are_cleared_by_order(world: World):
    world.obtain(SessionStep())

    assert lines(world, Clear()) == ["Cleared 1 sessions."]
    assert world.sessions() == []


def test_a_kept_seed_answers_in_the_place_of_the_person(world: World):
    name = f"totp:{world.device.serial}"
    text = base64.b32encode(world.device.seed).decode()
    seed = encode(AccessKey(access_key_id="MFA seed", secret_access_key=text))

    said = lines(world, Keep(name=name), seed)
    world.obtain(SessionStep(mfa=world.device.serial))
    world.obtain(SessionStep(mfa=world.device.serial), fresh=True)

    assert "computed from now on" in said[0]
    assert world.talk.asked == []
    assert world.aws.calls["GetSessionToken"] == 2
    assert [kept.name for kept in world.engine().known().keys] == ["base"]
    with pytest.raises(ConflictError, match="there is a seed"):
        lines(world, Keep(name=name), seed)
    with pytest.raises(UsageError, match="comes as the secret of a key") as caught:
        lines(world, Keep(name=name, replace=True), text.encode())
    assert text not in str(caught.value)
    assert "Deleted the MFA device" in lines(world, Remove(name=name))[0]


def test_a_key_that_did_not_come_is_not_kept(world: World):
    with pytest.raises(UsageError, match="no value came"):
        lines(world, Keep(name="other"))


def test_a_wrong_code_is_asked_for_again(world: World):
    codes = iter(["000000", world.device.code()])
    world.talk = world.person(lambda serial, again: next(codes))

    world.obtain(SessionStep(mfa=world.device.serial))

    assert [again for _, again in world.talk.asked] == ["", "AWS refused this code"]


def test_two_roles_with_a_code_each_never_send_the_same_code(world: World):
    arns = [world.aws.people.add_role(name, mfa=True).arn for name in ("one", "two")]

    def code(serial: str, again: str) -> str:
        if again:
            world.clock.advance(30)
        return world.device.code()

    world.talk = world.person(code)
    for arn in arns:
        world.obtain(RoleStep(arn=arn, mfa=world.device.serial))

    sent = [asked["TokenCode"] for asked in world.aws.asked("AssumeRole")]
    assert len(sent) == len(set(sent)) == 2


def test_many_threads_make_one_call(world: World):
    role = RoleStep(arn=world.aws.people.add_role().arn)
    begin = Barrier(30)
    made: list[Credentials] = []

    def want() -> None:
        begin.wait()
        made.append(world.obtain(SessionStep(mfa=world.device.serial), role))

    threads = [Thread(target=want) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(made) == 30
    assert len({each.access_key_id for each in made}) == 1
    assert world.aws.calls == {"GetSessionToken": 1, "AssumeRole": 1}
    assert len(world.talk.asked) == 1
