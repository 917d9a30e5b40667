"""A process that asks for items and waits: `python -m bench.asker COLLECTION ITEM...`.

It prints `asked` once all its requests wait, and ends when standard input is closed.
"""

import asyncio
import os
import sys

from privyseal.model.ask import Read
from privyseal.model.keyring import ItemRef
from privyseal.runtime.bus import Connection
from privyseal.runtime.requestlink import RequestLink


async def _ask(collection: str, items: list[str]) -> None:
    async with asyncio.TaskGroup() as group:
        connection = await Connection.open(group)
        link = RequestLink(connection)
        requester = await link.register(os.pidfd_open(os.getpid()))
        for item in items:
            await link.submit(requester, Read(items=(ItemRef(collection=collection, item=item),)))
        print("asked", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        connection.close()


if __name__ == "__main__":
    asyncio.run(_ask(sys.argv[1], sys.argv[2:]))
