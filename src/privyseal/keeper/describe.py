"""Turns an ask into what a person reads: the items it touches and what it would change."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from privyseal.keeper.orders import order_facts
from privyseal.model.ask import (
    Ask,
    Change,
    ChangeAws,
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
    UseAws,
    Write,
)
from privyseal.model.evidence import Fact
from privyseal.model.keyring import ItemInfo
from privyseal.model.secret import Secret
from privyseal.runtime.backend import Backend

OfCollections = (
    Search | CreateCollection | ChangeCollection | DeleteCollection | SetAlias | Lock | Unlock
)


@dataclass(frozen=True, slots=True)
class Description:
    """The parts of a `Content` that depend on the ask alone."""

    items: tuple[ItemInfo, ...] = ()
    collections: tuple[str, ...] = ()
    details: tuple[Fact, ...] = ()


async def describe(ask: Ask, backend: Backend, value: Secret | None) -> Description:
    """Return what the ask touches and would change, `value` being what came with it.

    Raises:
        NotFoundError: It names an item or a collection that is not there.
    """
    size = len(value) if value else 0
    match ask:
        case UseAws() | ChangeAws():
            return Description(details=order_facts(ask.order, value))
        case Read():
            return Description(items=tuple([await backend.describe(item) for item in ask.items]))
        case Create():
            return await _create(ask, backend, size)
        case Write() | Delete() | Change():
            item = await backend.describe(ask.item)
            return Description(items=(item,), details=_becomes(ask, item, size))
        case _:
            labels = await _labels(backend, ask)
            return Description(collections=labels, details=await _details(ask, backend))


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
        collections=await _labels(backend, ask),
        details=(
            _fact("replaces" if replaced else "new item", ask.label),
            *_attributes(ask.attributes),
            _fact("value", f"{size} bytes, {ask.content_type}"),
        ),
    )


def _becomes(ask: Write | Delete | Change, old: ItemInfo, size: int) -> tuple[Fact, ...]:
    if isinstance(ask, Write):
        return (_fact("new value", f"{size} bytes, {ask.content_type}"),)
    if isinstance(ask, Delete):
        return ()
    details: list[Fact] = []
    if ask.label is not None:
        details += [_fact("label was", old.label), _fact("label becomes", ask.label)]
    if ask.attributes is not None:
        for name in sorted(old.attributes.keys() | ask.attributes.keys()):
            before, after = old.attributes.get(name), ask.attributes.get(name)
            if before != after:
                details.append(_fact(name[:200] + " was", before or "not set"))
                details.append(_fact(name[:200] + " becomes", after or "not set"))
    return tuple(details)


async def _details(ask: OfCollections, backend: Backend) -> tuple[Fact, ...]:
    match ask:
        case Search():
            return _attributes(ask.attributes)
        case CreateCollection():
            return (_fact("alias", ask.alias),) if ask.alias else ()
        case ChangeCollection():
            return (_fact("label becomes", ask.label),)
        case DeleteCollection():
            held = len(await backend.items(ask.collection))
            return (_fact("holds", f"{held} items, deleted with it"),)
        case SetAlias():
            old = (await backend.aliases()).get(ask.alias, "")
            return (
                _fact("alias", ask.alias),
                _fact("pointed to", old or "nothing"),
                _fact("points to", ask.collection or "nothing"),
            )
        case Lock() | Unlock():
            return ()


async def _labels(backend: Backend, ask: OfCollections | Create) -> tuple[str, ...]:
    if isinstance(ask, CreateCollection):
        return (ask.label,)
    wanted = ask.collections if isinstance(ask, Lock | Unlock) else (ask.collection,)
    if not any(wanted):
        return ()
    known = {info.id: info.label for info in await backend.collections()}
    return tuple(known.get(name) or name for name in wanted if name)


def _attributes(attributes: Mapping[str, str]) -> tuple[Fact, ...]:
    return tuple(_fact(name, value) for name, value in sorted(attributes.items()))


def _fact(name: str, value: str) -> Fact:
    return Fact(grade="verified", name=name, value=value)
