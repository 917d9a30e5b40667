"""`privy aws sso` and `logout`: with a scripted browser at a portal of the fake AWS."""

import json
import os
import pty
import signal
import sys
from contextlib import ExitStack

import pytest
from tests.fakes_aws import browser
from tests.fakes_aws.access import Assignment
from tests.integration.cli.aws.desk import Desk
from tests.soak import times
from tests.waiting import PATIENCE, until

START = "https://example.awsapps.com/start"


@pytest.fixture(autouse=True)
def portal(desk: Desk) -> None:
    desk.aws.access.add_portal(
        Assignment("111122223333", "Sandbox", "admin"),
        Assignment("111122223333", "Sandbox", "reader"),
        Assignment("444455556666", "Production", "reader"),
        start_url=START,
    )
    desk.environment |= {
        "BROWSER": f"{sys.executable} {browser.__file__}",
        "AWS_ENDPOINT_URL": desk.aws.url,
    }


@pytest.fixture
def session(desk: Desk) -> None:
    desk.write(
        "# my own remark\n"
        "[sso-session corp]\n"
        f"sso_start_url = {START}\n"
        "sso_region = eu-central-1\n"
        "\n"
        "[profile box] ; the sandbox\n"
        "sso_session = corp\n"
        "sso_account_id = 111122223333\n"
        "sso_role_name = admin\n"
        "region = eu-west-1\n"
    )


@pytest.mark.usefixtures("session")
def test_signing_in_once_serves_all_that_follows(desk: Desk) -> None:
    done = desk.privy("sso", "login")
    assert done.out.startswith(f"signed in at {START} for 60 minutes"), done.err
    done = desk.privy("exec", "box", "--", "aws", "sts", "get-caller-identity")
    assert "AWSReservedSSO_admin" in json.loads(done.out)["Arn"], done.err
    assert desk.aws.calls["authorize"] == 1


@pytest.mark.usefixtures("session")
def test_roles_are_listed_with_their_profiles(desk: Desk) -> None:
    done = desk.privy("sso", "list", "corp")
    assert done.out.splitlines() == [
        "ACCOUNT       NAME        ROLE    PROFILE",
        "444455556666  Production  reader  -",
        "111122223333  Sandbox     admin   box",
        "111122223333  Sandbox     reader  -",
    ], done.err
    listed = json.loads(desk.privy("sso", "list", "box", "--json").out)
    assert listed[1] == {
        "account": "111122223333",
        "account_name": "Sandbox",
        "role": "admin",
        "email": "aws@example.com",
        "profile": "box",
    }
    assert desk.aws.calls["authorize"] == 1


@pytest.mark.usefixtures("session")
def test_syncing_shows_a_diff_and_writes_when_told_to(desk: Desk) -> None:
    before = desk.config.read_text()
    dry = desk.privy("sso", "sync", "--dry-run", "--region", "eu-west-1")
    assert "+[profile Production-reader]" in dry.out, dry.err
    assert desk.config.read_text() == before
    done = desk.privy("sso", "sync", "--yes", "--region", "eu-west-1")
    assert done.out == dry.out
    after = desk.config.read_text()
    assert after.startswith(before)
    assert desk.privy("sso", "sync", "-y").out == (
        "nothing to write: there is a profile for each of 3 roles\n"
    )
    done = desk.privy("exec", "Production-reader", "--", "aws", "sts", "get-caller-identity")
    assert json.loads(done.out)["Account"] == "444455556666", done.err


@pytest.mark.usefixtures("session")
def test_syncing_asks_on_the_terminal_and_takes_no_for_an_answer(desk: Desk) -> None:
    before = desk.config.read_text()
    done = desk.privy("sso", "sync")
    assert done.status == 2
    assert "use --yes" in done.err
    assert desk.config.read_text() == before
    for answer, written in ((b"n\n", False), (b"y\n", True)):
        status, screen = at_a_terminal(desk, answer, "sso", "sync")
        assert status == 0, screen
        assert (desk.config.read_text() != before) == written


