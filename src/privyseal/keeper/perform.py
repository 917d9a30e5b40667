"""Does what was granted: one function for each kind of ask, and no other way to the backend."""

from collections.abc import Awaitable, Callable
from typing import Final

from privyseal.errors import UsageError
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
    SetAlias,
    Unlock,
    Write,
)
from privyseal.model.secret import Secret
from privyseal.wire.keeper import Granted, MadeCollection, MadeItem, Result


async def perform(ask: Ask, backend: Backend, value: Secret | None) -> Result:
    """Carry out an ask that is neither a read nor a search; return what the requester is told.

    Raises:
        PrivysealError: The backend refused; nothing was changed.
    """
    return await _PERFORM[type(ask)](ask, backend, value)


async def _create(ask: Create, backend: Backend, value: Secret | None) -> Result:
    item = await backend.create(
        ask.collection,
        ask.label,
        ask.attributes,
        _needed(value, ask.content_type),
        replace=ask.replace,
    )
    return MadeItem(item=item)


async def _write(ask: Write, backend: Backend, value: Secret | None) -> Result:
    await backend.write(ask.item, _needed(value, ask.content_type))
    return Granted(items=(ask.item,))


async def _delete(ask: Delete, backend: Backend, _value: Secret | None) -> Result:
    await backend.delete(ask.item)
    return Granted()


async def _change(ask: Change, backend: Backend, _value: Secret | None) -> Result:
    await backend.change(ask.item, label=ask.label, attributes=ask.attributes)
    return Granted(items=(ask.item,))


async def _create_collection(
    ask: CreateCollection, backend: Backend, _value: Secret | None
) -> Result:
    return MadeCollection(collection=await backend.create_collection(ask.label, ask.alias))


async def _change_collection(
    ask: ChangeCollection, backend: Backend, _value: Secret | None
) -> Result:
    await backend.change_collection(ask.collection, ask.label)
    return Granted()


async def _delete_collection(
    ask: DeleteCollection, backend: Backend, _value: Secret | None
) -> Result:
    await backend.delete_collection(ask.collection)
    return Granted()


async def _alias(ask: SetAlias, backend: Backend, _value: Secret | None) -> Result:
    await backend.set_alias(ask.alias, ask.collection)
    return Granted()


async def _lock(ask: Lock, backend: Backend, _value: Secret | None) -> Result:
    await backend.lock(ask.collections)
    return Granted()


async def _unlock(_ask: Unlock, _backend: Backend, _value: Secret | None) -> Result:
    # The person unlocked the store with the passphrase; granting the ask adds nothing to that.
    return Granted()


def _needed(value: Secret | None, content_type: str) -> Secret:
    if value is None:
        raise UsageError("the request needs a value, and none came with it")
    return Secret(value.expose(), content_type)


# Each function takes its own kind of ask; the key of the table says which.
_Perform = Callable[..., Awaitable[Result]]  # type: ignore[explicit-any]  # see above

_PERFORM: Final[dict[type[Ask], _Perform]] = {
    Create: _create,
    Write: _write,
    Delete: _delete,
    Change: _change,
    CreateCollection: _create_collection,
    ChangeCollection: _change_collection,
    DeleteCollection: _delete_collection,
    SetAlias: _alias,
    Lock: _lock,
    Unlock: _unlock,
}
