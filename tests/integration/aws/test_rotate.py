"""Rotation against moto, which checks signatures and policies: no death at any step loses a key."""

import json
import multiprocessing
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.fake_talk import FakeTalk
from tests.fakes_stores import MemoryStore
from tests.moto_server import ALL_OF_IAM, Moto, moto_server

from privyseal.aws import calls, items, sts
from privyseal.aws.engine import Engine, carry_out
from privyseal.aws.flights import Flights
from privyseal.aws.means import Means
from privyseal.aws.ports import Item, KeyStore
from privyseal.aws.refusals import UnknownKeyError
from privyseal.aws.rotate import Rotation
from privyseal.aws.stores.file import FileStore
from privyseal.aws.talk import SocketTalk
from privyseal.errors import (
    ConflictError,
    CorruptError,
    DeniedError,
    LimitError,
    NotFoundError,
    PrivysealError,
    UnreachableError,
    UsageError,
)
from privyseal.model.aws import AccessKey, Credentials, Plan, RoleStep, Rotate, Step, StoredKey
from privyseal.model.secret import Secret
from privyseal.runtime.clock import SystemClock

AWS_VAULTS: dict[str, object] = {
    "Effect": "Allow",
    "Action": ["iam:CreateAccessKey", "iam:DeleteAccessKey", "iam:GetUser"],
    "Resource": "*",
}
JOURNAL = items.journal_key("base")


class HastyClock(SystemClock):
    """The machine's clock, but what is waited for passes at once."""

    passed = 0.0

    def wall(self) -> float:
        return super().wall() + self.passed

    def monotonic(self) -> float:
        return super().monotonic() + self.passed


