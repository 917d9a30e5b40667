"""The broker's side: orders that it refuses, keepers that hang up, commands that do as they like."""

import itertools
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import msgspec
import pytest
from hypothesis import given, settings, strategies as st
from tests.soak import times
from tests.waiting import PATIENCE

from privyseal.aws import broker
from privyseal.aws.bounds import check
from privyseal.aws.broker import KeeperStore, TalkLink, is_own, serve, serve_order
from privyseal.aws.items import encode_item
from privyseal.aws.ports import Item, KeyStore, Talk
from privyseal.aws.talk import SocketTalk
from privyseal.errors import (
    DeniedError,
    LockedError,
    NotFoundError,
    PrivysealError,
    UnreachableError,
    UnsupportedError,
    UsageError,
)
from privyseal.model.aws import (
    Ambient,
    Keep,
    Known,
    Link,
    Network,
    Obtain,
    Order,
    Plan,
    Portal,
    PortalRole,
    Process,
    RoleStep,
    SessionStep,
    SignIn,
    StoredKey,
)
from privyseal.model.secret import Secret
from privyseal.model.value import decode, encode
from privyseal.runtime.memfd import read_sealed, seal
from privyseal.wire.broker import MAX_PACKET, Begin, End, Entry, Fetch, List, Reply, decode_question

PLAN = Plan(profile="prod", source=StoredKey(name="prod"), steps=(SessionStep(),))
PORTAL = Portal(start_url="https://x.awsapps.com/start", region="eu-west-1")


@contextmanager
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    near.settimeout(PATIENCE)
    with near, far:
        yield near, far


@contextmanager
def running(work: Callable[[], None]) -> Iterator[threading.Thread]:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield thread
    thread.join(PATIENCE)
    assert not thread.is_alive(), "it hangs"


def told(keeper: socket.socket) -> tuple[End, bytes]:
    """Return how the order ended, as the keeper hears it."""
    packet, fds, _, _ = socket.recv_fds(keeper, MAX_PACKET, 1)
    question = decode_question(packet)
    assert isinstance(question, End)
    try:
        return question, read_sealed(fds[0], limit=1 << 20) if fds else b""
    finally:
        for fd in fds:
            os.close(fd)


def ended(begin: bytes, work: broker.CarryOut, *fds: int) -> tuple[End, bytes]:
    """Let a broker carry out one order."""
    with pair() as (keeper, ours), running(lambda: serve_order(ours, work)):
        socket.send_fds(keeper, [begin], list(fds))
        return told(keeper)


def answer(person: socket.socket) -> None:
    person.send(b'{"text":"123456"}')


def nothing(_order: Order, _store: KeyStore, _talk: Talk, _value: Secret | None) -> bytes:
    return b"{}"


def test_an_order_is_carried_out_with_its_value_and_its_talk():
    seen: list[object] = []

    def work(order: Order, _store: KeyStore, talk: Talk, value: Secret | None) -> bytes:
        seen.append((order, value))
        return talk.code("arn").encode()

    value = seal(b"key")
    with pair() as (person, theirs), running(lambda: answer(person)):
        end, result = ended(encode(Begin(order=Keep(name="prod"))), work, theirs.fileno(), value)
    os.close(value)

    assert (end, result) == (End(), b"123456")
    assert seen == [(Keep(name="prod"), Secret(b"key"))]


@pytest.mark.parametrize(
    ("error", "told_of"),
    [
        (NotFoundError("no key", hint="add one"), ("no key", NotFoundError.bus_name, "add one")),
        (PrivysealError("x" * 9000), ("x" * 4000, PrivysealError.bus_name, "")),
        (
            ModuleNotFoundError("No module named 'botocore'", name="botocore"),
            (
                "Python's package 'botocore' is not installed, and AWS cannot be called",
                UnsupportedError.bus_name,
                "install it: pip install 'privyseal[aws]'",
            ),
        ),
        (ZeroDivisionError("hunter2"), ("internal error in the AWS broker: see its log", "", "")),
    ],
)
def test_an_error_ends_the_order_in_one_line(error: Exception, told_of: tuple[str, str, str]):
    def work(_order: Order, _store: KeyStore, _talk: Talk, _value: Secret | None) -> bytes:
        raise error

    end, result = ended(encode(Begin(order=Known())), work)

    assert (end.error, end.error_name, end.hint) == told_of
    assert result == b""


@pytest.mark.parametrize(
    "packet",
    [b"", b"{", b'{"order":{"order":"obtain"}}', b'{"order":{"order":"known"},"more":1}', b"\xff"],
)
def test_what_is_no_order_is_not_carried_out(packet: bytes):
    def work(_order: Order, _store: KeyStore, _talk: Talk, _value: Secret | None) -> bytes:
        raise AssertionError("it was")

    with pair() as (keeper, ours), running(lambda: serve_order(ours, work)):
        keeper.send(packet)
        keeper.shutdown(socket.SHUT_WR)
        end, _ = told(keeper)
    assert end.error
    assert "internal" not in end.error


