from contextlib import suppress

from hypothesis import example, given, strategies as st

from privyseal.cli.ref import escape, parse
from privyseal.errors import UsageError

words = st.text(min_size=1).filter(lambda t: "\0" not in t and is_utf8(t))
plain = words.filter(lambda t: not t.startswith("item:"))


def is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def test_the_four_forms() -> None:
    item = parse("item:login/17")
    assert (item.collection, item.item, item.label) == ("login", "17", "")
    assert parse("service=github.com,user=a/b").attributes == (
        ("service", "github.com"),
        ("user", "a/b"),
    )
    assert (parse("GitHub token").label, parse("GitHub token").collection) == ("GitHub token", "")
    both = parse("login/GitHub token")
    assert (both.collection, both.label, both.whole) == (
        "login",
        "GitHub token",
        "login/GitHub token",
    )


def test_an_attribute_value_may_hold_an_equals_sign_and_be_empty() -> None:
    assert parse("q=a=b,r=").attributes == (("q", "a=b"), ("r", ""))


@given(st.dictionaries(plain, st.text().filter(lambda t: "\0" not in t and is_utf8(t)), min_size=1))
def test_escaped_attributes_come_back_as_they_were(attributes: dict[str, str]) -> None:
    text = ",".join(f"{escape(name)}={escape(value)}" for name, value in attributes.items())

    assert dict(parse(text).attributes) == attributes


@given(plain)
def test_an_escaped_label_comes_back_as_it_was(label: str) -> None:
    assert parse(escape(label)).label == label


@given(plain, plain)
def test_an_escaped_place_comes_back_as_it_was(collection: str, label: str) -> None:
    ref = parse(f"{escape(collection)}/{escape(label)}")

    assert (ref.collection, ref.label) == (collection, label)


@given(st.text())
@example("\\")
@example("\\=")
@example("=")
@example("item:")
@example("/")
@example("a/")
def test_any_text_names_something_or_is_refused(text: str) -> None:
    with suppress(UsageError):
        ref = parse(text)
        assert sum(map(bool, (ref.item, ref.attributes, ref.label))) == 1
