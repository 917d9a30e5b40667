"""Everything that changes the store: gated like reads, done once, told in full."""

import msgspec
import pytest
from tests.unit.keeper.conftest import PASSPHRASE, PERSON, Bench

from privyseal.errors import ConflictError, DeniedError, LimitError, PrivysealError, UsageError
from privyseal.model.ask import (
    Ask,
    Change,
    ChangeCollection,
    Create,
    CreateCollection,
    Delete,
    DeleteCollection,
    Lock,
    SetAlias,
    Unlock,
    Write,
)
from privyseal.model.policy import Policy, Verdicts
from privyseal.model.secret import Secret
from privyseal.wire.keeper import Granted, MadeCollection, MadeItem

CREATE = Create(collection="login", label="new", attributes={"service": "demo"})


async def test_a_new_item_is_stored_when_a_person_allows_it(bench: Bench) -> None:
    answered = await bench.ask(bench.process(), CREATE, b"\x00binary\xff")
    assert await bench.backend.search({"service": "demo"}) == ()

    await bench.decide(answered.request.id)

    result = answered.request.ticket().result
    assert isinstance(result, MadeItem)
    assert (await bench.backend.read(result.item)).expose() == b"\x00binary\xff"


async def test_a_denied_write_changes_nothing_and_forgets_the_value(bench: Bench) -> None:
    answered = await bench.ask(bench.process(), CREATE, b"v")
    await bench.decide(answered.request.id, allow=False)
    assert await bench.backend.search({}) == ()
    assert answered.request.value is None


async def test_the_writer_reads_its_own_value_back_without_asking(bench: Bench) -> None:
    process = bench.process(pid=3)
    answered = await bench.ask(process, CREATE, b"v")
    await bench.decide(answered.request.id)
    result = answered.request.result
    assert isinstance(result, MadeItem)
    assert (await bench.read(process, result.item)).request.state == "leased"

    other = await bench.ask(bench.process("other"), Write(item=result.item), b"w")
    await bench.decide(other.request.id)

    assert (await bench.read(process, result.item)).request.state == "pending"


async def test_a_replacement_shows_what_it_replaces(bench: Bench) -> None:
    item = await bench.item(service="demo")
    ask = msgspec.structs.replace(CREATE, replace=True)
    answered = await bench.ask(bench.process(), ask, b"v")
    content = answered.request.content
    assert [info.ref for info in content.items] == [item]
    assert [fact.value for fact in content.details if fact.name == "replaces"] == ["new"]
    assert [fact.value for fact in content.details if fact.name == "value"] == [
        "1 bytes, text/plain"
    ]


async def test_a_change_shows_old_beside_new(bench: Bench) -> None:
    item = await bench.item(service="demo")
    ask = Change(item=item, label="bank", attributes={"service": "bank"})
    answered = await bench.ask(bench.process(), ask)
    shown = {fact.name: fact.value for fact in answered.request.content.details}
    assert shown == {
        "label was": "GitHub token",
        "label becomes": "bank",
        "service was": "demo",
        "service becomes": "bank",
    }
    await bench.decide(answered.request.id)
    assert (await bench.backend.describe(item)).label == "bank"


async def test_a_deleted_item_takes_its_leases_with_it(bench: Bench) -> None:
    item = await bench.item()
    process = bench.process()
    await bench.decide((await bench.read(process, item)).request.id, "until-lock")
    await bench.decide((await bench.ask(process, Delete(item=item))).request.id)
    assert bench.deciding.leases() == []
    assert await bench.backend.search({}) == ()


@pytest.mark.parametrize(
    "ask",
    [
        CreateCollection(label="Work", alias="work"),
        ChangeCollection(collection="login", label="Renamed"),
        SetAlias(alias="other", collection="login"),
        Lock(collections=("login",)),
        DeleteCollection(collection="login"),
    ],
    ids=lambda ask: type(ask).__name__,
)
async def test_nothing_happens_to_collections_before_a_person_allows_it(
    bench: Bench, ask: Ask
) -> None:
    before = (await bench.backend.collections(), await bench.backend.aliases())
    answered = await bench.ask(bench.process(), ask)
    assert answered.request.state == "pending"
    assert (await bench.backend.collections(), await bench.backend.aliases()) == before

    await bench.decide(answered.request.id)

    assert isinstance(answered.request.result, Granted | MadeCollection)
    assert (await bench.backend.collections(), await bench.backend.aliases()) != before


async def test_values_that_wait_to_be_stored_are_limited_in_all(bench: Bench) -> None:
    def store(number: int) -> Create:
        return Create(collection="login", label=str(number), attributes={})

    value = b"x" * 1024 * 1024
    for number in range(63):
        await bench.ask(bench.process(f"{number}"), store(number), value)
    with pytest.raises(LimitError, match="too much room"):
        await bench.ask(bench.process("late"), store(63), value)
    assert len(bench.deciding.pending()) == 63


