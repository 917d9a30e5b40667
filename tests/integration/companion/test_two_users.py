"""Who may ask, who may decide, and where: with real users on a bus with a real policy."""

import asyncio
import os

import pytest
from tests.integration.companion.rig import ALICE, BOB, Companion, Machine, answers
from tests.waiting import eventually

from privyseal.errors import DeniedError, LimitError, NotFoundError

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for other users"),
]
KEEPER = "org.privyseal.Keeper1"
DECISION = "org.privyseal.Decision1"
NEVER = (
    "privyseal.keeper.backends.choice",
    "privyseal.runtime.embedded",
    "privyseal.runtime.privatebus",
    "privyseal.runtime.vault",
    "privyseal.wire.vault",
)


def _facts(approval: dict[str, object], name: str) -> list[tuple[str, str]]:
    content = approval["content"]
    assert isinstance(content, dict)
    facts = content["evidence"]["facts"]
    return [(fact["grade"], fact["value"]) for fact in facts if fact["name"] == name]


async def test_the_user_gets_a_secret_after_the_decision_on_the_private_bus(
    world: Machine, alices: Companion
) -> None:
    face = await world.face(ALICE)
    await face.do("subscribe")
    async with asyncio.TaskGroup() as group:
        read = group.create_task(face.do("read", "demo"))
        shown = await alices.decide()

    assert read.result() == ["allowed", "hunter2"]
    assert _facts(shown, "asked") == [("verified", "itself, on its own connection")]
    assert [grade for grade, _ in _facts(shown, "program")] == ["verified"]
    loaded = world.log(f"keeper-{ALICE}")
    assert "privyseal.keeper.backends.secretservice" in loaded
    assert [name for name in NEVER if f" {name}\n" in loaded] == []


async def test_another_user_and_root_cannot_ask(world: Machine, alices: Companion) -> None:
    for uid in (BOB, 0, alices.uid):
        face = await world.face(uid, ALICE)
        for deed in (("read", "demo"), ("status",), ("waiting",), ("lock",), ("report", "x")):
            with pytest.raises(DeniedError):
                await face.do(*deed)
    assert alices.keeper.returncode is None


async def test_signals_of_users_do_not_reach_the_companion(
    world: Machine, alices: Companion
) -> None:
    _status, words = await world.run(
        BOB, "gdbus", "call", "--address", world.bus, "--dest", "org.freedesktop.DBus",
        "--object-path", "/", "--method", "org.freedesktop.DBus.GetNameOwner", alices.name,
    )  # fmt: skip
    keeper = words.split("'")[1]
    for uid in (BOB, ALICE, 0):
        status, words = await world.run(
            uid, "gdbus", "emit", "--address", world.bus, "--dest", keeper,
            "--object-path", "/", "--signal", "test.Signal.Sent", "'x'",
        )  # fmt: skip
        assert (status, words) == (0, "")
    rejected = "Rejected receive message"
    await eventually(lambda: world.log("system").count(rejected) == 3)


async def test_the_keeper_lets_nobody_else_decide_even_if_the_bus_would(world: Machine) -> None:
    companion = Companion(world, ALICE)
    await companion.begin(open_bus=True)
    root = await world.puppet(0, "decide", companion.bus, KEEPER)
    refusal = f"user 0 may not talk to the keeper of user {companion.uid}"
    for deed in (("pending",), ("log_out",), ("unlock", "x"), ("pin", "x"), ("rules",)):
        with pytest.raises(DeniedError, match=refusal):
            await root.do(*deed)
    assert companion.keeper.returncode is None


@pytest.mark.parametrize("uid", [ALICE, BOB, 0], ids=["alice", "bob", "root"])
async def test_nobody_else_gets_onto_the_private_bus(
    world: Machine, alices: Companion, uid: int
) -> None:
    status, words = await world.call(uid, alices.bus, KEEPER, f"{DECISION}.Pending")
    assert status != 0
    assert "Error connecting" in words


async def test_deciding_is_not_on_the_bus_where_faces_ask(
    world: Machine, alices: Companion
) -> None:
    for uid, refusal in ((ALICE, "AccessDenied"), (0, "UnknownMethod")):
        status, words = await world.call(uid, world.bus, alices.name, f"{DECISION}.Pending")
        assert status != 0
        assert refusal in words


@pytest.mark.parametrize("uid", [ALICE, BOB], ids=["alice", "bob"])
async def test_the_name_cannot_be_claimed(world: Machine, uid: int) -> None:
    _, words = await world.run(
        uid, "gdbus", "call", "--address", world.bus, "--dest", "org.freedesktop.DBus",
        "--object-path", "/", "--method", "org.freedesktop.DBus.RequestName",
        f"{KEEPER}.u{ALICE}", "4",
    )  # fmt: skip
    assert "AccessDenied" in words


async def test_two_companions_do_not_cross(world: Machine, alices: Companion) -> None:
    bobs = Companion(world, BOB)
    await bobs.begin()
    await bobs.person.do("unlock", "another passphrase")
    crossing = await world.face(ALICE, BOB)
    with pytest.raises(DeniedError):
        await crossing.do("status")
    status, words = await world.call(alices.uid, bobs.bus, KEEPER, f"{DECISION}.Pending")
    assert status != 0, words

    face = await world.face(ALICE)
    await face.do("subscribe")
    async with asyncio.TaskGroup() as group:
        read = group.create_task(face.do("read", "demo"))
        await alices.waiting()
        assert await bobs.person.do("pending") == []
        await alices.decide(allow=False)
    assert read.result() == ["denied"]


