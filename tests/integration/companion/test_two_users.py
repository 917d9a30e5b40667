"""Who may ask, who may decide, and where: with real users on a bus with a real policy."""

import asyncio
import os
from collections.abc import AsyncIterator

import pytest
from tests.integration.companion.rig import ALICE, Companion, Machine, machine

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for other users"),
]
DECISION = "org.privyseal.Decision1"


@pytest.fixture
async def world() -> AsyncIterator[Machine]:
    async with machine() as made:
        yield made


@pytest.fixture
async def alices(world: Machine) -> Companion:
    companion = Companion(world, ALICE)
    await companion.begin()
    await companion.fill()
    return companion


async def test_the_user_gets_a_secret_after_the_decision_on_the_private_bus(
    world: Machine, alices: Companion
) -> None:
    face = await world.face(ALICE)
    await face.do("subscribe")
    async with asyncio.TaskGroup() as group:
        read = group.create_task(face.do("read", "demo"))
        shown = await alices.decide()

    assert read.result() == ["allowed", "hunter2"]
    print(shown)
