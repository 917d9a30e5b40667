"""Reads: who may read what, after which decision, for how long."""

from dataclasses import replace

import msgspec
import pytest
from tests.unit.keeper.conftest import PASSPHRASE, PERSON, Bench

from privyseal.errors import (
    ConflictError,
    DeniedError,
    LimitError,
    LockedError,
    NotFoundError,
    UsageError,
)
from privyseal.keeper.audit import AuditLog
from privyseal.keeper.core import Core
from privyseal.keeper.deciding import Deciding
from privyseal.model.ask import Create, Read, Search
from privyseal.model.decision import Decision
from privyseal.model.evidence import Evidence
from privyseal.model.keyring import ItemRef
from privyseal.model.policy import Policy, Timing
from privyseal.model.secret import Secret
from privyseal.runtime.embedded import EmbeddedBackend
from privyseal.wire.keeper import Found, Values
from privyseal.wire.vault import Cost


async def test_a_read_waits_for_a_person_and_is_released_once(bench: Bench) -> None:
    item = await bench.item(b"s3cret")
    answered = await bench.read(bench.process(), item)
    assert answered.request.ticket().state == "pending"
    assert not answered.released

    await bench.decide(answered.request.id)
    released = await bench.asking.collect(answered.request)

    assert [secret.expose() for secret in released] == [b"s3cret"]
    assert bench.audience.ends == {answered.request.id: "allowed"}
    with pytest.raises(ConflictError):
        await bench.asking.collect(answered.request)


async def test_a_denied_read_releases_nothing(bench: Bench) -> None:
    answered = await bench.read(bench.process(), await bench.item())
    await bench.decide(answered.request.id, allow=False)
    assert answered.request.ticket().state == "denied"
    assert await bench.asking.collect(answered.request) == []


async def test_the_receipt_is_in_the_log_before_the_release(bench: Bench) -> None:
    item = await bench.item()
    answered = await bench.read(bench.process(), item)
    await bench.decide(answered.request.id)
    await bench.asking.collect(answered.request)

    events = [entry.event for entry in await bench.entries()]
    assert events == ["asked", "decided", "released"]
    decided = (await bench.entries())[1]
    assert decided.receipt is not None
    assert decided.receipt.decision.screen == ("as drawn",)


async def test_the_prompt_route_reads_with_the_lease_it_was_granted(bench: Bench) -> None:
    item = await bench.item(b"v")
    process = bench.process()
    prompt = await bench.read(process, item, deliver=False)
    await bench.decide(prompt.request.id)

    read = await bench.read(process, item)

    assert read.request.state == "leased"
    assert [secret.expose() for secret in read.released] == [b"v"]


async def test_one_intention_is_one_use(bench: Bench) -> None:
    item = await bench.item(b"v")
    process = bench.process()
    prompt = await bench.read(process, item, deliver=False)
    await bench.decide(prompt.request.id, "once")

    for _ in range(3):  # search --all reads the same item twice within a moment
        assert (await bench.read(process, item)).request.state == "leased"
    bench.clock.advance(11)

    assert (await bench.read(process, item)).request.state == "pending"


@pytest.mark.parametrize("gave_up_after", [2.0, 25.0])
async def test_a_client_that_gave_up_waiting_may_retry_for_a_minute(
    bench: Bench, gave_up_after: float
) -> None:
    item = await bench.item(b"v")
    process, other = bench.process(), bench.process()
    waiting = await bench.read(process, item)
    bench.clock.advance(gave_up_after + 3)
    await bench.decide(waiting.request.id, "once")
    await bench.asking.collect(waiting.request)  # its face still waits, and hands it to nobody

    bench.clock.advance(59)
    assert (await bench.read(process, item)).request.state == "leased"
    assert (await bench.read(other, item)).request.state == "pending"
    bench.clock.advance(1)
    assert (await bench.read(process, item)).request.state == "pending"


async def test_a_lease_for_one_use_covers_all_items_of_the_request(bench: Bench) -> None:
    one, two = await bench.item(b"1", a="1"), await bench.item(b"2", a="2")
    answered = await bench.read(bench.process(), one, two)
    await bench.decide(answered.request.id)
    released = await bench.asking.collect(answered.request)
    assert [secret.expose() for secret in released] == [b"1", b"2"]