async def test_a_face_that_speaks_for_another_process_is_warned_about(
    world: Machine, alices: Companion
) -> None:
    other, face = await world.face(ALICE), await world.face(ALICE)
    await face.do("subscribe")
    async with asyncio.TaskGroup() as group:
        group.create_task(face.do("read", "demo", other.process.pid))
        shown = await alices.decide(allow=False)
    ((grade, value),) = _facts(shown, "asked through")
    assert grade == "warning"
    assert "would get what it is given" in value


async def test_the_agent_is_known_by_the_unit_that_the_system_put_it_in(
    world: Machine, alices: Companion
) -> None:
    other, agent = await world.face(ALICE), await world.face(ALICE)
    unit = f"system.slice/system-privyseal\\x2dagent.slice/privyseal-agent@{ALICE}.service"
    with world.control_group(unit, agent.process.pid):
        await agent.do("subscribe")
        async with asyncio.TaskGroup() as group:
            read = group.create_task(agent.do("read", "demo", other.process.pid))
            shown = await alices.decide()
    assert read.result() == ["allowed", "hunter2"]
    assert _facts(shown, "asked through") == [("reported", "the session bus, by Privyseal's agent")]


async def test_processes_of_another_user_cannot_be_introduced(
    world: Machine, alices: Companion
) -> None:
    stranger, face = await world.face(BOB), await world.face(ALICE)
    await face.do("subscribe")
    async with asyncio.TaskGroup() as group:
        group.create_task(face.do("read", "demo", stranger.process.pid))
        shown = await alices.decide(allow=False)
    assert _facts(shown, "no evidence") == [("warning", "the witness could not read it")]
    assert _facts(shown, "program") == []


async def test_signals_to_faces_carry_no_names_of_secrets(
    world: Machine, alices: Companion
) -> None:
    face = await world.face(ALICE)
    await face.do("subscribe")
    async with asyncio.TaskGroup() as group:
        group.create_task(face.do("store", "s3cret", "Bank account", "bank"))
        await alices.decide()
    heard = await answers(lambda: face.do("heard"), lambda told: "created" in str(told))
    assert "bank" not in str(heard).lower()


async def test_trouble_is_shown_as_long_as_its_reporter_lives(
    world: Machine, alices: Companion
) -> None:
    face = await world.face(ALICE)
    await face.do("report", "another program owns org.freedesktop.secrets")
    await alices.heard("troubles")
    status = await alices.person.do("status")
    assert isinstance(status, dict)
    assert status["troubles"] == ["another program owns org.freedesktop.secrets"]
    assert (status["mode"], status["user"], status["witness"]) == (
        "companion",
        f"uid {ALICE}",
        True,
    )
    with pytest.raises(LimitError):
        await face.do("report", "x" * 501)
    face.process.kill()
    await answers(lambda: alices.person.do("status"), lambda now: "another program" not in str(now))


async def test_the_console_is_asked_to_the_front_at_most_once_a_second(
    world: Machine, alices: Companion
) -> None:
    face = await world.face(ALICE)
    for _ in range(20):
        await face.do("review")
    await face.do("report", "done")
    await alices.heard("troubles")
    heard = await alices.person.do("heard")
    assert isinstance(heard, list)
    assert 1 <= heard.count("review") <= 3


async def test_a_passphrase_goes_from_the_console_to_the_program_that_waits(
    world: Machine, alices: Companion
) -> None:
    gpg = await world.puppet(alices.uid, "decide", alices.bus, KEEPER)
    async with asyncio.TaskGroup() as group:
        typed = group.create_task(gpg.do("pin", "unlock the key of alice"))
        await alices.heard("pins")
        (ask,) = await _pins(alices)
        assert ask["text"] == "unlock the key of alice"
        await alices.person.do("answer_pin", ask["id"], "pass phrase")
    assert typed.result() == "pass phrase"
    with pytest.raises(NotFoundError):
        await alices.person.do("answer_pin", ask["id"], "pass phrase")


async def test_waiting_for_a_passphrase_ends_when_the_person_cancels_and_has_a_limit(
    world: Machine, alices: Companion
) -> None:
    gpg = await world.puppet(alices.uid, "decide", alices.bus, KEEPER)
    outcomes: list[object] = []

    async def wait() -> None:
        try:
            outcomes.append(await gpg.do("pin", "unlock"))
        except (DeniedError, LimitError) as error:
            outcomes.append(type(error))

    async with asyncio.TaskGroup() as group:
        for _ in range(9):
            group.create_task(wait())
        await answers(lambda: _pins(alices), lambda pins: len(str(pins)) > 0 and bool(outcomes))
        waiting = await _pins(alices)
        assert len(waiting) == 8
        assert outcomes == [LimitError]
        for ask in waiting:
            await alices.person.do("answer_pin", ask["id"], None)
    assert outcomes[1:] == [DeniedError] * 8


async def _pins(companion: Companion) -> list[dict[str, str]]:
    found = await companion.person.do("pins")
    assert isinstance(found, list)
    return found
