"""A virtual MFA device whose seed the store keeps: nobody is asked for a code."""

import base64
import json

from tests.integration.cli.aws.desk import Desk
from tests.integration.cli.aws.person import at_terminal

IDENTITY = ("aws", "sts", "get-caller-identity")
SERIAL = "arn:aws:iam::111122223333:mfa/dev"


def test_a_kept_seed_gives_the_codes(desk: Desk) -> None:
    user = desk.user(device=True)
    assert user.device is not None
    assert user.device.serial == SERIAL
    desk.write("")
    desk.section("profile dev", mfa_serial=SERIAL)
    seed = base64.b32encode(user.device.seed).decode()

    kept = at_terminal(
        desk, ["privy", "aws", "totp", SERIAL], [(f"Enter the seed of {SERIAL}: ", seed)]
    )
    done = desk.privy("exec", "dev", "--", *IDENTITY)

    assert kept.out == (
        f"Added the MFA device {SERIAL} to the vault: its codes are computed from now on\n"
    )
    assert seed not in kept.err
    assert json.loads(done.out)["Arn"] == user.arn, done.err
    assert len(desk.aws.asked("GetSessionToken")) == 1
    assert "totp" not in desk.privy("list").out

    gone = desk.privy("totp", "--remove", "-f", SERIAL)
    asked = desk.privy("exec", "dev", "--fresh", "--", "true")
    assert gone.out == f"Deleted the MFA device {SERIAL}.\n"
    assert "there is no terminal to ask for an MFA code" in asked.err


def test_what_is_no_seed_is_not_kept(desk: Desk) -> None:
    done = at_terminal(
        desk, ["privy", "aws", "totp", SERIAL], [(f"Enter the seed of {SERIAL}: ", "password")]
    )

    assert done.status == 2
    assert "the seed is not base32 of at least 10 bytes" in done.err


def test_a_name_that_is_no_device_is_refused(desk: Desk) -> None:
    done = desk.privy("totp", "dev")

    assert done.status == 2
    assert "'dev' is no virtual MFA device" in done.err


def test_without_a_terminal_no_seed_is_asked_for(desk: Desk) -> None:
    done = desk.privy("totp", SERIAL)

    assert done.status == 2
    assert "there is no terminal to ask on" in done.err
    assert "try: run it from a terminal\n" in done.err
