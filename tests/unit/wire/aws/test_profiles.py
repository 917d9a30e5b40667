"""What holds for a profile, where it was set, and what a file's writer is told."""

import pytest
from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES

from privyseal.errors import NotFoundError, UsageError
from privyseal.wire.aws.profiles import Flags, Profile, Setting, load
from privyseal.wire.aws.vocabulary import KNOWN, VARIABLES

CONFIG = """\
[default]
region = eu-central-1
mfa_serial = arn:aws:iam::111111111111:mfa/default
role_arn = arn:aws:iam::111111111111:role/everybody

[profile base]
region = eu-west-1
role_session_name = base
duration_seconds = 1800

[profile middle]
include_profile = base
region = eu-west-2

[profile dev]
include_profile = middle
source_profile = base
role_session_name =

[profile takes-default]
include_profile = default

[sso-session corp]
sso_start_url = https://corp.awsapps.com/start
sso_region = eu-north-1

[profile sso]
sso_session = corp
sso_start_url = https://old.awsapps.com/start
sso_account_id = 111111111111

[services local]
sts =
  endpoint_url = http://127.0.0.1:1
  other = x
sso_oidc =
  endpoint_url = http://127.0.0.1:2

[profile local]
services = local
"""


def resolve(
    name: str, environment: dict[str, str] | None = None, *, target: bool = True, **flags: str
) -> Profile:
    return load(CONFIG).resolve(name, environment or {}, Flags(**flags), target=target)  # type: ignore[arg-type]  # only texts here


def test_names_are_in_the_order_of_the_file() -> None:
    profiles = load(CONFIG)
    assert profiles.names()[:3] == ("default", "base", "middle")
    assert profiles.sso_sessions() == ("corp",)


def test_a_flag_goes_before_a_variable_a_section_an_included_one_and_a_default() -> None:
    environment = {"AWS_DEFAULT_REGION": "us-east-2"}
    assert resolve("base", environment, region="us-west-1").settings["region"] == Setting(
        "us-west-1", "--region"
    )
    assert resolve("base", environment).settings["region"] == Setting(
        "us-east-2", "AWS_DEFAULT_REGION"
    )
    assert resolve("base", environment | {"AWS_REGION": "us-east-1"})["region"] == "us-east-1"
    assert resolve("base").settings["region"] == Setting("eu-west-1", "[profile base]")
    assert resolve("dev").settings["region"] == Setting("eu-west-2", "[profile middle], included")
    assert resolve("dev").settings["role_session_name"] == Setting(
        "base", "[profile base], included"
    )
    assert resolve("dev").settings["session_ttl"] == Setting("3600", "default")


def test_nothing_of_the_default_section_reaches_another_profile_unless_it_is_included() -> None:
    assert resolve("base")["mfa_serial"] == ""
    assert resolve("sso")["role_arn"] == ""
    assert resolve("takes-default")["mfa_serial"].endswith("mfa/default")
    assert load(CONFIG).left_behind("base") == ("mfa_serial", "role_arn")
    assert load(CONFIG).left_behind("takes-default") == ()
    assert load(CONFIG).left_behind("default") == ()


def test_a_session_of_a_portal_goes_before_what_stands_in_the_profile() -> None:
    profile = resolve("sso")
    assert profile.settings["sso_start_url"] == Setting(
        "https://corp.awsapps.com/start", "[sso-session corp]"
    )
    assert profile["sso_region"] == "eu-north-1"


def test_endpoints_of_services_are_found_by_service() -> None:
    assert resolve("local").services == {
        "sts": Setting("http://127.0.0.1:1", "[services local]"),
        "sso_oidc": Setting("http://127.0.0.1:2", "[services local]"),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[profile a]\nsso_session = gone\n", r"profile 'a': no section 'sso-session gone'"),
        ("[profile a]\nservices = gone\n", r"profile 'a': no section 'services gone'"),
    ],
)
def test_a_section_that_is_named_and_missing_is_told(text: str, message: str) -> None:
    with pytest.raises(NotFoundError, match=message):
        load(text).resolve("a", {})


def test_variables_for_one_role_count_for_the_profile_asked_for_alone() -> None:
    environment = {"AWS_ROLE_ARN": "arn:x", "AWS_MFA_SERIAL": "123456789"}
    assert resolve("base", environment)["role_arn"] == "arn:x"
    assert resolve("base", environment, target=False)["role_arn"] == ""
    assert resolve("base", environment, target=False)["mfa_serial"] == "123456789"
    assert resolve("base", {}, target=False, external_id="x")["external_id"] == ""


