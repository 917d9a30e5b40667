"""Does what was granted: one case for each kind of ask, and no other way to change the store."""

from privyseal.errors import UsageError
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
    kind_of,
)
from privyseal.model.secret import Secret
from privyseal.runtime.backend import Backend
from privyseal.wire.keeper import Granted, MadeCollection, MadeItem, Result


async def perform(ask: Ask, backend: Backend, value: Secret | None) -> Result:
    """Carry out an ask that is no read, no search and not for AWS; return what the requester is told.

    Raises:
        PrivysealError: The backend refused; nothing was changed.
    """
    if isinstance(ask, Create | Write | Delete | Change):
        return await _on_item(ask, backend, value)
    match ask:
        case CreateCollection():
            made = await backend.create_collection(ask.label, ask.alias)
            return MadeCollection(collection=made)
        case ChangeCollection():
            await backend.change_collection(ask.collection, ask.label)
        case DeleteCollection():
            await backend.delete_collection(ask.collection)
        case SetAlias():
            await backend.set_alias(ask.alias, ask.collection)
        case Lock():
            await backend.lock(ask.collections)
        case Unlock():
            pass  # a person unlocked the store with the passphrase: granting adds nothing to that
        case Read() | Search() | UseAws() | ChangeAws():
            raise UsageError(f"a {kind_of(ask)} has another way than to be performed")
    return Granted()


async def _on_item(
    ask: Create | Write | Delete | Change, backend: Backend, value: Secret | None
) -> Result:
    if isinstance(ask, Create):
        secret = _needed(value, ask.content_type)
        made = await backend.create(
            ask.collection, ask.label, ask.attributes, secret, replace=ask.replace
        )
        return MadeItem(item=made)
    if isinstance(ask, Delete):
        await backend.delete(ask.item)
        return Granted()
    if isinstance(ask, Write):
        await backend.write(ask.item, _needed(value, ask.content_type))
    else:
        await backend.change(ask.item, label=ask.label, attributes=ask.attributes)
    return Granted(items=(ask.item,))


def _needed(value: Secret | None, content_type: str) -> Secret:
    if value is None:
        raise UsageError("the request needs a value, and none came with it")
    return Secret(value.expose(), content_type)
