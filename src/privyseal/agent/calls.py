"""The interface org.freedesktop.Secret.Service, translated into requests."""

from contextlib import suppress
from typing import Any

from dbus_fast import Variant

from privyseal.agent.desk import Desk, Visit
from privyseal.agent.requests import Outcome
from privyseal.agent.unlocking import Unlocking
from privyseal.errors import DeniedError, NotFoundError, UnsupportedError, UsageError
from privyseal.model.ask import CreateCollection, Lock, Read, Search, SetAlias
from privyseal.model.keyring import ItemRef
from privyseal.model.value import MAX_ITEMS
from privyseal.runtime.bus import Reply
from privyseal.runtime.secretservice.keyring import parse_set_alias, path_of_alias
from privyseal.runtime.secretservice.values import label_in
from privyseal.wire.keeper import Found, MadeCollection, Values
from privyseal.wire.secretservice import (
    NOTHING,
    collection_path,
    item_path,
    parse_alias,
    parse_all,
    parse_attributes,
)


class ServiceCalls:
    """The methods of the service object, its sessions and its prompts."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._unlocking = Unlocking(desk)

    async def open_session(self, visit: Visit) -> Reply:
        """OpenSession: agree on how secrets travel."""
        algorithm, offer = visit.body
        opened = self._desk.sessions.open(visit.peer, algorithm, offer)
        visit.peer.reads = True
        return Reply(opened)

    async def close_session(self, visit: Visit) -> Reply:
        """Session.Close."""
        self._desk.sessions.close(visit.peer, visit.call.path)
        return Reply()

    async def prompt(self, visit: Visit) -> Reply:
        """Prompt.Prompt: start to wait; the window is not ours to draw on."""
        self._desk.prompts.start(visit.peer, visit.call.path)
        return Reply()

    async def dismiss(self, visit: Visit) -> Reply:
        """Prompt.Dismiss."""
        self._desk.prompts.dismiss(visit.peer, visit.call.path)
        return Reply()

    async def search_items(self, visit: Visit) -> Reply:
        """SearchItems in all collections."""
        found = await search(self._desk, visit, "")
        usable, closed = found.open, found.closed
        if not visit.peer.reads:
            known = await visit.keyring.known()
            locked = known.locked
            usable += tuple(item for item in closed if item.collection not in locked)
            closed = tuple(item for item in closed if item.collection in locked)
        return Reply([[item_path(i) for i in usable], [item_path(i) for i in closed]])

    async def unlock(self, visit: Visit) -> Reply:
        """Unlock: what needs a person goes through one prompt."""
        return Reply(await self._unlocking.unlock(visit, visit.body[0]))

    async def lock(self, visit: Visit) -> Reply:
        """Lock collections; an item stands for the collection it is in."""
        known = await visit.keyring.known()
        meant = known.meant(visit.body[0])
        if not meant:
            return Reply([[], NOTHING])
        names = tuple(dict.fromkeys(meant.values()))
        result, prompt = await self._desk.ask(
            visit,
            Lock(collections=_few(names)),
            lambda _: Variant("ao", list(meant)),
            otherwise=Variant("ao", []),
        )
        return Reply([result.value, prompt])

    async def lock_service(self, visit: Visit) -> Reply:
        """LockService: lock everything."""
        known = await visit.keyring.known()
        if known.collections:
            names = tuple(known.collections)
            await self._desk.requests.ask(visit.peer.requester, Lock(collections=_few(names)))
        return Reply()

    async def unsupported(self, visit: Visit) -> Reply:
        """Whatever would take a passphrase from a program of the desktop."""
        raise UnsupportedError(
            f"{visit.call.member} is not possible here: passphrases are entered only at"
            " Privyseal's own screen",
            hint="use `privy unlock`",
        )

    async def get_secrets(self, visit: Visit) -> Reply:
        """GetSecrets: items that are locked, unknown or denied are left out."""
        paths, session_path = visit.body
        seal = self._desk.sessions.seal_many(self._desk.sessions.find(visit.peer, session_path))
        places = [place for place in parse_all(paths).values() if place.kind == "item"]
        visit.peer.hear_why([ItemRef(collection=p.name, item=p.item) for p in places])
        wanted = (await visit.keyring.known()).unlocked_items(paths)
        items = tuple(dict.fromkeys(wanted.values()))
        structs: dict[ItemRef, list[object]] = {}
        for start in range(0, len(items), MAX_ITEMS):
            outcome = await self._read(visit, items[start : start + MAX_ITEMS])
            if outcome is not None and isinstance(outcome.result, Values):
                for part, secret in zip(outcome.result.slices, outcome.values, strict=True):
                    structs[part.item] = seal(secret)
        return Reply([{path: structs[i] for path, i in wanted.items() if i in structs}])

    async def read_alias(self, visit: Visit) -> Reply:
        """ReadAlias: an alias that means nothing is no error."""
        return Reply([await path_of_alias(visit.keyring, visit.body[0])])

    async def set_alias(self, visit: Visit) -> Reply:
        """SetAlias; the path "/" removes."""
        name, collection = await parse_set_alias(visit.keyring, *visit.body)
        ask = SetAlias(alias=name, collection=collection)
        await self._desk.requests.ask(visit.peer.requester, ask)
        return Reply()

    async def create_collection(self, visit: Visit) -> Reply:
        """CreateCollection; with the alias of an existing collection, that one is the answer."""
        properties, alias = visit.body
        if alias:
            parse_alias(alias)
            known = await visit.keyring.known()
            if known.aliases.get(alias) in known.collections:
                return Reply([collection_path(known.aliases[alias]), NOTHING])
        result, prompt = await self._desk.ask(
            visit,
            CreateCollection(label=label_in(properties), alias=alias),
            lambda outcome: Variant(
                "o",
                collection_path(outcome.result.collection)
                if isinstance(outcome.result, MadeCollection)
                else NOTHING,
            ),
            otherwise=Variant("o", NOTHING),
        )
        return Reply([result.value, prompt])

    async def _read(self, visit: Visit, items: tuple[ItemRef, ...]) -> Outcome | None:
        """Read items, leaving out those that are not there; None when none was released."""
        try:
            return await self._desk.requests.ask(visit.peer.requester, Read(items=items))
        except DeniedError:
            return None
        except NotFoundError:
            there = []
            for item in items:
                with suppress(NotFoundError):
                    there.append((await visit.keyring.describe(item)).ref)
            if not there or len(there) == len(items):
                return None
            return await self._read(visit, tuple(there))


async def search(desk: Desk, visit: Visit, collection: str) -> Found:
    """Search for the attributes in a call, and remember for its peer what it may not read yet."""
    attributes: Any = parse_attributes(visit.body[0])
    outcome = await desk.requests.ask(
        visit.peer.requester, Search(attributes=attributes, collection=collection)
    )
    if not isinstance(outcome.result, Found):
        return Found(open=(), closed=())
    visit.peer.remember(outcome.result.closed, desk.peers.clock.monotonic())
    desk.note_open(visit.peer, outcome.result.open)
    return outcome.result


def _few(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(names) > MAX_ITEMS:
        raise UsageError(f"{len(names)} collections in one call exceed the limit of {MAX_ITEMS}")
    return names
