"""What a hostile program of the desktop does; runs in the machine, with Privyseal's own libraries.

    attacker.py name PID UID      ask the keeper of UID for all items, in the name of process PID
    attacker.py flood-keeper N    N different requests to the keeper, on one connection of its own
    attacker.py flood-names N M   another process introduced N times, on M connections of its own
    attacker.py flood-agent N M   N different requests to the Secret Service, on M connections
    attacker.py read SERVICE      read a secret by a plain call
    attacker.py store FILE N      store N items one after the other, and note each that was taken

Each prints one line when it is under way, and one with what came of it.
"""

import asyncio
import os
import sys
from collections import Counter

from dbus_fast import Variant

from privyseal.errors import PrivysealError
from privyseal.model.ask import Create, Read
from privyseal.model.keyring import ItemRef
from privyseal.model.secret import Secret
from privyseal.runtime.bus import Connection
from privyseal.runtime.requestlink import RequestLink
from privyseal.wire.keeper import KnownCollections, KnownItems, LookCollections, LookItems

SYSTEM = "unix:path=/run/dbus/system_bus_socket"
SECRETS = "org.freedesktop.secrets"
COLLECTION = "/org/freedesktop/secrets/aliases/default"
IN_FLIGHT = 400
SYSTEM_BUS_REPLIES = 100
"""The bus itself allows 128 calls in flight."""


def say(*words: object) -> None:
    print(*words, flush=True)


async def name(group: asyncio.TaskGroup, pid: int, uid: int) -> None:
    bus = await Connection.open(group, SYSTEM)
    link = RequestLink(bus, f"org.privyseal.Keeper1.u{uid}")
    token = await link.register(os.pidfd_open(pid))
    known = await link.look(token, LookCollections())
    assert isinstance(known, KnownCollections)
    for collection in known.collections:
        held = await link.look(token, LookItems(collection=collection.id))
        assert isinstance(held, KnownItems)
        ticket, values = await link.submit(
            token, Read(items=tuple(item_of(collection.id, one) for one in held.items))
        )
        say(ticket.state, ticket.reason, [value.expose() for value in values])
    await asyncio.Event().wait()


def item_of(collection: str, item: str) -> ItemRef:
    return ItemRef(collection=collection, item=item)


async def flood_keeper(group: asyncio.TaskGroup, count: int) -> None:
    bus = await Connection.open(group, SYSTEM)
    link = RequestLink(bus, f"org.privyseal.Keeper1.u{os.getuid()}")
    outcomes: Counter[str] = Counter()
    room = asyncio.Semaphore(SYSTEM_BUS_REPLIES)
    myself = os.pidfd_open(os.getpid())
    say("under way")

    async def once(number: int) -> None:
        async with room:
            try:
                token = await link.register(myself)
                outcomes["registered"] += 1
                ask = Create(collection="session", label=f"flood {number}", attributes={})
                ticket, _ = await link.submit(token, ask, Secret(b"flood"))
                outcomes[ticket.state] += 1
            except PrivysealError as error:
                outcomes[kind_of(error)] += 1

    async with asyncio.TaskGroup() as flood:
        for number in range(count):
            flood.create_task(once(number))
    say(dict(outcomes))
    await asyncio.Event().wait()


async def flood_names(group: asyncio.TaskGroup, count: int, connections: int) -> None:
    """Introduce other processes, so that the witness has to look at each."""
    outcomes: Counter[str] = Counter()
    victim = os.pidfd_open(os.getppid())
    links = [
        RequestLink(await Connection.open(group, SYSTEM), f"org.privyseal.Keeper1.u{os.getuid()}")
        for _ in range(connections)
    ]
    rooms = [asyncio.Semaphore(SYSTEM_BUS_REPLIES) for _ in links]
    say("under way")

    async def once(number: int) -> None:
        async with rooms[number % connections]:
            try:
                await links[number % connections].register(victim)
                outcomes["registered"] += 1
            except PrivysealError as error:
                outcomes[kind_of(error)] += 1

    async with asyncio.TaskGroup() as flood:
        for number in range(count):
            flood.create_task(once(number))
    say(dict(outcomes))
    await asyncio.Event().wait()


