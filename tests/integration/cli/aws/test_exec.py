"""`privy aws exec` with real children: the AWS CLI, boto3, shells."""

import json
import os
import select
import signal
import sys
from pathlib import Path

import pytest
from tests.integration.cli.aws.desk import PASSPHRASE, Desk
from tests.waiting import PATIENCE, until

IDENTITY = ("aws", "sts", "get-caller-identity")
BOTO3 = """
import boto3, json
session = boto3.Session()
found = session.get_credentials()
identity = session.client("sts").get_caller_identity()
print(json.dumps({"method": found.method, "arn": identity["Arn"]}))
"""
POLLUTED = {
    "AWS_ACCESS_KEY_ID": "AKIAINHERITED",
    "AWS_SECRET_ACCESS_KEY": "inherited",
    "AWS_SESSION_TOKEN": "inherited",
    "AWS_SECURITY_TOKEN": "inherited",
    "AWS_PROFILE": "another",
    "AWS_DEFAULT_PROFILE": "another",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN": "inherited",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "/inherited",
    "AWS_BEARER_TOKEN_BEDROCK": "inherited",
    "OP_SERVICE_ACCOUNT_TOKEN": "inherited",
}


def variables(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def test_the_aws_cli_is_who_the_profile_says(desk: Desk) -> None:
    user = desk.user()

    done = desk.privy("exec", "dev", "--", *IDENTITY)

    assert json.loads(done.out)["Arn"] == user.arn, done.err
    assert desk.aws.calls["GetSessionToken"] == 1


def test_a_role_and_a_chain_on_top_of_it_are_assumed(desk: Desk) -> None:
    desk.user()
    first = desk.aws.people.add_role("first")
    second = desk.aws.people.add_role("second", trusts=frozenset({first.arn}))
    desk.section("profile deploy", source_profile="dev", role_arn=first.arn)

    done = desk.privy("exec", "deploy", "--role-arn", second.arn, "--", *IDENTITY)

    assert ":assumed-role/second/" in json.loads(done.out)["Arn"], done.err


def test_the_region_of_a_source_profile_is_not_that_of_the_command(desk: Desk) -> None:
    desk.user()
    role = desk.aws.people.add_role("deploy")
    desk.section("profile deploy", source_profile="dev", role_arn=role.arn, region="")

    found = variables(desk.privy("exec", "deploy", "--", "env").out)

    assert found["AWS_VAULT"] == "deploy"
    assert not {"AWS_REGION", "AWS_DEFAULT_REGION"} & found.keys()


def test_boto3_finds_the_credentials_in_the_environment(desk: Desk) -> None:
    user = desk.user()

    done = desk.privy("exec", "dev", "--", sys.executable, "-c", BOTO3)

    assert json.loads(done.out) == {"method": "env", "arn": user.arn}, done.err


def test_a_second_command_asks_aws_nothing(desk: Desk) -> None:
    desk.user()
    first = desk.privy("exec", "dev", "--", "env")
    second = desk.privy("exec", "dev", "--", "env")

    assert variables(first.out) == variables(second.out)
    assert desk.aws.calls["GetSessionToken"] == 1


def test_nothing_that_was_inherited_reaches_the_command(desk: Desk) -> None:
    desk.user()

    done = desk.privy("exec", "dev", "--", "env", env=POLLUTED)

    found = variables(done.out)
    assert "inherited" not in done.out
    assert "AKIAINHERITED" not in done.out
    assert "AWS_VAULT_FILE_PASSPHRASE" not in found
    assert found["AWS_VAULT"] == "dev"
    assert found["AWS_REGION"] == found["AWS_DEFAULT_REGION"] == "eu-west-1"
    assert found["AWS_CREDENTIAL_EXPIRATION"].endswith("Z")


def test_the_command_takes_the_place_of_the_process(desk: Desk) -> None:
    desk.user()

    with desk.start("privy", "aws", "exec", "dev", "--", "sh", "-c", "echo $$; exit 7") as process:
        out, _ = process.communicate(timeout=PATIENCE)

    assert int(out) == process.pid
    assert process.returncode == 7


def test_a_profile_of_the_environment_serves_where_none_is_named(desk: Desk) -> None:
    user = desk.user()

    done = desk.privy("exec", "--", *IDENTITY, env={"AWS_PROFILE": "dev"})

    assert json.loads(done.out)["Arn"] == user.arn, done.err


def test_a_profile_that_is_nowhere_is_refused_with_the_nearest_name(desk: Desk) -> None:
    desk.user("production")

    done = desk.privy("exec", "prodution", "--", "true")

    assert done.status == 3
    assert "profile 'prodution' not found in" in done.err
    assert "did you mean 'production'?" in done.err


def test_a_session_inside_a_session_has_to_be_wanted(desk: Desk) -> None:
    desk.user("prod")

    done = desk.privy("exec", "prod", "--", "privy", "aws", "exec", "prod", "--", "true")

    assert done.status == 2
    assert "runs in a session of profile 'prod'" in done.err


def test_a_session_inside_a_session_is_the_inner_one_s(desk: Desk) -> None:
    desk.user("prod", region="us-east-1")
    user = desk.user("dev")
    # The outer session takes the passphrase away; the test gives it back.
    script = 'AWS_VAULT_FILE_PASSPHRASE="$0" exec privy aws exec --nested dev -- env'

    done = desk.privy("exec", "prod", "--", "sh", "-c", script, PASSPHRASE)

    found = variables(done.out)
    assert (found["AWS_VAULT"], found["AWS_REGION"]) == ("dev", "eu-west-1"), done.err
    assert found["PRIVY_AWS_STACK"] == "prod > dev"
    session = desk.aws.people.find(found["AWS_ACCESS_KEY_ID"])
    assert session is not None
    assert session.user is user


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--ec2-server", "--ecs-server"], "--ec2-server and --ecs-server"),
        (["--server", "--json"], "--server cannot be used with --json"),
        (["--ecs-server", "--no-session"], "--ecs-server cannot be used with --no-session"),
        (["--ec2-server", "-n"], "--ec2-server cannot be used with --no-session"),
    ],
)
def test_flags_that_exclude_each_other_are_named(desk: Desk, flags: list[str], words: str) -> None:
    done = desk.privy("exec", *flags, "dev", "--", "true")

    assert done.status == 2
    assert words in done.err


