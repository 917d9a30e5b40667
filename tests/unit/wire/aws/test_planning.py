"""Plans: which calls a profile gives, and what of them AWS would refuse."""

from typing import Any, get_args

import pytest
from hypothesis import given, settings, strategies as st
from tests.soak import times

from privyseal.errors import NotFoundError, PrivysealError, UsageError
from privyseal.model.aws import (
    Ambient,
    FederationStep,
    PortalRole,
    Process,
    RoleStep,
    Source,
    Step,
    StoredKey,
    WebIdentity,
)
from privyseal.model.value import encode
from privyseal.wire.aws.checking import check
from privyseal.wire.aws.explain import explain
from privyseal.wire.aws.planning import Purpose, plan
from privyseal.wire.aws.profiles import Flags, load
from privyseal.wire.aws.roles import ALLOW_ALL
from privyseal.wire.aws.route import route
from privyseal.wire.aws.vocabulary import HONOURED, TARGET_VARIABLES, VARIABLES

S = "arn:aws:iam::111111111111:mfa/s"
T = "arn:aws:iam::111111111111:mfa/t"
ROLE = "arn:aws:iam::222222222222:role/one"
OTHER = "arn:aws:iam::333333333333:role/path/two"

CONFIG = f"""
[profile key]
[profile key-s]
mfa_serial = {S}
[profile key-t]
mfa_serial = {T}

[profile role-plain]
role_arn = {ROLE}
source_profile = key-s
[profile role-s]
role_arn = {ROLE}
source_profile = key-s
mfa_serial = {S}
[profile role-s-long]
role_arn = {ROLE}
source_profile = key-s
mfa_serial = {S}
duration_seconds = 14400
[profile role-s-of-bare-key]
role_arn = {ROLE}
source_profile = key
mfa_serial = {S}
[profile role-s-of-key-t]
role_arn = {ROLE}
source_profile = key-t
mfa_serial = {S}
[profile second]
role_arn = {OTHER}
source_profile = role-s
mfa_serial = {S}
[profile second-t]
role_arn = {OTHER}
source_profile = role-s-of-bare-key
mfa_serial = {T}
duration_seconds = 7200
[profile no-role]
source_profile = key-s
mfa_serial = {S}
[profile own-key]
role_arn = {ROLE}
mfa_serial = {S}
source_profile = key-t
[profile on-own-key]
role_arn = {OTHER}
mfa_serial = {S}
source_profile = own-key

[sso-session corp]
sso_start_url = https://corp.awsapps.com/start
sso_region = eu-west-1
sso_registration_scopes = sso:account:access, other
[profile sso]
sso_session = corp
sso_account_id = 222222222222
sso_role_name = Developer
[profile role-of-sso]
role_arn = {ROLE}
source_profile = sso
mfa_serial = {S}
[profile sso-and-role]
sso_session = corp
sso_account_id = 222222222222
sso_role_name = Developer
role_arn = {ROLE}

[profile web]
role_arn = {ROLE}
web_identity_token_file = /run/token
role_session_name = pod
[profile process]
credential_process = /usr/bin/print-key --for me
[profile role-of-process]
role_arn = {ROLE}
source_profile = process
duration_seconds = 7200
[profile ec2]
role_arn = {ROLE}
credential_source = Ec2InstanceMetadata
duration_seconds = 7200
[profile ecs]
role_arn = {ROLE}
credential_source = EcsContainer
duration_seconds = 7200
[profile env]
role_arn = {ROLE}
credential_source = Environment
mfa_serial = {S}
[profile login]
login_session = arn:aws:iam::222222222222:user/me
"""
VARIABLE_NAMES = sorted({*sum(VARIABLES.values(), ()), *sum(TARGET_VARIABLES.values(), ())})
KEYS = frozenset(["key", "key-s", "key-t", "own-key", "unconfigured"])


