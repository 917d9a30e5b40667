"""AWS behind the gate: a command asks the keeper, a person allows it, the broker calls AWS."""

import asyncio
import json
import os
import signal
import socket
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from tests.integration.aws.aws_house import AwsHouse, aws_house
from tests.integration.rig import PASSPHRASE, ended
from tests.waiting import PATIENCE, eventually

from privyseal.errors import DeniedError, PrivysealError, UsageError
from privyseal.model.ask import ChangeAws, UseAws
from privyseal.model.aws import (
    AccessKey,
    Ambient,
    Clear,
    Keep,
    Network,
    Obtain,
    Plan,
    Remove,
    RoleStep,
    Rotate,
    SessionStep,
    StoredKey,
    Vaulted,
)
from privyseal.model.decision import Decision, Scope
from privyseal.model.value import decode, encode
from privyseal.runtime.memfd import seal
from privyseal.runtime.requestlink import RequestLink
from privyseal.wire.keeper import KnownAws, LookAws, Ticket


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[AwsHouse]:
    async with aws_house(tmp_path) as made:
        yield made


def brokers(keeper: Process) -> list[int]:
    """Return the PIDs of the brokers that a keeper has started."""
    children = Path(f"/proc/{keeper.pid}/task/{keeper.pid}/children").read_text().split()
    names = {int(pid): Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children}
    return [pid for pid, words in names.items() if b"privyseal.aws" in words]


async def waits_for_a_code(world: AwsHouse) -> Process:
    """Return a command whose order is at its broker, which waits for the person."""
    assert world.user.device is not None
    step = SessionStep(duration=3600, mfa=world.user.device.serial)
    process = await world.ask(world.obtain(step), code="wait")
    await world.house.decide()
    await eventually(lambda: bool(brokers(world.house.processes["keeper"])))
    assert process.stderr is not None
    assert await process.stderr.readline() == b"a code is wanted\n"
    return process


async def test_a_command_gets_a_session_once_a_person_allowed_it(world: AwsHouse):
    outcome = await world.granted(world.obtain())

    assert outcome.status == 0, outcome.err
    got = json.loads(outcome.out)
    assert got["access_key_id"].startswith("ASIA")
    assert got["session_token"]
    assert world.user.keys[-1].secret_access_key.encode() not in outcome.out
    assert world.aws.calls == {"GetSessionToken": 1}


async def test_a_key_is_kept_used_replaced_and_forgotten_behind_the_gate(world: AwsHouse):
    network = Network(region="eu-west-1", endpoints={"sts": world.aws.url, "iam": world.aws.url})
    key = world.user.keys[-1]
    key.secret_access_key = "s" * 40
    value = encode(
        AccessKey(access_key_id=key.access_key_id, secret_access_key=key.secret_access_key)
    ).decode()
    keeping = await world.ask(ChangeAws(order=Keep(name="mine", network=network)), value)
    approval = await world.house.decide()
    kept = await ended(keeping)
    plan = Plan(profile="mine", source=StoredKey(name="mine"), network=network)
    rotated = await world.granted(ChangeAws(order=Rotate(name="mine", plan=plan)))
    session = msgspec.structs.replace(plan, steps=(SessionStep(),))
    used = await world.granted(UseAws(order=Obtain(plan=session)))
    forgotten = await world.granted(ChangeAws(order=Remove(name="mine")))
    again = await world.granted(UseAws(order=Obtain(plan=session)), scope="1h")

    drawn = [(fact.grade, fact.value) for fact in approval.content.details]
    assert drawn[:2] == [("verified", "mine"), ("reported", key.access_key_id)]
    assert kept.status == 0, kept.err
    assert rotated.status == 0, rotated.err
    assert [each.access_key_id for each in world.user.keys] != [key.access_key_id]
    assert used.status == 0, used.err
    assert forgotten.status == 0, forgotten.err
    assert again.err.startswith("NotFoundError: the store has no key named 'mine'")
    log = b"".join(file.read_bytes() for file in (world.house.folder / "state").rglob("*.jsonl"))
    assert log
    for secret in (key.secret_access_key, world.user.keys[-1].secret_access_key):
        assert secret.encode() not in log


