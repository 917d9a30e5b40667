from contextlib import suppress

import pytest
from hypothesis import given, strategies as st

from privyseal.errors import UsageError
from privyseal.model.config import Config
from privyseal.model.policy import Policy
from privyseal.model.settings import KEYS, VARIABLES, build, from_environment, from_tree


def test_nothing_set_gives_the_defaults() -> None:
    assert build() == Config()
    assert Config().policy == Policy()


def test_every_key_has_a_variable_of_its_own() -> None:
    assert sorted(VARIABLES.values()) == sorted(KEYS)


def test_later_layers_win_key_by_key() -> None:
    system = from_tree({"timing": {"pending": 30, "retry": 5}}, {}, "/etc/c")
    user = from_tree({"timing": {"pending": 40}}, {}, "~/c")
    environment = from_environment({"PRIVYSEAL_TIMING_RETRY": "7", "HOME": "/"})

    config = build(system, user, environment)

    assert (config.timing.pending, config.timing.retry) == (40, 7)


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        (
            {"timing": {"pendng": 1}},
            "unknown key `timing.pendng` at f:3: did you mean `timing.pending`?",
        ),
        ({"timingg": {}}, "unknown key `timingg` at f:3: did you mean `timing`?"),
        ({"zzz": 1}, "unknown key `zzz` at f:3"),
        ({"timing": 4}, "`timing` wants a section, not `4`: f:3"),
        (
            {"timing": {"pending": "soon"}},
            "`timing.pending` wants a number from 0 to 604800, not the text 'soon': f:3",
        ),
        (
            {"timing": {"pending": True}},
            "`timing.pending` wants a number from 0 to 604800, not `true`: f:3",
        ),
        (
            {"limits": {"leases": 0}},
            "`limits.leases` wants a whole number from 1 to 100000, not `0`: f:3",
        ),
        (
            {"verdicts": {"read": "maybe"}},
            "`verdicts.read` wants one of ask, allow, deny, not the text 'maybe': f:3",
        ),
        (
            {"notifications": {"enabled": "yes"}},
            "`notifications.enabled` wants true or false, not the text 'yes': f:3",
        ),
        (
            {"backend": ["embedded"]},
            "`backend` wants one of embedded, gnome-keyring, not a list: f:3",
        ),
        ({"store": {"path": {}}}, "`store.path` wants an absolute path, not a section: f:3"),
        ({"store": {"path": None}}, "`store.path` wants an absolute path, not nothing: f:3"),
        (
            {"audit": {"path": "log"}},
            "`audit.path` wants an absolute path, not the text 'log': f:3",
        ),
    ],
)
def test_a_wrong_file_is_refused_with_key_value_and_place(
    tree: dict[str, object], message: str
) -> None:
    lines = dict.fromkeys([*KEYS, "timing", "timing.pendng", "timingg", "zzz"], 3)

    with pytest.raises(UsageError) as caught:
        from_tree(tree, lines, "f")

    assert str(caught.value) == message


def test_an_unknown_variable_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(UsageError, match="did you mean `PRIVYSEAL_TIMING_PENDING`"):
        from_environment({"PRIVYSEAL_TIMING_PENDNG": "3"})


def test_a_wrong_value_of_a_variable_names_the_variable() -> None:
    with pytest.raises(UsageError) as caught:
        from_environment({"PRIVYSEAL_TIMING_PENDING": "soon"})

    assert str(caught.value) == (
        "`timing.pending` wants a number from 0 to 604800, not the text 'soon': "
        "environment variable PRIVYSEAL_TIMING_PENDING"
    )


@given(
    st.floats(0, 7 * 24 * 3600),
    st.integers(1, 100_000),
    st.booleans(),
    st.from_regex(r"(~?/[^\0]{0,99})?", fullmatch=True),
)
def test_any_valid_value_survives_the_environment(
    seconds: float, count: int, switch: bool, path: str
) -> None:
    config = build(
        from_environment(
            {
                "PRIVYSEAL_TIMING_PENDING": repr(seconds),
                "PRIVYSEAL_LIMITS_LEASES": str(count),
                "PRIVYSEAL_NOTIFICATIONS_ENABLED": str(switch).lower(),
                "PRIVYSEAL_STORE_PATH": path,
            }
        )
    )

    assert config.timing.pending == seconds
    assert config.limits.leases == count
    assert config.notifications.enabled is switch
    assert config.store.path == path


@given(st.sampled_from(sorted(VARIABLES)), st.text())
def test_any_text_in_a_variable_is_a_valid_value_or_refused(name: str, text: str) -> None:
    with suppress(UsageError):
        build(from_environment({name: text}))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda below: st.lists(below) | st.dictionaries(st.text(), below),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(["timing", "backend", "limits", "x"]), json_values))
def test_any_tree_is_a_configuration_or_refused(tree: dict[str, object]) -> None:
    with suppress(UsageError):
        build(from_tree(tree, {}, "f"))