async def flood_agent(group: asyncio.TaskGroup, count: int, connections: int) -> None:
    outcomes: Counter[str] = Counter()
    room = asyncio.Semaphore(IN_FLIGHT)
    buses = [await Connection.open(group) for _ in range(connections)]
    sessions = []
    for bus in buses:
        reply = await bus.call(
            *(SECRETS, "/org/freedesktop/secrets", "org.freedesktop.Secret.Service", "OpenSession"),
            *("sv", ["plain", Variant("s", "")]),
        )
        sessions.append(reply.body[1])
    say("under way")

    async def once(number: int) -> None:
        bus, session = buses[number % connections], sessions[number % connections]
        properties = {
            "org.freedesktop.Secret.Item.Label": Variant("s", f"flood {number}"),
            "org.freedesktop.Secret.Item.Attributes": Variant("a{ss}", {"flood": str(number)}),
        }
        body = [properties, [session, b"", b"flood", "text/plain"], False]
        async with room:
            try:
                made = await bus.call(
                    *(SECRETS, COLLECTION, "org.freedesktop.Secret.Collection", "CreateItem"),
                    *("a{sv}(oayays)b", body),
                )
                outcomes["prompt" if made.body[1] != "/" else "made"] += 1
                await bus.call(
                    *(SECRETS, made.body[1], "org.freedesktop.Secret.Prompt", "Prompt", "s", [""])
                )
                outcomes["prompting"] += 1
            except PrivysealError as error:
                outcomes[kind_of(error)] += 1

    async with asyncio.TaskGroup() as flood:
        for number in range(count):
            flood.create_task(once(number))
    say(dict(outcomes))
    await asyncio.Event().wait()


async def read(group: asyncio.TaskGroup, service: str) -> None:
    """Read a secret by a plain call, and say how that ended."""
    bus = await Connection.open(group)
    path = "/org/freedesktop/secrets"
    opened = await bus.call(
        *(SECRETS, path, "org.freedesktop.Secret.Service", "OpenSession"),
        *("sv", ["plain", Variant("s", "")]),
    )
    found = await bus.call(
        *(SECRETS, path, "org.freedesktop.Secret.Service", "SearchItems"),
        *("a{ss}", [{"service": service}]),
    )
    item = str((found.body[0] or found.body[1])[0])
    try:
        secret = await bus.call(
            *(SECRETS, item, "org.freedesktop.Secret.Item", "GetSecret", "o", [opened.body[1]])
        )
        say(secret.body)
    except PrivysealError as error:
        say("refused:", error)
    os._exit(0)


async def store(group: asyncio.TaskGroup, file: str, count: int) -> None:
    """Store one item after the other, and note each that the store has acknowledged."""
    bus = await Connection.open(group)
    reply = await bus.call(
        *(SECRETS, "/org/freedesktop/secrets", "org.freedesktop.Secret.Service", "OpenSession"),
        *("sv", ["plain", Variant("s", "")]),
    )
    say("under way")
    with open(file, "a", encoding="ascii") as noted:  # noqa: ASYNC230, PTH123 - it has to wait for the disk
        for number in range(count):
            properties = {
                "org.freedesktop.Secret.Item.Label": Variant("s", f"item {number}"),
                "org.freedesktop.Secret.Item.Attributes": Variant("a{ss}", {"n": str(number)}),
            }
            secret = [reply.body[1], b"", f"value {number}".encode(), "text/plain"]
            made = await bus.call(
                *(SECRETS, COLLECTION, "org.freedesktop.Secret.Collection", "CreateItem"),
                *("a{sv}(oayays)b", [properties, secret, False]),
            )
            noted.write(f"{number} {made.body[0]}\n")
            noted.flush()
            os.fsync(noted.fileno())
    say("all stored")


def kind_of(error: PrivysealError) -> str:
    return f"{type(error).__name__}: {str(error).lstrip('0123456789 ')[:60]}"


MODES = {
    "name": lambda group, words: name(group, int(words[0]), int(words[1])),
    "flood-keeper": lambda group, words: flood_keeper(group, int(words[0])),
    "flood-names": lambda group, words: flood_names(group, int(words[0]), int(words[1])),
    "flood-agent": lambda group, words: flood_agent(group, int(words[0]), int(words[1])),
    "read": lambda group, words: read(group, words[0]),
    "store": lambda group, words: store(group, words[0], int(words[1])),
}


async def main() -> None:
    async with asyncio.TaskGroup() as group:
        await MODES[sys.argv[1]](group, sys.argv[2:])


if __name__ == "__main__":
    asyncio.run(main())
