"""What one process may take up of the way to the keeper, so that the others find it free."""

import asyncio
import os
from typing import cast

from tests.waiting import eventually

from privyseal.agent.requests import OWN_SESSION, Requester, Requests, Share
from privyseal.runtime.requestlink import RequestLink
from privyseal.wire.keeper import KnownCollections, LookCollections


class SlowLink:
    """A keeper that answers when it is told to, and counts who waits for that."""

    def __init__(self) -> None:
        self.under_way: list[str] = []
        self.answers = asyncio.Event()

    async def subscribe(self, *_: object) -> None:
        pass

    async def register(self, pidfd: int, _reported: object) -> str:
        return str(pidfd)

    async def look(self, token: str, _question: object) -> KnownCollections:
        self.under_way.append(token)
        await self.answers.wait()
        return KnownCollections(collections=(), aliases={})


async def test_a_process_with_many_calls_leaves_the_others_their_turn() -> None:
    link = SlowLink()
    greedy = Share()
    async with asyncio.TaskGroup() as group:
        requests = Requests(cast("RequestLink", link), group, lambda _: None, OWN_SESSION)
        myself = os.pidfd_open(os.getpid())
        many = [Requester(os.dup(myself), share=greedy) for _ in range(20)]
        honest = Requester(myself)
        for requester in many * 20:
            group.create_task(requests.look(requester, LookCollections()))
        await eventually(lambda: bool(link.under_way))
        group.create_task(requests.look(honest, LookCollections()))
        await eventually(lambda: str(myself) in link.under_way)
        assert len(link.under_way) <= 9
        link.answers.set()
    assert len(link.under_way) == 401
    for requester in (*many, honest):
        requester.close()
