"""What the engine promises, where the keeper keeps the keys: one call for many, whole rotations."""

import base64
import json
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.fakes_aws.web import AwsError
from tests.integration.aws.aws_house import AwsHouse, aws_house
from tests.integration.rig import Outcome, ended
from tests.soak import times

from privyseal.model.ask import ChangeAws
from privyseal.model.aws import AccessKey, Keep
from privyseal.model.value import encode

IDENTITY = ("aws", "sts", "get-caller-identity")
SHELLS = times(20, soak=50)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[AwsHouse]:
    async with aws_house(tmp_path) as found:
        config = tmp_path / "aws-config"
        config.write_text(f"[profile prod]\nregion = eu-west-1\nendpoint_url = {found.aws.url}\n")
        environment = found.house.environment
        environment["AWS_CONFIG_FILE"] = str(config)
        environment["AWS_EC2_METADATA_DISABLED"] = "true"
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
        yield found


async def start(world: AwsHouse, *words: str) -> Process:
    return await world.house.client("privy", "aws", *words)


async def granted(world: AwsHouse, *words: str, scope: str = "once") -> Outcome:
    process = await start(world, *words)
    await world.house.decide(scope=scope)
    return await ended(process)


async def test_many_shells_at_one_expiry_make_one_call(world: AwsHouse) -> None:
    await granted(world, "exec", "prod", "--", "true", scope="15m")
    cleared = await granted(world, "clear")
    assert cleared.out == b"Cleared 1 sessions.\n", cleared.err
    before = world.aws.calls["GetSessionToken"]

    shells = [
        await start(world, "exec", "prod", "--", "sh", "-c", "echo $AWS_ACCESS_KEY_ID")
        for _ in range(SHELLS)
    ]
    answers = {(await ended(shell)).out for shell in shells}

    assert len(answers) == 1
    assert answers.pop().startswith(b"ASIA")
    assert world.aws.calls["GetSessionToken"] == before + 1


async def test_a_seed_that_the_keeper_keeps_gives_the_codes(world: AwsHouse) -> None:
    device = world.user.device
    assert device is not None
    seed = base64.b32encode(device.seed).decode()
    key = AccessKey(access_key_id="MFA seed", secret_access_key=seed)
    order = Keep(name=f"totp:{device.serial}")
    process = await world.ask(ChangeAws(order=order), value=encode(key).decode())
    approval = await world.house.decide()
    assert (await ended(process)).status == 0
    config = Path(world.house.environment["AWS_CONFIG_FILE"])
    config.write_text(f"{config.read_text()}mfa_serial = {device.serial}\n")

    done = await granted(world, "exec", "prod", "--", *IDENTITY)

    assert f"totp:{device.serial}" in str(approval)
    assert json.loads(done.out)["Arn"] == world.user.arn, done.err
    assert world.aws.asked("GetSessionToken")[0]["SerialNumber"] == device.serial


async def test_the_keeper_s_key_is_rotated(world: AwsHouse) -> None:
    old = world.user.key

    done = await granted(world, "rotate", "prod")

    assert done.status == 0, done.err
    (new,) = world.user.keys
    assert done.out.decode() == (
        f"prod: …{old.access_key_id[-4:]} is now …{new.access_key_id[-4:]}\n"
        f"the old key …{old.access_key_id[-4:]} is deleted\n"
    )
    assert new.secret_access_key.encode() not in done.out + done.err.encode()
    after = await granted(world, "exec", "prod", "--", *IDENTITY)
    assert json.loads(after.out)["Arn"] == world.user.arn, after.err


async def test_a_rotation_that_stopped_is_finished_after_the_keeper_was_killed(
    world: AwsHouse,
) -> None:
    # As often as one call is tried.
    world.aws.refuse("UpdateAccessKey", AwsError(500, "InternalFailure", "oops"), times=5)
    stopped = await granted(world, "rotate", "prod")
    assert stopped.status == 6, stopped.err
    assert [key.active for key in world.user.keys] == [True, True]
    await world.house.kill("keeper")
    await world.house.start_keeper()

    done = await granted(world, "rotate", "--resume", "prod")

    assert done.status == 0, done.err
    assert len(world.user.keys) == 1
    after = await granted(world, "exec", "prod", "--", *IDENTITY)
    assert json.loads(after.out)["Arn"] == world.user.arn, after.err
