"""The stage on which the tests of the face play."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.integration.agent.stage import Stage, staged

from privyseal.runtime.bus import Connection


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(tmp_path) as made:
        yield made


@pytest.fixture
async def bus(stage: Stage) -> Connection:
    return await stage.connect()


@pytest.fixture
async def other(stage: Stage) -> Connection:
    return await stage.connect()
