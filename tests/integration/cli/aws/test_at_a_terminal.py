"""`privy aws` with a person at the terminal: profiles are picked, codes typed, shells begun."""

import json

import pytest
from tests.integration.cli.aws.desk import Desk
from tests.integration.cli.aws.person import at_terminal

IDENTITY = ("--", "aws", "sts", "get-caller-identity")


@pytest.mark.parametrize("program", [["privy", "aws"], ["aws-vault"]])
def test_without_a_profile_one_is_picked_and_a_shell_begun(desk: Desk, program: list[str]) -> None:
    desk.user("alice")
    desk.user("bob")
    shell = desk.folder / "shell"
    shell.write_text("#!/bin/sh\necho in $AWS_VAULT\nexit 3\n")
    shell.chmod(0o755)

    done = at_terminal(
        desk,
        [*program, "exec"],
        [("Choose AWS profile:", "bo")],
        {"SHELL": str(shell)},
    )

    assert "alice" in done.err
    assert done.out == "in bob\n"
    assert done.status == 3


def test_an_interrupt_leaves_the_list(desk: Desk) -> None:
    desk.user("alice")
    desk.user("bob")

    done = at_terminal(desk, ["privy", "aws", "export"], [("Choose AWS profile:", "\x03")])

    assert (done.status, done.out) == (130, "")


@pytest.mark.parametrize("flag", ["--region=eu-west-1", "--server", "--ec2-server"])
def test_a_code_is_typed_before_the_command_starts(desk: Desk, flag: str) -> None:
    # With aws-vault, servers and a terminal to ask on exclude each other (defect 8).
    user = desk.user("alice", device=True)
    assert user.device is not None
    serial = user.device.serial

    done = at_terminal(
        desk,
        ["privy", "aws", "exec", flag, "--mfa-serial", serial, "alice", *IDENTITY],
        [(f"Enter MFA code for {serial}", user.device.code())],
        {"AWS_VAULT_PROMPT": "terminal", "AWS_EC2_METADATA_DISABLED": ""},
    )

    assert json.loads(done.out)["Arn"] == user.arn, done.err


@pytest.mark.parametrize(("key", "status"), [("\x03", 130), ("\x04", 4)])
@pytest.mark.parametrize(
    "words",
    [
        ["exec", "deploy", "--", "echo", "ran"],
        ["export", "deploy"],
        ["credential-process", "deploy"],
        ["login", "--stdout", "deploy"],
    ],
)
def test_a_person_who_gives_up_at_the_code_is_asked_no_more(
    desk: Desk, words: list[str], key: str, status: int
) -> None:
    user = desk.user("alice", device=True)
    assert user.device is not None
    role = desk.aws.people.add_role("deploy", mfa=True)
    desk.section(
        "profile deploy",
        source_profile="alice",
        role_arn=role.arn,
        mfa_serial=user.device.serial,
    )

    done = at_terminal(
        desk,
        ["privy", "aws", *words],
        [("Enter MFA code", key)],
        {"AWS_VAULT_PROMPT": "terminal"},
    )

    assert (done.status, done.out) == (status, "")
    assert "Traceback" not in done.err
    assert desk.aws.calls.total() == 0
