"""A profile explained: its values, its plan in words, and what its writer should know."""

import pytest

from privyseal.errors import NotFoundError, UsageError
from privyseal.model.aws import FederationStep, Network, Plan, RoleStep, SessionStep, StoredKey
from privyseal.wire.aws.checking import check, regionless, unsettled
from privyseal.wire.aws.explain import Row, explain, words
from privyseal.wire.aws.profiles import Flags, load
from privyseal.wire.aws.roles import ALLOW_ALL

S = "arn:aws:iam::111111111111:mfa/jon"
CONFIG = f"""\
[default]
mfa_serial = {S}
[profile jon]
mfa_serial = {S}
region = eu-west-1
[profile prod]
source_profile = jon
include_profile = jon
role_arn = arn:aws:iam::222222222222:role/team/Admin
mfa_serail = x
[profile loop]
source_profile = loop
[profile circle]
source_profile = round
[profile round]
source_profile = circle
[profile far]
source_profile = elsewhere
[sso-session corp]
sso_start_url = https://corp.awsapps.com/start
"""


def test_values_come_with_where_they_were_set_for_the_profile_and_its_sources() -> None:
    found = explain(load(CONFIG), "prod", keys=["jon"], environment={"AWS_REGION": "eu-north-1"})
    assert list(found.values) == ["prod", "jon"]
    assert Row("region", "eu-north-1", "AWS_REGION") in found.values["prod"]
    assert Row("mfa_serial", S, "[profile jon], included") in found.values["prod"]
    assert Row("session_ttl", "3600", "default") in found.values["jon"]


def test_a_plan_is_told_in_sentences() -> None:
    found = explain(
        load(CONFIG),
        "prod",
        keys=["jon"],
        environment={},
        flags=Flags(
            external_id="out-side",
            session_tags="team=red,cost=1",
            transitive_session_tags="team",
            source_identity="jon",
            role_session_name="work",
            read_only=True,
        ),
    )
    assert found.words == (
        "begin with the stored key 'jon'",
        f"ask for a session of 8h, with a code of {S}",
        (
            "assume role 'Admin' of account 222222222222 for 1h, as 'work', external id 'out-side',"
            " on behalf of 'jon', tags cost=1, team=red* (* go on to further roles),"
            " narrowed by ReadOnlyAccess"
        ),
        "AWS is called in eu-west-1",
    )
    assert found.problem == ""


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        (
            (
                "sso_session = c\nsso_account_id = 1\nsso_role_name = Dev\n"
                "[sso-session c]\nsso_start_url = https://c.example/start\nsso_region = x-y-1"
            ),
            "begin with the role 'Dev' of account 1 from https://c.example/start",
        ),
        (
            "role_arn = arn:aws:iam::222222222222:role/R\nweb_identity_token_file = /run/t",
            "begin with role 'R' of account 222222222222 for the token in /run/t, for 1h",
        ),
        (
            "role_arn = arn:aws:iam::222222222222:role/R\nweb_identity_token_process = get it",
            "begin with role 'R' of account 222222222222 for the token that `get it` prints, for 1h",
        ),
        ("credential_process = get it", "begin with what `get it` prints"),
        ("credential_source = EcsContainer", "begin with the credentials of the container"),
        ("login_session = me", "begin with the AWS CLI's login of me"),
    ],
)
def test_every_beginning_has_its_sentence(section: str, sentence: str) -> None:
    found = explain(load(f"[profile a]\n{section}\n"), "a", keys=(), environment={})
    assert found.words[0] == sentence


