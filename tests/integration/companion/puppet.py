"""A process of another user that does on the bus what a test tells it, one JSON line at a time.

Run as `python puppet.py ask|decide ADDRESS NAME`; each line in is `[number, what, arguments]`, each
line out is `[number, result]` or `[number, null, error class, message]`.
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable

from privyseal.errors import PrivysealError
from privyseal.model.ask import Ask, Create, Read, Search
from privyseal.model.decision import Decision
from privyseal.model.secret import Secret
from privyseal.model.value import encode
from privyseal.runtime.bus import Connection
from privyseal.runtime.keeper import DecisionLink
from privyseal.runtime.requestlink import RequestLink
from privyseal.wire.keeper import Found, KnownCollections, LookCollections, Ticket

Deed = Callable[..., Awaitable[object]]


class Asker:
    """A face, for itself or for another process."""

    def __init__(self, link: RequestLink) -> None:
        self.link = link
        self.ended: dict[str, asyncio.Event] = {}
        self.changes: list[str] = []

    async def subscribe(self) -> None:
        await self.link.subscribe(
            lambda request, _state: self.ended.setdefault(request, asyncio.Event()).set(),
            lambda change: self.changes.append(encode(change).decode()),
        )

    async def store(self, value: str, label: str, service: str) -> object:
        token = await self.link.register(os.pidfd_open(os.getpid()))
        known = await self.link.look(token, LookCollections())
        assert isinstance(known, KnownCollections)
        ask = Create(
            collection=known.aliases["default"], label=label, attributes={"service": service}
        )
        ticket, _ = await self._through(token, ask, Secret(value.encode()))
        return ticket.state

    async def read(self, service: str, pid: int = 0) -> object:
        """Search and read, in the name of the process `pid` if there is one."""
        token = await self.link.register(os.pidfd_open(pid or os.getpid()))
        ticket, _ = await self._through(token, Search(attributes={"service": service}))
        assert isinstance(ticket.result, Found)
        items = ticket.result.open + ticket.result.closed
        ticket, secrets = await self._through(token, Read(items=items))
        return [ticket.state, *(secret.expose().decode() for secret in secrets)]

    async def _through(
        self, token: str, ask: Ask, value: Secret | None = None
    ) -> tuple[Ticket, list[Secret]]:
        ticket, secrets = await self.link.submit(token, ask, value)
        if ticket.state != "pending":
            return ticket, secrets
        await self.ended.setdefault(ticket.id, asyncio.Event()).wait()
        return await self.link.collect(ticket.id)


def asking(link: RequestLink) -> dict[str, Deed]:
    """Return what a face can be told to do."""
    asker = Asker(link)

    async def heard() -> object:
        return asker.changes

    return {
        "subscribe": asker.subscribe,
        "store": asker.store,
        "read": asker.read,
        "heard": heard,
        "status": link.status,
        "waiting": link.waiting,
        "lock": link.lock,
        "review": link.review,
        "report": link.report,
    }


def deciding(link: DecisionLink) -> dict[str, Deed]:
    """Return what a decider can be told to do."""
    notices: list[str] = []

    async def watch() -> None:
        await link.watch(lambda notice: notices.append(notice.what))

    async def heard() -> object:
        return notices

    async def decide(request: str, digest: str, allow: bool) -> object:
        return await link.decide(Decision(request=request, digest=digest, allow=allow))

    async def unlock(passphrase: str) -> None:
        await link.unlock(Secret(passphrase.encode()))

    async def pin(text: str) -> object:
        return (await link.pin(text)).expose().decode()

    async def answer_pin(pin: str, passphrase: str | None) -> None:
        await link.answer_pin(pin, None if passphrase is None else Secret(passphrase.encode()))

    return {
        "watch": watch,
        "heard": heard,
        "decide": decide,
        "unlock": unlock,
        "pin": pin,
        "answer_pin": answer_pin,
        "pins": link.pins,
        "pending": link.pending,
        "rules": link.rules,
        "lock": link.lock,
        "log_out": link.log_out,
        "status": link.status,
    }


async def main(role: str, address: str, name: str) -> None:
    async with asyncio.TaskGroup() as group:
        connection = await Connection.open(group, address)
        deeds = (
            asking(RequestLink(connection, name))
            if role == "ask"
            else deciding(DecisionLink(connection, name))
        )
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
        )

        async def obey(number: int, what: str, arguments: list[object]) -> None:
            try:
                answer = [number, json.loads(encode(await deeds[what](*arguments)))]
            except PrivysealError as error:
                answer = [number, None, type(error).__name__, str(error)]
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()

        while line := await reader.readline():
            group.create_task(obey(*json.loads(line)))
        connection.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