def steps(name: str, purpose: Purpose = "exec", config: str = CONFIG, **flags: Any) -> list[str]:
    made = plan(
        load(config),
        name,
        keys=KEYS,
        environment={},
        flags=Flags(**flags),
        purpose=purpose,
    )
    return [_word(step) for step in made.steps]


def notes(name: str, **flags: Any) -> tuple[str, ...]:
    return plan(load(CONFIG), name, keys=KEYS, environment={}, flags=Flags(**flags)).notes


def _word(step: Step) -> str:
    name = type(step).__name__.removesuffix("Step").lower()
    if isinstance(step, RoleStep):
        name = step.arn.rpartition("/")[2]
    mfa = "" if isinstance(step, FederationStep) else step.mfa
    return f"{name}{ {S: '+S', T: '+T', '': ''}[mfa] } {step.duration / 3600:g}h"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("key", ["session 1h"]),
        ("unconfigured", ["session 1h"]),
        ("key-s", ["session+S 1h"]),
        ("role-plain", ["one 1h"]),
        ("role-s", ["session+S 8h", "one 1h"]),
        ("role-s-long", ["one+S 4h"]),
        ("role-s-of-bare-key", ["one+S 1h"]),
        ("role-s-of-key-t", ["one+S 1h"]),
        ("second", ["session+S 8h", "one 1h", "two 1h"]),
        ("second-t", ["one+S 1h", "two 1h"]),
        ("no-role", ["session+S 8h"]),
        ("own-key", ["one+S 1h"]),
        ("on-own-key", ["session+S 8h", "one 1h", "two 1h"]),
        ("sso", []),
        ("role-of-sso", ["one 1h"]),
        ("sso-and-role", []),
        ("web", []),
        ("process", []),
        ("role-of-process", ["one 2h"]),
        ("ec2", ["one 1h"]),
        ("ecs", ["one 1h"]),
        ("env", ["one+S 1h"]),
        ("login", []),
    ],
)
def test_a_profile_gives_these_calls(name: str, expected: list[str]) -> None:
    assert steps(name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("key", StoredKey(name="key")),
        ("own-key", StoredKey(name="own-key")),
        ("second", StoredKey(name="key-s")),
        ("process", Process(command="/usr/bin/print-key --for me")),
        ("ec2", Ambient(kind="ec2")),
        ("env", Ambient(kind="environment")),
        ("login", Ambient(kind="login", session="arn:aws:iam::222222222222:user/me")),
        (
            "web",
            WebIdentity(role=ROLE, session_name="pod", duration=3600, token_file="/run/token"),
        ),
    ],
)
def test_credentials_begin_where_the_profile_says(name: str, expected: Source) -> None:
    assert plan(load(CONFIG), name, keys=KEYS, environment={}).source == expected


def test_a_portal_takes_its_address_and_scopes_from_its_session() -> None:
    source = plan(load(CONFIG), "role-of-sso", keys=KEYS, environment={}).source
    assert isinstance(source, PortalRole)
    assert (source.account, source.role) == ("222222222222", "Developer")
    assert source.portal.start_url == "https://corp.awsapps.com/start"
    assert source.portal.scopes == ("sso:account:access", "other")


def test_a_stored_key_goes_before_a_portal_a_token_and_a_process() -> None:
    for name in ("sso", "web", "process"):
        assert plan(load(CONFIG), name, keys=[name], environment={}).source == StoredKey(name=name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("key", []),
        ("key-s", []),
        ("role-s", ["one+S 1h"]),
        ("second", ["one+S 1h", "two 1h"]),
    ],
)
def test_without_session_there_is_no_get_session_token(name: str, expected: list[str]) -> None:
    assert steps(name, no_session=True) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("key", ["federation 1h"]),
        ("key-s", ["federation 1h"]),
        ("no-role", ["federation 1h"]),
        ("role-s", ["session+S 8h", "one 1h"]),
        ("role-plain", ["one 1h"]),
        ("own-key", ["one+S 1h"]),
        ("sso", []),
    ],
)
def test_a_console_login_federates_where_no_role_is_assumed(name: str, expected: list[str]) -> None:
    assert steps(name, "login") == expected