def test_a_command_beside_a_server_gets_credentials_from_it_alone(desk: Desk) -> None:
    user = desk.user()
    probe = f"{BOTO3}\nimport os; print(json.dumps(dict(os.environ)))"

    done = desk.privy("exec", "--ecs-server", "dev", "--", sys.executable, "-c", probe)

    found, environment = map(json.loads, done.out.splitlines())
    assert found == {"method": "container-role", "arn": user.arn}, done.err
    assert "AWS_SECRET_ACCESS_KEY" not in environment
    assert environment["AWS_VAULT"] == "dev"


def test_no_env_keeps_even_the_token_of_the_server_out_of_the_environment(desk: Desk) -> None:
    user = desk.user()
    probe = f"{BOTO3}\nimport os; print(json.dumps(dict(os.environ)))"

    done = desk.privy("exec", "--no-env", "dev", "--", sys.executable, "-c", probe)

    found, environment = map(json.loads, done.out.splitlines())
    assert found["arn"] == user.arn, done.err
    assert "AWS_CONTAINER_AUTHORIZATION_TOKEN" not in environment


def test_keys_in_the_default_profile_do_not_win_over_a_server(desk: Desk) -> None:
    other = desk.aws.people.add_user("other").key
    desk.section(
        "default",
        aws_access_key_id=other.access_key_id,
        aws_secret_access_key=other.secret_access_key,
    )
    (desk.folder / ".aws").mkdir()
    (desk.folder / ".aws" / "credentials").write_text(
        f"[default]\naws_access_key_id = {other.access_key_id}\n"
        f"aws_secret_access_key = {other.secret_access_key}\n"
    )
    user = desk.user()

    done = desk.privy("exec", "--server", "dev", "--", *IDENTITY)

    assert json.loads(done.out)["Arn"] == user.arn, done.err