def test_durations_are_gos_in_variables_and_seconds_in_the_file() -> None:
    assert resolve("base").seconds("duration_seconds") == 1800
    environment = {"AWS_ASSUME_ROLE_TTL": "1h30m", "AWS_CHAINED_SESSION_TOKEN_TTL": "0.5h"}
    assert resolve("base", environment).seconds("duration_seconds") == 5400
    assert resolve("base", environment).seconds("chained_session_ttl") == 1800
    with pytest.raises(UsageError, match="AWS_ASSUME_ROLE_TTL wants a length of time, not '1d'"):
        resolve("base", {"AWS_ASSUME_ROLE_TTL": "1d"}).seconds("duration_seconds")
    profile = load("[profile a]\nduration_seconds = 1h\n").resolve("a", {})
    with pytest.raises(UsageError, match=r"duration_seconds of \[profile a\] wants a number"):
        profile.seconds("duration_seconds")


def test_a_switch_is_true_or_false() -> None:
    assert resolve("base", {"AWS_USE_FIPS_ENDPOINT": "True"}).flag("use_fips_endpoint")
    assert not resolve("base").flag("use_fips_endpoint")
    with pytest.raises(UsageError, match="use_fips_endpoint of AWS_USE_FIPS_ENDPOINT wants true"):
        resolve("base", {"AWS_USE_FIPS_ENDPOINT": "yes"}).flag("use_fips_endpoint")


def test_keys_in_plain_text_are_found_and_never_part_of_a_profile() -> None:
    profiles = load(
        "[profile a]\naws_access_key_id = AKIA\naws_secret_access_key = s3cret\n[profile b]\n",
        "[b]\naws_secret_access_key = s3cret\n[c]\naws_secret_access_key=\n",
    )
    assert profiles.plaintext() == ("a", "b")
    assert "s3cret" not in str(profiles.resolve("a", {}).settings)


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (
            "[profile a]\nmfa_serail = x\n",
            "line 2: unknown key 'mfa_serail' in [profile a]: did you mean 'mfa_serial'?",
        ),
        (
            "[profile a]\nparent_profile = b\n",
            "line 2: unknown key 'parent_profile' in [profile a]: write include_profile",
        ),
        ("[profile a]\nzzzz = b\n", "line 2: unknown key 'zzzz' in [profile a]"),
        ("[sso-session a]\nregion = b\n", "did you mean 'sso_region'?"),
        (
            "[profile base]\n[profile a]\ninclude_profile = bse\n",
            "line 3: [profile a] includes 'bse', a profile that is missing: did you mean 'base'?",
        ),
        ("[dev]\n", "line 1: [dev] is not read: write [profile dev]"),
        ("[profiel dev]\n", "line 1: [profiel dev] is not read: did you mean 'profile'?"),
        ("[profile default]\n", "line 1: [profile default] is not read: write [default]"),
        ("[default]\n[default]\n", "line 2: [default] stands a second time"),
        ("[default]\noutput=x\noutput=y\n", "line 3: 'output' of [default] stands a second time"),
        ("[default]\noutput=x\n region=y\n", "line 3: 'region' is indented"),
        (
            "[default]\noutput=x\nregion=y\n[profile a]\n",
            "line 1: region of [default]: other profiles do not inherit this",
        ),
    ],
)
def test_what_is_not_as_its_writer_meant_it_is_told_by_line(text: str, warning: str) -> None:
    assert [told for told in load(text).warnings() if warning in told]


def test_a_file_without_fault_gives_no_warning() -> None:
    text = "[default]\noutput = json\ns3 =\n  x = y\n[profile a]\nregion = x\nca_bundle = /x\n"
    assert load(text + "[plugins]\n[preview]\n[services x]\nsts =\n  a = b\n").warnings() == ()


def test_a_key_that_a_tool_wrote_everywhere_is_told_once() -> None:
    text = "".join(f"[profile p{number}]\ngranted_sso = x\n" for number in range(5000))
    assert load(text).warnings() == (
        "line 2: unknown key 'granted_sso' in [profile p0] and 4999 more sections",
    )
    assert load(text).warnings("p7") == ("line 16: unknown key 'granted_sso' in [profile p7]",)


def test_many_unknown_keys_are_told_in_time() -> None:
    text = "[profile a]\n" + "".join(f"key_{number} = x\n" for number in range(300))
    assert len(load(text).warnings()) == 300


def test_every_key_that_botocore_reads_is_known() -> None:
    read = {row[0] for row in BOTOCORE_DEFAUT_SESSION_VARIABLES.values()}
    assert {key for key in read if isinstance(key, str)} - KNOWN == set()


def test_variables_have_the_names_that_botocore_gives_them() -> None:
    theirs = {
        row[0]: row[1]
        for row in BOTOCORE_DEFAUT_SESSION_VARIABLES.values()
        if isinstance(row[0], str) and row[0] in VARIABLES
    }
    assert len(theirs) >= 5
    assert [key for key, variable in theirs.items() if variable not in VARIABLES[key]] == []