async def test_a_person_can_allow_some_of_the_items(bench: Bench) -> None:
    one, two = await bench.item(b"1", a="1"), await bench.item(b"2", a="2")
    answered = await bench.read(bench.process(), one, two)
    await bench.decide(answered.request.id, "once", two)
    released = await bench.asking.collect(answered.request)
    assert [secret.expose() for secret in released] == [b"2"]
    assert isinstance(answered.request.result, Values)
    assert [part.item for part in answered.request.result.slices] == [two]


async def test_an_item_that_a_person_left_out_is_not_asked_for_again_at_once(bench: Bench) -> None:
    one, two = await bench.item(b"1", a="1"), await bench.item(b"2", a="2")
    process = bench.process()
    answered = await bench.read(process, one, two)
    await bench.decide(answered.request.id, "once", two)

    assert (await bench.read(process, one)).request.state == "denied"
    bench.clock.advance(10)
    assert (await bench.read(process, one)).request.state == "pending"


@pytest.mark.parametrize(
    ("scope", "advance", "still"),
    [("2x", 11, True), ("5m", 299, True), ("5m", 301, False), ("until-lock", 10**6, True)],
)
async def test_scopes_last_as_long_as_they_say(
    bench: Bench, scope: str, advance: float, still: bool
) -> None:
    item = await bench.item()
    first = bench.process()
    answered = await bench.read(first, item)
    await bench.decide(answered.request.id, scope)
    await bench.asking.collect(answered.request)

    bench.clock.advance(advance)
    again = await bench.read(bench.process(), item)  # another process of the same program

    assert (again.request.state == "leased") is still


async def test_uses_run_out(bench: Bench) -> None:
    item = await bench.item()
    answered = await bench.read(bench.process(), item)
    await bench.decide(answered.request.id, "2x")
    await bench.asking.collect(answered.request)
    bench.clock.advance(11)
    assert (await bench.read(bench.process(), item)).request.state == "leased"
    bench.clock.advance(11)
    assert (await bench.read(bench.process(), item)).request.state == "pending"


async def test_a_lease_is_no_good_to_another_program(bench: Bench) -> None:
    item = await bench.item()
    answered = await bench.read(bench.process("node"), item)
    await bench.decide(answered.request.id, "5m")
    assert (await bench.read(bench.process("evil"), item)).request.state == "pending"


async def test_an_untrusted_program_gets_no_lease_beyond_its_process(bench: Bench) -> None:
    item = await bench.item()
    answered = await bench.read(bench.process(trusted=False), item)
    await bench.decide(answered.request.id, "5m")
    assert (await bench.read(bench.process(trusted=False), item)).request.state == "pending"


async def test_until_exit_ends_with_the_process(bench: Bench) -> None:
    item = await bench.item()
    process = bench.process(pid=7)
    await bench.decide((await bench.read(process, item)).request.id, "until-exit")
    bench.clock.advance(10**5)
    assert (await bench.read(process, item)).request.state == "leased"

    bench.asking.leave(process, exited=True)

    assert (await bench.read(bench.process(pid=7), item)).request.state == "pending"


async def test_locking_ends_every_lease(bench: Bench) -> None:
    item = await bench.item()
    process = bench.process()
    await bench.decide((await bench.read(process, item)).request.id, "until-lock")
    await bench.deciding.lock(PERSON)
    assert bench.deciding.leases() == []
    assert (await bench.read(process, item)).request.state == "pending"


async def test_a_program_that_changed_loses_its_lease_and_is_marked(bench: Bench) -> None:
    item = await bench.item()
    process = bench.process()
    await bench.decide((await bench.read(process, item)).request.id, "until-exit")
    bench.clock.advance(1)
    bench.witness.changed[process.pidfd] = "it has executed another program since it asked"

    again = await bench.read(process, item)

    assert again.request.state == "pending"
    warnings = [f.value for f in again.request.content.evidence.facts if f.grade == "warning"]
    assert warnings == ["it has executed another program since it asked"]


