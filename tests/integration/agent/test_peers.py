"""Sessions, prompts and whatever else belongs to one peer and to nobody else."""

import asyncio
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from dbus_fast import Variant
from tests.integration.agent.stage import LOGIN, Signals, Stage, call, create, open_session, perform
from tests.waiting import eventually

from privyseal.errors import (
    ConflictError,
    DeniedError,
    LimitError,
    NoSessionError,
    NotFoundError,
    PrivysealError,
    UnsupportedError,
)
from privyseal.runtime.bus import DBUS, DBUS_PATH, Connection
from privyseal.wire.secretservice import (
    ITEM,
    PEER,
    PROMPT,
    SESSION,
    item_path,
)
from privyseal.wire.sessioncrypto import DH, PRIME


async def test_unlock_asks_nobody_before_its_prompt_is_used(stage: Stage, bus: Connection) -> None:
    path = item_path(stage.keeper.put("one"))
    await call(bus, "Unlock", "ao", [[path]])
    assert stage.keeper.kinds() == []


async def test_a_prompt_is_used_once_and_vanishes(stage: Stage, bus: Connection) -> None:
    path = item_path(stage.keeper.put("one"))
    stage.keeper.verdicts["read"] = "wait"
    _, prompt = await call(bus, "Unlock", "ao", [[path]])
    signals = Signals()
    await signals.listen(bus, (PROMPT, "Completed"))
    await call(bus, "Prompt", "s", [""], path=prompt, interface=PROMPT)
    with pytest.raises(ConflictError):
        await call(bus, "Prompt", "s", [""], path=prompt, interface=PROMPT)

    stage.keeper.resolve(await stage.keeper.waiting("read"), "allowed")
    await signals.next("Completed")
    with pytest.raises(NotFoundError):
        await call(bus, "Prompt", "s", [""], path=prompt, interface=PROMPT)
    assert signals.heard == []


async def test_dismissing_a_prompt_withdraws_its_request(stage: Stage, bus: Connection) -> None:
    path = item_path(stage.keeper.put("one"))
    stage.keeper.verdicts["read"] = "wait"
    _, prompt = await call(bus, "Unlock", "ao", [[path]])
    signals = Signals()
    await signals.listen(bus, (PROMPT, "Completed"))
    await call(bus, "Prompt", "s", [""], path=prompt, interface=PROMPT)
    asked = await stage.keeper.waiting("read")
    await call(bus, "Dismiss", path=prompt, interface=PROMPT)

    _, body = await signals.next("Completed")
    assert body[0] is True
    await eventually(lambda: asked.state == "cancelled")
    assert len(stage.face.prompts) == 0


async def test_a_prompt_obeys_and_answers_its_own_peer_only(
    stage: Stage, bus: Connection, other: Connection
) -> None:
    path = item_path(stage.keeper.put("one"))
    spy = Signals()
    await spy.listen(other, (PROMPT, "Completed"))
    _, prompt = await call(bus, "Unlock", "ao", [[path]])
    for member, signature, body in (("Prompt", "s", [""]), ("Dismiss", "", [])):
        with pytest.raises(DeniedError):
            await call(other, member, signature, body, path=prompt, interface=PROMPT)

    assert await perform(bus, prompt) == (False, [path])
    await call(other, "Ping", interface=PEER)
    assert spy.heard == []


async def test_sessions_obey_their_own_peer_only(
    stage: Stage, bus: Connection, other: Connection
) -> None:
    path = item_path(stage.keeper.put("one"))
    mine, theirs = await open_session(bus), await open_session(other)

    assert mine != theirs
    with pytest.raises(NoSessionError):
        await call(other, "GetSecret", "o", [mine], path=path, interface=ITEM)
    with pytest.raises(NoSessionError):
        await call(other, "GetSecrets", "aoo", [[path], mine])
    with pytest.raises(NoSessionError):
        await call(other, "Close", path=mine, interface=SESSION)
    with pytest.raises(NoSessionError):
        await create(other, mine)
    assert stage.keeper.kinds() == []


async def test_a_closed_session_is_gone(stage: Stage, bus: Connection) -> None:
    path = item_path(stage.keeper.put("one"))
    session = await open_session(bus)
    await call(bus, "Close", path=session, interface=SESSION)
    with pytest.raises(NoSessionError):
        await call(bus, "GetSecret", "o", [session], path=path, interface=ITEM)
    with pytest.raises(NoSessionError):
        await call(bus, "Close", path=session, interface=SESSION)


async def test_a_peer_that_leaves_takes_everything_with_it(
    stage: Stage, bus: Connection, other: Connection
) -> None:
    path = item_path(stage.keeper.put("one"))
    stage.keeper.verdicts |= {"read": "wait", "delete": "wait"}
    await open_session(bus)
    _, prompt = await call(bus, "Unlock", "ao", [[path]])
    await call(bus, "Prompt", "s", [""], path=prompt, interface=PROMPT)
    reading = await stage.keeper.waiting("read")
    await call(bus, "Delete", path=path, interface=ITEM)
    deleting = await stage.keeper.waiting("delete")
    assert (len(stage.face.sessions), len(stage.face.prompts)) == (1, 2)
    bus.close()

    await eventually(lambda: (reading.state, deleting.state) == ("cancelled", "cancelled"))
    await eventually(lambda: not len(stage.face.sessions) and not len(stage.face.prompts))
    await eventually(lambda: not len(stage.face.peers))


