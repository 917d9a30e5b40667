"""Our D-Bus messages against those of an independent library, and against noise."""

from array import array
from contextlib import suppress

import pytest
from hypothesis import given, settings, strategies as st
from jeepney import (
    DBusAddress,
    Endianness,
    HeaderFields,
    Message,
    new_error,
    new_method_call,
    new_method_return,
    new_signal,
)
from jeepney.low_level import Parser
from tests.soak import times

from privyseal.errors import PrivysealError, UnreachableError, UsageError
from privyseal.wire import dbus

WELCOME = b"OK 1234deadbeef\r\nAGREE_UNIX_FD\r\n"
ADDRESS = DBusAddress("/org/example", "org.example.Name", "org.example.Interface")
CALL = new_method_call(ADDRESS, "Member")
CALL.header.serial = 7

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
values = st.one_of(
    st.tuples(st.just("s"), texts),
    st.tuples(st.just("u"), st.integers(0, 2**32 - 1)),
    st.tuples(st.just("as"), st.lists(texts, max_size=4)),
    st.tuples(st.just("au"), st.lists(st.integers(0, 2**32 - 1), max_size=4)),
)
received = st.one_of(
    values,
    st.tuples(st.just("y"), st.integers(0, 255)),
    st.tuples(st.just("b"), st.booleans()),
    st.tuples(st.just("n"), st.integers(-(2**15), 2**15 - 1)),
    st.tuples(st.just("i"), st.integers(-(2**31), 2**31 - 1)),
    st.tuples(st.just("x"), st.integers(-(2**63), 2**63 - 1)),
    st.tuples(st.just("t"), st.integers(0, 2**64 - 1)),
    st.tuples(st.just("g"), st.just("a{sv}")),
    st.tuples(st.just("o"), st.just("/org/example")),
    st.tuples(st.just("aas"), st.lists(st.lists(texts, max_size=3), max_size=3)),
    st.tuples(st.just("ax"), st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3)),
)


def parsed(data: bytes, fds: tuple[int, ...] = ()) -> dbus.Message:
    inbox = dbus.Inbox()
    inbox.feed(WELCOME + data, fds)
    message = inbox.message()
    assert message is not None
    return message


def answer(signature: str, body: tuple[object, ...], order: Endianness) -> bytes:
    message = new_method_return(CALL, signature, body)
    message.header.endianness = order
    return bytes(message.serialise(serial=3))


@given(st.integers(1, 2**32 - 1), st.lists(values, max_size=4))
def test_another_library_reads_our_calls(serial: int, arguments: list[tuple[str, object]]) -> None:
    signature = "".join(kind for kind, _ in arguments)
    body = tuple(value for _, value in arguments)

    data, fds = dbus.call(serial, ":1.5", "/a/b", "a.b", "Do", signature, body)

    parser = Parser()
    parser.add_data(data)
    message = parser.get_next_message()
    assert parser.get_next_message() is None
    assert message.body == body
    assert message.header.serial == serial
    assert message.header.message_type.value == 1
    assert {field.name: value for field, value in message.header.fields.items()} == {
        "path": "/a/b",
        "interface": "a.b",
        "member": "Do",
        "destination": ":1.5",
    } | ({"signature": signature} if signature else {})
    assert fds == []


def test_descriptors_go_beside_a_call_in_their_order() -> None:
    data, fds = dbus.call(1, "a.b", "/", "a.b", "Do", "hsah", (30, "text", [31, 32]))

    message = Message.from_buffer(data, fds=["first", "second", "third"])
    assert fds == [30, 31, 32]
    assert message.body == ("first", "text", ["second", "third"])


@given(st.lists(received, max_size=5), st.sampled_from(Endianness))
def test_replies_of_another_library_are_read_in_either_order_of_bytes(
    arguments: list[tuple[str, object]], order: Endianness
) -> None:
    signature = "".join(kind for kind, _ in arguments)
    body = tuple(value for _, value in arguments)

    message = parsed(answer(signature, body, order))

    assert (message.kind, message.reply_serial) == (2, 7)
    assert message.values() == body


def test_who_sent_a_signal_and_what_it_is_called_is_told() -> None:
    signal = new_signal(ADDRESS, "Changed", "s", ("text",))
    signal.header.fields[HeaderFields.sender] = ":1.9"

    message = parsed(signal.serialise(serial=1))

    assert message.kind == dbus.SIGNAL
    assert (message.sender, message.interface, message.member) == (
        ":1.9",
        "org.example.Interface",
        "Changed",
    )
    assert message.values() == ("text",)