async def test_many_commands_at_once_make_one_call(world: AwsHouse):
    await world.granted(world.obtain(), scope="until-lock")
    await world.granted(ChangeAws(order=Clear()))

    processes = [await world.ask(world.obtain(command=str(number))) for number in range(8)]
    outcomes = [await ended(process) for process in processes]

    assert [outcome.err for outcome in outcomes] == [""] * 8
    assert len({outcome.out for outcome in outcomes}) == 1
    assert world.aws.calls["GetSessionToken"] == 2, "one for each cache that was empty"


async def test_a_code_is_asked_for_at_the_command(world: AwsHouse):
    role = world.aws.people.add_role()
    assert world.user.device is not None
    session = SessionStep(duration=3600, mfa=world.user.device.serial)

    outcome = await world.granted(world.obtain(session, RoleStep(arn=role.arn)))

    assert outcome.status == 0, outcome.err
    assert world.aws.calls == {"GetSessionToken": 1, "AssumeRole": 1}


async def test_a_lease_serves_every_command_of_this_terminal_but_no_other_role(world: AwsHouse):
    await world.granted(world.obtain(command="plan"), scope="1h")

    again = await ended(await world.ask(world.obtain(command="apply")))
    other = await world.ask(world.obtain(SessionStep(duration=7200)))

    assert again.status == 0, again.err
    waiting = await world.house.waiting()
    assert [fact.value for fact in waiting[0].content.details][:3] == ["prod", "prod", "2 h"]
    await world.house.decide(allow=False)
    assert (await ended(other)).status != 0
    assert world.aws.calls == {"GetSessionToken": 1}, "the second command got what was cached"


async def test_what_is_always_asked_is_allowed_once_and_no_longer(tmp_path: Path):
    rules = tmp_path / "rules.yaml"
    rules.write_text("aws:\n  always-ask: ['pr*']\n")
    async with aws_house(tmp_path, "--config", str(rules)) as world:
        process = await world.ask(world.obtain())
        [approval] = await world.house.waiting()
        lasting = Decision(
            request=approval.id, digest=approval.digest, allow=True, scope=Scope.parse("1h")
        )
        with pytest.raises(UsageError, match="asked each time"):
            await world.house.person.decide(lasting)
        await world.house.decide()

        assert approval.once
        assert (await ended(process)).status == 0
        process = await world.ask(world.obtain())
        await world.house.decide(allow=False)
        assert (await ended(process)).status == 1


async def test_a_denial_ends_the_command_and_sticks(world: AwsHouse):
    process = await world.ask(world.obtain())
    await world.house.decide(allow=False)
    first = await ended(process)

    again = await ended(await world.ask(world.obtain(command="another")))

    assert "denied" in first.err
    assert "denied before" in again.err
    assert world.aws.calls == {}
    assert brokers(world.house.processes["keeper"]) == []


async def test_an_error_of_aws_reaches_the_command_in_one_line(world: AwsHouse):
    outcome = await world.granted(world.obtain(RoleStep(arn="arn:aws:iam::1:role/nobody")))

    assert outcome.status == 1
    assert outcome.err.startswith("DeniedError: ")
    assert outcome.err.count("\n") == 1


async def test_a_broker_that_dies_at_an_order_fails_that_order_alone(world: AwsHouse):
    process = await waits_for_a_code(world)
    for pid in brokers(world.house.processes["keeper"]):
        os.kill(pid, signal.SIGKILL)
    failed = await ended(process)

    outcome = await world.granted(world.obtain())

    assert failed.err == "UnreachableError: the AWS broker ended before it was done; ask again\n"
    assert outcome.status == 0, outcome.err


async def test_a_lock_ends_the_broker_with_all_that_it_knew(world: AwsHouse):
    process = await waits_for_a_code(world)
    [broker] = brokers(world.house.processes["keeper"])
    await world.house.person.lock()

    assert (await ended(process)).status == 1
    await eventually(lambda: not Path(f"/proc/{broker}/cmdline").exists())
    waiting = await world.ask(world.obtain())
    [approval] = await world.house.waiting()
    assert approval.needs_unlock
    await world.house.person.unlock(PASSPHRASE)
    await world.house.decide()
    outcome = await ended(waiting)
    assert outcome.status == 0, outcome.err


async def test_an_order_ends_with_the_command_that_wanted_it(world: AwsHouse):
    process = await waits_for_a_code(world)
    process.kill()
    await ended(process)

    outcome = await world.granted(world.obtain())

    assert outcome.status == 0, outcome.err
    log = (world.house.folder / "keeper.log").read_text()
    assert "internal error" not in log, log


