import pytest

from privyseal.cli.aws.environment import rfc3339
from privyseal.cli.aws.status import prompt, session_of

NOW = 1_700_000_000.0
INSIDE = {"AWS_VAULT": "dev", "PRIVY_AWS_STACK": "prod > dev", "AWS_REGION": "eu-west-1"}


def at(left: int) -> dict[str, str]:
    return INSIDE | {
        "AWS_ACCESS_KEY_ID": "ASIAEXAMPLE",
        "AWS_CREDENTIAL_EXPIRATION": rfc3339(NOW + left),
    }


def test_a_session_is_told_by_its_variables() -> None:
    assert session_of(at(3000), NOW) == {
        "profile": "dev",
        "stack": ["prod", "dev"],
        "region": "eu-west-1",
        "credentials": "in the environment",
        "expires": "2023-11-14T23:03:20Z",
        "left": 3000,
    }


def test_credentials_that_were_printed_are_told_without_a_profile() -> None:
    printed = {**at(3000), "AWS_SESSION_TOKEN": "x"}
    del printed["AWS_VAULT"]

    found = session_of(printed, NOW)

    assert (found["profile"], found["stack"], found["region"]) == ("", [], "eu-west-1")
    assert (found["credentials"], found["left"]) == ("in the environment", 3000)
    assert prompt(found) == ""


def test_outside_of_sessions_nothing_of_the_environment_is_told() -> None:
    found = session_of({"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "AKIA"}, NOW)

    assert (found["profile"], found["region"], found["credentials"]) == ("", "", "")
    assert prompt(found) == ""


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1"}, "by a container"),
        ({"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1"}, "by an EC2 metadata"),
        ({"AWS_PROFILE": "dev"}, "by credential_process"),
        ({}, "not at all"),
    ],
)
def test_the_way_to_the_credentials_is_told(environment: dict[str, str], said: str) -> None:
    found = session_of(INSIDE | environment, NOW)

    assert found["credentials"].startswith(said)
    assert found["left"] is None
    assert prompt(found) == "prod > dev"


@pytest.mark.parametrize(
    ("left", "shown"),
    [
        (2 * 3600 + 5 * 60, "prod > dev 2h05m"),
        (52 * 60 + 59, "prod > dev 52m"),
        (9 * 60, "\x1b[33mprod > dev 9m\x1b[0m"),
        (-1, "\x1b[31mprod > dev ended\x1b[0m"),
    ],
)
def test_a_prompt_shows_what_is_left(
    left: int, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)

    assert prompt(session_of(at(left), NOW)) == shown


def test_a_variable_that_is_no_instant_is_passed_over() -> None:
    found = session_of(INSIDE | {"AWS_CREDENTIAL_EXPIRATION": "soon"}, NOW)

    assert (found["expires"], found["left"]) == ("", None)