async def test_a_requester_that_execs_while_it_waits_must_be_looked_at_again(bench: Bench) -> None:
    process = bench.process()
    answered = await bench.read(process, await bench.item())
    before = answered.request.digest
    bench.clock.advance(1)
    bench.witness.changed[process.pidfd] = "it has executed another program since it asked"

    with pytest.raises(ConflictError, match="changed since it was shown"):
        await bench.decide(answered.request.id)

    assert answered.request.state == "pending"
    assert answered.request.digest != before
    await bench.decide(answered.request.id)  # having seen the warning, a person may still allow


async def test_a_decision_on_other_content_is_refused(bench: Bench) -> None:
    answered = await bench.read(bench.process(), await bench.item())
    decision = Decision(request=answered.request.id, digest="0" * 64, allow=True)
    with pytest.raises(ConflictError):
        await bench.deciding.decide(decision, PERSON)
    assert answered.request.state == "pending"


async def test_a_requester_cannot_approve_itself(bench: Bench) -> None:
    process = bench.process()
    answered = await bench.read(process, await bench.item())
    decision = Decision(request=answered.request.id, digest=answered.request.digest, allow=True)
    with pytest.raises(DeniedError):
        await bench.deciding.decide(
            decision, Evidence(summary="x", process=process.evidence.process)
        )


async def test_the_second_decision_finds_the_request_decided(bench: Bench) -> None:
    answered = await bench.read(bench.process(), await bench.item())
    await bench.decide(answered.request.id, allow=False)
    with pytest.raises(ConflictError, match="denied already"):
        await bench.decide(answered.request.id)


async def test_nobody_decides_and_the_request_expires(bench: Bench) -> None:
    answered = await bench.read(bench.process(), await bench.item())
    bench.clock.advance(299)
    bench.asking.tick()
    assert answered.request.state == "pending"
    bench.clock.advance(2)
    bench.asking.tick()
    assert answered.request.ticket().state == "expired"
    assert bench.audience.ends == {answered.request.id: "expired"}
    with pytest.raises(ConflictError, match="expired"):
        await bench.decide(answered.request.id)


async def test_a_requester_that_leaves_cancels_its_requests(bench: Bench) -> None:
    process = bench.process()
    answered = await bench.read(process, await bench.item())
    bench.asking.leave(process, exited=True)
    assert answered.request.state == "cancelled"
    assert bench.deciding.pending() == []


async def test_equal_requests_of_one_process_are_one_for_the_person(bench: Bench) -> None:
    item = await bench.item(b"v")
    first = await bench.read(bench.process(pid=9), item, deliver=False)
    second = await bench.read(bench.process(pid=9), item)
    assert len(bench.deciding.pending()) == 1

    await bench.decide(first.request.id)

    assert {first.request.state, second.request.state} == {"allowed"}
    assert len(await bench.asking.collect(second.request)) == 1
    assert set(bench.audience.ends) == {first.request.id, second.request.id}


async def test_when_the_shown_request_is_cancelled_its_twin_takes_its_place(bench: Bench) -> None:
    item = await bench.item()
    first = await bench.read(bench.process(pid=9), item)
    second = await bench.read(bench.process(pid=9), item)
    bench.asking.withdraw(first.request, "gave up")
    assert [a.id for a in bench.deciding.pending()] == [second.request.id]
    await bench.decide(second.request.id)
    assert second.request.state == "allowed"


async def test_a_denial_sticks_and_grows(bench: Bench) -> None:
    item = await bench.item()

    async def ask() -> str:
        answered = await bench.read(bench.process("agent"), item)
        if answered.request.state == "pending":
            await bench.decide(answered.request.id, allow=False)
            return "asked"
        assert answered.request.state == "denied"
        return "refused"

    assert [await ask(), await ask()] == ["asked", "refused"]
    bench.clock.advance(11)
    assert [await ask(), await ask()] == ["asked", "refused"]
    bench.clock.advance(11)
    assert await ask() == "refused"
    bench.clock.advance(10)
    assert await ask() == "asked"


