"""Go durations, ARNs, and the limits of AWS told before AWS tells them."""

from collections.abc import Callable

import pytest
from hypothesis import given, strategies as st

from privyseal.errors import UsageError
from privyseal.wire.aws import arn, durations, limits


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("900s", 900),
        ("1h30m", 5400),
        ("+1h", 3600),
        ("1.5h", 5400),
        (".5h", 1800),
        ("1.h", 3600),
        ("1m90s", 150),
        ("2000ms", 2),
        ("1999ms", 1),
        ("1000000us", 1),
        ("1000000µs", 1),
        ("1000000μs", 1),
        ("1000000000ns", 1),
    ],
)
def test_a_go_duration_is_read(text: str, seconds: int) -> None:
    assert durations.parse(text, "--duration") == seconds


@pytest.mark.parametrize(
    "text",
    ["", "1", "1d", "h", "-1h", "1h ", "1 h", "1h1", ".h", "1e3s", "\u0661h", "9" * 18 + "h"],
)
def test_what_is_no_go_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--duration wants a length of time"):
        durations.parse(text, "--duration")


@given(st.integers(0, durations.MAX))
def test_a_written_duration_is_read_again(seconds: int) -> None:
    assert durations.parse(durations.written(seconds), "x") == seconds
    assert durations.parse(durations.spoken(seconds), "x") == seconds


def test_durations_are_written_as_go_writes_them() -> None:
    assert [durations.written(seconds) for seconds in (59, 60, 3600, 5401)] == [
        "59s", "1m0s", "1h0m0s", "1h30m1s",
    ]  # fmt: skip


@given(st.text(max_size=40))
def test_any_text_is_a_duration_or_refused(text: str) -> None:
    try:
        assert durations.parse(text, "x") >= 0
    except UsageError as error:
        complaint = str(error)
        assert complaint.isprintable()


def test_the_parts_of_an_arn() -> None:
    role = arn.role("arn:aws-cn:iam::123456789012:role/path/to/admin")
    assert (role.partition, role.account, role.kind, role.name) == (
        "aws-cn", "123456789012", "role", "admin",
    )  # fmt: skip
    assert str(role) == "arn:aws-cn:iam::123456789012:role/path/to/admin"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "admin",
        "arn:aws:iam::123456789012:role",
        "arn:aws:iam::123456789012:role/",
        "arn:aws:iam::123456789012:user/x",
        "arn:aws:iam::12345:role/x",
        "arn:aws:iam::123456789012:role/a b",
        "arn:aws:s3::123456789012:role/x",
        "arn:aws-moon:iam::123456789012:role/x",
        "arn:aws:iam::\u066123456789012:role/x",
        "arn:aws:iam::123456789012:role/x\n",
    ],
)
def test_what_is_no_role_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--role-arn") as caught:
        arn.role(text, "--role-arn")
    assert str(caught.value).isprintable()


Check = Callable[[str, str], object]


@pytest.mark.parametrize(
    ("check", "good"),
    [
        (limits.session_name, "jon@example.com"),
        (limits.external_id, "a:b/c"),
        (limits.serial, "arn:aws:iam::123456789012:mfa/jon"),
        (limits.serial, "GAHT12345678"),
        (limits.tags, "team=red"),
        (limits.tags, "Team Name = a/b:c@d"),
        (limits.policy, '{"Statement": []}'),
    ],
)
def test_what_aws_takes_is_taken(check: Check, good: str) -> None:
    assert check(good, "it")


@pytest.mark.parametrize(
    ("check", "bad"),
    [
        (limits.session_name, "a"),
        (limits.session_name, "a" * 65),
        (limits.session_name, "a b"),
        (limits.session_name, "ab\n"),
        (limits.external_id, "x\n"),
        (limits.serial, "short"),
        (limits.tags, "team"),
        (limits.tags, "=x"),
        (limits.tags, "a=b,A=c"),
        (limits.tags, "a=<"),
        (limits.tags, ",".join(f"k{number}=v" for number in range(51))),
        (limits.policy, "{"),
        (limits.policy, "[" * 100_000),
        (limits.policy, "[]"),
        (limits.policy, '{"Version": "x"}'),
        (limits.policy, '{"Statement": "' + "x" * 2048 + '"}'),
    ],
)
def test_what_aws_refuses_is_refused_by_name(check: Check, bad: str) -> None:
    with pytest.raises(UsageError, match=r"^it ") as caught:
        check(bad, "it")
    assert str(caught.value).isprintable()


def test_policies_lose_their_spaces_and_are_counted_after_that() -> None:
    spaced = '{"Statement":' + " " * 5000 + "[]}"
    assert limits.policy(spaced, "it") == '{"Statement":[]}'


def test_transitive_tags_are_some_of_the_tags() -> None:
    assert limits.transitive("a, b,a", {"a": "1", "b": "2"}, "it") == ("a", "b")
    assert limits.transitive("", {}, "it") == ()
    with pytest.raises(UsageError, match="it names 'c', which is no session tag"):
        limits.transitive("c", {"a": "1"}, "it")


def test_managed_policies_have_arns_and_are_at_most_ten() -> None:
    one = arn.managed_policy("aws-us-gov", "ReadOnlyAccess")
    assert limits.policy_arns([one] * 10, "it") == (one,) * 10
    for bad in ([one] * 11, ["ReadOnlyAccess"], ["arn:aws:iam::aws:policy/x\n"]):
        with pytest.raises(UsageError, match=r"^it "):
            limits.policy_arns(bad, "it")
