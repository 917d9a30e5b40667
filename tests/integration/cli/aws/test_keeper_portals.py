"""Portals and the console where the keeper keeps the tokens: the browser is the command's."""

import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.fakes_aws import browser
from tests.fakes_aws.access import Assignment
from tests.integration.aws.aws_house import aws_house
from tests.integration.cli.aws.test_keeper import IDENTITY, Shell
from tests.integration.rig import ended
from tests.waiting import eventually

START = "https://example.awsapps.com/start"


@pytest.fixture
async def shell(tmp_path: Path) -> AsyncIterator[Shell]:
    async with aws_house(tmp_path) as world:
        world.aws.access.add_portal(
            Assignment("111122223333", "Sandbox", "admin"),
            Assignment("444455556666", "Production", "reader"),
            start_url=START,
        )
        found = Shell(world)
        found.write(
            "[sso-session corp]",
            f"sso_start_url = {START}",
            "sso_region = eu-central-1",
            "[profile box]",
            "region = eu-west-1",
            f"endpoint_url = {world.aws.url}",
            "sso_session = corp",
            "sso_account_id = 111122223333",
            "sso_role_name = admin",
        )
        world.house.environment |= {
            "BROWSER": f"{sys.executable} {browser.__file__}",
            "AWS_ENDPOINT_URL": world.aws.url,
            "AWS_ENDPOINT_URL_SIGNIN": world.aws.url,
        }
        yield found


async def test_the_commands_browser_signs_the_broker_in(shell: Shell) -> None:
    first = await shell.granted("exec", "box", "--", *IDENTITY)
    assert "AWSReservedSSO_admin" in json.loads(first.out)["Arn"], first.err
    assert "Opening this page in your browser" in first.err
    second = await shell.granted("exec", "box", "--", *IDENTITY)
    assert second.out == first.out, second.err
    calls = shell.world.aws.calls
    assert calls["authorize"] == calls["CreateToken"] == calls["GetRoleCredentials"] == 1


async def test_the_console_a_list_and_the_logout_each_are_a_request(shell: Shell) -> None:
    listed = await shell.granted("sso", "list", "corp")
    assert b"444455556666  Production  reader  -" in listed.out, listed.err
    login = await shell.granted("login", "box", "--stdout", "-d", "2h")
    browser.visit(login.out.decode().strip())
    assert [seconds for _, _, seconds in shell.world.aws.signin.signed_in] == [7200]
    logout = await shell.granted("logout", "box")
    assert logout.out.startswith(f"signed out of {START}".encode()), logout.err
    again = await shell.run("logout", "box")
    assert again.out == f"there is no sign-in at {START} to end\n".encode()
    await shell.world.house.nothing_waits()
    assert shell.world.aws.oidc.sessions == []


async def test_who_gives_up_a_code_holds_up_nobody_else(shell: Shell) -> None:
    oidc = shell.world.aws.oidc
    oidc.interval = 600
    oidc.person = "pending"
    process = await shell.start("sso", "login", "corp", "--stdout")
    await shell.world.house.decide()
    await eventually(lambda: bool(oidc.devices))
    process.kill()
    await ended(process)
    oidc.person = "allow"
    other = await shell.granted("sso", "login", "corp")
    assert other.out.startswith(f"signed in at {START}".encode()), other.err
