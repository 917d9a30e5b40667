"""Which portal a command means, by its argument, its environment or the configuration."""

import pytest

from privyseal.cli.aws.portals import find_portal
from privyseal.errors import UsageError
from privyseal.wire.aws.profiles import load

CONFIG = """\
[sso-session one]
sso_start_url = https://one.awsapps.com/start
sso_region = eu-west-1
[sso-session two]
sso_start_url = https://two.awsapps.com/start
sso_region = eu-west-1
[profile box]
sso_session = two
"""
SESSION = {"AWS_VAULT": "dev", "PRIVY_AWS_SET": "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL": "http://x"}


def test_it_is_the_one_of_the_profile_that_the_environment_given_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    profiles = load(CONFIG)

    assert find_portal("", profiles, {"AWS_PROFILE": "box"}).portal.session == "two"
    assert find_portal("one", profiles, {"AWS_PROFILE": "box"}).portal.session == "one"
    with pytest.raises(UsageError, match="there are 2 portals: one, two"):
        find_portal("", profiles, {})


def test_in_a_session_a_profile_still_counts_and_the_sessions_endpoint_does_not() -> None:
    found = find_portal("", load(CONFIG), {**SESSION, "AWS_PROFILE": "box"})

    assert found.portal.session == "two"
    assert found.network.endpoints == {}
