"""Orders for AWS in the pipeline, and a broker that does as it likes."""

import asyncio
import os
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from tests.unit.keeper.conftest import PERSON, Bench
from tests.waiting import PATIENCE, eventually

from privyseal.aws.broker import KeeperStore
from privyseal.aws.ports import Item
from privyseal.errors import (
    ConflictError,
    DeniedError,
    LimitError,
    LockedError,
    NotFoundError,
    PrivysealError,
    UnreachableError,
    UsageError,
)
from privyseal.keeper import broker as broker_module
from privyseal.keeper.asking import Answered
from privyseal.keeper.book import MAX_CLEARED, MAX_UNDER_WAY
from privyseal.keeper.pins import Pins
from privyseal.keeper.requests import Requester
from privyseal.model.ask import (
    Ask,
    ChangeAws,
    ChangeCollection,
    Create,
    CreateCollection,
    Read,
    UseAws,
    Write,
    outcome_of,
)
from privyseal.model.aws import (
    AccessKey,
    Keep,
    Obtain,
    Plan,
    Remove,
    RoleStep,
    SessionStep,
    StoredKey,
)
from privyseal.model.evidence import Evidence
from privyseal.model.keyring import CollectionInfo, ItemRef
from privyseal.model.policy import AwsRules, Policy, Verdicts
from privyseal.model.secret import Secret
from privyseal.model.value import decode, encode
from privyseal.runtime.memfd import read_sealed, seal
from privyseal.wire.broker import MAX_PACKET, Begin, Drop, End, Fetch, List, Reply, Store
from privyseal.wire.keeper import Values

Behaviour = Callable[[socket.socket, Begin], None]

PLAN = Plan(profile="prod", source=StoredKey(name="prod"), steps=(SessionStep(duration=3600),))
USE = UseAws(order=Obtain(plan=PLAN, command=("true",)))
FORGET = ChangeAws(order=Remove(name="prod"))