def test_a_federated_login_may_do_all_that_its_user_may() -> None:
    made = plan(load(CONFIG), "key", keys=KEYS, environment={}, purpose="login")
    assert made.steps == (FederationStep(name="", duration=3600, policy=ALLOW_ALL),)


@pytest.mark.parametrize(
    ("name", "flags", "expected"),
    [
        ("key", {}, []),
        ("key-s", {}, ["session+S 1h"]),
        ("role-s", {}, ["session+S 8h", "one 1h"]),
        ("role-s", {"no_session": True}, []),
        ("second", {}, ["session+S 8h", "one 1h", "two 1h"]),
    ],
)
def test_a_rotation_finds_the_key_through_the_whole_chain_and_takes_nothing_from_the_cache(
    name: str, flags: dict[str, Any], expected: list[str]
) -> None:
    made = plan(
        load(CONFIG), name, keys=KEYS, environment={}, flags=Flags(**flags), purpose="rotate"
    )
    assert [_word(step) for step in made.steps] == expected
    assert made.fresh
    assert made.source == StoredKey(name="key" if name == "key" else "key-s")


def test_what_begins_elsewhere_cannot_be_rotated() -> None:
    with pytest.raises(UsageError, match="'sso' has no stored key"):
        steps("role-of-sso", "rotate")


@pytest.mark.parametrize(
    ("name", "flags", "note"),
    [
        ("second-t", {}, "role/path/two: 1h in place of 2h"),
        ("second-t", {}, "role/path/two: without MFA"),
        ("second", {"duration": 43200}, "role/one: 1h in place of 12h"),
        ("role-of-sso", {}, "role/one: without MFA"),
        ("sso-and-role", {}, "role_arn of 'sso-and-role' is left out"),
        ("key", {"read_only": True}, "a federated session"),
        ("sso", {"duration": 7200}, "--duration changes nothing"),
    ],
)
def test_a_note_says_what_the_plan_does_in_place_of_what_was_asked(
    name: str, flags: dict[str, Any], note: str
) -> None:
    assert any(text.startswith(note) for text in notes(name, **flags))


@pytest.mark.parametrize(
    ("name", "flags", "text"),
    [
        ("key", {"duration": 899}, "--duration asks for 14m59s; a session lasts at least 15m"),
        ("key", {"duration": 129_601}, "--duration asks for 36h1s; a session lasts at most 36h"),
        ("role-plain", {"duration": 46800}, "--duration asks for 13h; a role lasts at most 12h"),
        ("web", {"duration": 46800}, "--duration asks for 13h; a role lasts at most 12h"),
    ],
)
def test_a_time_that_aws_refuses_is_refused_before_it_is_asked(
    name: str, flags: dict[str, Any], text: str
) -> None:
    with pytest.raises(UsageError) as caught:
        steps(name, **flags)
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize(
    ("name", "flags", "expected"),
    [
        ("key", {}, ["one 1h"]),
        ("key-s", {}, ["session+S 8h", "one 1h"]),
        ("key-s", {"chain": (OTHER,)}, ["session+S 8h", "one 1h", "two 1h"]),
        ("key-s", {"duration": 7200}, ["one+S 2h"]),
        ("role-s", {}, ["session+S 8h", "one 1h", "one 1h"]),
        ("sso", {}, ["one 1h"]),
        ("process", {"mfa_serial": S}, ["one+S 1h"]),
    ],
)
def test_a_role_of_the_command_line_comes_after_the_profile(
    name: str, flags: dict[str, Any], expected: list[str]
) -> None:
    assert steps(name, role_arn=ROLE, **flags) == expected


