"""The methods of the Secret Service, over a store. Nothing here asks a person: no call has a prompt."""

from contextlib import suppress

from privyseal.errors import (
    LockedError,
    NotFoundError,
    UnsupportedError,
)
from privyseal.provider.desk import Desk, Visit
from privyseal.runtime.bus import Reply
from privyseal.runtime.secretservice.keyring import (
    collection_at,
    parse_set_alias,
    path_of_alias,
)
from privyseal.runtime.secretservice.values import label_in, plain
from privyseal.wire.secretservice import (
    ATTRIBUTES,
    CONTENT_TYPE,
    ITEM,
    NOTHING,
    collection_path,
    item_path,
    parse,
    parse_alias,
    parse_attributes,
    parse_item_properties,
    parse_text,
)


class ServiceCalls:
    """The methods of the service object and of sessions."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._backend = desk.store.backend

    async def open_session(self, visit: Visit) -> Reply:
        """OpenSession: agree on how secrets travel."""
        algorithm, offer = visit.body
        return Reply(self._desk.sessions.open(visit.peer, algorithm, offer))

    async def close_session(self, visit: Visit) -> Reply:
        """Session.Close."""
        self._desk.sessions.close(visit.peer, visit.call.path)
        return Reply()

    async def search_items(self, visit: Visit) -> Reply:
        """SearchItems in all collections."""
        found = await self._backend.search(parse_attributes(visit.body[0]))
        locked = (await visit.keyring.known()).locked
        return Reply(
            [
                [item_path(item) for item in found if item.collection not in locked],
                [item_path(item) for item in found if item.collection in locked],
            ]
        )

    async def unlock(self, visit: Visit) -> Reply:
        """Unlock: say what is open already; a passphrase comes by UnlockWithMasterPassword."""
        known = await visit.keyring.known()
        locked = known.locked
        meant = known.meant(visit.body[0])
        return Reply([[path for path, name in meant.items() if name not in locked], NOTHING])

    async def lock(self, visit: Visit) -> Reply:
        """Lock collections; an item stands for the collection it is in."""
        meant = (await visit.keyring.known()).meant(visit.body[0])
        if meant:
            await self._backend.lock(tuple(dict.fromkeys(meant.values())))
        locked = (await visit.keyring.known()).locked
        return Reply([[path for path, name in meant.items() if name in locked], NOTHING])

    async def lock_service(self, _visit: Visit) -> Reply:
        """LockService: lock everything."""
        await self._backend.lock()
        return Reply()

    async def unsupported(self, visit: Visit) -> Reply:
        """Whatever would need a prompt."""
        raise UnsupportedError(f"{visit.call.member} would ask a person, which happens elsewhere")

    async def get_secrets(self, visit: Visit) -> Reply:
        """GetSecrets: items that are locked or unknown are left out."""
        paths, session_path = visit.body
        seal = self._desk.sessions.seal_many(self._desk.sessions.find(visit.peer, session_path))
        wanted = (await visit.keyring.known()).unlocked_items(paths)
        secrets: dict[str, list[object]] = {}
        for path, item in wanted.items():
            with suppress(NotFoundError, LockedError):
                secrets[path] = seal(await self._backend.read(item))
        return Reply([secrets])

    async def read_alias(self, visit: Visit) -> Reply:
        """ReadAlias: an alias that means nothing is no error."""
        return Reply([await path_of_alias(visit.keyring, visit.body[0])])

    async def set_alias(self, visit: Visit) -> Reply:
        """SetAlias; the path "/" removes."""
        await self._backend.set_alias(*await parse_set_alias(visit.keyring, *visit.body))
        return Reply()

    async def create_collection(self, visit: Visit) -> Reply:
        """CreateCollection under the passphrase of the store, which has to be open."""
        properties, alias = visit.body
        label = label_in(properties)
        if alias:
            parse_alias(alias)
        made = await self._backend.create_collection(label, alias)
        return Reply([collection_path(made), NOTHING])


class PassphraseCalls:
    """gnome-keyring's own interface, by which a passphrase comes without a prompt."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def create(self, visit: Visit) -> Reply:
        """CreateWithMasterPassword: the first makes the store, whose passphrase all later ones have.

        Raises:
            DeniedError: The store is locked and has another passphrase.
        """
        backend = self._desk.store.backend
        properties, struct = visit.body
        passphrase = self._desk.unseal(visit, struct)
        label = label_in(properties)
        fresh = not await backend.initialised()
        await backend.unlock(passphrase)
        if not fresh:
            return Reply([collection_path(await backend.create_collection(label, ""))])
        first = (await backend.aliases())["default"]
        if label:
            await backend.change_collection(first, label)
        return Reply([collection_path(first)])

    async def unlock(self, visit: Visit) -> Reply:
        """UnlockWithMasterPassword.

        Raises:
            DeniedError: The passphrase is wrong.
        """
        path, struct = visit.body
        collection = await collection_at(visit.keyring, parse(path))
        await self._desk.store.backend.unlock(self._desk.unseal(visit, struct), (collection,))
        return Reply()

    async def change(self, visit: Visit) -> Reply:
        """ChangeWithMasterPassword: one passphrase opens the whole store, so all of it changes."""
        path, original, fresh = visit.body
        await collection_at(visit.keyring, parse(path))
        old, new = self._desk.unseal(visit, original), self._desk.unseal(visit, fresh)
        await self._desk.store.change_passphrase(old, new)
        return Reply()