class World:
    """A user of moto whose key is in a store, and rotations of it."""

    def __init__(self, moto: Moto, folder: Path, store: KeyStore | None = None) -> None:
        self.moto = moto
        self.clock = HastyClock()
        self.flights = Flights(folder / "flights")
        self.store: KeyStore = store or FileStore(
            folder / "keys", lambda *, new: Secret(b"words"), self.clock, rounds=1000
        )
        self.talk = FakeTalk(waits=self.wait)
        self.waited: list[float] = []

    def wait(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.clock.passed += seconds

    def begin(self, *statements: dict[str, object]) -> AccessKey:
        self.moto.reset()
        for key in self.store.entries():
            self.store.remove(key)
        made = self.moto.add_user("alice", *statements)
        kept = msgspec.structs.replace(made, mfa="arn:aws:iam::123456789012:mfa/alice")
        self.store.write(items.key_item("base", kept, added=1.0))
        self.moto.enforce()
        return made

    def order(self, *steps: Step, grace: int = 0, resume: bool = False) -> Rotate:
        plan = Plan(
            profile="prod",
            source=StoredKey(name="base"),
            steps=steps,
            network=self.moto.network,
            fresh=True,
        )
        return Rotate(name="base", plan=plan, grace=grace, resume=resume)

    def rotate(self, *steps: Step, grace: int = 0, resume: bool = False) -> list[str]:
        return self.rotation(self.order(*steps, grace=grace, resume=resume)).run()

    def rotation(self, order: Rotate) -> Rotation:
        return Rotation(order, self.means, Engine(self.means).obtain)

    @property
    def means(self) -> Means:
        return Means(self.store, self.talk, self.clock, self.flights)

    def stored(self) -> AccessKey:
        return items.decode_access_key(self.store.read("base").value.expose())

    def known(self) -> dict[str, str]:
        """Return every key that the store can give back, by id."""
        found = [self.stored()]
        if JOURNAL in self.store.entries():
            journal = json.loads(self.store.read(JOURNAL).value.expose())
            written = [journal["old"], journal.get("new")]
            found += [msgspec.convert(key, AccessKey) for key in written if key]
        return {key.access_key_id: key.secret_access_key for key in found}

    def at_aws(self) -> dict[str, bool]:
        self.moto.admit()
        try:
            return self.moto.keys_of()
        finally:
            self.moto.enforce()

    def works(self, key_id: str, secret: str) -> bool:
        own = Credentials(access_key_id=key_id, secret_access_key=secret)
        try:
            return sts.identity(self.moto.network, own).user == "alice"
        except DeniedError:
            return False


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    with moto_server(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture
def world(moto: Moto, tmp_path: Path) -> World:
    return World(moto, tmp_path)


def role(moto: Moto, account: str = "123456789012") -> RoleStep:
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
    }
    policy = {"Version": "2012-10-17", "Statement": [ALL_OF_IAM]}
    moto.admit()
    iam = moto.iam()
    iam.create_role(RoleName="rotator", AssumeRolePolicyDocument=json.dumps(trust))
    iam.put_role_policy(RoleName="rotator", PolicyName="p", PolicyDocument=json.dumps(policy))
    moto.enforce()
    return RoleStep(arn=f"arn:aws:iam::{account}:role/rotator")


def test_the_new_key_is_kept_and_the_old_one_gone(world: World):
    old = world.begin()

    lines = world.rotate()

    new = world.stored()
    assert world.at_aws() == {new.access_key_id: True}
    assert world.works(new.access_key_id, new.secret_access_key)
    assert new.mfa == "arn:aws:iam::123456789012:mfa/alice"
    assert new.account == "123456789012"
    assert JOURNAL not in world.store.entries()
    assert lines == [
        f"base: …{old.access_key_id[-4:]} is now …{new.access_key_id[-4:]}",
        f"the old key …{old.access_key_id[-4:]} is deleted",
    ]
    assert new.secret_access_key not in "".join(lines)


def test_a_role_rotates_the_key_it_is_reached_with(world: World):
    world.begin()

    world.rotate(role(world.moto))

    new = world.stored()
    assert world.at_aws() == {new.access_key_id: True}


def test_a_role_of_another_account_is_refused_before_anything_changes(world: World):
    old = world.begin()
    step = role(world.moto, account="210987654321")

    with pytest.raises(UsageError, match="leads to 210987654321"):
        world.rotate(step)
    assert world.at_aws() == {old.access_key_id: True}


def test_a_key_of_another_account_makes_no_key_in_place_of_ours(world: World):
    old = world.begin()
    world.moto.admit()
    mine = Credentials(access_key_id=old.access_key_id, secret_access_key=old.secret_access_key)
    there = sts.role(
        world.moto.network,
        mine,
        RoleStep(arn="arn:aws:iam::210987654321:role/any"),
        "",
        world.clock,
    )
    iam = calls.client("iam", world.moto.network, there)
    iam.create_user(UserName="alice")
    made = iam.create_access_key(UserName="alice")["AccessKey"]
    theirs = AccessKey(access_key_id=made["AccessKeyId"], secret_access_key=made["SecretAccessKey"])
    world.store.write(items.key_item("theirs", theirs, added=1.0))
    order = world.order()
    plan = msgspec.structs.replace(order.plan, source=StoredKey(name="theirs"))

    with pytest.raises(UsageError, match="leads to 210987654321"):
        world.rotation(msgspec.structs.replace(order, plan=plan)).run()
    assert world.stored().access_key_id == old.access_key_id
    assert len(iam.list_access_keys(UserName="alice")["AccessKeyMetadata"]) == 1


def test_sessions_of_the_old_key_are_dropped(world: World):
    old = world.begin()
    ours, theirs = (
        items.session_key("sts.AssumeRole", profile, "", digest, 4_000_000_000)
        for profile, digest in (("prod", "d1"), ("other", "d2"))
    )
    session = Credentials(access_key_id="ASIAX", secret_access_key="x", expires=4e9)
    world.store.write(
        items.session_item(
            ours, session, items.session_notes("base", items.mark(old.access_key_id))
        )
    )
    world.store.write(
        items.session_item(theirs, session, items.session_notes("other", items.mark("AKIAOTHER")))
    )

    world.rotate()

    assert ours not in world.store.entries()
    assert theirs in world.store.entries()


def test_two_keys_are_refused_before_anything_changes(world: World):
    old = world.begin()
    world.moto.admit()
    second = world.moto.iam().create_access_key(UserName="alice")["AccessKey"]["AccessKeyId"]
    world.moto.enforce()

    with pytest.raises(LimitError, match=f"…{second[-4:]}") as caught:
        world.rotate()

    assert "nothing was changed" in caught.value.hint
    assert set(world.at_aws()) == {old.access_key_id, second}
    assert JOURNAL not in world.store.entries()


def test_the_policy_that_aws_vault_asks_for_is_enough(world: World):
    world.begin(AWS_VAULTS)

    lines = world.rotate()

    assert world.at_aws() == {world.stored().access_key_id: True}
    assert "iam:UpdateAccessKey is denied: the old key is deleted at once" in lines


@pytest.mark.parametrize("change", [2, 3, 4])
def test_under_that_policy_a_killed_rotation_is_no_dead_end(
    world: World, monkeypatch: pytest.MonkeyPatch, change: int
):
    world.begin(AWS_VAULTS)
    assert _die_at(world, change, monkeypatch)
    lines = world.rotate(resume=True)

    kept = world.stored()
    assert world.works(kept.access_key_id, kept.secret_access_key)
    assert JOURNAL not in world.store.entries()
    if change == 2:
        assert "iam:ListAccessKeys is denied: look in IAM for a key" in lines[-1]
        assert len(world.at_aws()) == 2
    else:
        assert world.at_aws() == {kept.access_key_id: True}


def test_a_user_who_may_not_create_keys_loses_nothing(world: World):
    old = world.begin({"Effect": "Allow", "Action": "iam:ListAccessKeys", "Resource": "*"})

    with pytest.raises(DeniedError, match="iam:CreateAccessKey"):
        world.rotate()

    assert world.at_aws() == {old.access_key_id: True}
    assert JOURNAL not in world.store.entries()


def test_with_a_grace_the_old_key_stays_deactivated_until_it_is_over(world: World):
    old = world.begin()

    lines = world.rotate(grace=3600)
    assert world.at_aws() == {old.access_key_id: False, world.stored().access_key_id: True}
    assert "`privy aws rotate --resume base` deletes it" in lines[-1]

    assert "is kept, deactivated, until" in world.rotate(resume=True)[-1]
    assert old.access_key_id in world.at_aws()

    world.clock.passed += 3601
    assert world.rotate(resume=True)[-1] == f"the old key …{old.access_key_id[-4:]} is deleted"
    assert world.at_aws() == {world.stored().access_key_id: True}


def test_there_is_nothing_to_resume_after_a_whole_rotation(world: World):
    world.begin()

    with pytest.raises(NotFoundError, match="no rotation of 'base'"):
        world.rotate(resume=True)


def test_a_store_that_takes_no_new_key_costs_none(moto: Moto, tmp_path: Path):
    class FullStore(MemoryStore):
        full = False

        def write(self, item: Item) -> None:
            if self.full and b'"verify"' in item.value.expose():
                raise UnreachableError("the disk is full")
            super().write(item)

    store = FullStore()
    world = World(moto, tmp_path, store)
    old = world.begin()
    store.full = True

    with pytest.raises(UnreachableError, match="the disk is full"):
        world.rotate()

    assert world.at_aws() == {old.access_key_id: True}
    assert world.stored().access_key_id == old.access_key_id
    assert JOURNAL not in store.entries()


def test_a_key_that_somebody_uses_is_not_taken_for_a_lost_one(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    old = world.begin()
    _die_at(world, 2, monkeypatch)
    (other,) = set(world.at_aws()) - {old.access_key_id}
    world.moto.admit()
    iam = world.moto.iam()
    iam.delete_access_key(UserName="alice", AccessKeyId=other)
    made = iam.create_access_key(UserName="alice")["AccessKey"]
    world.moto.enforce()
    assert world.works(made["AccessKeyId"], made["SecretAccessKey"])

    with pytest.raises(ConflictError, match="somebody else may use it"):
        world.rotate(resume=True)
    assert set(world.at_aws()) == {old.access_key_id, made["AccessKeyId"]}


def test_an_order_answers_with_lines(world: World):
    world.begin()

    raw = carry_out(world.order(), world.means)

    assert len(msgspec.json.decode(raw)["lines"]) == 2


class Deadly:
    """Counts what changes something in the store or at AWS, and kills the process after the Nth."""

    def __init__(self, store: KeyStore, last: int) -> None:
        self._store = store
        self._left = last
        self.description = store.description
        self.entries = store.entries
        self.read = store.read

    def write(self, item: Item) -> None:
        self._store.write(item)
        self.count()

    def remove(self, key: str) -> None:
        self._store.remove(key)
        self.count()

    def count(self) -> None:
        self._left -= 1
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)


def test_a_rotation_ends_at_once_when_its_command_has_gone_and_the_next_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    old = world.begin()
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    real = sts.identity

    def unknown(network, credentials):
        if credentials.access_key_id != old.access_key_id:
            near.close()
            raise UnknownKeyError("AWS does not know the access key")
        return real(network, credentials)

    with far, monkeypatch.context() as patch:
        patch.setattr(sts, "identity", unknown)
        world.talk = FakeTalk(waits=SocketTalk(far).wait)
        with pytest.raises(DeniedError, match="the command that asked has gone"):
            world.rotate()
    assert world.stored().access_key_id == old.access_key_id

    world.talk = FakeTalk(waits=world.wait)
    assert world.rotate()[0].startswith("going on with the rotation of ")
    assert world.at_aws() == {world.stored().access_key_id: True}


def _die_at(
    world: World, change: int, monkeypatch: pytest.MonkeyPatch, steps: tuple[Step, ...] = ()
) -> bool:
    """Rotate in a child that is killed after its Nth change; tell whether it came to that."""
    deadly = Deadly(world.store, change)
    real: Callable[..., dict[str, Any]] = calls.call

    def counted(owner: Any, operation: str, **inputs: object) -> dict[str, Any]:
        answer = real(owner, operation, **inputs)
        if operation in {"create_access_key", "update_access_key", "delete_access_key"}:
            deadly.count()
        return answer

    def child() -> None:
        world.store = deadly
        monkeypatch.setattr(calls, "call", counted)
        world.rotate(*steps)

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(50)
    assert process.exitcode in {0, -signal.SIGKILL}
    return process.exitcode != 0


@pytest.mark.parametrize("through_role", [False, True])
def test_a_rotation_killed_after_any_change_is_finished_or_undone(
    world: World, monkeypatch: pytest.MonkeyPatch, *, through_role: bool
):
    deaths = 0
    killed = True
    while killed:
        deaths += 1
        world.begin()
        steps = (role(world.moto),) if through_role else ()
        killed = _die_at(world, deaths, monkeypatch, steps)

        active = {key for key, is_active in world.at_aws().items() if is_active}
        usable = {key: secret for key, secret in world.known().items() if key in active}
        assert any(world.works(*pair) for pair in usable.items()), f"no key after change {deaths}"

        if JOURNAL in world.store.entries():
            world.rotate(*steps, resume=True)
        kept = world.stored()
        assert world.at_aws() == {kept.access_key_id: True}
        assert world.works(kept.access_key_id, kept.secret_access_key)
        assert JOURNAL not in world.store.entries()
    assert deaths >= 9


@pytest.mark.parametrize("change", [1, 2, 3])
def test_the_next_rotation_needs_no_word_about_the_last(
    world: World, monkeypatch: pytest.MonkeyPatch, change: int
):
    old = world.begin()
    assert _die_at(world, change, monkeypatch)

    lines = world.rotate()

    assert lines[0].startswith("going on with the rotation of ")
    assert world.stored().access_key_id != old.access_key_id
    assert world.at_aws() == {world.stored().access_key_id: True}


def test_a_new_key_that_aws_does_not_know_yet_is_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    world.begin()
    real = sts.identity
    refusals = iter([UnknownKeyError("AWS does not know the access key")] * 3)

    def later(network, credentials):
        if world.stored().access_key_id != credentials.access_key_id and (
            refusal := next(refusals, None)
        ):
            raise refusal
        return real(network, credentials)

    monkeypatch.setattr(sts, "identity", later)
    world.rotate()

    assert world.waited == [2, 2, 2]
    assert world.at_aws() == {world.stored().access_key_id: True}


def test_a_rotation_that_cannot_tell_whether_a_key_was_made_says_so(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    old = world.begin()
    real: Callable[..., dict[str, Any]] = calls.call

    def lost(owner: Any, operation: str, **inputs: object) -> dict[str, Any]:
        answer = real(owner, operation, **inputs)
        if operation == "create_access_key":
            raise UnreachableError("cannot reach AWS: read timeout")
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(calls, "call", lost)
        with pytest.raises(PrivysealError, match="whether a key was made is not known") as caught:
            world.rotate()
    assert "finishes or undoes" in caught.value.hint

    assert "a new key whose secret was lost" in world.rotate(resume=True)[-1]
    assert world.at_aws() == {old.access_key_id: True}


@pytest.mark.parametrize("change", [3, 4, 5])
def test_a_new_key_that_was_deleted_meanwhile_leaves_the_old_one(
    world: World, monkeypatch: pytest.MonkeyPatch, change: int
):
    old = world.begin()
    assert _die_at(world, change, monkeypatch)
    (new,) = set(world.at_aws()) - {old.access_key_id}
    world.moto.admit()
    world.moto.iam().delete_access_key(UserName="alice", AccessKeyId=new)
    world.moto.enforce()

    lines = world.rotate(resume=True)

    assert lines[-1] == "the new key has been deleted meanwhile: the old one stays"
    assert world.stored().access_key_id == old.access_key_id
    assert world.at_aws() == {old.access_key_id: True}


def test_a_new_key_that_aws_never_knows_leaves_both_until_it_does(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    old = world.begin()
    real = sts.identity

    def never(network, credentials):
        if credentials.access_key_id != old.access_key_id:
            raise UnknownKeyError("AWS does not know the access key")
        return real(network, credentials)

    with monkeypatch.context() as patch:
        patch.setattr(sts, "identity", never)
        with pytest.raises(UnreachableError, match="the old one is still in place"):
            world.rotate()
    assert world.stored().access_key_id == old.access_key_id
    assert sum(world.waited) >= 90

    world.rotate(resume=True)
    assert world.at_aws() == {world.stored().access_key_id: True}


def test_a_journal_that_cannot_be_read_stops_everything_unquoted(world: World):
    old = world.begin()
    world.store.write(Item(JOURNAL, Secret(b'{"step": "verify", "new": "precious"}')))

    with pytest.raises(CorruptError, match="the journal of the rotation of 'base'") as caught:
        world.rotate()

    assert "precious" not in f"{caught.value} {caught.value.__cause__}"
    assert world.at_aws() == {old.access_key_id: True}


def test_a_store_that_gives_back_another_key_is_not_trusted(moto: Moto, tmp_path: Path):
    class ForgetfulStore(MemoryStore):
        def write(self, item: Item) -> None:
            if item.key != "base" or "base" not in self.entries():
                super().write(item)

    world = World(moto, tmp_path, ForgetfulStore())
    old = world.begin()

    with pytest.raises(CorruptError, match="does not give back the new key") as caught:
        world.rotate()

    assert "finishes or undoes" in caught.value.hint
    assert world.works(*next(iter(world.known().items())))
    assert old.access_key_id in world.at_aws()
    assert len(world.known()) == 2


def test_a_key_that_can_neither_be_kept_nor_deleted_is_named(
    moto: Moto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    class FullStore(MemoryStore):
        def write(self, item: Item) -> None:
            if b'"verify"' in item.value.expose():
                raise UnreachableError("the disk is full")
            super().write(item)

    world = World(moto, tmp_path, FullStore())
    old = world.begin(
        {
            "Effect": "Allow",
            "Action": ["iam:CreateAccessKey", "iam:ListAccessKeys"],
            "Resource": "*",
        }
    )

    with pytest.raises(UnreachableError, match="the disk is full"):
        world.rotate()

    (new,) = set(world.at_aws()) - {old.access_key_id}
    assert world.talk.told == [f"delete …{new[-4:]} in IAM by hand: its secret could not be kept"]