def test_what_describes_a_role_counts_for_the_last_of_a_chain() -> None:
    made = plan(
        load(CONFIG),
        "key",
        keys=KEYS,
        environment={},
        flags=Flags(
            role_arn=ROLE,
            chain=(OTHER,),
            external_id="outside",
            session_tags="team=red,cost=1",
            transitive_session_tags="team",
            read_only=True,
        ),
    )
    first, second = made.steps
    assert isinstance(first, RoleStep)
    assert isinstance(second, RoleStep)
    assert (first.external_id, first.tags, first.policy_arns) == ("", {}, ())
    assert second.external_id == "outside"
    assert second.tags == {"team": "red", "cost": "1"}
    assert second.transitive == ("team",)
    assert second.policy_arns == ("arn:aws:iam::aws:policy/ReadOnlyAccess",)


def test_what_describes_a_role_of_the_command_line_is_not_for_the_profiles_own() -> None:
    given = Flags(role_arn=OTHER, external_id="outside")
    made = plan(load(CONFIG), "role-s", keys=KEYS, environment={}, flags=given)
    assert [step.external_id for step in made.steps if isinstance(step, RoleStep)] == [
        "",
        "outside",
    ]
    made = plan(
        load(CONFIG), "role-s", keys=KEYS, environment={}, flags=Flags(external_id="outside")
    )
    assert [step.external_id for step in made.steps if isinstance(step, RoleStep)] == ["outside"]


def test_every_value_that_counts_makes_another_plan() -> None:
    base = f"source_profile = key\nrole_arn = {ROLE}\nregion = eu-west-1\n"
    others = [
        f"role_arn = {OTHER}",
        "region = eu-west-2",
        "duration_seconds = 1800",
        "external_id = outside",
        "role_session_name = work",
        "source_identity = jon",
        "session_tags = team=red",
        "session_tags = team=red\ntransitive_session_tags = team",
        f"mfa_serial = {S}",
        'policy = {"Statement":[]}',
        "policy_arns = arn:aws:iam::aws:policy/A",
        "endpoint_url = http://127.0.0.1:1",
        "use_fips_endpoint = true",
        "use_dualstack_endpoint = true",
        "sts_regional_endpoints = legacy",
    ]
    texts = [f"[profile a]\n{base}{other}\n[profile key]\n" for other in ["", *others]]
    plans = {encode(plan(load(text), "a", keys=["key"], environment={})) for text in texts}
    assert len(plans) == len(texts)


def test_a_missing_profile_is_told_with_the_nearest_name() -> None:
    with pytest.raises(NotFoundError, match="'role-z' is not in the AWS configuration") as caught:
        steps("role-z")
    assert caught.value.hint == "did you mean 'role-s'?"
    with pytest.raises(NotFoundError, match="'a' builds on 'gone'"):
        steps("a", config="[profile a]\nsource_profile = gone\n")


def test_a_profile_that_says_nowhere_to_begin_has_its_credentials_missing() -> None:
    with pytest.raises(NotFoundError, match=r"^profile 'a': credentials missing$"):
        steps("a", config="[profile a]\n")
    with pytest.raises(NotFoundError, match="as plain text"):
        plan(
            load("[profile a]\n", "[a]\naws_secret_access_key = x\n"), "a", keys=(), environment={}
        )


# Row 2 of the list of what aws-vault does otherwise.
def test_a_circle_of_source_profiles_is_named_and_not_followed() -> None:
    circle = "[profile a]\nsource_profile=b\n[profile b]\nsource_profile=c\n[profile c]\nsource_profile=b\n"
    with pytest.raises(UsageError, match="'b' -> 'c' -> 'b'"):
        steps("a", config=circle)
    circle = "[profile a]\ninclude_profile=b\n[profile b]\ninclude_profile=a\n"
    with pytest.raises(UsageError, match="'a' -> 'b' -> 'a'"):
        steps("a", config=circle)


def test_a_profile_that_is_its_own_source_begins_with_itself() -> None:
    config = "[profile a]\nsource_profile=a\ncredential_process=x\n"
    assert plan(load(config), "a", keys=(), environment={}).source == Process(command="x")


def test_a_process_that_asks_for_its_own_profile_is_refused() -> None:
    config = "[profile a]\ncredential_process = /usr/bin/aws-vault export --format=json a\n"
    with pytest.raises(UsageError, match="asks for that profile again"):
        steps("a", config=config)