async def test_a_denial_of_a_program_nobody_knows_sticks_to_the_process(bench: Bench) -> None:
    item = await bench.item()
    process, other = bench.process(pid=8), bench.process(pid=9)
    for each in (process, other):
        each.evidence = msgspec.structs.replace(each.evidence, program=None)
    await bench.decide((await bench.read(process, item)).request.id, allow=False)
    assert (await bench.read(process, item)).request.state == "denied"
    assert (await bench.read(other, item)).request.state == "pending"


async def test_a_store_found_locked_by_others_ends_every_lease(bench: Bench) -> None:
    item = await bench.item()
    process = bench.process()
    await bench.decide((await bench.read(process, item)).request.id, "until-lock")
    await bench.backend.lock()
    await bench.core.relearn()
    assert bench.deciding.leases() == []
    assert bench.audience.notices[-1].what == "locked"


async def test_a_store_found_opened_by_others_is_told_once(bench: Bench) -> None:
    await bench.backend.lock()
    await bench.core.relearn()
    await bench.backend.unlock(PASSPHRASE)
    await bench.core.relearn()
    await bench.core.relearn()
    assert [notice.what for notice in bench.audience.notices] == ["locked", "unlocked"]


async def test_a_program_that_was_denied_thousands_of_times_is_denied_still(bench: Bench) -> None:
    item = await bench.item()
    evidence = bench.process("agent").evidence
    for _ in range(3000):
        bench.core.denials.remember(evidence, "read", item)
    assert bench.core.denials.left(evidence, "read", item) == Timing().denial_longest


async def test_a_flood_is_limited_per_process_and_leaves_room_for_others(bench: Bench) -> None:
    items = [await bench.item(n=str(n)) for n in range(17)]
    flood = bench.process("flood", pid=5)
    for item in items[:16]:
        await bench.read(flood, item)
    with pytest.raises(LimitError):
        await bench.read(flood, items[16])
    assert (await bench.read(bench.process("other"), items[16])).request.state == "pending"


async def test_asking_for_what_is_not_there_asks_nobody(bench: Bench) -> None:
    with pytest.raises(NotFoundError):
        await bench.read(bench.process(), ItemRef(collection="login", item="nothing"))
    assert bench.deciding.pending() == []


async def test_a_locked_store_can_be_asked_but_not_allowed(bench: Bench) -> None:
    item = await bench.item()
    await bench.deciding.lock(PERSON)
    answered = await bench.read(bench.process(), item)
    assert bench.deciding.pending()[0].needs_unlock
    with pytest.raises(LockedError):
        await bench.decide(answered.request.id)
    assert answered.request.state == "pending"


async def test_no_store_is_made_under_a_short_passphrase(bench: Bench) -> None:
    fresh = EmbeddedBackend(bench.folder / "fresh", clock=bench.clock, cost=Cost(log2_n=10))
    deciding = Deciding(Core(replace(bench.core.ports, backend=fresh), Policy()))
    for short in (b"", b"1234567", "äöüÄÖÜß".encode()):
        with pytest.raises(UsageError, match="at least 8 characters"):
            await deciding.unlock(Secret(short), PERSON)
    assert not await fresh.initialised()
    await deciding.unlock(Secret(b"12345678"), PERSON)
    assert await fresh.initialised()


async def test_what_a_lock_hid_is_shown_before_it_can_be_allowed(bench: Bench) -> None:
    item = await bench.item()
    await bench.deciding.lock(PERSON)
    answered = await bench.read(bench.process(), item)
    hidden = bench.deciding.show(answered.request.id)
    await bench.deciding.unlock(PASSPHRASE, PERSON)

    shown = bench.deciding.show(answered.request.id)
    blind = Decision(request=hidden.id, digest=hidden.digest, allow=True)
    with pytest.raises(ConflictError):
        await bench.deciding.decide(blind, PERSON)

    assert [info.label for info in hidden.content.items] == [""]
    assert [info.label for info in shown.content.items] == ["GitHub token"]
    assert shown in [notice.approval for notice in bench.audience.notices]


async def test_an_item_that_was_renamed_since_it_was_shown_is_looked_at_again(bench: Bench) -> None:
    item = await bench.item()
    answered = await bench.read(bench.process(), item)
    before = bench.deciding.show(answered.request.id)
    await bench.backend.change(item, label="Bank", attributes=None)

    with pytest.raises(ConflictError, match="changed since it was shown"):
        await bench.deciding.decide(
            Decision(request=before.id, digest=before.digest, allow=True), PERSON
        )

    assert bench.deciding.show(before.id).content.items[0].label == "Bank"
    assert (await bench.decide(before.id)).state == "allowed"