async def test_a_broker_ends_with_its_keeper(world: AwsHouse):
    process = await waits_for_a_code(world)
    [broker] = brokers(world.house.processes["keeper"])

    await world.house.kill("keeper")

    assert (await ended(process)).err == "UnreachableError: the keeper has gone\n"
    await eventually(lambda: not Path(f"/proc/{broker}/cmdline").exists())


async def test_what_is_kept_is_listed_without_asking_anybody(world: AwsHouse):
    await world.granted(world.obtain())
    link = RequestLink(world.house.connection)
    pidfd = os.pidfd_open(os.getpid())
    token = await link.register(pidfd)
    os.close(pidfd)

    async with asyncio.timeout(PATIENCE):
        answer = await link.look(token, LookAws())

    assert isinstance(answer, KnownAws)
    known: Vaulted = answer.vaulted
    assert [(key.name, key.account) for key in known.keys] == [("prod", world.user.account)]
    assert known.keys[0].tail == world.user.keys[-1].access_key_id[-4:]
    assert [session.profile for session in known.sessions] == ["prod"]
    assert await world.house.person.pending() == []


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (Plan(profile="here", source=Ambient(kind="environment")), "nothing that the keeper keeps"),
        (
            Plan(profile="far", source=Ambient(kind="ec2"), network=Network(region="x.evil.com/")),
            "nothing that the keeper keeps",
        ),
    ],
    ids=["ambient", "elsewhere"],
)
async def test_what_begins_outside_is_not_for_the_broker(world: AwsHouse, plan: Plan, words: str):
    outcome = await world.granted(UseAws(order=Obtain(plan=plan)))

    assert outcome.status == 1
    assert words in outcome.err


def _socket(kind: int) -> int:
    with socket.socket(socket.AF_UNIX, kind) as made:
        return os.dup(made.fileno())


async def test_orders_with_the_wrong_descriptors_end_in_one_clear_error(world: AwsHouse):
    link = RequestLink(world.house.connection)
    pidfd = os.pidfd_open(os.getpid())
    token = await link.register(pidfd)
    os.close(pidfd)
    use = encode(world.obtain()).decode()
    keep = encode(ChangeAws(order=Keep(name="k"))).decode()
    typed = encode(ChangeAws(order=Keep(name="k", typed=True))).decode()
    packets, memory = _socket(socket.SOCK_SEQPACKET), seal(b"{}")
    attempts = [
        (use, [], "lacks a descriptor"),
        (use, [packets, memory], "takes no value"),
        (typed, [packets, memory], "only a companion|takes no value"),
        (keep, [packets], "exactly one value"),
        (keep, [packets, memory], "the key is malformed"),
        (keep, [packets, packets], "not a memfd"),
        (use.replace("prod", "p" * 70_000), [packets], "longer than"),
        (use.replace('"order":"obtain"', '"order":"known"'), [packets], "malformed"),
        (use.replace("aws-use", "aws-change"), [packets], "malformed"),
    ]
    for text, fds, words in attempts:
        body = [token, text, list(range(len(fds)))]
        with pytest.raises(PrivysealError, match=words):
            await link._call("Submit", "ssah", body, fds)
    os.close(packets)
    os.close(memory)

    assert await world.house.person.pending() == []
    outcome = await world.granted(world.obtain())
    assert outcome.status == 0, outcome.err


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET, None])
async def test_a_talk_that_is_none_fails_the_order_alone(world: AwsHouse, kind: int | None):
    """An unconnected socket, one of bytes, and no socket at all."""
    assert world.user.device is not None
    link = RequestLink(world.house.connection)
    resolved = asyncio.Event()
    await link.subscribe(lambda _request, _state: resolved.set(), lambda _change: None)
    pidfd = os.pidfd_open(world.house.processes["keeper"].pid)
    token = await link.register(pidfd)
    os.close(pidfd)
    talk = seal(b"") if kind is None else _socket(kind)
    order = world.obtain(SessionStep(mfa=world.user.device.serial))
    body = [token, encode(order).decode(), [0]]
    answer, _ = await link._call("Submit", "ssah", body, [talk])
    os.close(talk)
    ticket = decode(str(answer[0]), Ticket, what="a ticket")
    await world.house.decide()

    async with asyncio.timeout(PATIENCE):
        await resolved.wait()
    with pytest.raises(DeniedError):
        await link.collect(ticket.id)