def test_an_error_has_its_name() -> None:
    message = parsed(new_error(CALL, "org.example.Error", "s", ("why",)).serialise(serial=1))

    assert (message.kind, message.error_name) == (dbus.ERROR, "org.example.Error")
    assert message.values() == ("why",)


def test_each_message_gets_the_descriptors_that_it_announces() -> None:
    class Numbered:
        def fileno(self) -> int:
            return 0

    bodies = [("hah", (Numbered(), [Numbered()])), ("s", ("none",)), ("h", (Numbered(),))]
    data = b""
    for signature, body in bodies:
        message = new_method_return(CALL, signature, body)
        message.header.fields[HeaderFields.reply_serial] = 1
        data += message.serialise(serial=1, fds=array("i"))
    inbox = dbus.Inbox()
    inbox.feed(WELCOME + data, [40, 41, 42])

    found = [inbox.message(), inbox.message(), inbox.message()]

    assert [message.values() for message in found if message] == [(40, [41]), ("none",), (42,)]
    assert isinstance(found[2] and found[2].fds[0], int)


@given(st.lists(st.integers(1, 40), max_size=60))
def test_messages_survive_any_fragmentation(cuts: list[int]) -> None:
    stream = WELCOME + b"".join(
        answer("sas", (f"number {n}", ["a", "b" * n]), Endianness.little) for n in range(3)
    )
    inbox = dbus.Inbox()
    seen = []
    while stream:
        size = cuts.pop() if cuts else len(stream)
        inbox.feed(stream[:size])
        stream = stream[size:]
        while (message := inbox.message()) is not None:
            seen.append(message.values()[0])

    assert seen == ["number 0", "number 1", "number 2"]


@settings(max_examples=times(200, soak=20_000))
@given(st.binary(max_size=200), st.integers(0, 150), st.integers(0, 255))
def test_noise_is_refused_or_waits_for_more_and_is_nothing_worse(
    noise: bytes, place: int, byte: int
) -> None:
    broken = bytearray(answer("sasu", ("text", ["a", "b"], 5), Endianness.little))
    broken[place % len(broken)] = byte
    for data in (noise, WELCOME + noise, WELCOME + bytes(broken)):
        inbox = dbus.Inbox()
        inbox.feed(data)
        with suppress(PrivysealError):
            while (message := inbox.message()) is not None:
                message.values()


@pytest.mark.parametrize("line", [b"REJECTED EXTERNAL\r\n", b"OK 12\r\nERROR\r\n", b"x" * 600])
def test_a_bus_that_does_not_let_us_in_is_told_from_one_that_breaks_the_rules(line: bytes) -> None:
    inbox = dbus.Inbox()
    inbox.feed(line)

    with pytest.raises(UnreachableError, match="does not let this user in"):
        inbox.message()


def test_a_message_that_is_too_long_is_refused_when_its_length_arrives() -> None:
    inbox = dbus.Inbox()
    inbox.feed(WELCOME + b"l\2\0\1" + (2**31).to_bytes(4, "little") + bytes(8))

    with pytest.raises(PrivysealError, match="malformed"):
        inbox.message()


def test_a_type_that_no_interface_of_ours_has_is_named() -> None:
    message = parsed(answer("d", (1.5,), Endianness.little))

    with pytest.raises(PrivysealError, match="unknown type 'd'"):
        message.values()


@pytest.mark.parametrize("text", ["a\0b", "half of a pair: \ud800"])
def test_a_text_that_no_bus_carries_is_refused_before_it_is_sent(text: str) -> None:
    with pytest.raises(UsageError):
        dbus.call(1, "a.b", "/", "a.b", "Do", "s", (text,))


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("unix:path=/run/bus", "/run/bus"),
        ("unix:path=/run/a%20b%2cc,guid=12", "/run/a b,c"),
        ("unix:path=/home/J%c3%bcrgen/bus", "/home/Jürgen/bus"),
        ("unix:abstract=/tmp/x,guid=1", "\0/tmp/x"),
        ("tcp:host=localhost,port=1;unix:guid=1,path=/second", "/second"),
    ],
)
def test_the_socket_of_an_address_is_found(address: str, path: str) -> None:
    assert dbus.socket_path(address) == path


@pytest.mark.parametrize("address", ["", "autolaunch:", "unix:", "unix:path", "unix:path=%zz"])
def test_an_address_without_a_socket_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"socket|invalid literal"):
        dbus.socket_path(address)