def test_a_plan_stays_in_one_partition() -> None:
    config = """
[profile us]
mfa_serial = arn:aws-us-gov:iam::111111111111:mfa/s
region = eu-west-1
[profile role]
source_profile = us
mfa_serial = arn:aws-us-gov:iam::111111111111:mfa/s
role_arn = arn:aws-us-gov:iam::222222222222:role/one
region = us-gov-east-1
[profile astray]
source_profile = role
role_arn = arn:aws-cn:iam::222222222222:role/one
"""
    profiles = load(config)
    made = plan(profiles, "role", keys=["us"], environment={}, flags=Flags(read_only=True))
    assert isinstance(made.steps[-1], RoleStep)
    assert made.steps[-1].policy_arns == ("arn:aws-us-gov:iam::aws:policy/ReadOnlyAccess",)
    assert made.notes == ()
    made = plan(profiles, "us", keys=["us"], environment={}, flags=Flags(read_only=True))
    assert isinstance(made.steps[-1], FederationStep)
    assert made.steps[-1].policy_arns == ("arn:aws-us-gov:iam::aws:policy/ReadOnlyAccess",)
    assert "the region eu-west-1 is not one of the partition aws-us-gov" in made.notes
    with pytest.raises(UsageError, match="from one partition of AWS to another"):
        plan(profiles, "astray", keys=["us"], environment={})


