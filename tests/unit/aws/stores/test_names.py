"""Names of entries as paths: what is safe stays as aws-vault has it, all come back."""

import pytest
from hypothesis import given, strategies as st

from privyseal.aws.stores.names import key_of, older_path, path_of
from privyseal.errors import UsageError

KEYS = st.text(min_size=1) | st.text(alphabet="ab/%.-2Foidc:htps", min_size=1)


@given(KEYS)
def test_every_name_comes_back(key):
    assert key_of(path_of(key)) == key


@given(KEYS)
def test_no_path_leaves_its_folder_or_names_a_file_of_the_store_itself(key):
    parts = path_of(key).split("/")
    assert all(part and part[0] not in ".-" for part in parts)
    assert "\0" not in path_of(key)


@given(KEYS, KEYS)
def test_two_names_never_share_a_path(one, other):
    assert (path_of(one) == path_of(other)) is (one == other)


@given(KEYS)
def test_no_name_is_looked_for_where_another_lies(key):
    assert not older_path(key) or key_of(older_path(key)) == key


@pytest.mark.parametrize("key", ["jon", "team/prod", "sts.AssumeRole,am9u,,17", "a b", "ü"])
def test_name_that_is_safe_lies_where_aws_vault_has_it(key):
    assert path_of(key) == key
    assert older_path(key) == ""


@pytest.mark.parametrize(
    ("key", "older"),
    [
        ("oidc:https://x/start", "oidc:https:/x/start"),
        ("oidc:https://x/start/", ""),
        ("a//b", ""),
        ("-x", "-x"),
        ("100%25", ""),
        ("../x", ""),
        ("/etc/passwd", ""),
        ("a\nb", ""),
        (".", ""),
        ("/", ""),
    ],
)
def test_where_aws_vault_put_the_others_is_known_when_it_is_safe(key, older):
    assert older_path(key) == older


def test_url_that_lost_a_slash_gets_it_back():
    assert key_of("oidc:https:/x/start") == "oidc:https://x/start"


def test_empty_name_is_refused():
    with pytest.raises(UsageError):
        path_of("")