class CollectionCalls:
    """The methods of collections, called by their own path or by an alias."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._backend = desk.store.backend

    async def delete(self, visit: Visit) -> Reply:
        """Delete the collection with all its items."""
        await self._backend.delete_collection(await visit.collection())
        return Reply([NOTHING])

    async def search_items(self, visit: Visit) -> Reply:
        """SearchItems in this collection, locked or not."""
        info = (await visit.keyring.known()).show(visit.place)
        wanted = parse_attributes(visit.body[0])
        found = await self._backend.search(wanted, info.id) if info.id else ()
        return Reply([[item_path(item) for item in found]])

    async def create_item(self, visit: Visit) -> Reply:
        """CreateItem, or with `replace` overwrite the one with exactly these attributes."""
        properties, struct, replace = visit.body
        secret = self._desk.unseal(visit, struct)
        given = {name: plain(value) for name, value in properties.items()}
        if f"{ITEM}.{ATTRIBUTES}" in given:
            given[f"{ITEM}.{ATTRIBUTES}"] = without_type(given[f"{ITEM}.{ATTRIBUTES}"])
        wanted = parse_item_properties(given)
        made = await self._backend.create(
            await visit.collection(),
            wanted.label,
            wanted.attributes,
            secret,
            replace=replace,
        )
        return Reply([item_path(made), NOTHING])

    async def set_label(self, visit: Visit, label: object) -> None:
        """Set the property Label."""
        collection = await visit.collection()
        await self._backend.change_collection(collection, parse_text(label, "the label"))


class ItemCalls:
    """The methods of items, called below their collection or below an alias."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._backend = desk.store.backend

    async def delete(self, visit: Visit) -> Reply:
        """Delete the item."""
        await self._backend.delete(await visit.item())
        return Reply([NOTHING])

    async def get_secret(self, visit: Visit) -> Reply:
        """GetSecret."""
        session = self._desk.sessions.find(visit.peer, visit.body[0])
        secret = await self._backend.read(await visit.item())
        return Reply([self._desk.sessions.seal(session, secret)])

    async def set_secret(self, visit: Visit) -> Reply:
        """SetSecret."""
        secret = self._desk.unseal(visit, visit.body[0])
        await self._backend.write(await visit.item(), secret)
        return Reply()

    async def set_label(self, visit: Visit, label: object) -> None:
        """Set the property Label."""
        item = await visit.item()
        await self._backend.change(item, label=parse_text(label, "the label"), attributes=None)

    async def set_attributes(self, visit: Visit, attributes: object) -> None:
        """Set the property Attributes."""
        item = await visit.item()
        wanted = parse_attributes(without_type(attributes))
        await self._backend.change(item, label=None, attributes=wanted)


def without_type(attributes: object) -> object:
    """Return attributes without the one that only repeats the content type of the value."""
    if not isinstance(attributes, dict):
        return attributes
    return {name: value for name, value in attributes.items() if name != CONTENT_TYPE}
