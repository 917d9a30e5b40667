import contextlib

from hypothesis import given, strategies as st

from privyseal.errors import CorruptError
from privyseal.model.secret import Secret
from privyseal.wire.passentry import Entry, parse, render, with_value

# What D-Bus carries: no NUL, no half of a surrogate pair.
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60)
hostile = st.sampled_from(
    [
        "privyseal: 1",
        "label",
        "Content-Type",
        "a: b",
        "\\",
        "\\x41",
        "---",
        " x ",
        "a:",
        "%2F",
        "\n",
    ]
)
words = texts | hostile
values = (
    st.binary(max_size=60) | words.map(str.encode) | hostile.map(lambda w: f"x\n{w}\ny".encode())
)


@given(
    value=values,
    content_type=st.sampled_from(["text/plain", "image/png", "a\nb"]),
    label=st.none() | words,
    attributes=st.dictionaries(words, words, max_size=6),
    created=st.integers(0, 2**33),
)
def test_an_entry_of_ours_comes_back_exactly(
    value: bytes, content_type: str, label: str | None, attributes: dict[str, str], created: int
) -> None:
    entry = Entry(
        secret=Secret(value, content_type), label=label, attributes=attributes, created=created
    )
    back = parse(render(entry))
    assert back == entry
    assert back.secret.content_type == content_type


@given(st.binary(max_size=200) | words.map(str.encode))
def test_any_file_is_an_entry_or_says_why_not(content: bytes) -> None:
    if b"ase64" in content:
        with contextlib.suppress(CorruptError):
            parse(content)
        return
    assert with_value(content, Secret(b"new"), parse(content))


def test_an_entry_of_pass_has_its_password_first_and_attributes_below() -> None:
    entry = parse(b"hunter2\nusername: alice\nurl: https://x/%20\\n\njust a note\n")
    assert entry.secret.expose() == b"hunter2"
    assert entry.attributes == {"username": "alice", "url": "https://x/%20\\n"}
    assert entry.notes == ("just a note",)
    assert not entry.ours


def test_several_lines_without_attributes_are_one_value() -> None:
    for content in (b"one\ntwo\n", b"one\n\n", b"-----BEGIN X-----\nProc-Type: 4\n\nAA==\n"):
        assert parse(content).secret.expose() == content


def test_one_line_is_a_value_without_its_newline() -> None:
    assert parse(b"hunter2\n").secret.expose() == parse(b"hunter2").secret.expose() == b"hunter2"


def test_binary_as_gopass_writes_it_is_decoded() -> None:
    content = (
        b'\nContent-Disposition: attachment; filename="x"\n'
        b"Content-Transfer-Encoding: Base64\nAAECAw==\n"
    )
    assert parse(content).secret.expose() == b"\0\1\2\3"


def test_a_new_value_leaves_the_rest_of_a_foreign_entry_as_it_was() -> None:
    content = b"old\nuser: alice\n\nnotes  \n"
    assert with_value(content, Secret(b"new"), parse(content)) == b"new\nuser: alice\n\nnotes  \n"


def test_a_value_of_several_lines_makes_a_foreign_entry_one_of_ours() -> None:
    content = b"old\nuser: alice\nnote\n"
    back = parse(with_value(content, Secret(b"a\nb"), parse(content)))
    assert back.ours
    assert back.secret.expose() == b"a\nb"
    assert back.attributes == {"user": "alice"}
    assert back.notes == ("note",)
