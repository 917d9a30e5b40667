"""The editable configuration file: what is read, and that edits leave the rest alone."""

from tempfile import NamedTemporaryFile

import pytest
from botocore.configloader import load_config, raw_config_parse
from botocore.exceptions import ConfigParseError
from hypothesis import given, settings, strategies as st
from tests.soak import times

from privyseal.errors import CorruptError, LimitError, PrivysealError, UsageError
from privyseal.wire.aws.inifile import MAX_FILE, block, parse

FILE = """\
# made by hand
[default]
region=eu-west-1 ; home
S3 =
  max_concurrent_requests = 20
  # of the block
  use_accelerate_endpoint = true
output: json

# the one for work
[profile 'de v']
sso_start_url = https://x.awsapps.com/start/#/
[profile prod]
  role_arn = arn:aws:iam::123456789012:role/a
  source_profile = de v
"""


def test_sections_keys_and_blocks_are_read_as_the_aws_cli_reads_them() -> None:
    assert parse(FILE).sections() == {
        "default": {
            "region": "eu-west-1",
            "s3": "\nmax_concurrent_requests = 20\nuse_accelerate_endpoint = true",
            "output": "json",
        },
        "profile de v": {"sso_start_url": "https://x.awsapps.com/start/#/"},
        "profile prod": {
            "role_arn": "arn:aws:iam::123456789012:role/a",
            "source_profile": "de v",
        },
    }


def test_a_block_gives_its_keys() -> None:
    assert block(parse(FILE).sections()["default"]["s3"]) == {
        "max_concurrent_requests": "20",
        "use_accelerate_endpoint": "true",
    }
    assert block("https://x/?a=b") == {}


def test_an_indented_value_goes_on_over_lines() -> None:
    text = '[profile a]\npolicy = {\n  "Version": "2012-10-17",\n\n  "Statement": []}\nregion = x\n'
    assert parse(text).sections()["profile a"] == {
        "policy": '{\n"Version": "2012-10-17",\n"Statement": []}',
        "region": "x",
    }


def test_an_indented_key_below_a_value_is_a_key_and_is_remarked_on() -> None:
    file = parse("[profile a]\nregion = x\n  output = json\n")
    assert file.sections()["profile a"] == {"region": "x", "output": "json"}
    assert [place.line for place in file.indented()] == [3]


def test_a_section_given_twice_is_one_and_the_last_value_holds() -> None:
    file = parse("[profile a]\nregion=x\n[profile b]\n[profile a]\nregion=y\noutput=json\n")
    assert file.sections()["profile a"] == {"region": "y", "output": "json"}
    assert [(at.line, at.key) for at in file.repeats()] == [(4, ""), (5, "region")]
    assert "region=x\n" in file.with_values("profile a", {"region": "z"}).text()
    assert file.with_values("profile a", {"region": "z"}).sections()["profile a"]["region"] == "z"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[default]\nnonsense\n", 2),
        ("[default\n", 1),
        ("[]\n", 1),
        ("[profile \u202ea]\n", 1),
        ("region = x\n", 1),
        ("[default]\n\n= x\n", 3),
        ("[default]\nregion = \0\n", 2),
    ],
)
def test_a_line_that_cannot_be_read_is_named(text: str, line: int) -> None:
    with pytest.raises(CorruptError, match=f"^line {line}: "):
        parse(text)


def test_a_file_without_end_is_refused() -> None:
    with pytest.raises(LimitError):
        parse("#" * (MAX_FILE + 1))


def test_a_changed_value_keeps_place_spelling_and_comment() -> None:
    changed = parse(FILE).with_values("default", {"region": "us-east-1"})
    assert changed.text() == FILE.replace("region=eu-west-1 ; home", "region=us-east-1 ; home")


def test_a_new_value_comes_at_the_end_of_its_section_before_the_next_ones_comment() -> None:
    changed = parse(FILE).with_values("default", {"mfa_serial": "123456789"})
    assert changed.text() == FILE.replace(
        "output: json\n", "output: json\nmfa_serial = 123456789\n"
    )