async def test_asking_and_giving_up_for_ever_takes_nobody_elses_room(bench: Bench) -> None:
    flood, value = bench.process("flood"), b"x" * 1024 * 1024
    for number in range(70):
        ask = Create(collection="login", label=str(number), attributes={})
        bench.asking.withdraw((await bench.ask(flood, ask, value)).request, "it gave up")
    assert (await bench.ask(bench.process(), CREATE, b"v")).request.state == "pending"


async def test_unlocking_the_store_grants_what_asked_for_that(bench: Bench) -> None:
    await bench.deciding.lock(PERSON)
    answered = await bench.ask(bench.process(), Unlock(collections=("login",)))
    await bench.deciding.unlock(PASSPHRASE, PERSON)
    assert answered.request.state == "allowed"
    assert bench.audience.ends == {answered.request.id: "allowed"}
    receipts = [entry.receipt for entry in await bench.entries() if entry.receipt]
    assert [receipt.request for receipt in receipts] == [answered.request.id]


async def test_a_wrong_passphrase_stands_in_the_log(bench: Bench) -> None:
    await bench.deciding.lock(PERSON)
    with pytest.raises(DeniedError):
        await bench.deciding.unlock(Secret(b"wrong"), PERSON)
    last = (await bench.entries())[-1]
    assert (last.event, last.outcome, last.requester) == ("unlock", "denied", PERSON.summary)


async def test_a_deed_that_fails_after_it_was_allowed_says_so(bench: Bench) -> None:
    item = await bench.item()
    answered = await bench.ask(bench.process(), Delete(item=item))
    await bench.backend.delete(item)
    await bench.decide(answered.request.id)
    ticket = answered.request.ticket()
    assert ticket.result is None
    assert "failed" in ticket.reason
    assert bench.audience.ends == {answered.request.id: "allowed"}


async def test_a_deed_is_done_once_however_often_it_is_decided(bench: Bench) -> None:
    answered = await bench.ask(bench.process(), CREATE, b"v")
    await bench.decide(answered.request.id)
    with pytest.raises(ConflictError):
        await bench.decide(answered.request.id)
    assert len(await bench.backend.search({})) == 1


async def test_equal_writes_of_one_process_are_done_once(bench: Bench) -> None:
    first = await bench.ask(bench.process(pid=4), CREATE, b"v")
    second = await bench.ask(bench.process(pid=4), CREATE, b"v")
    third = await bench.ask(bench.process(pid=4), CREATE, b"other value")
    assert len(bench.deciding.pending()) == 2
    await bench.decide(first.request.id)
    assert second.request.result == first.request.result
    assert third.request.state == "pending"
    assert len(await bench.backend.search({})) == 1


async def test_a_value_is_needed_where_one_belongs(bench: Bench) -> None:
    answered = await bench.ask(bench.process(), CREATE)
    await bench.decide(answered.request.id)
    assert answered.request.result is None


async def test_items_cannot_be_chosen_for_what_is_no_read(bench: Bench) -> None:
    item = await bench.item()
    answered = await bench.ask(bench.process(), Delete(item=item))
    with pytest.raises(UsageError):
        await bench.decide(answered.request.id, "once", item)
    assert answered.request.state == "pending"


async def test_what_is_no_read_can_only_be_allowed_once(bench: Bench) -> None:
    answered = await bench.ask(bench.process(), CREATE, b"v")
    with pytest.raises(UsageError, match="only a read"):
        await bench.decide(answered.request.id, "15m")
    assert answered.request.state == "pending"


async def test_the_policy_decides_without_a_person_and_says_so_in_the_log(bench: Bench) -> None:
    bench.core.obey(Policy(verdicts=Verdicts(create="allow", delete="deny")))
    made = await bench.ask(bench.process(), CREATE, b"v")
    assert made.request.state == "ruled"
    item = await bench.item()
    refused = await bench.ask(bench.process(), Delete(item=item))
    assert refused.request.state == "denied"
    last = (await bench.entries())[-1]
    assert (last.outcome, last.detail) == ("denied", "the policy denies every delete")


async def test_when_the_log_cannot_be_written_nothing_is_granted(bench: Bench) -> None:
    item = await bench.item()
    answered = await bench.read(bench.process(), item)
    await bench.audit.flush()
    bench.disk.broken = True

    await bench.decide(answered.request.id)

    assert "cannot be written" in answered.request.ticket().reason
    assert bench.deciding.leases() == []
    with pytest.raises(PrivysealError, match="cannot be written"):
        await bench.asking.collect(answered.request)