def test_policies_federation_and_ways_to_aws_have_their_sentences() -> None:
    made = Plan(
        profile="a",
        source=StoredKey(name="a"),
        steps=(
            SessionStep(duration=3600),
            FederationStep(name="", duration=900, policy=ALLOW_ALL),
            RoleStep(arn="odd", duration=5400, policy="{}"),
        ),
        network=Network(
            endpoints={
                "sts": "http://127.0.0.1:5000",
                "iam": "https://iam.amazonaws.com",
                "sso": "http://127.0.0.1:5000",
            },
            dual_stack=True,
            fips=True,
            global_sts=True,
        ),
    )
    assert list(words(made))[1:] == [
        "ask for a session of 1h",
        "ask for a federated session of 15m",
        "assume role 'odd' for 1h30m, narrowed by a policy of its own",
        (
            "AWS is called in no region, so AWS's first one, by FIPS endpoints, by dual-stack endpoints,"
            " STS by its global endpoint"
        ),
        "sts, sso are reached at http://127.0.0.1:5000, which is not AWS's own address",
        "iam is reached at https://iam.amazonaws.com",
    ]


def test_what_stays_behind_and_what_is_misspelt_is_told_with_the_profile() -> None:
    region = {"AWS_REGION": "eu-west-1"}
    found = explain(load(CONFIG), "far", keys=["elsewhere"], environment=region)
    assert found.warnings == (
        (
            "mfa_serial of [default] counts for 'far' in aws-vault and not here, unless it has"
            " include_profile = default"
        ),
    )
    found = explain(load(CONFIG), "prod", keys=["jon"], environment={})
    assert "unknown key 'mfa_serail'" in found.warnings[0]


def test_a_profile_without_a_plan_is_explained_all_the_same() -> None:
    found = explain(load(CONFIG), "circle", keys=(), environment={})
    assert found.plan is None
    assert "'circle' -> 'round' -> 'circle'" in found.problem
    assert found.values["circle"]


def test_what_is_nowhere_cannot_be_explained() -> None:
    with pytest.raises(NotFoundError) as caught:
        explain(load(CONFIG), "prodd", keys=(), environment={})
    assert caught.value.hint == "did you mean 'prod'?"
    with pytest.raises(UsageError):
        explain(load("[profile a]\ninclude_profile=a\n"), "a", keys=(), environment={})


def test_a_check_plans_every_profile_and_portal_as_if_the_keys_were_stored() -> None:
    assert [(problem.name, problem.text) for problem in check(load(CONFIG))] == [
        ("circle", "profiles are each other's source: 'circle' -> 'round' -> 'circle'"),
        ("round", "profiles are each other's source: 'round' -> 'circle' -> 'round'"),
        ("sso-session corp", "profile 'corp' has no sso_region"),
    ]
    assert list(unsettled(load(CONFIG))) == [("far", "elsewhere")]
    assert next(iter(check(load("[profile a]\ninclude_profile=a\n")))).name == "a"


def test_profiles_without_a_region_anywhere_are_found_but_for_those_only_included() -> None:
    profiles = load(
        "[profile key]\n[profile part]\noutput = json\n[profile bare]\nsource_profile = key\n"
        "[profile whole]\ninclude_profile = part\nregion = a-b-1\n[profile self]\nsource_profile = self\n"
    )
    assert list(regionless(profiles, {})) == ["key", "bare", "self"]
    assert list(regionless(profiles, {"AWS_DEFAULT_REGION": "a-b-1"})) == []
    for name, count in (("bare", 1), ("whole", 0)):
        found = explain(profiles, name, keys=["key", "whole"], environment={})
        assert sum("no region is set" in warning for warning in found.warnings) == count


def test_region_of_a_source_profile_is_said_to_be_for_the_calls_and_not_for_the_command() -> None:
    profiles = load(
        "[profile dev]\nregion = eu-west-1\n[profile deploy]\nsource_profile = dev\n"
        "role_arn = arn:aws:iam::222222222222:role/R\n"
    )
    found = explain(profiles, "deploy", keys=["dev"], environment={})
    assert found.words[-1] == "AWS is called in eu-west-1"
    assert (
        "no region is set, and the command gets none: eu-west-1 is for the calls above alone;"
        in found.warnings[0]
    )
