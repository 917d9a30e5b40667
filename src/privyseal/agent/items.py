"""The interfaces org.freedesktop.Secret.Collection and .Item, translated into requests."""

from dbus_fast import Variant

from privyseal.agent.calls import search
from privyseal.agent.desk import Desk, Visit
from privyseal.errors import DeniedError
from privyseal.model.ask import (
    Change,
    ChangeCollection,
    Create,
    Delete,
    DeleteCollection,
    Read,
    Write,
)
from privyseal.runtime.bus import Reply
from privyseal.runtime.secretservice.values import plain
from privyseal.wire.keeper import MadeItem
from privyseal.wire.secretservice import (
    NOTHING,
    item_path,
    parse_attributes,
    parse_item_properties,
    parse_text,
)

_NO_RESULT = Variant("s", "")


class CollectionCalls:
    """The methods of collections, called by their own path or by an alias."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def delete(self, visit: Visit) -> Reply:
        """Delete the collection with all its items."""
        ask = DeleteCollection(collection=await visit.collection())
        _, prompt = await self._desk.ask(visit, ask, lambda _: _NO_RESULT, otherwise=_NO_RESULT)
        return Reply([prompt])

    async def search_items(self, visit: Visit) -> Reply:
        """SearchItems in this collection; readable or not, they come in one list."""
        info = (await visit.keyring.known()).show(visit.place)
        if not info.id:
            return Reply([[]])
        found = await search(self._desk, visit, info.id)
        return Reply([[item_path(item) for item in (*found.open, *found.closed)]])

    async def create_item(self, visit: Visit) -> Reply:
        """CreateItem, or with `replace` overwrite the one with exactly these attributes."""
        properties, struct, replace = visit.body
        secret = self._desk.sessions.unseal(visit.peer, struct)
        wanted = parse_item_properties({name: plain(value) for name, value in properties.items()})
        ask = Create(
            collection=await visit.collection(),
            label=wanted.label,
            attributes=wanted.attributes,
            content_type=secret.content_type,
            replace=replace,
        )
        result, prompt = await self._desk.ask(
            visit,
            ask,
            lambda outcome: Variant(
                "o",
                item_path(outcome.result.item) if isinstance(outcome.result, MadeItem) else NOTHING,
            ),
            otherwise=Variant("o", NOTHING),
            value=secret,
        )
        return Reply([result.value, prompt])

    async def set_label(self, visit: Visit, label: object) -> None:
        """Set the property Label."""
        ask = ChangeCollection(
            collection=await visit.collection(), label=parse_text(label, "the label")
        )
        await self._desk.requests.ask(visit.peer.requester, ask)


class ItemCalls:
    """The methods of items, called below their collection or below an alias."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def delete(self, visit: Visit) -> Reply:
        """Delete the item."""
        ask = Delete(item=await visit.item())
        _, prompt = await self._desk.ask(visit, ask, lambda _: _NO_RESULT, otherwise=_NO_RESULT)
        return Reply([prompt])

    async def get_secret(self, visit: Visit) -> Reply:
        """GetSecret: wait for the decision, however long it takes."""
        session = self._desk.sessions.find(visit.peer, visit.body[0])
        item = await visit.item()
        visit.peer.hear_why([item])
        outcome = await self._desk.requests.ask(visit.peer.requester, Read(items=(item,)))
        if not outcome.values:
            raise DeniedError("the secret was not released")
        self._desk.note_open(visit.peer, [item])
        return Reply([self._desk.sessions.seal(session, outcome.values[0])])

    async def set_secret(self, visit: Visit) -> Reply:
        """SetSecret: wait for the decision, then overwrite."""
        secret = self._desk.sessions.unseal(visit.peer, visit.body[0])
        item = await visit.item()
        ask = Write(item=item, content_type=secret.content_type)
        await self._desk.requests.ask(visit.peer.requester, ask, secret)
        return Reply()

    async def set_label(self, visit: Visit, label: object) -> None:
        """Set the property Label."""
        item = await visit.item()
        ask = Change(item=item, label=parse_text(label, "the label"))
        await self._desk.requests.ask(visit.peer.requester, ask)

    async def set_attributes(self, visit: Visit, attributes: object) -> None:
        """Set the property Attributes."""
        item = await visit.item()
        ask = Change(item=item, attributes=parse_attributes(attributes))
        await self._desk.requests.ask(visit.peer.requester, ask)