def test_a_value_is_taken_out_with_its_block() -> None:
    changed = parse(FILE).with_values("default", {"s3": None})
    assert "max_concurrent" not in changed.text()
    assert "# of the block" in changed.text()
    assert "s3" not in changed.sections()["default"]


def test_a_block_is_replaced_by_a_value() -> None:
    assert parse("[a]\nk =\n  b = c\nl = m\n").with_values("a", {"k": "v"}).text() == (
        "[a]\nk = v\nl = m\n"
    )


def test_a_new_section_comes_last_with_its_name_quoted_where_it_must_be() -> None:
    changed = parse("[default]\nregion = x").with_values("profile a b", {"region": "y"})
    assert changed.text() == "[default]\nregion = x\n\n[profile 'a b']\nregion = y\n"
    assert parse("").with_values("default", {}).text() == "[default]\n"


def test_line_ends_and_a_byte_order_mark_stay() -> None:
    text = "\ufeff[default]\r\nregion = x # y\r\n"
    changed = parse(text).with_values("default", {"region": "z", "output": "json"})
    assert changed.text() == "\ufeff[default]\r\nregion = z # y\r\noutput = json\r\n"


def test_a_section_goes_and_the_comments_of_the_next_one_stay() -> None:
    left = parse(FILE).without("default")
    assert left.text().startswith("# made by hand\n\n# the one for work\n[profile 'de v']\n")
    left = parse(FILE).without("profile prod").without("profile de v")
    assert left.text() == FILE[: FILE.index("[profile 'de v']")]
    assert parse(FILE).without("absent").text() == FILE


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("profile a", "region", "x\n[profile b]"),
        ("profile a", "region", "x # y"),
        ("profile a", "region", " x"),
        ("profile a]\n[b", "region", "x"),
        ("profile a", "re = gion", "x"),
        ("profile a", "# key", "x"),
        ("profile a", "", "x"),
        ("", "region", "x"),
        ("profile a\r", "region", "x"),
        ("profile a", "region", "\x1b[2J"),
    ],
)
def test_what_would_be_read_back_otherwise_is_not_written(
    section: str, key: str, value: str
) -> None:
    with pytest.raises(UsageError):
        parse(FILE).with_values(section, {key: value})


@pytest.mark.parametrize("section", ["", "profile a]", "profile a\n[b]", " a", "a\r"])
def test_a_section_without_values_is_checked_as_well(section: str) -> None:
    with pytest.raises(UsageError):
        parse(FILE).with_values(section, {})


def test_many_sections_are_written_at_once_and_those_that_are_right_are_left() -> None:
    changes: dict[str, dict[str, str | None]] = {
        f"profile new {number}": {"region": "x", "gone": None} for number in range(3000)
    }
    changes["default"] = {"region": "eu-west-1"}
    file = parse(FILE).with_sections(changes)
    assert file.text().startswith(FILE)
    assert len(file.sections()) == 3003
    assert file.with_sections(changes).text() == file.text()


def test_an_edit_that_would_swallow_an_indented_head_is_refused() -> None:
    file = parse("[default]\n  [profile a]\nregion = x\n")
    assert list(file.sections()) == ["default", "profile a"]
    with pytest.raises(UsageError, match="the head of a section is indented"):
        file.with_values("default", {"region": "y"})


_WORDS = "[profile a]|[default]|[|]|a|b = c|s3 =|=|:|#|;| |  |\t|\n|\r\n|\r|'|\"|\ufeff|\x0b|\x85|\u2028|\0|é"
_PIECES = st.sampled_from(_WORDS.split("|"))


@settings(max_examples=times(300, soak=20_000), deadline=None)
@given(st.lists(_PIECES, max_size=60).map("".join) | st.text(max_size=200))
def test_any_text_is_read_whole_or_refused_in_one_line(text: str) -> None:
    try:
        file = parse(text)
    except PrivysealError as error:
        complaint = str(error)
        assert complaint.isprintable()
        return
    assert file.text() == text
    assert parse(file.text()).sections() == file.sections()


