"""What lies in the object tree, as one caller sees it, and what a path in a call means there."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from privyseal.errors import NotFoundError
from privyseal.model.keyring import CollectionInfo, ItemInfo, ItemRef
from privyseal.wire.secretservice import (
    COLLECTIONS,
    ITEMS,
    NOTHING,
    STANDING_ALIASES,
    Place,
    collection_path,
    parse,
    parse_alias,
    parse_all,
)


@dataclass(frozen=True, slots=True)
class Known:
    """The collections and aliases at one instant."""

    collections: dict[str, CollectionInfo]
    aliases: dict[str, str]

    @property
    def locked(self) -> set[str]:
        """The collections that are locked."""
        return {name for name, info in self.collections.items() if info.locked}

    def find(self, place: Place) -> CollectionInfo | None:
        """Return the collection that a collection's, alias's or item's path leads to."""
        if place.kind not in COLLECTIONS | ITEMS:
            return None
        name = place.name
        if place.kind in {"alias", "alias-item"}:
            name = self.aliases.get(name, "")
        return self.collections.get(name)

    def show(self, place: Place) -> CollectionInfo:
        """Return the collection at `place`; an alias that always exists may mean nothing.

        Raises:
            NotFoundError: No such collection or alias.
        """
        if place.kind == "alias" and place.name in STANDING_ALIASES:
            return self.find(place) or CollectionInfo(id="")
        return self.get(place)

    def get(self, place: Place) -> CollectionInfo:
        """Return the collection at `place`.

        Raises:
            NotFoundError: It does not exist, or the alias means none.
        """
        info = self.find(place)
        if info is None:
            raise NotFoundError(f"no such collection {place.name!r}")
        return info

    def meant(self, paths: Sequence[str]) -> dict[str, str]:
        """Return the collection that each path means or lies in, leaving out what is not there."""
        found = {path: self.find(place) for path, place in parse_all(paths).items()}
        return {path: info.id for path, info in found.items() if info is not None}

    def unlocked_items(self, paths: Sequence[str]) -> dict[str, ItemRef]:
        """Return the items among `paths` whose collection is there and unlocked."""
        wanted: dict[str, ItemRef] = {}
        for path, place in parse_all(paths).items():
            info = self.find(place) if place.kind in ITEMS else None
            if info is not None and not info.locked:
                wanted[path] = ItemRef(collection=info.id, item=place.item)
        return wanted


class Keyring(Protocol):
    """Where the tree is looked up. What one caller is told another may not be."""

    async def known(self) -> Known:
        """Return all collections and aliases."""
        ...

    async def items(self, collection: str) -> tuple[str, ...]:
        """Return the identifiers of the items of a collection.

        Raises:
            NotFoundError: No such collection.
        """
        ...

    async def describe(self, item: ItemRef) -> ItemInfo:
        """Return the properties of an item, `locked` being what this caller is told.

        Raises:
            NotFoundError: No such item.
        """
        ...


async def collection_at(keyring: Keyring, place: Place) -> str:
    """Return the identifier of the collection that a path leads to.

    Raises:
        NotFoundError: It does not exist, or the alias means none.
    """
    return (await keyring.known()).get(place).id


async def item_at(keyring: Keyring, place: Place) -> ItemRef:
    """Return the item that a path leads to; whether it exists is not looked up.

    Raises:
        NotFoundError: No item can be there.
    """
    match place.kind:
        case "item":
            return ItemRef(collection=place.name, item=place.item)
        case "alias-item":
            return ItemRef(collection=await collection_at(keyring, place), item=place.item)
        case _:
            raise NotFoundError("no such item")


async def listed(keyring: Keyring, place: Place) -> tuple[CollectionInfo, tuple[str, ...]]:
    """Return the collection at `place` and its items, none for an alias that means nothing.

    Raises:
        NotFoundError: No such collection or alias.
    """
    info = (await keyring.known()).show(place)
    return info, await keyring.items(info.id) if info.id else ()


async def path_of_alias(keyring: Keyring, alias: str) -> str:
    """Return the path of the collection behind an alias, "/" when it means none."""
    collection = (await keyring.known()).aliases.get(alias, "")
    return collection_path(collection) if collection else NOTHING


async def parse_set_alias(keyring: Keyring, alias: str, path: str) -> tuple[str, str]:
    """Return the alias and the collection it is to mean, "" for the path "/", which removes it.

    Raises:
        UsageError: It cannot be an alias.
        NotFoundError: The path leads to no collection.
    """
    name = parse_alias(alias)
    if path == NOTHING:
        return name, ""
    place = parse(path)
    if place.kind not in COLLECTIONS:
        raise NotFoundError(f"no such collection {path[:80]!r}")
    return name, await collection_at(keyring, place)
