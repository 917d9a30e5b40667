"""How AWS is reached: regions, endpoints of services and switches."""

import pytest

from privyseal.errors import UsageError
from privyseal.model.aws import Network
from privyseal.wire.aws.planning import plan
from privyseal.wire.aws.profiles import Flags, load

SERVICES = """\
[profile a]
services = s
endpoint_url = http://profile
[services s]
sts =
  endpoint_url = http://section
"""
ALL = ("sts", "iam", "sso", "sso-oidc")


def network(text: str, environment: dict[str, str] | None = None, **flags: str) -> Network:
    given = Flags(**flags)  # type: ignore[arg-type]  # only texts here
    keys = [] if "login_session" in text else ["a"]
    return plan(load(text), "a", keys=keys, environment=environment or {}, flags=given).network


@pytest.mark.parametrize(
    ("environment", "flags", "sts", "iam"),
    [
        ({}, {}, "http://section", "http://profile"),
        ({"AWS_ENDPOINT_URL": "http://all"}, {}, "http://all", "http://all"),
        (
            {"AWS_ENDPOINT_URL": "http://all", "AWS_ENDPOINT_URL_STS": "http://one"},
            {},
            "http://one",
            "http://all",
        ),
        ({"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, {}, "", ""),
        (
            {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true", "AWS_ENDPOINT_URL_STS": "http://one"},
            {"endpoint_url": "http://flag"},
            "http://flag",
            "http://flag",
        ),
    ],
)
def test_the_nearest_endpoint_holds_service_by_service(
    environment: dict[str, str], flags: dict[str, str], sts: str, iam: str
) -> None:
    endpoints = network(SERVICES, environment, **flags).endpoints
    assert (endpoints.get("sts", ""), endpoints.get("iam", "")) == (sts, iam)


def test_one_endpoint_is_for_all_services_and_oidc_has_a_variable_of_its_own() -> None:
    endpoints = network("[profile a]\nendpoint_url = https://x\n").endpoints
    assert endpoints == dict.fromkeys(ALL, "https://x")
    assert network("[profile a]\n", {"AWS_ENDPOINT_URL_SSO_OIDC": "https://y"}).endpoints == {
        "sso-oidc": "https://y"
    }


def test_an_endpoint_for_signing_in_counts_for_a_login_of_the_aws_cli_alone() -> None:
    session = "login_session = arn:aws:iam::222222222222:user/me\n"
    endpoints = network(f"[profile a]\nendpoint_url = https://x\n{session}").endpoints
    assert endpoints == dict.fromkeys([*ALL, "signin"], "https://x")
    assert network("[profile a]\n", {"AWS_ENDPOINT_URL_SIGNIN": "https://y"}).endpoints == {}


@pytest.mark.parametrize(
    "address",
    ["x", "ftp://x", "https://", "http://u:p@x", "http://x:99999", "http://x?y", "http://[", "http://x#"],
)  # fmt: skip
def test_what_is_no_address_is_refused_by_where_it_was_set(address: str) -> None:
    with pytest.raises(UsageError, match=r"endpoint_url of \[profile a\]"):
        network(f"[profile a]\nendpoint_url = {address}\n")


def test_an_address_that_is_refused_for_its_user_is_not_printed() -> None:
    with pytest.raises(UsageError) as caught:
        network("[profile a]\nendpoint_url = https://u:passw0rd@x\n")
    assert "passw0rd" not in str(caught.value)


@pytest.mark.parametrize("name", ["evil.example/", "a b", "x" * 64, "-x", "x-", "\u0430bc"])
def test_a_region_that_could_lead_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"region of \[profile a\] is no region"):
        network(f"[profile a]\nregion = {name}\n")


def test_a_missing_region_is_that_of_a_source_or_the_home_of_the_partition() -> None:
    chain = "[profile a]\nsource_profile = b\nrole_arn = arn:aws-cn:iam::123456789012:role/r\n"
    found = plan(
        load(chain + "[profile b]\nregion = cn-northwest-1\n"), "a", keys="b", environment={}
    )
    assert found.network.region == "cn-northwest-1"
    own = chain + "region = cn-north-1\n[profile b]\nregion = cn-northwest-1\n"
    found = plan(load(own), "a", keys="b", environment={})
    assert found.network.region == "cn-north-1"
    found = plan(load(chain + "[profile b]\n"), "a", keys=["b"], environment={})
    assert found.network.region == "cn-north-1"
    assert network("[profile a]\n").region == ""


def test_switches_of_the_profile_are_kept() -> None:
    made = network("[profile a]\nuse_fips_endpoint = true\nuse_dualstack_endpoint = TRUE\n")
    assert (made.fips, made.dual_stack) == (True, True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sts_regional_endpoints = legacy", True),
        ("sts_regional_endpoints = legacy\nregion = eu-west-1", True),
        ("sts_regional_endpoints = legacy\nregion = af-south-1", False),
        ("sts_regional_endpoints = regional\nregion = eu-west-1", False),
        ("region = eu-west-1", False),
    ],
)
def test_sts_is_global_where_legacy_is_asked_for_and_the_region_is_old(
    text: str, *, expected: bool
) -> None:
    assert network(f"[profile a]\n{text}\n").global_sts is expected


def test_another_mode_of_sts_is_refused() -> None:
    with pytest.raises(UsageError, match="wants legacy or regional"):
        network("[profile a]\nsts_regional_endpoints = x\n")
