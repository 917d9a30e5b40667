"""Whatever a provider says is either a thing of ours, or refused with an error of ours."""

from collections.abc import Callable
from functools import partial

import pytest
from dbus_fast import Variant
from hypothesis import given, strategies as st

from privyseal.errors import CorruptError, LimitError, NotFoundError
from privyseal.keeper.backends.objects import (
    ROOT,
    attributes_of,
    check_path,
    collection_path,
    item_path,
    parse_collection,
    parse_item,
    paths,
    seconds_of,
    text_of,
    variant,
)
from privyseal.model.keyring import ItemRef

PARTS = st.sampled_from(
    ["/", "//", ROOT, "collection", "prompt", "session", "..", "a", "_1", "é", ""]
)
PATHS = st.one_of(st.text(), st.lists(PARTS).map("/".join), st.integers(), st.none())
NAMES = st.from_regex(r"[A-Za-z0-9_]{1,255}", fullmatch=True)


def told(call: Callable[[], object]) -> object:
    """Return what the call gave, or the error of ours that it ended with."""
    try:
        return call()
    except (CorruptError, LimitError) as error:
        return error


@given(NAMES, NAMES)
def test_paths_and_identifiers_correspond_one_to_one(collection: str, item: str) -> None:
    ref = ItemRef(collection=collection, item=item)
    assert parse_item(item_path(ref)) == ref
    assert parse_collection(collection_path(collection)) == collection


@given(PATHS)
def test_a_path_is_ours_or_refused(path: object) -> None:
    makers: list[Callable[[], str]] = [
        lambda: item_path(parse_item(path)),
        lambda: collection_path(parse_collection(path)),
    ]
    for make in makers:
        made = told(make)
        assert made == path or isinstance(made, CorruptError)
        assert len(str(made)) < 1000


@pytest.mark.parametrize("name", ["", "..", "a/b", "é", "x" * 256, "a\n", "a b"])
def test_a_name_that_no_path_can_have_is_not_found(name: str) -> None:
    with pytest.raises(NotFoundError):
        collection_path(name)
    with pytest.raises(NotFoundError):
        item_path(ItemRef(collection="a", item=name))


@pytest.mark.parametrize("kind", ["session", "prompt"])
def test_only_collections_have_something_below_them(kind: str) -> None:
    assert check_path(f"{ROOT}/{kind}/p1", kind)["id"] == "p1"
    with pytest.raises(CorruptError):
        check_path(f"{ROOT}/{kind}/p1/2", kind)


@given(
    st.one_of(
        st.none(),
        st.text(),
        st.binary(),
        st.integers(),
        st.lists(st.integers()),
        st.dictionaries(st.text(), st.text(max_size=20)),
    )
)
def test_nonsense_is_refused_with_an_error_of_ours(value: object) -> None:
    readers: list[Callable[[object], object]] = [
        paths,
        text_of,
        seconds_of,
        attributes_of,
        lambda v: variant(v, "s"),
    ]
    for reader in readers:
        told(partial(reader, value))  # anything but an error of ours ends this test


def test_a_list_of_paths_has_an_end() -> None:
    assert len(paths(["/"] * 200_000)) == 200_000
    with pytest.raises(CorruptError):
        paths(["/"] * 200_001)


def test_a_variant_holds_the_type_that_is_asked_for() -> None:
    assert variant(Variant("s", "x"), "s") == "x"
    assert seconds_of(Variant("t", 7)) == 7
    with pytest.raises(CorruptError):
        variant(Variant("u", 7), "t")