def test_threads_that_ask_the_keeper_at_once_each_get_their_own_answer():
    keys = [str(number) for number in range(400)]

    def reply(keeper: socket.socket) -> None:
        for _ in keys:
            question = decode_question(keeper.recv(MAX_PACKET))
            assert isinstance(question, Fetch)
            fd = seal(encode_item(Item(question.key, Secret(question.key.encode()))))
            socket.send_fds(keeper, [encode(Reply())], [fd])
            os.close(fd)

    with (
        pair() as (ours, keeper),
        running(lambda: reply(keeper)),
        ThreadPoolExecutor(8) as threads,
    ):
        found = list(threads.map(KeeperStore(ours).read, keys))
    assert [item.value.expose().decode() for item in found] == keys


@settings(max_examples=times(100, soak=4_000), deadline=None)
@given(packet=st.binary(min_size=1, max_size=300))
def test_any_bytes_end_an_order_with_words(packet: bytes):
    end, _ = ended(packet, nothing)

    assert end.error.startswith("the order is malformed")


def test_a_result_that_is_too_long_is_an_error():
    end, _ = ended(encode(Begin(order=Known())), lambda *_: b" " * (1 << 20) + b" ")

    assert "more than fits" in end.error


def begin(order: Order, *, companion: bool = True, endpoints: tuple[str, ...] = ()) -> Begin:
    return Begin(order=order, companion=companion, endpoints=endpoints)


def elsewhere(url: str, **plan: object) -> Plan:
    network = Network(region="eu-west-1", endpoints={"sts": url})
    return msgspec.structs.replace(PLAN, network=network, **plan)


@pytest.mark.parametrize(
    ("wanted", "error", "words"),
    [
        (
            begin(Obtain(plan=Plan(profile="p", source=Process(command="touch /tmp/x")))),
            UsageError,
            "nothing that the keeper keeps",
        ),
        (
            begin(Obtain(plan=Plan(profile="p", source=Ambient(kind="ec2"))), companion=False),
            UsageError,
            "nothing that the keeper keeps",
        ),
        (begin(Obtain(plan=elsewhere("http://evil.example"))), DeniedError, "not AWS"),
        (begin(Link(plan=PLAN, federation="https://evil.example")), DeniedError, "not AWS"),
        (begin(SignIn(portal=PORTAL, network=elsewhere("http://x").network)), DeniedError, "not"),
        (
            begin(Obtain(plan=msgspec.structs.replace(PLAN, network=Network(region="x.evil/")))),
            UsageError,
            "no region",
        ),
        (
            begin(SignIn(portal=msgspec.structs.replace(PORTAL, region="evil.example#"))),
            UsageError,
            "no region",
        ),
        (
            begin(
                Obtain(
                    plan=Plan(
                        profile="p",
                        source=PortalRole(
                            portal=msgspec.structs.replace(PORTAL, region="a@b"),
                            account="1",
                            role="r",
                        ),
                    )
                ),
                companion=False,
            ),
            UsageError,
            "no region",
        ),
        (
            begin(Obtain(plan=msgspec.structs.replace(PLAN, steps=()))),
            DeniedError,
            "does not leave the companion",
        ),
        (begin(Keep(name="k", typed=True), companion=False), UsageError, "console"),
        (
            begin(SignIn(portal=PORTAL, network=Network(ca_bundle="/tmp/mine")), companion=False),
            DeniedError,
            "machine's authorities",
        ),
    ],
)
def test_the_broker_has_bounds_of_its_own(wanted: Begin, error: type[PrivysealError], words: str):
    with pytest.raises(error, match=words):
        check(wanted)


@pytest.mark.parametrize(
    "wanted",
    [
        begin(Obtain(plan=PLAN)),
        begin(Obtain(plan=elsewhere("https://sts.eu-west-1.amazonaws.com"))),
        begin(Obtain(plan=elsewhere("http://10.0.2.2:5000")), endpoints=("http://10.0.2.2:5000",)),
        begin(Obtain(plan=elsewhere("http://127.0.0.1:1")), companion=False),
        begin(Obtain(plan=msgspec.structs.replace(PLAN, steps=())), companion=False),
        begin(Obtain(plan=msgspec.structs.replace(PLAN, steps=(RoleStep(arn="a"),)))),
        begin(Keep(name="k", typed=True)),
        begin(SignIn(portal=PORTAL)),
    ],
)
def test_what_is_within_the_bounds_passes(wanted: Begin):
    check(wanted)


def test_a_store_that_lists_in_circles_is_given_up():
    def keeper_says(keeper: socket.socket) -> None:
        for _ in range(2):
            assert decode(keeper.recv(MAX_PACKET), List, what="a question") in {
                List(),
                List(after="a"),
            }
            keeper.send(encode(Reply(entries=(Entry(key="a"),))))

    with (
        pair() as (keeper, ours),
        running(lambda: keeper_says(keeper)),
        pytest.raises(UnreachableError, match="in circles"),
    ):
        KeeperStore(ours).entries()