@pytest.mark.parametrize(
    ("section", "flags", "message"),
    [
        ("role_arn = x", {}, r"role_arn of \[profile a\] is not|is no ARN"),
        (f"role_arn = {ROLE}\nexternal_id = <", {}, r"external_id of \[profile a\] wants"),
        (f"role_arn = {ROLE}\nsession_tags = x", {}, r"session_tags of \[profile a\] wants"),
        (f"role_arn = {ROLE}\nmfa_serial = x", {}, r"mfa_serial of \[profile a\] wants"),
        (f"role_arn = {ROLE}\npolicy = x", {}, r"policy of \[profile a\] is no JSON"),
        (f"role_arn = {ROLE}\npolicy_arns = x", {}, "is not the ARN of a policy"),
        ("region = x", {"policy": "["}, "--policy is no JSON"),
        ("region = x", {"policy_arns": ("x",)}, "--policy-arn is not the ARN of a policy"),
        ("region = x", {"chain": (ROLE,)}, "--chain goes on from --role-arn"),
        ("region = x", {"role_arn": "x"}, "is no ARN"),
    ],
)
def test_what_aws_would_refuse_is_refused_by_where_it_was_set(
    section: str, flags: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        plan(
            load(f"[profile a]\n{section}\n"), "a", keys=["a"], environment={}, flags=Flags(**flags)
        )


def test_a_session_policy_narrows_the_role_it_stands_with_and_the_command_lines_the_last() -> None:
    config = f"""
[profile one]
role_arn = {ROLE}
source_profile = key
policy = {{"Statement": []}}
[profile two]
role_arn = {OTHER}
source_profile = one
policy_arns = arn:aws:iam::aws:policy/A, arn:aws:iam::aws:policy/B
[profile key]
policy_arns = arn:aws:iam::aws:policy/C
"""
    one, two = plan(load(config), "two", keys=["key"], environment={}).steps
    assert isinstance(one, RoleStep)
    assert isinstance(two, RoleStep)
    assert (one.policy, one.policy_arns) == ('{"Statement":[]}', ())
    assert two.policy_arns == ("arn:aws:iam::aws:policy/A", "arn:aws:iam::aws:policy/B")
    made = plan(load(config), "two", keys=["key"], environment={}, flags=Flags(read_only=True))
    assert isinstance(made.steps[-1], RoleStep)
    assert made.steps[-1].policy_arns == ("arn:aws:iam::aws:policy/ReadOnlyAccess",)
    assert made.steps[0] == one
    assert made.notes == ("the session policy of the command line replaces the profile's",)
    (federated,) = plan(load(config), "key", keys=["key"], environment={}).steps
    assert isinstance(federated, FederationStep)
    assert federated.policy_arns == ("arn:aws:iam::aws:policy/C",)


def test_credentials_that_no_policy_can_narrow_are_not_handed_over_as_if_they_were() -> None:
    for name in ("sso", "process", "login", "web"):
        with pytest.raises(UsageError, match="no session policy can narrow"):
            steps(name, read_only=True)


def test_a_rotation_takes_no_session_policy() -> None:
    with pytest.raises(UsageError, match="it has to call IAM"):
        steps("key", "rotate", read_only=True)


def test_both_ways_to_a_source_at_once_are_refused() -> None:
    config = "[profile a]\nsource_profile = b\ncredential_source = Environment\n[profile b]\n"
    with pytest.raises(UsageError, match="both source_profile and credential_source"):
        plan(load(config), "a", keys=["b"], environment={})
    with pytest.raises(UsageError, match="credential_source of"):
        steps("a", config="[profile a]\ncredential_source = Moon\n")


def test_the_role_of_the_environment_is_told() -> None:
    made = plan(load(CONFIG), "key", keys=KEYS, environment={"AWS_ROLE_ARN": ROLE})
    assert [_word(step) for step in made.steps] == ["one 1h"]
    assert made.notes == ("the role is the one of the variable AWS_ROLE_ARN",)
    made = plan(load(CONFIG), "role-s", keys=KEYS, environment={"AWS_ROLE_ARN": OTHER})
    assert [_word(step) for step in made.steps] == ["session+S 8h", "two 1h"]


def test_the_way_to_a_key_ends_with_its_profile() -> None:
    config = "[profile a]\nsource_profile = b\n[profile b]\nsource_profile = c\n"
    way = route(load(config), "a", keys=["b"], environment={})
    assert [link.name for link in way.links] == ["a", "b"]
    assert (way.target.name, way.begin.name, way.stored) == ("a", "b", True)


def test_how_long_cached_credentials_must_last_and_whether_they_may_be_used() -> None:
    def made(environment: dict[str, str], **flags: Any) -> tuple[int, bool]:
        found = plan(load(CONFIG), "key", keys=KEYS, environment=environment, flags=Flags(**flags))
        return found.least, found.fresh

    assert made({}) == (300, False)
    assert made({"AWS_MIN_TTL": "30m"}) == (1800, False)
    assert made({"AWS_MIN_TTL": "30m"}, least=60, fresh=True) == (60, True)


_LINES = st.sampled_from(
    [f"{key} = " for key in sorted(HONOURED)]
    + ["[profile a]", "[profile b]", "[default]", "[sso-session s]", "[services s]", "  x = "]
)
_VALUES = st.sampled_from(
    ["a", "b", "s", "true", "3600", ROLE, OTHER, S, T, "https://x", "Environment", "k=v", "{}", ""]
) | st.text(max_size=20)


@settings(max_examples=times(400, soak=20_000), deadline=None)
@given(
    st.lists(st.tuples(_LINES, _VALUES), max_size=25),
    st.sampled_from(get_args(Purpose)),
    st.dictionaries(st.sampled_from(VARIABLE_NAMES), _VALUES, max_size=3),
)
def test_any_configuration_gives_a_plan_or_one_clear_line(
    lines: list[tuple[str, str]], purpose: Purpose, environment: dict[str, str]
) -> None:
    text = "\n".join(line if line.startswith("[") else f"{line}{value}" for line, value in lines)
    try:
        profiles = load(f"[profile a]\n{text}\n")
        explanation = explain(profiles, "a", keys=["b"], environment=environment)
        list(check(profiles))
        plan(profiles, "a", keys=["b"], environment=environment, purpose=purpose)
    except PrivysealError as error:
        complaint = str(error) + error.hint
        assert complaint.isprintable()
    else:
        assert explanation.values