def test_an_ec2_server_serves_clients_of_the_metadata_service(desk: Desk) -> None:
    user = desk.user()
    enabled = {"AWS_EC2_METADATA_DISABLED": ""}

    done = desk.privy("exec", "--ec2-server", "dev", "--", *IDENTITY, env=enabled)

    assert json.loads(done.out)["Arn"] == user.arn, done.err


@pytest.mark.parametrize(("option", "answer"), [([], "401"), (["--imds-v1"], "200")])
def test_metadata_without_a_token_has_to_be_asked_for(
    desk: Desk, option: list[str], answer: str
) -> None:
    desk.user()
    probe = (
        "import http.client, os, urllib.parse; "
        "place = urllib.parse.urlsplit(os.environ['AWS_EC2_METADATA_SERVICE_ENDPOINT']).netloc; "
        "connection = http.client.HTTPConnection(place); "
        "connection.request('GET', '/latest/meta-data/iam/security-credentials/'); "
        "print(connection.getresponse().status)"
    )

    done = desk.privy("exec", "--ec2-server", *option, "dev", "--", sys.executable, "-c", probe)

    assert done.out.strip() == answer, done.err


def test_imds_is_at_its_own_address_for_the_command_alone(desk: Desk) -> None:
    user = desk.user()
    # The fake AWS is on this machine's loopback, where the command's own network does not reach.
    probe = (
        "import boto3; found = boto3.Session().get_credentials(); "
        "print(found.method, found.access_key)"
    )
    enabled = {"AWS_EC2_METADATA_DISABLED": ""}

    done = desk.privy("exec", "--imds", "dev", "--", sys.executable, "-c", probe, env=enabled)

    method, key = done.out.split()
    session = desk.aws.people.find(key)
    assert (method, session and session.user) == ("iam-role", user), done.err


def test_a_profile_for_the_command_asks_us_by_credential_process(desk: Desk) -> None:
    user = desk.user()
    probe = f"{BOTO3}\nimport os; print(json.dumps(dict(os.environ)))"
    passphrase = f"import os; os.environ['AWS_VAULT_FILE_PASSPHRASE'] = {PASSPHRASE!r}\n"

    done = desk.privy(
        "exec", "--profile-env", "dev", "--", sys.executable, "-c", passphrase + probe
    )

    found, environment = map(json.loads, done.out.splitlines())
    assert found == {"method": "custom-process", "arn": user.arn}, done.err
    assert environment["AWS_PROFILE"] == "dev"
    assert "AWS_SECRET_ACCESS_KEY" not in environment


def test_the_status_of_a_command_beside_a_server_is_its_own(desk: Desk) -> None:
    desk.user()

    assert desk.privy("exec", "-s", "dev", "--", "sh", "-c", "exit 9").status == 9


def test_a_signal_reaches_a_command_beside_a_server(desk: Desk) -> None:
    desk.user()
    script = "trap 'exit 5' TERM; echo ready; read line"

    with desk.start("privy", "aws", "exec", "-s", "dev", "--", "sh", "-c", script) as process:
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], 60)[0]
        process.send_signal(signal.SIGTERM)

        assert process.wait(PATIENCE) == 5


def test_servers_work_with_a_code_that_was_given(desk: Desk) -> None:
    # aws-vault refuses every server where only the terminal could ask (defect 8).
    user = desk.user("alice", device=True)
    assert user.device is not None
    desk.section("profile safe", mfa_serial=user.device.serial, source_profile="alice")
    desk.section("profile role", source_profile="alice", mfa_serial=user.device.serial,
        role_arn=desk.aws.people.add_role("guarded", mfa=True).arn)  # fmt: skip

    done = desk.privy(
        "exec", "-s", "--prompt=terminal", "-t", user.device.code(), "role", "--", *IDENTITY
    )

    assert ":assumed-role/guarded/" in json.loads(done.out)["Arn"], done.err


def test_credentials_of_no_command_are_left_in_the_runtime_folder(desk: Desk) -> None:
    user = desk.user()
    desk.privy("exec", "-s", "--no-env", "dev", "--", "true")
    desk.privy("exec", "--profile-env", "dev", "--", "true")

    left = [path for path in desk.runtime.rglob("*") if path.is_file()]
    assert [path for path in left if path.stat().st_mode & 0o077] == []
    assert user.key.secret_access_key not in "".join(path.read_text() for path in left)
    assert not any(path.name.startswith(("aws-config", "credentials")) for path in left)


