"""The interface org.freedesktop.Secret.Service, translated into requests."""

from contextlib import suppress
from typing import Any, Final

from dbus_fast import Variant

from privyseal.agent.requests import Outcome
from privyseal.agent.unlocking import Unlocking
from privyseal.agent.visit import Desk, Visit
from privyseal.errors import DeniedError, LimitError, NotFoundError, UnsupportedError, UsageError
from privyseal.model.ask import CreateCollection, Lock, Read, Search, SetAlias
from privyseal.model.keyring import ItemRef
from privyseal.model.value import MAX_ITEMS
from privyseal.runtime.bus import Reply
from privyseal.wire.keeper import Found, MadeCollection, Values
from privyseal.wire.secretservice import (
    COLLECTION,
    COLLECTIONS,
    ITEMS,
    LABEL,
    NOTHING,
    collection_path,
    item_path,
    parse,
    parse_alias,
    parse_all,
    parse_attributes,
    parse_text,
)

# D-Bus allows arrays of 64 MiB; a longer reply would cost us the connection.
_MAX_REPLY: Final = 48 * 1024 * 1024
_OVERHEAD: Final = 1024


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
            known = await self._desk.known(visit.requester)
            locked = {name for name, info in known.collections.items() if info.locked}
            usable += tuple(item for item in closed if item.collection not in locked)
            closed = tuple(item for item in closed if item.collection in locked)
        return Reply([[item_path(i) for i in usable], [item_path(i) for i in closed]])

    async def unlock(self, visit: Visit) -> Reply:
        """Unlock: what needs a person goes through one prompt."""
        return Reply(await self._unlocking.unlock(visit, visit.body[0]))

    async def lock(self, visit: Visit) -> Reply:
        """Lock collections; an item stands for the collection it is in."""
        known = await self._desk.known(visit.requester)
        meant: dict[str, str] = {}
        for path, place in parse_all(visit.body[0]).items():
            info = known.find(place) if place.kind in COLLECTIONS | ITEMS else None
            if info is not None:
                meant[path] = info.id
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
        known = await self._desk.known(visit.requester)
        if known.collections:
            names = tuple(known.collections)
            await self._desk.requests.ask(visit.requester, Lock(collections=_few(names)))
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
        session = self._desk.sessions.find(visit.peer, session_path)
        wanted = await self._unlocked(visit, paths)
        items = tuple(dict.fromkeys(wanted.values()))
        structs: dict[ItemRef, list[object]] = {}
        size = 0
        for start in range(0, len(items), MAX_ITEMS):
            outcome = await self._read(visit, items[start : start + MAX_ITEMS])
            if outcome is not None and isinstance(outcome.result, Values):
                for part, secret in zip(outcome.result.slices, outcome.values, strict=True):
                    size += len(secret) + _OVERHEAD
                    structs[part.item] = self._desk.sessions.seal(session, secret)
            if size > _MAX_REPLY:
                raise LimitError("these secrets do not fit in one reply", hint="ask for fewer")
        return Reply([{path: structs[i] for path, i in wanted.items() if i in structs}])

    async def read_alias(self, visit: Visit) -> Reply:
        """ReadAlias: an alias that means nothing is no error."""
        known = await self._desk.known(visit.requester)
        collection = known.aliases.get(visit.body[0], "")
        return Reply([collection_path(collection) if collection else NOTHING])

    async def set_alias(self, visit: Visit) -> Reply:
        """SetAlias; the path "/" removes."""
        name, path = parse_alias(visit.body[0]), visit.body[1]
        collection = ""
        if path != NOTHING:
            place = parse(path)
            info = (await self._desk.known(visit.requester)).find(place)
            if info is None or place.kind not in COLLECTIONS:
                raise NotFoundError(f"no such collection {path[:80]!r}")
            collection = info.id
        await self._desk.requests.ask(visit.requester, SetAlias(alias=name, collection=collection))
        return Reply()

    async def create_collection(self, visit: Visit) -> Reply:
        """CreateCollection; with the alias of an existing collection, that one is the answer."""
        properties, alias = visit.body
        if alias:
            parse_alias(alias)
            known = await self._desk.known(visit.requester)
            if known.aliases.get(alias) in known.collections:
                return Reply([collection_path(known.aliases[alias]), NOTHING])
        label = properties.get(f"{COLLECTION}.{LABEL}", Variant("s", "")).value
        result, prompt = await self._desk.ask(
            visit,
            CreateCollection(label=parse_text(label, "the label"), alias=alias),
            lambda outcome: Variant(
                "o",
                collection_path(outcome.result.collection)
                if isinstance(outcome.result, MadeCollection)
                else NOTHING,
            ),
            otherwise=Variant("o", NOTHING),
        )
        return Reply([result.value, prompt])

    async def _unlocked(self, visit: Visit, paths: list[str]) -> dict[str, ItemRef]:
        """Return the items among `paths` whose collection is there and unlocked."""
        known = await self._desk.known(visit.requester)
        wanted: dict[str, ItemRef] = {}
        for path, place in parse_all(paths).items():
            info = known.find(place) if place.kind in ITEMS else None
            if info is not None and not info.locked:
                wanted[path] = ItemRef(collection=info.id, item=place.item)
        return wanted

    async def _read(self, visit: Visit, items: tuple[ItemRef, ...]) -> Outcome | None:
        """Read items, leaving out those that are not there; None when none was released."""
        try:
            return await self._desk.requests.ask(visit.requester, Read(items=items))
        except DeniedError:
            return None
        except NotFoundError:
            there = []
            for item in items:
                with suppress(NotFoundError):
                    there.append((await self._desk.item(visit.requester, item)).item.ref)
            if not there or len(there) == len(items):
                return None
            return await self._read(visit, tuple(there))


async def search(desk: Desk, visit: Visit, collection: str) -> Found:
    """Search for the attributes in a call, and remember for its peer what it may not read yet."""
    attributes: Any = parse_attributes(visit.body[0])
    outcome = await desk.requests.ask(
        visit.requester, Search(attributes=attributes, collection=collection)
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
