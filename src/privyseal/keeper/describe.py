"""Turns an ask into what a person reads: the items it touches and what it would change."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from privyseal.keeper.backends.port import Backend
from privyseal.model.ask import (
    Ask,
    Change,
    ChangeCollection,
    Create,
    CreateCollection,
    Delete,
    DeleteCollection,
    Lock,
    Read,
    Search,
    SetAlias,
    Unlock,
    Write,
)
from privyseal.model.evidence import Fact
from privyseal.model.keyring import CollectionInfo, ItemInfo


@dataclass(frozen=True, slots=True)
class Description:
    """The parts of a `Content` that depend on the ask alone."""

    items: tuple[ItemInfo, ...] = ()
    collections: tuple[str, ...] = ()
    details: tuple[Fact, ...] = ()


async def describe(ask: Ask, backend: Backend, size: int) -> Description:
    """Return what the ask touches; `size` is the length in bytes of the value that came with it.

    Raises:
        NotFoundError: It names an item or a collection that is not there.
    """
    return await _DESCRIBE[type(ask)](ask, backend, size)


async def _read(ask: Read, backend: Backend, _size: int) -> Description:
    return Description(items=tuple([await backend.describe(item) for item in ask.items]))


async def _search(ask: Search, backend: Backend, _size: int) -> Description:
    names = await _labels(backend, [ask.collection]) if ask.collection else ()
    return Description(collections=names, details=_attributes(ask.attributes))


async def _create(ask: Create, backend: Backend, size: int) -> Description:
    replaced: tuple[ItemInfo, ...] = ()
    if ask.replace:
        for item in await backend.search(ask.attributes, ask.collection):
            await asyncio.sleep(0)  # they may be all items there are, and others wait
            info = await backend.describe(item)
            if info.attributes == ask.attributes:
                replaced = (info,)
                break
    return Description(
        items=replaced,
        collections=await _labels(backend, [ask.collection]),
        details=(
            _fact("replaces" if replaced else "new item", ask.label),
            *_attributes(ask.attributes),
            _fact("value", f"{size} bytes, {ask.content_type}"),
        ),
    )


async def _write(ask: Write, backend: Backend, size: int) -> Description:
    return Description(
        items=(await backend.describe(ask.item),),
        details=(_fact("new value", f"{size} bytes, {ask.content_type}"),),
    )


async def _delete(ask: Delete, backend: Backend, _size: int) -> Description:
    return Description(items=(await backend.describe(ask.item),))


async def _change(ask: Change, backend: Backend, _size: int) -> Description:
    old = await backend.describe(ask.item)
    details: list[Fact] = []
    if ask.label is not None:
        details += [_fact("label was", old.label), _fact("label becomes", ask.label)]
    if ask.attributes is not None:
        names = sorted(old.attributes.keys() | ask.attributes.keys())
        for name in names:
            before, after = old.attributes.get(name), ask.attributes.get(name)
            if before != after:
                details.append(_fact(name[:200] + " was", before or "not set"))
                details.append(_fact(name[:200] + " becomes", after or "not set"))
    return Description(items=(old,), details=tuple(details))


async def _create_collection(ask: CreateCollection, _backend: Backend, _size: int) -> Description:
    alias = (_fact("alias", ask.alias),) if ask.alias else ()
    return Description(collections=(ask.label,), details=alias)


async def _change_collection(ask: ChangeCollection, backend: Backend, _size: int) -> Description:
    return Description(
        collections=await _labels(backend, [ask.collection]),
        details=(_fact("label becomes", ask.label),),
    )


async def _delete_collection(ask: DeleteCollection, backend: Backend, _size: int) -> Description:
    held = len(await backend.items(ask.collection))
    return Description(
        collections=await _labels(backend, [ask.collection]),
        details=(_fact("holds", f"{held} items, deleted with it"),),
    )


async def _alias(ask: SetAlias, backend: Backend, _size: int) -> Description:
    old = (await backend.aliases()).get(ask.alias, "")
    return Description(
        collections=await _labels(backend, [ask.collection]) if ask.collection else (),
        details=(
            _fact("alias", ask.alias),
            _fact("pointed to", old or "nothing"),
            _fact("points to", ask.collection or "nothing"),
        ),
    )


async def _lock_or_unlock(ask: Lock | Unlock, backend: Backend, _size: int) -> Description:
    return Description(collections=await _labels(backend, list(ask.collections)))


async def _labels(backend: Backend, wanted: list[str]) -> tuple[str, ...]:
    known = {info.id: info for info in await backend.collections()}
    return tuple(known.get(name, CollectionInfo(id=name)).label or name for name in wanted)


def _attributes(attributes: Mapping[str, str]) -> tuple[Fact, ...]:
    return tuple(_fact(name, value) for name, value in sorted(attributes.items()))


def _fact(name: str, value: str) -> Fact:
    return Fact(grade="verified", name=name, value=value)


# Each function takes its own kind of ask; the key of the table says which.
_Describe = Callable[..., Awaitable[Description]]  # type: ignore[explicit-any]  # see above

_DESCRIBE: Final[dict[type[Ask], _Describe]] = {
    Read: _read,
    Search: _search,
    Create: _create,
    Write: _write,
    Delete: _delete,
    Change: _change,
    CreateCollection: _create_collection,
    ChangeCollection: _change_collection,
    DeleteCollection: _delete_collection,
    SetAlias: _alias,
    Lock: _lock_or_unlock,
    Unlock: _lock_or_unlock,
}
