import json
import subprocess

import pytest
from hypothesis import given, settings, strategies as st
from tests.soak import times

from privyseal.cli.aws.formats import FORMATS, write
from privyseal.errors import UsageError

PLAIN = {
    "access_key_id": "ASIAEXAMPLE",
    "secret_access_key": "wJalr/XUt+nFE=",
    "session_token": "FwoG+/=",
    "expires": 1_700_000_000,
    "account": "123456789012",
}
NAMES = [
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CREDENTIAL_EXPIRATION",
    "AWS_REGION", "AWS_DEFAULT_REGION",
]  # fmt: skip
PRINTABLE = st.text(
    st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1, max_size=40
).filter(str.isprintable)


def of(value: str) -> dict[str, object]:
    return {**PLAIN, "secret_access_key": value}


def test_env_and_export_env_are_those_of_aws_vault() -> None:
    lines = [
        "AWS_ACCESS_KEY_ID=ASIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY=wJalr/XUt+nFE=",
        "AWS_SESSION_TOKEN=FwoG+/=",
        "AWS_CREDENTIAL_EXPIRATION=2023-11-14T22:13:20Z",
        "AWS_REGION=eu-west-1",
        "AWS_DEFAULT_REGION=eu-west-1",
    ]

    assert write("env", "dev", PLAIN, "eu-west-1").splitlines() == lines
    assert write("export-env", "dev", PLAIN, "eu-west-1").splitlines() == [
        f"export {line}" for line in lines
    ]


def test_json_is_the_document_of_a_credential_process() -> None:
    text = write("json", "dev", PLAIN, "eu-west-1")

    assert text.startswith('{\n  "Version": 1,\n  "AccessKeyId": "ASIAEXAMPLE",\n')
    assert json.loads(text) == {
        "Version": 1,
        "AccessKeyId": "ASIAEXAMPLE",
        "SecretAccessKey": "wJalr/XUt+nFE=",
        "SessionToken": "FwoG+/=",
        "Expiration": "2023-11-14T22:13:20Z",
    }


def test_ini_is_a_section_of_a_credentials_file() -> None:
    assert write("ini", "dev", PLAIN, "eu-west-1") == (
        "[dev]\n"
        "aws_access_key_id=ASIAEXAMPLE\n"
        "aws_secret_access_key=wJalr/XUt+nFE=\n"
        "aws_session_token=FwoG+/=\n"
        "aws_credential_expiration=2023-11-14T22:13:20Z\n"
        "region=eu-west-1\n"
    )


@settings(max_examples=times(25, soak=2000), deadline=None)
@given(PRINTABLE, st.sampled_from(["export-env", "posix", "dotenv"]))
def test_a_shell_reads_back_what_was_written_for_it(value: str, name: str) -> None:
    script = write(name, "dev", of(value), "") + 'printf %s "$AWS_SECRET_ACCESS_KEY"'

    done = subprocess.run(["sh", "-c", script], check=True, capture_output=True)

    assert done.stdout.decode() == value


@pytest.mark.parametrize("name", FORMATS)
def test_our_own_formats_have_the_endpoint_that_a_command_gets(name: str) -> None:
    written = write(name, "dev", PLAIN, "eu-west-1", "http://127.0.0.1:5055")

    ours = name not in {"env", "export-env", "json", "ini"}
    assert ("AWS_ENDPOINT_URL" in written, "127.0.0.1:5055" in written) == (ours, ours)
    if ours:
        with pytest.raises(UsageError, match="control character"):
            write(name, "dev", PLAIN, "", "http://x\nX=1")


@given(PRINTABLE)
def test_docker_gets_the_bytes_as_they_are(value: str) -> None:
    written = write("docker", "dev", of(value), "")

    assert f"AWS_SECRET_ACCESS_KEY={value}\n" in written


def test_fish_and_powershell_have_quotes_of_their_own() -> None:
    value = "it's \\ $HOME \u2019"

    fish = write("fish", "dev", of(value), "")
    powershell = write("powershell", "dev", of(value), "")

    assert "set -gx AWS_SECRET_ACCESS_KEY 'it\\'s \\\\ $HOME \u2019'\n" in fish
    assert "$Env:AWS_SECRET_ACCESS_KEY = 'it''s \\ $HOME \u2019\u2019'\n" in powershell


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"json"}))
def test_a_control_character_is_refused_in_every_format_of_lines(name: str) -> None:
    for region, secret in (("eu\nX=1", "s"), ("", "s\rX=1")):
        with pytest.raises(UsageError, match="control character"):
            write(name, "dev", of(secret), region)


@pytest.mark.parametrize("profile", ["a]\n[b", "a]"])
def test_no_name_of_a_profile_opens_another_section(profile: str) -> None:
    with pytest.raises(UsageError):
        write("ini", profile, PLAIN, "")
