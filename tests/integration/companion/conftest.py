"""A machine with companions, for each test anew."""

from collections.abc import AsyncIterator

import pytest
from tests.integration.companion.rig import ALICE, Companion, Machine, machine


@pytest.fixture
async def world() -> AsyncIterator[Machine]:
    async with machine() as made:
        yield made


@pytest.fixture
async def alices(world: Machine) -> Companion:
    """The companion of alice, with one item."""
    companion = Companion(world, ALICE)
    await companion.begin()
    await companion.fill()
    return companion
