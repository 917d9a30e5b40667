import pytest
from hypothesis import given, strategies as st

from privyseal.cli.aws.environment import (
    CREDENTIAL_INPUTS,
    OUR_SECRETS,
    cleaned,
    outside,
    session,
    stack,
    variables,
)
from privyseal.errors import UsageError

KEY = {"access_key_id": "ASIAEXAMPLE", "secret_access_key": "s/e+c=ret", "session_token": "t"}
# Written out once more: a name that leaves the list by mistake is noticed here.
HOSTILE = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_CREDENTIAL_FILE",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SDK_LOAD_CONFIG",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_BEARER_TOKEN_BEDROCK",
    "AWS_VAULT_FILE_PASSPHRASE",
    "AWS_VAULT_OP_CONNECT_TOKEN",
    "OP_CONNECT_TOKEN",
    "OP_SERVICE_ACCOUNT_TOKEN",
)


@pytest.mark.parametrize("name", sorted({*HOSTILE, *CREDENTIAL_INPUTS, *OUR_SECRETS}))
def test_a_child_loses_every_credential_and_every_secret_of_ours(name: str) -> None:
    child = session({name: "inherited", "PATH": "/bin"}, "dev", region="eu-west-1")

    assert child.get(name) != "inherited"
    assert child["PATH"] == "/bin"


@given(st.dictionaries(st.sampled_from([*HOSTILE, "HOME", "AWS_REGION", "AWS_PAGER"]), st.text()))
def test_what_is_no_credential_stays(environment: dict[str, str]) -> None:
    kept = {"HOME", "AWS_REGION", "AWS_PAGER"}

    assert cleaned(environment) == {k: v for k, v in environment.items() if k in kept}


def test_a_session_names_its_profile_and_gives_its_region() -> None:
    child = session({}, "dev", region="eu-west-1", endpoint="http://127.0.0.1:5000")

    assert child == {
        "AWS_VAULT": "dev",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:5000",
        "PRIVY_AWS_STACK": "dev",
        "PRIVY_AWS_SET": "AWS_REGION AWS_DEFAULT_REGION AWS_ENDPOINT_URL",
    }


def test_without_a_region_of_its_own_a_session_leaves_the_variables_alone() -> None:
    assert session({"AWS_REGION": "eu-west-1"}, "dev")["AWS_REGION"] == "eu-west-1"


def test_sessions_inside_sessions_are_told_in_order() -> None:
    outer = session({}, "prod", region="us-east-1")
    inner = session(outer, "dev")

    assert stack(inner) == ["prod", "dev"]
    assert stack({"AWS_VAULT": "of-aws-vault"}) == ["of-aws-vault"]
    assert stack({}) == []


def test_the_region_of_an_outer_session_is_not_that_of_an_inner_one() -> None:
    outer = session({"AWS_PAGER": ""}, "prod", region="us-east-1") | variables(KEY)

    assert outside(outer) == {"AWS_PAGER": ""}
    assert outside({"AWS_REGION": "eu-west-1"}) == {"AWS_REGION": "eu-west-1"}


def test_what_a_person_set_herself_holds_for_an_inner_session_too() -> None:
    mine = {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}
    outer = session(mine, "prod", region="us-east-1", endpoint=mine["AWS_ENDPOINT_URL"])
    inner = session(outer, "dev", region="us-east-1", endpoint="http://127.0.0.1:1")

    assert outside(outer) == mine
    assert outside(inner) == {}


def test_credentials_become_the_variables_that_every_sdk_reads() -> None:
    assert variables(KEY | {"expires": 1_700_000_000.7}) == {
        "AWS_ACCESS_KEY_ID": "ASIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "s/e+c=ret",
        "AWS_SESSION_TOKEN": "t",
        "AWS_CREDENTIAL_EXPIRATION": "2023-11-14T22:13:20Z",
    }
    assert variables(KEY | {"session_token": "", "expires": 0}) == {
        "AWS_ACCESS_KEY_ID": "ASIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "s/e+c=ret",
    }


@pytest.mark.parametrize("char", ["\0", "\n", "\x1b", "\x7f", "\x85", "\u2028"])
def test_a_value_with_a_control_character_is_not_handed_on(char: str) -> None:
    with pytest.raises(UsageError, match="AWS_SESSION_TOKEN holds a control character") as raised:
        variables(KEY | {"session_token": f"secret{char}export X=1"})

    assert "export" not in str(raised.value)
