"""Paths, secrets and attributes from outside: what is taken and what is not."""

import pytest
from hypothesis import given, strategies as st

from privyseal.errors import LimitError, NotFoundError, PrivysealError, UsageError
from privyseal.model.keyring import ItemRef
from privyseal.model.value import MAX_SECRET
from privyseal.wire.secretservice import (
    BRANCHES,
    MAX_PATHS,
    ROOT,
    Place,
    alias_path,
    collection_path,
    item_path,
    parse,
    parse_alias,
    parse_all,
    parse_attributes,
    parse_item_properties,
    parse_secret,
    prompt_path,
    session_path,
)

names = st.from_regex(r"\A[A-Za-z0-9_]{1,255}\Z")


@given(collection=names, item=names)
def test_every_path_that_is_built_is_understood(collection: str, item: str) -> None:
    ref = ItemRef(collection=collection, item=item)
    assert parse(item_path(ref)) == Place(kind="item", name=collection, item=item)
    assert parse(collection_path(collection)) == Place(kind="collection", name=collection)
    assert parse(alias_path(item)) == Place(kind="alias", name=item)
    alias_item = Place(kind="alias-item", name=collection, item=item)
    assert parse(f"{alias_path(collection)}/{item}") == alias_item


def test_sessions_prompts_and_fixed_objects_are_understood() -> None:
    assert parse(session_path(7)) == Place(kind="session", name="s7")
    assert parse(prompt_path(7)) == Place(kind="prompt", name="p7")
    assert parse(ROOT).kind == "service"
    assert parse("/org/freedesktop/portal/desktop").kind == "portal"
    assert {parse(path).kind for path in BRANCHES} == {"branch"}


@pytest.mark.parametrize(
    "path",
    [
        "",
        "//",
        "/com",
        f"{ROOT}/",
        f"{ROOT}x/collection/a",
        f"{ROOT}/collection/",
        f"{ROOT}/collection/a/",
        f"{ROOT}/collection/a/b/c",
        f"{ROOT}/collection/../a",
        f"{ROOT}/collection/a-b",
        f"{ROOT}/collection/a\n",
        f"{ROOT}/session/s1/x",
        f"{ROOT}/prompt/p1/x",
        f"{ROOT}/other/a",
        f"{ROOT}/collection/{'a' * 256}",
        f"{ROOT}/collection/{'a' * 100_000}",
    ],
)
def test_a_path_that_can_name_nothing_is_refused_in_few_words(path: str) -> None:
    with pytest.raises(NotFoundError) as refusal:
        parse(path)
    assert len(str(refusal.value)) < 200


@given(path=st.text(max_size=200))
def test_no_path_does_anything_but_parse_or_be_refused(path: str) -> None:
    try:
        place = parse(f"{ROOT}/collection/{path}")
    except NotFoundError:
        return
    assert place.kind in {"collection", "item"}


def test_paths_that_name_nothing_are_left_out_of_a_list() -> None:
    good = collection_path("login")
    assert list(parse_all([good, "/nonsense", good])) == [good]


def test_a_list_of_too_many_paths_is_refused() -> None:
    with pytest.raises(LimitError):
        parse_all([collection_path("login")] * (MAX_PATHS + 1))


@pytest.mark.parametrize("alias", ["", "a/b", "a b", "ä", "x" * 256])
def test_an_alias_that_fits_no_path_is_refused(alias: str) -> None:
    with pytest.raises(UsageError):
        parse_alias(alias)


def test_a_secret_does_not_show_in_its_repr() -> None:
    secret = parse_secret(["/s", b"", b"hunter2", "text/plain"])
    assert secret.value == b"hunter2"
    assert "hunter2" not in repr(secret)


@pytest.mark.parametrize(
    "struct",
    [
        [],
        ["/s", b"", b""],
        ["/s", b"", b"", 1],
        ["/s", "", b"", "text/plain"],
        ["/s", b"x" * 65, b"", "text/plain"],
        ["/s", b"", b"", "t" * 2000],
        ["/s", b"", b"x" * (MAX_SECRET + 17), "text/plain"],
    ],
)
def test_a_malformed_or_oversized_secret_is_refused(struct: list[object]) -> None:
    with pytest.raises((UsageError, LimitError)):
        parse_secret(struct)


@pytest.mark.parametrize(
    "attributes",
    [
        "text",
        {"a": 1},
        {1: "a"},
        {"n" * 256: ""},
        {"n": "v" * (16 * 1024 + 1)},
        {str(n): "" for n in range(65)},
    ],
)
def test_attributes_beyond_the_limits_are_refused(attributes: object) -> None:
    with pytest.raises(UsageError):
        parse_attributes(attributes)


def test_a_type_becomes_the_schema_unless_that_is_given() -> None:
    prefix = "org.freedesktop.Secret.Item."
    bare = parse_item_properties({f"{prefix}Label": "l", f"{prefix}Type": "t"})
    given_too = parse_item_properties(
        {f"{prefix}Type": "t", f"{prefix}Attributes": {"xdg:schema": "mine"}}
    )
    assert (bare.label, bare.attributes) == ("l", {"xdg:schema": "t"})
    assert given_too.attributes == {"xdg:schema": "mine"}


@given(
    properties=st.dictionaries(
        st.sampled_from(["Label", "Attributes", "Type"]).map(
            "org.freedesktop.Secret.Item.".__add__
        ),
        st.none()
        | st.integers()
        | st.text()
        | st.dictionaries(st.text() | st.integers(), st.text() | st.integers()),
    )
)
def test_item_properties_are_taken_or_refused_by_an_error_of_ours(
    properties: dict[str, object],
) -> None:
    try:
        taken = parse_item_properties(properties)
    except PrivysealError:
        return
    assert all(isinstance(value, str) for value in taken.attributes.values())
