"""AWS behind the gate: a command asks the keeper, a person allows it, the broker calls AWS."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.integration.aws.aws_house import AwsHouse, aws_house


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[AwsHouse]:
    async with aws_house(tmp_path) as made:
        yield made


async def test_a_command_gets_a_session_once_a_person_allowed_it(world: AwsHouse):
    outcome = await world.granted(world.obtain())

    assert outcome.status == 0, outcome.err
    got = json.loads(outcome.out)
    assert got["access_key_id"].startswith("ASIA")
    assert got["session_token"]
    assert world.user.keys[-1].secret_access_key.encode() not in outcome.out
    assert world.aws.calls == {"GetSessionToken": 1}