def at_a_terminal(desk: Desk, answer: bytes, *words: str) -> tuple[int, str]:
    """Run `privy aws …` with a terminal of its own; answer its question."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe("privy", ("privy", "aws", *words), desk.environment)  # noqa: S606 - no shell
    screen = b""
    while b"(y|N) " not in screen:
        screen += os.read(terminal, 65536)
    os.write(terminal, answer)
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), screen.decode()


@pytest.mark.usefixtures("session")
def test_roles_that_are_offered_no_more_are_named_and_pruned(desk: Desk) -> None:
    desk.privy("sso", "sync", "--yes")
    desk.aws.access.assignments[START].pop()
    done = desk.privy("sso", "sync", "--yes")
    assert "offered no more, and left in the file: Production-reader" in done.err
    done = desk.privy("sso", "sync", "--yes", "--prune", "--json")
    report = json.loads(done.out)
    assert (report["removed"], report["written"]) == (["Production-reader"], True)
    assert "Production-reader" not in desk.config.read_text()
    assert "# my own remark" in desk.config.read_text()


def test_a_new_user_begins_with_nothing_but_an_address(desk: Desk) -> None:
    desk.config.unlink()
    done = desk.privy("sso", "sync", "--yes")
    assert done.status == 3
    assert "--start-url" in done.err
    words = ("--start-url", START, "--sso-region", "eu-central-1", "--region", "eu-west-1", "--yes")
    done = desk.privy("sso", "sync", "corp", *words)
    assert done.status == 0, done.err
    done = desk.privy("exec", "Sandbox-reader", "--", "aws", "sts", "get-caller-identity")
    assert json.loads(done.out)["Account"] == "111122223333", done.err
    assert desk.config.stat().st_mode & 0o777 == 0o600


def test_several_portals_want_a_name(desk: Desk) -> None:
    for name in ("one", "two"):
        desk.section(f"sso-session {name}", sso_start_url=f"{START}/{name}", sso_region="us-east-1")
    done = desk.privy("sso", "login")
    assert done.status == 2
    assert "there are 2 portals: one, two" in done.err
    assert "no profile and no sso-session 'three'" in desk.privy("sso", "login", "three").err


@pytest.mark.usefixtures("session")
def test_logging_out_revokes_and_the_next_command_signs_in_again(desk: Desk) -> None:
    assert desk.privy("logout").out == f"there is no sign-in at {START} to end\n"
    desk.privy("exec", "box", "--", "true")
    assert len(desk.aws.oidc.sessions) == 1
    done = desk.privy("logout", "box")
    assert done.out.splitlines()[0] == f"signed out of {START}", done.err
    assert desk.aws.oidc.sessions == []
    desk.privy("exec", "box", "--", "true")
    assert desk.aws.calls["authorize"] == 2
    assert desk.privy("logout", "--all").out.startswith("signed out of")
    assert desk.privy("logout", "--all").err == "privy: there is no sign-in to end\n"


@pytest.mark.usefixtures("session")
def test_ctrl_c_gives_a_sign_in_up_and_the_next_one_begins_at_once(desk: Desk) -> None:
    with desk.start("privy", "aws", "sso", "login", env={"BROWSER": "true"}) as process:
        assert process.stderr is not None
        assert "Ctrl-C" in process.stderr.readline()
        process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
        assert process.stderr.read() == ""
    assert desk.privy("sso", "login").status == 0
    assert desk.aws.calls["RegisterClient"] == 1


@pytest.mark.usefixtures("session")
def test_many_shells_at_once_open_one_page(desk: Desk) -> None:
    shells = times(6, soak=50)
    with ExitStack() as stack:
        running = [
            stack.enter_context(desk.start("privy", "aws", "exec", "box", "--", "env"))
            for _ in range(shells)
        ]
        outputs = [process.communicate(timeout=PATIENCE)[0] for process in running]
    keys = {line for out in outputs for line in out.splitlines() if "ACCESS_KEY_ID" in line}
    assert [process.returncode for process in running] == [0] * shells
    assert len(keys) == 1
    assert desk.aws.calls["authorize"] == desk.aws.calls["GetRoleCredentials"] == 1


@pytest.mark.usefixtures("session")
def test_without_a_browser_the_code_is_shown_and_waited_for(desk: Desk) -> None:
    desk.aws.oidc.person = "pending"
    with desk.start("privy", "aws", "sso", "login", "--stdout") as process:
        until(lambda: bool(desk.aws.oidc.devices))
        [device] = desk.aws.oidc.devices.values()
        desk.aws.oidc.decide(device.user_code, "allow")
        out, err = process.communicate(timeout=PATIENCE)
    assert f"Go on only if the page shows the code {device.user_code}" in err
    assert out.startswith(f"signed in at {START}")
    assert desk.aws.calls["authorize"] == desk.aws.calls["device"] == 0