async def test_a_decision_too_long_for_the_log_leaves_the_request_waiting(bench: Bench) -> None:
    answered = await bench.read(bench.process(), await bench.item())
    shown = bench.deciding.show(answered.request.id)
    endless = Decision(request=shown.id, digest=shown.digest, allow=True, screen=("x" * 20_000,))
    with pytest.raises(UsageError):
        await bench.deciding.decide(endless, PERSON)
    assert (await bench.decide(shown.id)).state == "allowed"


async def test_a_request_too_long_for_the_log_does_not_wait(bench: Bench) -> None:
    item = await bench.item()
    with pytest.raises(UsageError):
        await bench.read(bench.process("x" * 20_000), item)
    assert bench.deciding.pending() == []
    bench.clock.advance(10_000)
    bench.asking.tick()


async def test_a_search_says_what_is_open_to_this_requester(bench: Bench) -> None:
    item = await bench.item(service="demo")
    other = await bench.item(service="demo", user="x")
    process = bench.process()
    await bench.decide((await bench.read(process, item)).request.id, "5m")
    answered = await bench.ask(process, Search(attributes={"service": "demo"}))
    assert answered.request.state == "ruled"
    assert answered.request.result == Found(open=(item,), closed=(other,))


async def test_chromiums_probe_is_answered_with_a_volatile_item(bench: Bench) -> None:
    probe = Create(
        collection="login",
        label="Chrome Safe Storage Control",
        attributes={"xdg:schema": "_chrome_dummy_schema_for_unlocking"},
    )
    answered = await bench.ask(bench.process("chromium"), probe, b"dummy")
    assert answered.request.state == "ignored"
    assert await bench.backend.search(probe.attributes, "login") == ()
    assert len(await bench.backend.search(probe.attributes, "session")) == 1


async def test_probes_without_end_leave_one_empty_item_and_no_lease(bench: Bench) -> None:
    item, process = await bench.item(), bench.process()
    await bench.decide((await bench.read(process, item)).request.id, "until-exit")
    for number in range(3):
        probe = Create(
            collection="login",
            label="x" * 16_000,
            attributes={"xdg:schema": "_chrome_dummy_schema_for_unlocking", "n": str(number)},
        )
        await bench.ask(bench.process("flood"), probe, b"x" * 1000)
    (left,) = await bench.backend.items("session")
    ref = ItemRef(collection="session", item=left)
    assert len(await bench.backend.read(ref)) == 0
    assert len(bench.deciding.leases()) == 1


async def test_what_waited_when_the_keeper_died_is_abandoned_in_the_log(bench: Bench) -> None:
    answered = await bench.read(bench.process(), await bench.item())
    await bench.audit.flush()
    await bench.audit.close()
    bench.audit = AuditLog.open(bench.folder / "audit", bench.clock)
    assert [entry.request for entry in bench.audit.unfinished()] == [answered.request.id]


async def test_a_whole_read_is_asked_for_only_where_no_lease_covers_it(bench: Bench) -> None:
    one, two = await bench.item(b"1", a="1"), await bench.item(b"2", a="2")
    process = bench.process()
    await bench.decide((await bench.read(process, one)).request.id, "until-exit")

    answered = await bench.read(process, one, two)

    assert isinstance(answered.request.ask, Read)
    assert answered.request.ask.items == (two,)
    await bench.decide(answered.request.id)
    released = await bench.asking.collect(answered.request)
    assert [secret.expose() for secret in released] == [b"1", b"2"]


async def test_what_was_decided_on_the_program_before_is_counted(bench: Bench) -> None:
    item = await bench.item()
    counted = []
    for _ in range(3):
        answered = await bench.read(bench.process(), item)
        counted.append(bench.deciding.show(answered.request.id).content.before)
        await bench.decide(answered.request.id)

    assert counted == ["", "allowed 1 time, denied 0 times", "allowed 2 times, denied 0 times"]