@pytest.mark.parametrize(
    ("algorithm", "offer"),
    [
        ("rot13", Variant("s", "")),
        ("plain", Variant("ay", b"")),
        (DH, Variant("s", "")),
        (DH, Variant("ay", b"")),
        (DH, Variant("ay", b"\1")),
        (DH, Variant("ay", (PRIME - 1).to_bytes(128, "big"))),
    ],
)
async def test_an_unusable_algorithm_or_key_is_not_supported(
    stage: Stage, bus: Connection, algorithm: str, offer: Variant
) -> None:
    with pytest.raises(UnsupportedError):
        await call(bus, "OpenSession", "sv", [algorithm, offer])
    assert len(stage.face.sessions) == 0


async def test_a_peer_may_not_open_sessions_without_end(stage: Stage, bus: Connection) -> None:
    for _ in range(64):
        await open_session(bus)
    with pytest.raises(LimitError):
        await open_session(bus)


async def test_a_peer_may_not_hold_prompts_without_end(stage: Stage, bus: Connection) -> None:
    path = item_path(stage.keeper.put("one"))
    for _ in range(64):
        await call(bus, "Unlock", "ao", [[path]])
    with pytest.raises(LimitError):
        await call(bus, "Unlock", "ao", [[path]])
    with pytest.raises(LimitError):
        await call(bus, "Delete", path=path, interface=ITEM)
    assert stage.keeper.kinds() == []


async def test_a_person_sees_a_create_before_its_prompt_is_used(
    stage: Stage, bus: Connection
) -> None:
    stage.keeper.verdicts["create"] = "wait"
    _, prompt = await create(bus, await open_session(bus))
    stage.keeper.resolve(await stage.keeper.waiting("create"), "allowed")
    dismissed, path = await perform(bus, prompt)
    assert (dismissed, path.startswith(LOGIN)) == (False, True)


async def test_a_foreign_bus_signal_ends_no_peer(
    stage: Stage, bus: Connection, other: Connection
) -> None:
    session = await open_session(bus)
    path = item_path(stage.keeper.put("one"))
    me = bus.unique_name
    other.emit(DBUS_PATH, DBUS, "NameOwnerChanged", "sss", [me, me, ""])
    await call(other, "Ping", interface=PEER)
    (secret,) = await call(bus, "GetSecret", "o", [session], path=path, interface=ITEM)
    assert secret[2] == b"s3cret"


async def test_a_child_that_kept_the_connection_of_an_exited_program_is_refused(
    stage: Stage,
) -> None:
    stage.keeper.put("one", service="demo")
    script = """
import os, jeepney, jeepney.io.blocking as io
bus = io.open_dbus_connection()
address = jeepney.DBusAddress(
    "/org/freedesktop/secrets", "org.freedesktop.secrets", "org.freedesktop.Secret.Service")
search = jeepney.new_method_call(address, "SearchItems", "a{ss}", ({},))
print(bus.send_and_get_reply(search).header.message_type.name, flush=True)
parent = os.pidfd_open(os.getpid())
if os.fork():
    os._exit(0)
import select
select.select([parent], [], [])
reply = bus.send_and_get_reply(search)
print(reply.header.message_type.name, *reply.body)
"""
    ran = await stage.run(sys.executable, "-c", script)

    assert ran.err == ""
    assert ran.out.splitlines() == [
        "method_return",
        "error the program that opened this connection has exited",
    ]


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def test_peers_that_leave_at_any_moment_leave_nothing_behind(
    stage: Stage, bus: Connection
) -> None:
    path = item_path(stage.keeper.put("one"))
    stage.keeper.verdicts["read"] = "wait"
    await call(bus, "SearchItems", "a{ss}", [{}])
    requesters, descriptors = len(stage.keeper.requesters), open_descriptors()

    async def hurry(turns: int) -> None:
        """Call, and leave after so many turns of the event loop."""
        peer = await stage.connect()

        async def read() -> None:
            with suppress(PrivysealError):
                session = await open_session(peer)
                await call(peer, "GetSecret", "o", [session], path=path, interface=ITEM)

        reading = stage.group.create_task(read())
        for _ in range(turns):
            await asyncio.sleep(0)
        peer.close()
        await reading

    for turns in range(60):
        await hurry(turns)

    await eventually(lambda: len(stage.face.peers) == 1)
    await eventually(lambda: len(stage.keeper.requesters) == requesters)
    await eventually(lambda: all(asked.state != "pending" for asked in stage.keeper.asked))
    await eventually(lambda: open_descriptors() <= descriptors)
    assert len(stage.face.sessions) == 0