class FakeBroker:
    """Listens where the bench's keeper looks for its broker; each order gets a thread."""

    def __init__(self, path: Path) -> None:
        self.behaviour: Behaviour = end
        self.begun: list[Begin] = []
        self.values: list[bytes] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(path))
        self._listener.listen()
        self._links: list[socket.socket] = []
        self._start(self._accept)

    def close(self) -> None:
        for open_one in (self._listener, *self._links):
            with open_one:
                open_one.shutdown(socket.SHUT_RDWR)

    def _start(self, work: Callable[[], None]) -> None:
        threading.Thread(target=work, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                link, _ = self._listener.accept()
            except OSError:
                return
            self._links.append(link)
            self._start(lambda link=link: self._take(link))  # type: ignore[misc]  # bound at once

    def _take(self, link: socket.socket) -> None:
        while True:
            try:
                packet, fds, _, _ = socket.recv_fds(link, 1, 1)
            except OSError:
                return
            if not packet:
                return
            order = socket.socket(fileno=fds[0])
            self._start(lambda order=order: self._serve(order))  # type: ignore[misc]  # bound at once

    def _serve(self, order: socket.socket) -> None:
        with order:
            packet, fds, _, _ = socket.recv_fds(order, MAX_PACKET, 2)
            self.values += [read_sealed(fd, limit=4096) for fd in fds[1:]]
            for fd in fds:
                os.close(fd)
            self.begun.append(decode(packet, Begin, what="an order"))
            with suppress(OSError):  # a keeper that hung up
                self.behaviour(order, self.begun[-1])


@contextmanager
def memory(value: bytes) -> Iterator[int]:
    fd = seal(value)
    try:
        yield fd
    finally:
        os.close(fd)


def say(order: socket.socket, what: object, value: bytes | None = None) -> None:
    if value is None:
        order.send(encode(what))
        return
    with memory(value) as fd:
        socket.send_fds(order, [encode(what)], [fd])


def end(order: socket.socket, _begin: Begin) -> None:
    say(order, End(), b'{"lines":[]}')


@pytest.fixture
async def broker(bench: Bench) -> AsyncIterator[FakeBroker]:
    made = FakeBroker(bench.folder / "broker")
    yield made
    made.close()
    await bench.core.ports.broker.close()


async def ask(bench: Bench, requester: Requester, ask: Ask = USE) -> Answered:
    """Ask with one end of a talk, whose other end is shut."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    far.close()
    talk = near.detach()
    try:
        return await bench.asking.submit(requester, ask, None, talk)
    except PrivysealError:
        os.close(talk)
        raise


async def outcome(bench: Bench, answered: Answered) -> bytes:
    """Return what came of an order that was granted."""
    await eventually(lambda: answered.request.done)
    [value] = await bench.asking.collect(answered.request)
    return value.expose()


async def granted(bench: Bench, ask_for: Ask = USE, scope: str = "once") -> bytes:
    answered = await ask(bench, bench.process(), ask_for)
    await bench.decide(answered.request.id, scope)
    return await outcome(bench, answered)


async def test_an_order_is_carried_out_after_its_receipt_and_handed_over_once(
    bench: Bench, broker: FakeBroker
) -> None:
    answered = await ask(bench, bench.process())
    await bench.decide(answered.request.id)
    assert answered.request.ticket().state == "pending", "it is allowed, not done"

    assert await outcome(bench, answered) == b'{"lines":[]}'

    assert bench.audience.ends == {answered.request.id: "allowed"}
    ticket = answered.request.ticket()
    assert isinstance(ticket.result, Values)
    assert [slice_.item for slice_ in ticket.result.slices] == [outcome_of(USE.order)]
    entries = await bench.entries()
    assert [entry.event for entry in entries] == ["asked", "decided", "released"]
    assert entries[2].detail == "prod, true"
    assert entries[2].via.startswith("lease ")
    with pytest.raises(ConflictError):
        await bench.asking.collect(answered.request)


async def test_what_was_not_allowed_never_reaches_the_broker(
    bench: Bench, broker: FakeBroker
) -> None:
    answered = await ask(bench, bench.process())
    await bench.decide(answered.request.id, allow=False)

    assert await bench.asking.collect(answered.request) == []
    assert broker.begun == []
    assert answered.request.talk == -1 or not is_open(answered.request.talk)


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


async def test_a_lease_covers_a_plan_whichever_command_wants_it(
    bench: Bench, broker: FakeBroker
) -> None:
    first = await ask(bench, bench.process("privy", pid=1))
    await bench.decide(first.request.id, "1h")
    await outcome(bench, first)
    other = UseAws(order=Obtain(plan=PLAN, command=("rm", "-rf")))

    again = await ask(bench, bench.process("privy", pid=2), other)

    assert again.request.state == "leased"
    assert again.request.ticket().reason == "it is allowed, and AWS is asked now"
    assert await outcome(bench, again)
    [lease] = bench.deciding.leases()
    assert lease.labels == ("AWS prod, 1 h",)


@pytest.mark.parametrize(
    "plan",
    [
        msgspec.structs.replace(PLAN, profile="other"),
        msgspec.structs.replace(PLAN, steps=()),
        msgspec.structs.replace(PLAN, source=StoredKey(name="other")),
    ],
)
async def test_a_lease_covers_no_other_plan(bench: Bench, broker: FakeBroker, plan: Plan) -> None:
    first = await ask(bench, bench.process("privy", pid=1))
    await bench.decide(first.request.id, "1h")
    await outcome(bench, first)

    other = await ask(bench, bench.process("privy", pid=2), UseAws(order=Obtain(plan=plan)))

    assert other.request.state == "pending"
    bench.asking.withdraw(other.request, "the test is over")


async def test_leases_of_one_profile_are_told_apart(bench: Bench, broker: FakeBroker) -> None:
    role = RoleStep(arn="arn:aws:iam::111122223333:role/team/Admin", duration=900)
    for number, steps in enumerate([PLAN.steps, (SessionStep(duration=7200),), (role,)]):
        plan = msgspec.structs.replace(PLAN, steps=steps)
        use = UseAws(order=Obtain(plan=plan, command=("true",)))
        answered = await ask(bench, bench.process("privy", pid=number + 1), use)
        await bench.decide(answered.request.id, "1h")
        await outcome(bench, answered)

    labels = sorted(label for lease in bench.deciding.leases() for label in lease.labels)

    assert labels == ["AWS prod, 1 h", "AWS prod, 2 h", "AWS prod, Admin, 15 min"]


@pytest.mark.parametrize("pattern", ["prod", "p*", "1111*"])
async def test_a_pattern_keeps_a_plan_from_being_leased(
    bench: Bench, broker: FakeBroker, pattern: str
) -> None:
    bench.core.obey(Policy(aws=AwsRules(always_ask=(pattern,))))
    plan = msgspec.structs.replace(PLAN, source=StoredKey(name="111122223333"))
    answered = await ask(bench, bench.process(), UseAws(order=Obtain(plan=plan)))

    with pytest.raises(UsageError, match="asked each time"):
        await bench.decide(answered.request.id, "1h")

    assert bench.deciding.show(answered.request.id).once
    await bench.decide(answered.request.id)
    await outcome(bench, answered)
    again = await ask(bench, answered.request.requester, UseAws(order=Obtain(plan=plan)))
    assert again.request.state == "pending", "not even the same process gets it again"
    bench.asking.withdraw(again.request, "the test is over")


async def test_equal_changes_are_asked_one_by_one(bench: Bench, broker: FakeBroker) -> None:
    requester = bench.process()
    first, second = await ask(bench, requester, FORGET), await ask(bench, requester, FORGET)

    await bench.decide(first.request.id)
    await outcome(bench, first)

    assert second.request.state == "pending"
    assert len(broker.begun) == 1
    with pytest.raises(UsageError, match="only a read"):
        await bench.decide(second.request.id, "1h")
    await bench.decide(second.request.id, allow=False)


async def test_what_is_always_asked_no_rule_allows(bench: Bench) -> None:
    rules = AwsRules(always_ask=("prod",))
    bench.core.obey(Policy(verdicts=Verdicts(aws_use="allow"), aws=rules))

    answered = await ask(bench, bench.process())

    assert answered.request.state == "pending"
    bench.asking.withdraw(answered.request, "the test is over")


async def test_a_rule_may_decide_in_place_of_a_person(bench: Bench, broker: FakeBroker) -> None:
    bench.core.obey(Policy(verdicts=Verdicts(aws_use="allow", aws_change="deny")))

    used = await ask(bench, bench.process())
    changed = await ask(bench, bench.process(), FORGET)

    assert await outcome(bench, used)
    assert (used.request.state, changed.request.state) == ("ruled", "denied")


async def test_a_denied_plan_stays_denied_for_another_command(
    bench: Bench, broker: FakeBroker
) -> None:
    first = await ask(bench, bench.process("privy", pid=1))
    await bench.decide(first.request.id, allow=False)

    other = UseAws(order=Obtain(plan=PLAN, command=("other",)))
    again = await ask(bench, bench.process("privy", pid=2), other)

    assert again.request.state == "denied"
    assert "denied before" in again.request.reason


async def test_a_process_that_never_comes_back_for_its_results_is_stopped(
    bench: Bench, broker: FakeBroker
) -> None:
    requester = bench.process()
    first = await ask(bench, requester)
    await bench.decide(first.request.id, "until-exit")
    await outcome(bench, first)

    for _ in range(MAX_CLEARED):
        await ask(bench, requester)
    with pytest.raises(LimitError, match="orders of this process"):
        await ask(bench, requester)


async def test_many_processes_with_one_lease_hold_no_more_than_a_number_of_orders(
    bench: Bench, broker: FakeBroker
) -> None:
    first = await ask(bench, bench.process("privy", pid=1))
    await bench.decide(first.request.id, "1h")
    await outcome(bench, first)
    over = threading.Event()

    def waits(order: socket.socket, begin: Begin) -> None:
        over.wait(PATIENCE)
        end(order, begin)

    broker.behaviour = waits
    shells = [bench.process("privy", pid=2 + n) for n in range(MAX_UNDER_WAY)]
    under_way = [await ask(bench, shell) for shell in shells]
    with pytest.raises(LimitError, match="orders are being carried out already"):
        await ask(bench, bench.process("privy", pid=1000))
    over.set()
    for each in under_way:
        await outcome(bench, each)


def junk(order: socket.socket, _begin: Begin) -> None:
    order.send(b"\xff{]")


def too_long(order: socket.socket, _begin: Begin) -> None:
    order.send(b'{"op":"fetch","key":"' + b"k" * MAX_PACKET + b'"}')


def no_result(order: socket.socket, _begin: Begin) -> None:
    say(order, End())


def unsealed(order: socket.socket, _begin: Begin) -> None:
    fd = os.memfd_create("open")
    os.write(fd, b"{}")
    socket.send_fds(order, [encode(End())], [fd])
    os.close(fd)


def a_file(order: socket.socket, _begin: Begin) -> None:
    with Path("/dev/null").open("rb") as file:
        socket.send_fds(order, [encode(End())], [file.fileno()])


def too_much(order: socket.socket, _begin: Begin) -> None:
    say(order, End(), b" " * (1024 * 1024 + 1))


def gone(_order: socket.socket, _begin: Begin) -> None:
    pass


def deaf(order: socket.socket, _begin: Begin) -> None:
    """Ask and ask, and read no answer, until the keeper has hung up."""
    while True:
        say(order, Fetch(key="k" * 200))


def silent(order: socket.socket, _begin: Begin) -> None:
    order.recv(1)


def refused(order: socket.socket, _begin: Begin) -> None:
    say(order, End(error="AWS refuses", error_name=DeniedError.bus_name, hint="ask nicely"))


@pytest.mark.parametrize(
    ("behaviour", "error", "words"),
    [
        (junk, UsageError, "a packet is malformed"),
        (too_long, UsageError, "a packet is malformed"),
        (no_result, PrivysealError, "gave no result"),
        (unsealed, UsageError, "not sealed"),
        (a_file, UsageError, "not a memfd"),
        (too_much, LimitError, "exceeds the limit"),
        (gone, UnreachableError, "ended before it was done"),
        (deaf, UnreachableError, "ended before it was done"),
        (refused, DeniedError, "AWS refuses"),
    ],
)
async def test_a_broker_that_breaks_the_rules_gives_one_clear_error(
    bench: Bench,
    broker: FakeBroker,
    behaviour: Behaviour,
    error: type[PrivysealError],
    words: str,
) -> None:
    broker.behaviour = behaviour
    with pytest.raises(error, match=words):
        await granted(bench)

    entries = await bench.entries()
    assert [entry.event for entry in entries] == ["asked", "decided", "resolved"]
    assert words in entries[2].detail
    broker.behaviour = end
    assert await granted(bench), "the next order is none the worse for it"


async def test_a_broker_that_says_nothing_is_given_up(
    bench: Bench, broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_module, "ORDER_SECONDS", 0.05)
    broker.behaviour = silent

    with pytest.raises(UnreachableError, match="did not finish in time"):
        await granted(bench)


async def test_without_a_broker_the_order_fails(bench: Bench) -> None:
    with pytest.raises(UnreachableError, match="does not start"):
        await granted(bench)


async def test_a_key_is_typed_in_two_answers_at_the_console(
    bench: Bench, broker: FakeBroker
) -> None:
    pins = Pins(lambda: None)
    bench.core.ports.broker._pins = pins
    answered = await ask(bench, bench.process(), ChangeAws(order=Keep(name="prod", typed=True)))
    await bench.decide(answered.request.id)
    asked: list[tuple[str, str]] = []
    for text in (b"AKIAEXAMPLE\n", b" hunter2 "):
        await eventually(lambda: bool(pins.waiting()))
        [pin] = pins.waiting()
        asked.append((pin.of, pin.text))
        pins.answer(pin.id, Secret(text))
        await eventually(lambda pin=pin: pin not in pins.waiting())  # type: ignore[misc]  # bound at once

    await outcome(bench, answered)

    assert asked == [
        ("AWS", "The access key id of the key 'prod'"),
        ("AWS", "The secret access key of the key 'prod'"),
    ]
    key = AccessKey(access_key_id="AKIAEXAMPLE", secret_access_key="hunter2")
    assert broker.values == [encode(key)]


async def test_a_key_that_nobody_wants_to_type_is_not_kept(
    bench: Bench, broker: FakeBroker
) -> None:
    pins = Pins(lambda: None)
    bench.core.ports.broker._pins = pins
    answered = await ask(bench, bench.process(), ChangeAws(order=Keep(name="prod", typed=True)))
    await bench.decide(answered.request.id)
    await eventually(lambda: bool(pins.waiting()))
    pins.answer(pins.waiting()[0].id, None)

    with pytest.raises(DeniedError, match="cancelled"):
        await outcome(bench, answered)
    assert broker.begun == []


async def test_who_leaves_takes_the_order_along(bench: Bench, broker: FakeBroker) -> None:
    hung_up = threading.Event()

    def waiting(order: socket.socket, _begin: Begin) -> None:
        order.recv(1)
        hung_up.set()

    broker.behaviour = waiting
    requester = bench.process()
    answered = await ask(bench, requester)
    await bench.decide(answered.request.id)
    await eventually(lambda: bool(broker.begun))

    bench.asking.leave(requester, exited=True)

    await eventually(hung_up.is_set)
    assert answered.request.done
    assert not is_open(answered.request.talk)


async def test_what_was_obtained_while_the_store_was_locked_is_not_released(
    bench: Bench, broker: FakeBroker
) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def slow(order: socket.socket, begin: Begin) -> None:
        reached.set()
        go_on.wait(PATIENCE)
        end(order, begin)

    broker.behaviour = slow
    answered = await ask(bench, bench.process())
    await bench.decide(answered.request.id)
    await asyncio.to_thread(reached.wait, PATIENCE)
    await bench.deciding.lock(PERSON)
    go_on.set()

    with pytest.raises(LockedError, match="locked meanwhile"):
        await outcome(bench, answered)


async def test_the_broker_keeps_finds_and_forgets_items_of_one_collection(
    bench: Bench, broker: FakeBroker
) -> None:
    other = await bench.item(b"mine", profile="elsewhere")
    seen: list[object] = []

    def busy(order: socket.socket, begin: Begin) -> None:
        store = KeeperStore(order)
        seen.append(store.entries())
        for text in (b"one", b"two"):
            store.write(Item("oidc:https://x", Secret(text), notes={"expires": "5"}))
        store.write(Item("prod", Secret(b"key"), notes={"tail": "WXYZ"}))
        seen.append(store.entries())
        seen.append(store.read("oidc:https://x").value.expose())
        store.remove("prod")
        for key in ("prod", "elsewhere"):
            try:
                store.read(key)
            except NotFoundError as error:
                seen.append(str(error))
        end(order, begin)

    broker.behaviour = busy
    await granted(bench)

    assert seen == [
        {},
        {"oidc:https://x": {"expires": "5"}, "prod": {"tail": "WXYZ"}},
        b"two",
        "nothing is kept for AWS under 'prod'",
        "nothing is kept for AWS under 'elsewhere'",
    ]
    [awsvault] = [c for c in await bench.backend.collections() if c.label == "awsvault"]
    assert len(await bench.backend.items(awsvault.id)) == 1
    assert (await bench.backend.read(other)).expose() == b"mine"


async def test_a_long_list_comes_in_parts(bench: Bench, broker: FakeBroker) -> None:
    collection = await bench.backend.create_collection("awsvault", "")
    names = [f"{number:03}" + "k" * 400 for number in range(300)]
    for name in names:
        await bench.backend.create(
            collection, name, {"profile": name}, Secret(b"{}"), replace=False
        )
    found: list[str] = []

    def listing(order: socket.socket, begin: Begin) -> None:
        found.extend(KeeperStore(order).entries())
        end(order, begin)

    broker.behaviour = listing
    await granted(bench)

    assert found == names


async def test_a_value_that_was_announced_must_come(bench: Bench, broker: FakeBroker) -> None:
    replies: list[Reply] = []

    def forgetful(order: socket.socket, begin: Begin) -> None:
        for question in (Store(key="k", label="k"), Drop(key="k"), List(after="z" * 300)):
            say(order, question)
            replies.append(decode(order.recv(MAX_PACKET), Reply, what="a reply"))
        end(order, begin)

    broker.behaviour = forgetful
    await granted(bench)

    assert [reply.error for reply in replies] == [
        "there is no value to store",
        "nothing is kept for AWS under 'k'",
        "",
    ]


@pytest.mark.parametrize("locked", [False, True])
async def test_no_program_reads_or_writes_what_a_companion_keeps_for_aws(
    bench: Bench, broker: FakeBroker, *, locked: bool
) -> None:
    collection = await bench.backend.create_collection("awsvault", "")
    item = await bench.backend.create(
        collection, "prod", {"profile": "prod"}, Secret(b"{}"), replace=False
    )
    bench.core.ports = replace(bench.core.ports, companion=True)
    asks: list[Ask] = [
        Read(items=(item,)),
        Write(item=item),
        Create(collection=collection, label="x", attributes={}),
        ChangeCollection(collection=collection, label="harmless"),
    ]
    if locked:
        # A locked store does not say which collection it is: it shows when a person opens it.
        await bench.deciding.lock(PERSON)
        answered = await bench.ask(bench.process(), asks[0])
        await bench.deciding.unlock(Secret(b"correct horse battery staple"), PERSON)
        with pytest.raises(DeniedError, match="stays with the companion"):
            await bench.decide(answered.request.id)
        await bench.decide(answered.request.id, allow=False)
        return
    for each in asks:
        with pytest.raises(DeniedError, match="stays with the companion"):
            await bench.ask(bench.process(), each, b"v" if isinstance(each, Write) else None)
    others = await bench.read(bench.process(), await bench.item())
    assert others.request.state == "pending", "others are read as ever"


@pytest.mark.parametrize("kind", ["read", "create"])
async def test_no_rule_gives_what_a_companion_keeps_for_aws_to_who_asked_before_it_was_unlocked(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    collection = await bench.backend.create_collection("awsvault", "")
    item = await bench.backend.create(
        collection, "prod", {"profile": "prod"}, Secret(b"{}"), replace=False
    )
    bench.core.ports = replace(bench.core.ports, companion=True)
    bench.core.obey(Policy(verdicts=Verdicts(read="allow", create="allow")))
    looking, looked = asyncio.Event(), asyncio.Event()

    async def slow(pidfd: int, seen: Evidence) -> str:
        looking.set()
        await looked.wait()
        return ""

    monkeypatch.setattr(bench.witness, "check", slow)
    asks: dict[str, Ask] = {
        "read": Read(items=(item,)),
        "create": Create(collection=collection, label="x", attributes={}),
    }
    await bench.deciding.lock(PERSON)

    async with asyncio.TaskGroup() as group:
        refused = group.create_task(refusal(bench, asks[kind], b"v" if kind == "create" else None))
        await looking.wait()
        await bench.deciding.unlock(Secret(b"correct horse battery staple"), PERSON)
        looked.set()
        assert "stays with the companion" in await refused
    assert len(await bench.backend.items(collection)) == 1


async def refusal(bench: Bench, wish: Ask, value: bytes | None) -> str:
    with pytest.raises(PrivysealError) as refused:
        await bench.ask(bench.process(), wish, value)
    return str(refused.value)


async def test_no_rule_writes_while_a_locked_store_hides_what_is_kept_for_aws(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection = await bench.backend.create_collection("awsvault", "")
    bench.core.ports = replace(bench.core.ports, companion=True)
    bench.core.obey(Policy(verdicts=Verdicts(create="allow")))
    await bench.deciding.lock(PERSON)
    flush = bench.audit.flush

    async def unlocked_meanwhile() -> None:
        monkeypatch.setattr(bench.audit, "flush", flush)
        await bench.deciding.unlock(Secret(b"correct horse battery staple"), PERSON)

    monkeypatch.setattr(bench.audit, "flush", unlocked_meanwhile)
    create = Create(collection=collection, label="x", attributes={})

    assert await refusal(bench, create, b"v") == "the store is locked"


async def test_what_is_kept_for_aws_is_known_without_asking_the_store_for_each_request(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0
    collections = bench.backend.collections

    async def counted() -> tuple[CollectionInfo, ...]:
        nonlocal looks
        looks += 1
        return await collections()

    monkeypatch.setattr(bench.backend, "collections", counted)
    bench.core.ports = replace(bench.core.ports, companion=True)
    process, login = bench.process(), (await bench.item()).collection
    asks = [Create(collection=login, label=f"{n}", attributes={"n": f"{n}"}) for n in range(26)]
    for each in asks[:16]:
        await bench.ask(process, each, b"v")
    shown = looks
    for each in asks[16:]:
        with pytest.raises(LimitError):
            await bench.ask(process, each, b"v")
    refused = looks - shown
    made = await bench.backend.create_collection("awsvault", "")
    create = Create(collection=made, label="x", attributes={})
    with pytest.raises(DeniedError, match="stays with the companion"):
        await bench.ask(bench.process(), create, b"v")

    assert shown == 1 + 16, "one look, and one for what a person sees of each"
    assert refused == 0, "a flood of requests is not to become a flood at the store"


async def test_no_program_makes_what_a_companion_s_broker_will_take_for_its_own(
    bench: Bench,
) -> None:
    mine = await bench.backend.create_collection("mine", "")
    bench.core.ports = replace(bench.core.ports, companion=True)
    asks: list[Ask] = [
        CreateCollection(label="awsvault"),
        ChangeCollection(collection=mine, label="awsvault"),
    ]

    for each in asks:
        with pytest.raises(DeniedError, match="stays with the companion"):
            await bench.ask(bench.process(), each)
    other = await bench.ask(bench.process(), ChangeCollection(collection=mine, label="aws"))
    assert other.request.state == "pending", "others are renamed as ever"


async def test_who_could_read_an_item_has_no_part_in_the_key_that_takes_its_place(
    bench: Bench, broker: FakeBroker
) -> None:
    planter = bench.process()
    collection = await bench.backend.create_collection("awsvault", "")
    plant = Create(collection=collection, label="harmless", attributes={"profile": "prod"})
    planted = await bench.ask(planter, plant, b"harmless")
    await bench.decide(planted.request.id)
    [item] = [ItemRef(collection=collection, item=n) for n in await bench.backend.items(collection)]
    assert (await bench.read(planter, item)).released == [Secret(b"harmless")]

    def keeps(order: socket.socket, begin: Begin) -> None:
        KeeperStore(order).write(Item("prod", Secret(b"long-lived")))
        end(order, begin)

    broker.behaviour = keeps
    await granted(bench)

    assert (await bench.backend.read(item)).expose() != b"harmless", "it lies in the same item"
    again = await bench.read(planter, item)
    assert (again.request.state, again.released) == ("pending", [])
    bench.asking.withdraw(again.request, "the test is over")


async def test_two_orders_at_once_make_one_collection(bench: Bench, broker: FakeBroker) -> None:
    both = threading.Barrier(2)

    def keeps(order: socket.socket, begin: Begin) -> None:
        both.wait(PATIENCE)
        KeeperStore(order).write(Item(begin.order.plan.profile, Secret(b"key")))  # type: ignore[union-attr]  # both are Obtain
        end(order, begin)

    broker.behaviour = keeps
    plans = [msgspec.structs.replace(PLAN, profile=name) for name in ("one", "two")]
    asked = [await ask(bench, bench.process(), UseAws(order=Obtain(plan=plan))) for plan in plans]
    for each in asked:
        await bench.decide(each.request.id)
    for each in asked:
        await outcome(bench, each)

    assert [c.label for c in await bench.backend.collections()].count("awsvault") == 1


async def test_an_order_whose_command_leaves_before_it_begins_leaves_nothing_behind(
    bench: Bench, broker: FakeBroker
) -> None:
    first = await ask(bench, bench.process("privy", pid=1))
    await bench.decide(first.request.id, "1h")
    await outcome(bench, first)
    requester = bench.process("privy", pid=2)
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    with far:
        answered = await bench.asking.submit(requester, USE, None, near.detach())
        bench.asking.leave(requester, exited=True)

        await eventually(lambda: answered.request.done)
        assert far.recv(1) == b"", "the keeper holds its end no longer"
    assert bench.core.orders == {}