@pytest.mark.parametrize("words", [["-s", "dev"], ["dev"]])
def test_a_missing_command_is_named_before_anything_is_asked(desk: Desk, words: list[str]) -> None:
    desk.user()

    done = desk.privy("exec", *words, "--", "no-such-command")

    assert (done.status, "no such command: 'no-such-command'" in done.err) == (3, True)
    assert desk.aws.calls.total() == 0


def test_a_file_that_is_no_program_is_not_said_to_be_missing(desk: Desk) -> None:
    desk.user()

    done = desk.privy("exec", "dev", "--", str(desk.config))

    assert (done.status, "cannot be executed" in done.err) == (3, True)


def test_an_option_of_the_command_is_told_where_it_belongs(desk: Desk) -> None:
    done = desk.privy("exec", "dev", "aws", "s3", "ls", "--recursive")

    assert done.status == 2
    assert "put `--` before a command that has options" in done.err


@pytest.mark.parametrize("words", [["--bogus", "dev"], ["dev", "--bogus", "--", "true", "now"]])
def test_a_mistyped_option_is_not_taken_for_one_of_the_command(
    desk: Desk, words: list[str]
) -> None:
    done = desk.privy("exec", *words)
    assert done.err == ("privy: no such option '--bogus'\n  try: see `privy aws exec --help`\n")


def test_ctrl_c_while_a_code_is_waited_for_ends_in_silence(desk: Desk) -> None:
    user = desk.user("alice", device=True)
    assert user.device is not None
    folder = desk.folder / "bin"
    folder.mkdir()
    (folder / "zenity").write_text("#!/bin/sh\necho asked >&2\nexec sleep 60\n")
    (folder / "zenity").chmod(0o755)
    environment = {"PATH": f"{folder}:{desk.environment['PATH']}", "DISPLAY": ":9"}
    words = ["exec", "--prompt=zenity", "--mfa-serial", user.device.serial, "alice", "--", "true"]

    with desk.start("privy", "aws", *words, env=environment) as process:
        until_asked(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)

    assert process.returncode == 130
    assert "Traceback" not in err


def until_asked(pid: int) -> None:
    def sleeping() -> bool:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return any(Path(f"/proc/{child}/comm").read_text() == "sleep\n" for child in children)

    until(sleeping)


def test_codes_are_computed_by_the_nearest_profile_that_the_credentials_come_from(
    desk: Desk,
) -> None:
    user = desk.user("dev", device=True, source_profile="other")
    assert user.device is not None
    marker = desk.folder / "ran"
    process = f"touch {marker}; echo {user.device.code()}"
    desk.section("profile other", mfa_process=process, mfa_serial=user.device.serial)
    role = desk.aws.people.add_role("deploy")
    desk.section("profile deploy", source_profile="dev", role_arn=role.arn)
    device = ("--mfa-serial", user.device.serial)

    # The key of dev is stored, so nothing comes from other.
    for profile in ("dev", "deploy"):
        done = desk.privy("export", *device, profile)
        assert (done.status, marker.exists()) == (2, False), done.err

    desk.write(
        desk.config.read_text().replace("[profile dev]", f"[profile dev]\nmfa_process = {process}")
    )
    done = desk.privy("export", *device, "deploy")
    assert (done.status, marker.exists()) == (0, True), done.err


def test_a_shell_with_what_export_printed_is_like_one_of_exec(desk: Desk) -> None:
    desk.user()
    script = 'eval "$(privy aws export --format posix dev)"; printenv AWS_ENDPOINT_URL; '

    done = desk.run("sh", "-c", f"{script} exec privy aws status")

    endpoint, *lines = done.out.splitlines()
    assert (done.status, endpoint) == (0, desk.aws.url), done.err
    assert lines[:3] == [
        "profile   not known: printed, not started here",
        "region    eu-west-1",
        "given     in the environment",
    ]
    assert lines[3].startswith("lasts     another ")