_NAMES = st.sampled_from(["default", "profile a", "profile b c", "sso-session s"])
_KEYS = st.sampled_from(["region", "output", "s3", "new_key"])
_VALUES = st.none() | st.text(max_size=12)


@settings(max_examples=times(300, soak=20_000), deadline=None)
@given(
    st.lists(_PIECES, max_size=40).map("".join),
    st.lists(st.tuples(_NAMES, st.dictionaries(_KEYS, _VALUES, max_size=3)), max_size=4),
)
def test_an_edit_changes_its_own_values_alone_and_loses_no_comment(
    text: str, edits: list[tuple[str, dict[str, str | None]]]
) -> None:
    try:
        file = parse(text)
    except PrivysealError:
        file = parse(FILE)
    for section, values in edits:
        before = {name: dict(found) for name, found in file.sections().items()}
        try:
            changed = file.with_values(section, values)
        except UsageError:
            continue
        expected = before.setdefault(section, {})
        for key, value in values.items():
            if value is None:
                expected.pop(key, None)
            else:
                expected[key] = value
        assert parse(changed.text()).sections() == changed.sections() == before
        assert [line for line in file.text().splitlines() if line.lstrip().startswith("#")] == [
            line for line in changed.text().splitlines() if line.lstrip().startswith("#")
        ]
        file = changed


_WORD = st.text("abcdefghijklmnopqrstuvwxyz0123456789_", min_size=1, max_size=8)
# A comment behind a value is aws-vault's and the SDKs', but not botocore's: without a space before.
_PLAIN = st.text("abc:/=#;[]{}\"'@-", max_size=12).map(lambda text: f"v{text} w")
_BLOCK = st.dictionaries(_WORD, _PLAIN, min_size=1, max_size=3)


@settings(max_examples=times(150, soak=5_000), deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["default", "profile a", "profile b-c", "sso-session s", "services t"]),
        st.dictionaries(_WORD, _PLAIN | _BLOCK, max_size=4),
        max_size=4,
    ),
    st.sampled_from(["\n", "\r\n"]),
)
def test_a_file_is_read_as_botocore_reads_it(
    sections: dict[str, dict[str, str | dict[str, str]]], end: str
) -> None:
    lines = []
    for section, values in sections.items():
        lines += ["# about it", f"[{section}]"]
        for key, value in values.items():
            if isinstance(value, str):
                lines.append(f"{key} = {value}")
            else:
                lines += [f"{key} =", *(f"    {name} = {inner}" for name, inner in value.items())]
        lines.append("")
    with NamedTemporaryFile("w", suffix=".ini", newline="") as file:
        file.write(end.join(lines))
        file.flush()
        try:
            theirs = raw_config_parse(file.name)
        except ConfigParseError:
            return
    ours = parse(end.join(lines)).sections()
    assert list(ours) == list(theirs)
    for section, read in ours.items():
        assert set(read) == set(theirs[section])
        for key, text in read.items():
            other = theirs[section][key]
            if isinstance(other, dict):
                assert {name.lower() for name in other} == set(block(text))
            else:
                assert text == other


@settings(max_examples=times(100, soak=5_000), deadline=None)
@given(st.text("ab .:/@+-_'\"é\\#;[=", min_size=1, max_size=8))
def test_a_profile_that_is_written_has_the_same_name_for_botocore(name: str) -> None:
    try:
        changed = parse("").with_values(f"profile {name}", {"region": "x"})
    except UsageError:
        return
    with NamedTemporaryFile("w", suffix=".ini", newline="", encoding="utf-8") as file:
        file.write(changed.text())
        file.flush()
        theirs = load_config(file.name)["profiles"]
    assert theirs == {name: {"region": "x"}}
