"""Reads: who may read what, after which decision, for how long."""

import pytest
from tests.unit.keeper.conftest import PERSON, Bench

from privyseal.errors import ConflictError, DeniedError, LimitError, LockedError, NotFoundError
from privyseal.keeper.audit import AuditLog
from privyseal.model.ask import Create, Read, Search
from privyseal.model.decision import Decision
from privyseal.model.evidence import Evidence
from privyseal.model.keyring import ItemRef
from privyseal.wire.keeper import Found, Values


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
    bench.witness.changed[process.pidfd] = "it has executed another program since it asked"

    again = await bench.read(process, item)

    assert again.request.state == "pending"
    warnings = [f.value for f in again.request.content.evidence.facts if f.grade == "warning"]
    assert warnings == ["it has executed another program since it asked"]


async def test_a_requester_that_execs_while_it_waits_must_be_looked_at_again(bench: Bench) -> None:
    process = bench.process()
    answered = await bench.read(process, await bench.item())
    before = answered.request.digest
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
