import os
import socket
from collections.abc import Iterator

import pytest

from privyseal.cli.aws.talkend import MAX_PACKET, TalkEnd
from privyseal.errors import DeniedError
from privyseal.model.value import Value, decode, encode
from privyseal.wire import broker
from privyseal.wire.broker import Answer, CodeWanted, PageWanted, RedirectWanted, Told


class Listener:
    """A person who answers what she was asked, and remembers it."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    def code(self, serial: str, again: str = "") -> str:
        self.heard.append((serial, again))
        if again:
            raise DeniedError("no more codes")
        return "123456"

    def redirect(self) -> str:
        return "http://127.0.0.1:1/oauth/callback"

    def page(self, url: str, *, code: str = "", redirect: bool = False) -> str:
        self.heard.append((url, code, redirect))
        return "code=1&state=2" if redirect else ""

    def wait(self, seconds: float) -> None:
        raise AssertionError("nothing is to be waited for")

    def tell(self, text: str) -> None:
        self.heard.append(text)


@pytest.fixture
def person() -> Listener:
    return Listener()


@pytest.fixture
def end(person: Listener) -> Iterator[TalkEnd]:
    with TalkEnd(lambda: person) as end:
        yield end


@pytest.fixture
def broker_end(end: TalkEnd) -> Iterator[socket.socket]:
    with socket.socket(fileno=os.dup(end.theirs)) as link:
        end._theirs.close()
        yield link


def asked(link: socket.socket, end: TalkEnd, saying: Value) -> Answer:
    link.send(encode(saying))
    assert end.ready()
    return decode(link.recv(MAX_PACKET), Answer, what="an answer")


def test_every_question_of_a_broker_is_answered(end: TalkEnd, broker_end: socket.socket) -> None:
    url = "https://portal.example/authorize?state=2"

    assert asked(broker_end, end, CodeWanted(serial="arn:mfa")) == Answer(text="123456")
    assert asked(broker_end, end, RedirectWanted()).text.startswith("http://127.0.0.1:")
    assert asked(broker_end, end, PageWanted(url=url, redirect=True)).text == "code=1&state=2"
    assert asked(broker_end, end, PageWanted(url=url, code="ABCD-EFGH")) == Answer()


def test_a_person_who_gives_up_refuses(end: TalkEnd, broker_end: socket.socket) -> None:
    answer = asked(broker_end, end, CodeWanted(serial="arn:mfa", again="wrong"))

    assert answer == Answer(refused="no more codes")


def test_what_is_told_wants_no_answer(
    end: TalkEnd, broker_end: socket.socket, person: Listener
) -> None:
    broker_end.settimeout(0)
    broker_end.send(encode(Told(text="waiting for AWS")))

    assert end.ready()
    assert person.heard == ["waiting for AWS"]
    with pytest.raises(BlockingIOError):
        broker_end.recv(1)


@pytest.mark.parametrize("packet", [b"{", b"[]", b"\xff", b"1"])
def test_what_is_no_question_ends_the_talk(
    end: TalkEnd, broker_end: socket.socket, packet: bytes
) -> None:
    broker_end.send(packet)

    assert not end.ready()


def test_a_broker_that_leaves_ends_the_talk(end: TalkEnd, broker_end: socket.socket) -> None:
    broker_end.close()

    assert not end.ready()


def test_nobody_is_disturbed_before_a_question_comes() -> None:
    def never() -> Listener:
        raise AssertionError

    with TalkEnd(never) as end:
        assert end.fileno() >= 0


def test_packets_are_as_long_as_the_broker_sends_them() -> None:
    assert MAX_PACKET == broker.MAX_PACKET


def test_the_beginning_of_an_order_is_told_to_the_command_and_not_to_the_person(
    person: Listener,
) -> None:
    begun: list[str] = []
    with (
        TalkEnd(lambda: person, lambda: begun.append("yes")) as end,
        socket.socket(fileno=os.dup(end.theirs)) as link,
    ):
        link.send(encode(Told(text="")))
        assert end.ready()
    assert (begun, person.heard) == (["yes"], [])
