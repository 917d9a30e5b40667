"""A backend that is any Secret Service provider on a bus that only we can reach.

Paths and identifiers correspond one to one. gnome-keyring is the provider this is tested against;
what is done for its sake says so.
"""

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from dbus_fast import Variant

from privyseal.errors import (
    CorruptError,
    DeniedError,
    LockedError,
    NotFoundError,
    UnsupportedError,
    UsageError,
)
from privyseal.keeper.backends.objects import (
    NOTHING,
    ROOT,
    attributes_of,
    collection_path,
    item_path,
    parse_collection,
    parse_item,
    paths,
    refuse_huge,
    seconds_of,
    text_of,
    variant,
)
from privyseal.keeper.backends.provider import COLLECTION, ITEM, SERVICE, Provider
from privyseal.model.keyring import CollectionInfo, ItemInfo, ItemRef
from privyseal.model.secret import Secret
from privyseal.runtime.backend import ChangeCallback
from privyseal.wire.keeper import StoreChange

GNOME: Final = "org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface"
ALIASES: Final = ("default", "login", "session")
"""The aliases that are looked for: the Secret Service has no method that lists them."""

_FIRST: Final = "login"
"""The collection that the first unlock makes. It is listed before that, locked: so a client waits
for the unlock, where it would ask a person for a collection of its own."""

_PLAIN: Final = "text/plain"
_TYPE: Final = "privyseal:content-type"
_VALUE: Final = "(oayays)"
_NO_SCHEMA: Final = ("xdg:schema", "org.freedesktop.Secret.Generic")
_MAX_KNOWN_TYPES: Final = 10_000
_MAX_FIRST_LABEL: Final = 32
_UNFIT: Final = re.compile(r"[^A-Za-z0-9]+")


