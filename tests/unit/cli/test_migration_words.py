"""What an import and its couriers say to each other: nothing printed, nothing believed unread."""

import io

import pytest
from hypothesis import given
from hypothesis.strategies import binary, builds, dictionaries, integers, text
from msgspec.structs import replace

from privyseal.cli.migration_words import (
    Answer,
    Entry,
    Order,
    read_answer,
    read_order,
    with_type,
    without_type,
    write_frame,
)
from privyseal.errors import CorruptError, LockedError, PrivysealError, UnreachableError

entries = builds(
    Entry,
    label=text(max_size=20),
    attributes=dictionaries(text(max_size=8), text(max_size=8), max_size=3),
    content_type=text(max_size=8),
    created=integers(0, 2**40),
    value=binary(max_size=64),
)


@given(entries)
def test_an_entry_arrives_as_it_was_sent(entry: Entry) -> None:
    pipe = io.BytesIO()
    write_frame(pipe, Order(deed="create", entry=entry))
    write_frame(pipe, Order(deed="collections"))
    pipe.seek(0)
    received = read_order(pipe)
    assert received is not None
    assert received.entry == entry
    assert received.entry is not None
    assert received.entry.same(entry)
    assert read_order(pipe) == Order(deed="collections")
    assert read_order(pipe) is None


@given(binary(max_size=200))
def test_nonsense_on_a_pipe_is_one_of_our_errors(garbage: bytes) -> None:
    with pytest.raises(PrivysealError):
        read_answer(io.BytesIO(garbage))


def test_a_length_beyond_all_measure_is_refused_before_anything_is_read() -> None:
    with pytest.raises(CorruptError):
        read_answer(io.BytesIO(b"\xff\xff\xff\xff"))
    with pytest.raises(UnreachableError):
        read_answer(io.BytesIO(b"\0\0\0\x05ab"))


def test_an_error_keeps_its_kind_and_its_hint() -> None:
    error = Answer(error=LockedError.bus_name, text="shut", hint="open it").raised()
    assert (type(error), str(error), error.hint) == (LockedError, "shut", "open it")


def test_no_repr_shows_a_secret() -> None:
    entry = Entry(path="/a", label="label", value=b"hunter2")
    order = Order(deed="unlock", passphrase=b"hunter2", entry=entry)
    assert "hunter2" not in repr([entry, order, Answer(entry=entry)])


def test_items_are_the_same_only_in_every_part() -> None:
    entry = Entry(label="a", attributes={"k": "v"}, content_type="text/plain", value=b"x")
    schema = {"k": "v", "xdg:schema": "org.freedesktop.Secret.Generic"}
    assert replace(entry, path="/b", modified=9, attributes=schema).same(entry)
    assert not replace(entry, label="b").same(entry)
    assert not replace(entry, attributes={}).same(entry)
    assert not replace(entry, content_type="x").same(entry)
    assert not replace(entry, value=b"y").same(entry)
    assert not Entry().same(Entry())


def test_a_type_that_a_provider_drops_travels_among_the_attributes() -> None:
    carried = with_type({"k": "v"}, "application/json")
    assert without_type(carried, "text/plain") == ({"k": "v"}, "application/json")
    assert without_type({"k": "v"}, "") == ({"k": "v"}, "text/plain")
    assert without_type(carried, "image/png") == ({"k": "v"}, "image/png")
