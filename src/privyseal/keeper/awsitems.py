"""The AWS items of the backend: one collection, and nothing else, for the broker to read and write.

An item lies there as aws-vault writes it: an attribute `profile` with its key, and a JSON object.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Callable
from typing import Final

from privyseal.errors import LockedError, NotFoundError, UsageError
from privyseal.model.keyring import ItemRef
from privyseal.model.secret import Secret
from privyseal.model.value import encode
from privyseal.runtime.backend import Backend
from privyseal.wire import broker as wire

_ROOM: Final = wire.MAX_PACKET - 1024


class AwsItems:
    """Answers what a broker asks of the store; nobody is asked: the order itself was allowed.

    `rewritten` is called before an item gets another value.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._storing = asyncio.Lock()
        self._looked: list[wire.Entry] | None = None
        self.rewritten: Callable[[ItemRef], object] = lambda _: None

    async def answer(
        self, question: wire.Question, value: Secret | None
    ) -> tuple[wire.Reply, Secret | None]:
        """Do what was asked; return the reply, and the value that goes beside it.

        Raises:
            PrivysealError: The store refused; nothing was changed.
        """
        match question:
            case wire.List(after=after):
                return await self._list(after), None
            case wire.Fetch(key=key):
                return wire.Reply(), await self._backend.read((await self._items(key))[-1])
            case wire.Store() if value is not None:
                async with self._storing:  # or two orders would both make the collection
                    await self._store(question, Secret(value.expose(), "application/json"))
            case wire.Drop(key=key):
                for item in await self._items(key):
                    await self._backend.delete(item)
            case wire.Store() | wire.End():
                raise UsageError("there is no value to store")
        return wire.Reply(), None

    async def _collection(self) -> str:
        """Return the collection, "" while there is none."""
        known = await self._backend.collections()
        for info in known:
            if info.label == wire.COLLECTION:
                return info.id
        if any(info.locked for info in known):
            raise LockedError("the store is locked", hint="unlock it with `privy unlock`")
        return ""

    async def _list(self, after: str) -> wire.Reply:
        # All pages come from one look: to describe every item again for each page takes minutes.
        if not after or self._looked is None:
            self._looked = await self._look()
        entries: list[wire.Entry] = []
        room = _ROOM
        for entry in self._looked[bisect_right(self._looked, after, key=lambda each: each.key) :]:
            room -= len(encode(entry)) + 1
            if room < 0:
                break
            entries.append(entry)
        if not entries:
            self._looked = None
        return wire.Reply(entries=tuple(entries))

    async def _look(self) -> list[wire.Entry]:
        """Return every entry by its key; what fits in no packet is none of ours."""
        found: dict[str, wire.Entry] = {}
        if collection := await self._collection():
            for name in await self._backend.items(collection):
                info = await self._backend.describe(ItemRef(collection=collection, item=name))
                if info.locked and not info.attributes:
                    raise LockedError("the store is locked", hint="unlock it with `privy unlock`")
                notes = dict(info.attributes)
                if key := notes.pop(wire.PROFILE, ""):
                    found[key] = wire.Entry(key=key, notes=notes)
        return [entry for _, entry in sorted(found.items()) if len(encode(entry)) < _ROOM]

    async def _items(self, key: str) -> tuple[ItemRef, ...]:
        """Return what lies under a key, the newest last: there may be several of other programs."""
        collection = await self._collection()
        found = await self._backend.search({wire.PROFILE: key}, collection) if collection else ()
        if not found:
            raise NotFoundError(f"nothing is kept for AWS under {key!r}")
        return found

    async def _store(self, question: wire.Store, value: Secret) -> None:
        backend, attributes = self._backend, {**question.notes, wire.PROFILE: question.key}
        collection = await self._collection()
        collection = collection or await backend.create_collection(wire.COLLECTION, "")
        found = await backend.search({wire.PROFILE: question.key}, collection)
        if not found:
            label = question.label
            await backend.create(collection, label, attributes, value, replace=False)
            return
        self.rewritten(found[-1])
        await backend.write(found[-1], value)
        await backend.change(found[-1], label=question.label, attributes=attributes)