class SecretServiceBackend:
    """The port over `org.freedesktop.secrets` on the bus at `address`.

    One bus call answers a read of an item that was described before. Methods whose answer is a
    prompt of the provider wait for that prompt.
    """

    def __init__(self, group: asyncio.TaskGroup, address: str, description: str) -> None:
        self.description = description
        self._provider = Provider(group, address, self._announce)
        self._callbacks: list[ChangeCallback] = []
        self._replacing = asyncio.Lock()
        # gnome-keyring drops content types, so one other than text/plain is kept in an attribute
        # that nobody else sees; these are the types already looked up.
        self._types: dict[ItemRef, str] = {}
        # gnome-keyring has no way but a prompt to create a collection under the passphrase that
        # is in force, and holds that passphrase itself for as long as we do.
        self._passphrase: Secret | None = None

    async def initialised(self) -> bool:
        """Return whether there is any collection but the volatile one."""
        return any(name != "session" for name in await self._collections())

    async def locked(self) -> bool:
        """Return whether any collection needs a passphrase, or the first one is still to be made."""
        names = await self._collections()
        return names in ([], ["session"]) or bool(await self._locked(names))

    async def unlock(self, passphrase: Secret, collections: Sequence[str] = ()) -> None:
        """Open the named collections, or all; create the first one where there is none.

        Where the provider takes no passphrase from us, its own prompt asks for it.

        Raises:
            DeniedError: The passphrase opens none of them, or not every one that was named.
            UsageError: The passphrase is empty.
        """
        if not passphrase.expose():
            # gnome-keyring would take it, and store everything in plain text.
            raise UsageError("the passphrase is empty")
        if not collections and not await self.initialised():
            await self._create_first(passphrase)
            return
        closed = await self._locked(collections or await self._collections())
        refused = 0
        for name in closed:
            try:
                if await self._unlock_one(name, passphrase):
                    self._passphrase = passphrase
            except DeniedError:
                refused += 1
        if refused and (collections or refused == len(closed)):
            raise DeniedError("the passphrase is wrong")

    async def lock(self, collections: Sequence[str] = ()) -> None:
        """Lock the named collections, or all; gnome-keyring then empties its volatile one."""
        self._passphrase = None
        names = await self._collections()
        for name in collections:
            if name not in names:  # gnome-keyring would say that it did lock it
                raise NotFoundError(f"no collection {name!r}")
        names = list(collections) or names
        try:
            if collections:
                await self._lock(names)
            else:
                await self._provider.call(ROOT, SERVICE, "LockService")
        except UnsupportedError:
            await self._lock(names)
        self._say_changed(names)

    async def collections(self) -> tuple[CollectionInfo, ...]:
        """Return every collection, in order of creation; before the first unlock what it makes."""
        found = [await self._collection(name) for name in await self._collections()]
        if all(info.id == "session" for info in found):
            found.append(CollectionInfo(id=_FIRST, label=_FIRST.capitalize(), locked=True))
        return tuple(sorted(found, key=lambda info: (info.created, info.id)))

    async def aliases(self) -> Mapping[str, str]:
        """Return what each of the usual aliases points to."""
        found = {alias: await self._meant(alias) for alias in ALIASES}
        if not found["default"] and not await self.initialised():
            found["default"] = _FIRST
        return {alias: name for alias, name in found.items() if name}

    async def items(self, collection: str) -> tuple[str, ...]:
        """Return the identifiers of the items of one collection, in order of creation."""
        try:
            value = await self._provider.get(collection_path(collection), COLLECTION, "Items", "ao")
        except NotFoundError:
            await self._check_unmade(collection)
            return ()
        return tuple(
            ref.item for ref in _ordered(parse_item(path, collection) for path in paths(value))
        )

    async def describe(self, item: ItemRef) -> ItemInfo:
        """Return what is known of an item; works while locked, then with `locked` set."""
        known = await self._provider.get_all(item_path(item), ITEM)
        created, modified = seconds_of(known.get("Created")), seconds_of(known.get("Modified"))
        if variant(known.get("Locked"), "b") is not False:
            # What gnome-keyring says of a locked item depends on its past: the plain label and
            # attributes if it was open once since the start, else hashes and an invented schema.
            return ItemInfo(ref=item, created=created, modified=modified, locked=True)
        attributes = attributes_of(variant(known.get("Attributes"), "a{ss}"))
        content_type = attributes.pop(_TYPE, _PLAIN)
        attributes = _named(attributes)
        self._keep_type(item, content_type)
        return ItemInfo(
            ref=item,
            label=text_of(variant(known.get("Label"), "s")),
            attributes=attributes,
            content_type=content_type,
            created=created,
            modified=modified,
        )

    async def search(
        self, attributes: Mapping[str, str], collection: str = ""
    ) -> tuple[ItemRef, ...]:
        """Return the items that have all these attributes; works while locked."""
        wanted = [dict(attributes)]
        if collection:
            path = collection_path(collection)
            try:
                (found,) = await self._provider.call(
                    path, COLLECTION, "SearchItems", "a{ss}", wanted, gives="ao"
                )
            except NotFoundError:
                await self._check_unmade(collection)
                return ()
            return _ordered(parse_item(path, collection) for path in paths(found))
        unlocked, locked = await self._provider.call(
            ROOT, SERVICE, "SearchItems", "a{ss}", wanted, gives="aoao"
        )
        return _ordered(parse_item(path) for path in paths(unlocked) + paths(locked))

    async def read(self, item: ItemRef) -> Secret:
        """Return the value of an item."""
        path = item_path(item)
        content_type = self._types.get(item)
        if content_type is None:
            content_type = (await self.describe(item)).content_type
        (secret,) = await self._provider.call(
            path, ITEM, "GetSecret", "o", lambda session: [session], gives=_VALUE
        )
        if not isinstance(secret, list | tuple):
            raise CorruptError("the provider gave no secret where one belongs")
        _session, _parameters, value, given = secret
        refuse_huge(len(value))
        return Secret(bytes(value), content_type if given in {"", _PLAIN} else text_of(given))

    async def create(
        self,
        collection: str,
        label: str,
        attributes: Mapping[str, str],
        value: Secret,
        *,
        replace: bool,
    ) -> ItemRef:
        """Store a new item; with `replace`, overwrite the one with exactly these attributes.

        gnome-keyring's own replacing is not used: it overwrites an item that merely has these
        attributes among others, and with no attributes any item at all.
        """
        refuse_huge(len(value))
        if not replace:
            return await self._create(collection, label, attributes, value)
        async with self._replacing:  # or two of them would both find nothing, and both create
            same = await self._same(collection, attributes)
            if same is None:
                return await self._create(collection, label, attributes, value)
            await self.write(same.ref, value)
            if same.label != label:
                await self.change(same.ref, label=label, attributes=None)
            return same.ref

    async def write(self, item: ItemRef, value: Secret) -> None:
        """Overwrite the value of an item."""
        refuse_huge(len(value))
        path = item_path(item)
        kept = self._types.get(item)
        attributes: dict[str, str] | None = None
        if kept != value.content_type:
            info = await self.describe(item)
            if info.locked:
                raise LockedError("the item is locked")
            if info.content_type != value.content_type:
                attributes = _stored(info.attributes, value.content_type)
        await self._provider.call(
            path, ITEM, "SetSecret", _VALUE, lambda session: [_struct(session, value)]
        )
        if attributes is not None:
            await self._provider.set(path, ITEM, "Attributes", Variant("a{ss}", attributes))
        # gnome-keyring has no signal for a new value.
        self._announce(StoreChange(what="changed", collection=item.collection, item=item.item))
        self._keep_type(item, value.content_type)

    async def change(
        self, item: ItemRef, *, label: str | None, attributes: Mapping[str, str] | None
    ) -> None:
        """Change label or attributes of an item; None leaves them as they are."""
        path = item_path(item)
        if attributes is not None:
            info = await self.describe(item)
            stored = _stored(attributes, info.content_type)
            await self._provider.set(path, ITEM, "Attributes", Variant("a{ss}", stored))
        if label is not None:
            await self._provider.set(path, ITEM, "Label", Variant("s", label))

    async def delete(self, item: ItemRef) -> None:
        """Delete an item."""
        (prompt,) = await self._provider.call(item_path(item), ITEM, "Delete", gives="o")
        await self._finish(prompt)

    async def create_collection(self, label: str, alias: str) -> str:
        """Create a collection, or return the one that `alias` means already.

        It gets the passphrase of the last unlock. Where that is unknown, the provider's own prompt
        asks for one.

        Raises:
            UnsupportedError: The provider has no such alias: gnome-keyring only lets `default` move.
        """
        if alias:
            existing = await self._meant(alias)
            if existing:
                return existing
            # Removing what is not there changes nothing, and shows early whether it can be set.
            await self.set_alias(alias, "")
        if self._passphrase is None:
            return await self._create_by_prompt(label, alias)
        try:
            name = await self._create_with(self._passphrase, label)
        except UnsupportedError:
            return await self._create_by_prompt(label, alias)
        if alias:
            await self.set_alias(alias, name)
        return name

    async def change_collection(self, collection: str, label: str) -> None:
        """Change the label of a collection."""
        path = collection_path(collection)
        await self._provider.set(path, COLLECTION, "Label", Variant("s", label))

    async def delete_collection(self, collection: str) -> None:
        """Delete a collection, all its items and the aliases that point to it.

        Raises:
            UnsupportedError: It is the volatile one, which gnome-keyring makes at its start only.
        """
        if collection == "session":
            raise UnsupportedError("the volatile collection cannot be deleted")
        path = collection_path(collection)
        (prompt,) = await self._provider.call(path, COLLECTION, "Delete", gives="o")
        await self._finish(prompt)

    async def set_alias(self, alias: str, collection: str) -> None:
        """Let an alias point to a collection; the empty name removes it."""
        path = collection_path(collection) if collection else NOTHING
        await self._provider.call(ROOT, SERVICE, "SetAlias", "so", [alias, path])

    def listen(self, callback: ChangeCallback) -> None:
        """Call `callback` after every change, whoever made it."""
        self._callbacks.append(callback)

    async def close(self) -> None:
        """Leave the bus and forget the passphrase; the provider stays as it is."""
        self._passphrase = None
        self._provider.close()

    def _announce(self, change: StoreChange) -> None:
        if change.item:
            self._types.pop(ItemRef(collection=change.collection, item=change.item), None)
        else:
            self._types.clear()
        for callback in self._callbacks:
            callback(change)

    def _say_changed(self, names: Sequence[str]) -> None:
        # gnome-keyring has no signal for what its own extra methods lock and unlock.
        for name in names:
            self._announce(StoreChange(what="changed", collection=name))

    def _keep_type(self, item: ItemRef, content_type: str) -> None:
        if len(self._types) >= _MAX_KNOWN_TYPES:
            self._types.clear()
        self._types[item] = content_type

    async def _collections(self) -> list[str]:
        value = await self._provider.get(ROOT, SERVICE, "Collections", "ao")
        return [parse_collection(path) for path in paths(value)]

    async def _check_unmade(self, collection: str) -> None:
        if collection != _FIRST or await self.initialised():
            raise NotFoundError(f"no collection {collection!r}")

    async def _collection(self, name: str) -> CollectionInfo:
        known = await self._provider.get_all(collection_path(name), COLLECTION)
        return CollectionInfo(
            id=name,
            label=text_of(variant(known.get("Label"), "s")),
            created=seconds_of(known.get("Created")),
            modified=seconds_of(known.get("Modified")),
            locked=variant(known.get("Locked"), "b") is True,
        )

    async def _locked(self, names: Sequence[str]) -> list[str]:
        return [name for name in names if (await self._collection(name)).locked]

    async def _meant(self, alias: str) -> str:
        (path,) = await self._provider.call(ROOT, SERVICE, "ReadAlias", "s", [alias], gives="o")
        return "" if path == NOTHING else parse_collection(path)

    async def _same(self, collection: str, attributes: Mapping[str, str]) -> ItemInfo | None:
        for ref in await self.search(attributes, collection):
            info = await self.describe(ref)
            if info.locked:
                raise LockedError("the collection is locked")
            if info.attributes == _named(attributes):
                return info
        return None

    async def _create(
        self, collection: str, label: str, attributes: Mapping[str, str], value: Secret
    ) -> ItemRef:
        properties = {
            f"{ITEM}.Label": Variant("s", label),
            f"{ITEM}.Attributes": Variant("a{ss}", _stored(attributes, value.content_type)),
        }
        path, prompt = await self._provider.call(
            collection_path(collection),
            COLLECTION,
            "CreateItem",
            f"a{{sv}}{_VALUE}b",
            lambda session: [properties, _struct(session, value), False],
            gives="oo",
        )
        return parse_item(await self._made(path, prompt), collection)

    async def _create_first(self, passphrase: Secret) -> None:
        try:
            # A collection made as "login" gets that identifier, which is all that the alias
            # `login` of gnome-keyring means.
            name = await self._create_with(passphrase, _FIRST)
        except UnsupportedError:
            await self._create_by_prompt("Login", "default")
            return
        self._passphrase = passphrase
        await self.set_alias("default", name)
        await self.change_collection(name, _FIRST.capitalize())

    async def _create_with(self, passphrase: Secret, label: str) -> str:
        # gnome-keyring makes the identifier and the name of a file from the first label.
        first = _UNFIT.sub("_", label)[:_MAX_FIRST_LABEL]
        (path,) = await self._provider.call(
            ROOT,
            GNOME,
            "CreateWithMasterPassword",
            f"a{{sv}}{_VALUE}",
            lambda session: [_labelled(first), _struct(session, passphrase)],
            gives="o",
        )
        name = parse_collection(path)
        if first != label:
            await self.change_collection(name, label)
        return name

    async def _create_by_prompt(self, label: str, alias: str) -> str:
        path, prompt = await self._provider.call(
            ROOT, SERVICE, "CreateCollection", "a{sv}s", [_labelled(label), alias], gives="oo"
        )
        return parse_collection(await self._made(path, prompt))

    async def _made(self, path: object, prompt: object) -> object:
        return await self._provider.complete(prompt, "o") if path == NOTHING else path

    async def _unlock_one(self, name: str, passphrase: Secret) -> bool:
        # Returns whether it was this passphrase that opened it.
        path = collection_path(name)
        ours = True
        try:
            await self._provider.call(
                ROOT,
                GNOME,
                "UnlockWithMasterPassword",
                f"o{_VALUE}",
                lambda session: [path, _struct(session, passphrase)],
            )
        except UnsupportedError:
            ours = False
            unlocked, prompt = await self._provider.call(
                ROOT, SERVICE, "Unlock", "ao", [[path]], gives="aoo"
            )
            if path not in paths(unlocked):
                opened = [] if prompt == NOTHING else await self._provider.complete(prompt, "ao")
                if path not in paths(opened):
                    raise DeniedError("the provider did not unlock it") from None
        self._say_changed([name])
        return ours

    async def _lock(self, names: Sequence[str]) -> None:
        asked = [collection_path(name) for name in names]
        _, prompt = await self._provider.call(ROOT, SERVICE, "Lock", "ao", [asked], gives="aoo")
        await self._finish(prompt)

    async def _finish(self, prompt: object) -> None:
        if prompt != NOTHING:
            await self._provider.complete(prompt)


def _ordered(refs: Iterable[ItemRef]) -> tuple[ItemRef, ...]:
    # gnome-keyring numbers its items as it makes them, and lists them in no order.
    return tuple(sorted(refs, key=lambda ref: (ref.collection, len(ref.item), ref.item)))


def _labelled(label: str) -> dict[str, Variant]:
    return {f"{COLLECTION}.Label": Variant("s", label)}


def _struct(session: str, value: Secret) -> list[object]:
    return [session, b"", value.expose(), value.content_type]


def _named(attributes: Mapping[str, str]) -> dict[str, str]:
    # After a restart gnome-keyring gives this schema to every item that came without one.
    return {n: v for n, v in attributes.items() if (n, v) != _NO_SCHEMA}


def _stored(attributes: Mapping[str, str], content_type: str) -> dict[str, str]:
    if _TYPE in attributes:
        raise UsageError(f"the attribute {_TYPE!r} is reserved")
    return {**attributes, **({} if content_type in {"", _PLAIN} else {_TYPE: content_type})}