def test_a_keeper_that_hangs_up_ends_a_store():
    with pair() as (keeper, ours):
        keeper.close()
        with pytest.raises(UnreachableError, match="gave the order up"):
            KeeperStore(ours).entries()


@contextmanager
def person() -> Iterator[tuple[socket.socket, TalkLink, socket.socket]]:
    """Yield the command's end of a talk, the broker's, and the keeper's end of its order."""
    with (
        pair() as (command, theirs),
        pair() as (keeper, order),
        TalkLink(fileno=theirs.detach()) as link,
    ):
        link.order = order
        yield command, link, keeper


def test_a_command_that_never_reads_holds_up_nobody(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(broker, "_SAY_SECONDS", 0.01)
    with person() as (_, link, _keeper):
        talk = SocketTalk(link)
        for _ in range(100):
            talk.tell("x" * 10_000)
        with pytest.raises(DeniedError, match="has gone"):
            talk.code("arn")


def test_a_command_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(broker, "TALK_SECONDS", 0.01)
    with person() as (_, link, _keeper), pytest.raises(DeniedError):
        SocketTalk(link).code("arn")


def test_a_command_whose_other_holder_takes_the_answers_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(broker, "TALK_SECONDS", 0.2)
    with person() as (command, link, _keeper), link.dup() as copy:
        stop = threading.Event()

        def steal() -> None:
            copy.settimeout(0.01)
            while not stop.is_set():
                command.send(b'{"text":"1"}')
                try:
                    socket.socket.recv(copy, 10)
                except OSError:
                    continue

        with running(steal):
            try:
                SocketTalk(link).code("arn")
            except DeniedError:
                pass
            finally:
                stop.set()


@pytest.mark.parametrize(
    "answer",
    [b"{", b'{"text":5}', b'{"text":"1","more":2}', b"\xff\xfe", b" " * (MAX_PACKET + 1)],
)
def test_an_answer_that_is_none_ends_the_talk_in_words(answer: bytes):
    with person() as (command, link, _keeper):
        command.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        command.send(answer)
        with pytest.raises(PrivysealError):
            SocketTalk(link).code("arn")


def test_a_command_that_floods_is_read_one_answer_for_one_question():
    with person() as (command, link, _keeper):
        command.settimeout(0)
        with suppress(BlockingIOError):
            for number in itertools.count():
                command.send(b'{"text":"%d"}' % number)
        assert [SocketTalk(link).code("arn") for _ in range(3)] == ["0", "1", "2"]


def test_a_keeper_that_gives_an_order_up_ends_its_talk():
    with person() as (_, link, keeper):
        with running(lambda: keeper.shutdown(socket.SHUT_RDWR)):
            start = time.monotonic()
            with pytest.raises(DeniedError):
                SocketTalk(link).code("arn")
        assert time.monotonic() - start < PATIENCE


@pytest.mark.parametrize("kind", ["file", "stream", "datagram"])
def test_a_talk_that_is_no_socket_of_packets_is_refused(kind: str):
    if kind == "file":
        number, other = os.memfd_create("no socket"), None
    else:
        type_ = socket.SOCK_STREAM if kind == "stream" else socket.SOCK_DGRAM
        one, other = socket.socketpair(socket.AF_UNIX, type_)
        number = one.detach()
    end, _ = ended(encode(Begin(order=SignIn(portal=PORTAL))), nothing, number)
    os.close(number)
    if other is not None:
        other.close()

    assert "talk" in end.error
    assert end.error_name == DeniedError.bus_name


def test_orders_come_over_one_link_until_the_keeper_hangs_up():
    with pair() as (keeper, link), running(lambda: serve(link, nothing)):
        keeper.send(b"o")  # an order without a socket is nothing
        for _ in range(3):
            with pair() as (ours, theirs):
                socket.send_fds(keeper, [b"o"], [theirs.fileno()])
                theirs.close()
                ours.send(encode(Begin(order=Known())))
                assert told(ours) == (End(), b"{}")
        keeper.shutdown(socket.SHUT_RDWR)


def test_only_the_named_process_of_our_own_user_is_the_keeper():
    with pair() as (ours, _):
        assert is_own(ours)
        assert is_own(ours, os.getpid())
        assert not is_own(ours, os.getppid())


def test_what_the_keeper_advises_comes_with_its_error():
    reply = Reply(error="the store is locked", error_name=LockedError.bus_name, hint="unlock it")
    with pair() as (ours, theirs):
        ours.send(encode(reply))
        with pytest.raises(LockedError, match="locked") as caught:
            KeeperStore(theirs).read("prod")
    assert caught.value.hint == "unlock it"
