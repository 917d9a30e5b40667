"""`privy aws login`: a browser ends on the page of the console, signed in."""

import sys
from pathlib import Path

import pytest
from tests.fakes_aws import browser
from tests.fakes_aws.access import Assignment
from tests.fakes_aws.aws import FakeAws
from tests.integration.cli.aws.desk import Desk
from tests.waiting import until

HOME = "https://eu-west-1.console.aws.amazon.com/console/home?region=eu-west-1"
BROWSER = f"{sys.executable} {browser.__file__}"


@pytest.fixture(autouse=True)
def signin(desk: Desk) -> None:
    desk.environment |= {"AWS_ENDPOINT_URL_SIGNIN": desk.aws.url, "BROWSER": BROWSER}


def signed_in(aws: FakeAws) -> tuple[str, str, int]:
    until(lambda: bool(aws.signin.signed_in))
    [(key, page, seconds)] = aws.signin.signed_in
    return key.arn, page, seconds


def test_the_browser_opens_the_console_as_a_federated_user(desk: Desk) -> None:
    desk.user("dev")
    done = desk.privy("login", "dev")
    assert (done.status, done.out) == (0, ""), done.err
    assert signed_in(desk.aws) == ("arn:aws:sts::111122223333:federated-user/dev", HOME, 0)
    assert desk.aws.calls["GetSessionToken"] == 0


def test_a_role_signs_in_directly_for_as_long_as_is_wanted(desk: Desk) -> None:
    desk.user()
    role = desk.aws.people.add_role("deploy", max_duration=4 * 3600)
    desk.section("profile deploy", source_profile="dev", role_arn=role.arn)
    desk.privy("login", "-d", "4h", "--path", "s3/home", "deploy")
    arn, page, seconds = signed_in(desk.aws)
    assert ":assumed-role/deploy/" in arn
    assert page == "https://eu-west-1.console.aws.amazon.com/s3/home?region=eu-west-1"
    assert seconds == 4 * 3600


def test_a_role_of_a_role_signs_in_without_a_length_that_aws_would_refuse(desk: Desk) -> None:
    desk.user()
    first = desk.aws.people.add_role("first", max_duration=7200)
    second = desk.aws.people.add_role("second", trusts=frozenset({first.arn}))
    desk.section("profile one", source_profile="dev", role_arn=first.arn)
    desk.section("profile two", source_profile="one", role_arn=second.arn)
    done = desk.privy("login", "-d", "2h", "two")
    assert done.status == 0, done.err
    assert signed_in(desk.aws)[2] == 0


def test_a_role_of_a_portal_signs_in_after_its_person_did(desk: Desk) -> None:
    desk.aws.access.add_portal(
        Assignment("111122223333", "Sandbox", "admin"), start_url="https://x.awsapps.com/start#/"
    )
    desk.section(
        "profile sso",
        sso_start_url="https://x.awsapps.com/start#/",
        sso_region="eu-central-1",
        sso_account_id="111122223333",
        sso_role_name="admin",
    )
    done = desk.privy("login", "sso")
    assert done.status == 0, done.err
    assert "AWSReservedSSO_admin" in signed_in(desk.aws)[0]
    assert desk.aws.calls["authorize"] == 1
    desk.privy("login", "sso", "--stdout")
    assert desk.aws.calls["GetRoleCredentials"] == 1


def test_stdout_prints_a_link_and_opens_nothing(desk: Desk, tmp_path: Path) -> None:
    desk.user()
    opened = tmp_path / "opened"
    done = desk.privy("login", "dev", "-s", env={"BROWSER": f"touch {opened}"})
    assert done.out.startswith(f"{desk.aws.url}/federation?Action=login&Issuer=privyseal&")
    assert browser.visit(done.out.strip()).url == HOME
    assert not opened.exists()


def test_auto_logout_logs_out_first(desk: Desk) -> None:
    desk.user()
    by_option = desk.privy("login", "dev", "--stdout", "-a")
    by_variable = desk.privy("login", "dev", "-s", env={"AWS_VAULT_AUTO_LOGOUT": "true"})
    for done in (by_option, by_variable):
        assert done.out.startswith(f"{desk.aws.url}/oauth?Action=logout&redirect_uri=")
        assert browser.visit(done.out.strip()).url == HOME


def test_without_a_profile_the_environments_credentials_sign_in(desk: Desk) -> None:
    key = desk.aws.people.add_user("eve").key
    role = desk.aws.people.begin_role(desk.aws.people.add_role("job"), "run", 3600)
    plain = {
        "AWS_ACCESS_KEY_ID": key.access_key_id,
        "AWS_SECRET_ACCESS_KEY": key.secret_access_key,
        "AWS_ENDPOINT_URL": desk.aws.url,
    }
    session = plain | {
        "AWS_ACCESS_KEY_ID": role.access_key_id,
        "AWS_SECRET_ACCESS_KEY": role.secret_access_key,
        "AWS_SESSION_TOKEN": role.session_token,
    }
    for env in (plain, session):
        done = desk.privy("login", "--stdout", env=env)
        assert done.status == 0, done.err
        browser.visit(done.out.strip())
    users = [key.arn for key, _, _ in desk.aws.signin.signed_in]
    assert users == [
        "arn:aws:sts::111122223333:federated-user/eve",
        "arn:aws:sts::111122223333:assumed-role/job/run",
    ]


def test_a_session_of_a_user_is_told_that_the_console_takes_none(desk: Desk) -> None:
    user = desk.user()
    session = desk.privy("export", "dev", "--format", "env")
    env = dict(line.split("=", 1) for line in session.out.splitlines())
    done = desk.privy("login", "--stdout", env=env | {"AWS_ENDPOINT_URL": desk.aws.url})
    assert done.status == 2
    assert "the console takes no session of a user" in done.err
    assert user.key.secret_access_key not in done.err


def test_aws_vaults_command_line_logs_in(desk: Desk) -> None:
    desk.user()
    done = desk.vault("login", "-s", "-d1h", "--path=ec2/home", "dev")
    assert browser.visit(done.out.strip()).url.startswith(
        "https://eu-west-1.console.aws.amazon.com/ec2/home"
    )


def test_without_a_browser_it_says_what_to_do(desk: Desk) -> None:
    desk.user()
    done = desk.privy("login", "dev", env={"BROWSER": "/no/such/browser"})
    assert done.status == 6
    assert "there is no browser to open the page in" in done.err
    assert "--stdout" in done.err
