"""A client of one Secret Service provider, for moving items out of it or into it."""

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from dbus_fast import Message, MessageType, Variant

from privyseal.cli.migration_words import Entry, Shelf, with_type, without_type
from privyseal.errors import (
    CorruptError,
    DeniedError,
    LockedError,
    PrivysealError,
    UnreachableError,
    UnsupportedError,
    from_bus,
)
from privyseal.runtime.bus import Connection, error_text
from privyseal.wire.secretservice import (
    COLLECTION,
    INTERNAL,
    ITEM,
    NOTHING,
    PROMPT,
    PROPERTIES,
    ROOT,
    SECRET,
    SERVICE,
)
from privyseal.wire.sessioncrypto import DH, PLAIN, Cipher, PlainCipher, agree

_CALL_SECONDS: Final = 60.0
_PROMPT_SECONDS: Final = 300.0
_KEY_BYTES: Final = 128
_ALIASES: Final = ("default", "login")


class Service:
    """The provider that owns `owner` on the bus of `connection`; `description` names it for people."""

    def __init__(self, connection: Connection, owner: str, description: str) -> None:
        self.description = description
        self._connection = connection
        self._owner = owner
        self._cipher: Cipher = PlainCipher()
        self._session = NOTHING
        self._prompts: dict[str, asyncio.Future[list[Any]]] = {}

    async def start(self) -> None:
        """Agree on a session, encrypted if the provider can.

        Raises:
            PrivysealError: The provider does not answer.
        """
        await self._connection.listen(self._owner, PROMPT, "Completed", self._completed)
        secret = os.urandom(_KEY_BYTES)
        _, public = agree(b"\x02", lambda _: secret)  # for our half alone any key of theirs does
        try:
            output, self._session = await self._call(
                ROOT, SERVICE, "OpenSession", "sv", [DH, Variant("ay", public)], gives="vo"
            )
            self._cipher, _ = agree(bytes(output.value), lambda _: secret)
        except UnsupportedError:
            _, self._session = await self._call(
                ROOT, SERVICE, "OpenSession", "sv", [PLAIN, Variant("s", "")], gives="vo"
            )

    async def collections(self) -> tuple[Shelf, ...]:
        """Return all collections but the volatile one."""
        aliases: dict[str, list[str]] = {}
        for alias in _ALIASES:
            (path,) = await self._call(ROOT, SERVICE, "ReadAlias", "s", [alias], gives="o")
            aliases.setdefault(path, []).append(alias)
        shelves = []
        for path in await self._get(ROOT, SERVICE, "Collections", "ao"):
            if not path.endswith("/session"):
                known = await self._get_all(path, COLLECTION)
                label, locked = _held(known, "Label", "s"), _held(known, "Locked", "b")
                named = tuple(aliases.get(path, ()))
                shelves.append(Shelf(path=path, label=label, aliases=named, locked=locked))
        return tuple(sorted(shelves, key=lambda shelf: shelf.path))

    async def unlock(self, collection: str, passphrase: bytes) -> None:
        """Open a collection: with a passphrase if one is given and taken, else by a prompt.

        Raises:
            DeniedError: The passphrase is wrong, or nobody answered the prompt.
        """
        if passphrase:
            with suppress(UnsupportedError):
                body = [collection, self._sealed(Entry(value=passphrase))]
                await self._call(ROOT, INTERNAL, "UnlockWithMasterPassword", f"o{SECRET}", body)
                return
        unlocked, prompt = await self._call(
            ROOT, SERVICE, "Unlock", "ao", [[collection]], gives="aoo"
        )
        if collection not in unlocked:
            await self._complete(prompt)

    async def items(self, collection: str) -> tuple[str, ...]:
        """Return the paths of the items of a collection, in order of creation as far as is known."""
        found = await self._get(collection, COLLECTION, "Items", "ao")
        return tuple(sorted(found, key=lambda path: (len(path), path)))

    async def look(self, path: str) -> Entry:
        """Return what is known of an item without its value.

        Raises:
            LockedError: It is locked.
        """
        return _entry(path, await self._unlocked(path))

    async def read(self, path: str) -> Entry:
        """Return an item with its value."""
        known = await self._unlocked(path)
        (secret,) = await self._call(path, ITEM, "GetSecret", "o", [self._session], gives=SECRET)
        _, parameters, sealed, content_type = secret
        value = self._cipher.unseal(bytes(parameters), bytes(sealed))
        return _entry(path, known, content_type, value)

    async def create(self, collection: str, entry: Entry) -> str:
        """Store a new item; return its path."""
        properties = {
            f"{ITEM}.Label": Variant("s", entry.label),
            f"{ITEM}.Attributes": Variant("a{ss}", entry.attributes),
        }
        body = [properties, self._sealed(entry), False]
        path, prompt = await self._call(
            collection, COLLECTION, "CreateItem", f"a{{sv}}{SECRET}b", body, gives="oo"
        )
        if path == NOTHING:
            path = await self._complete(prompt)
        await self._keep_type(str(path), entry)
        return str(path)

    async def write(self, path: str, entry: Entry) -> None:
        """Overwrite value, label and type of an item."""
        await self._call(path, ITEM, "SetSecret", SECRET, [self._sealed(entry)])
        await self._set(path, "Label", Variant("s", entry.label))
        await self._set(path, "Attributes", Variant("a{ss}", entry.attributes))
        await self._keep_type(path, entry)

    async def delete(self, path: str) -> None:
        """Delete an item."""
        (prompt,) = await self._call(path, ITEM, "Delete", gives="o")
        if prompt != NOTHING:
            await self._complete(prompt)

    async def create_collection(self, label: str) -> str:
        """Make a collection; return its path."""
        properties = {f"{COLLECTION}.Label": Variant("s", label)}
        path, prompt = await self._call(
            ROOT, SERVICE, "CreateCollection", "a{sv}s", [properties, ""], gives="oo"
        )
        return str(await self._complete(prompt) if path == NOTHING else path)

    async def _unlocked(self, path: str) -> dict[str, Any]:
        known = await self._get_all(path, ITEM)
        if _held(known, "Locked", "b"):
            raise LockedError("the item is locked")
        return known

    async def _keep_type(self, path: str, entry: Entry) -> None:
        if (await self.read(path)).content_type != entry.content_type:
            kept = with_type(entry.attributes, entry.content_type)
            await self._set(path, "Attributes", Variant("a{ss}", kept))

    def _sealed(self, entry: Entry) -> list[object]:
        parameters, value = self._cipher.seal(entry.value or b"", os.urandom)
        return [self._session, parameters, value, entry.content_type]

    async def _get(self, path: str, interface: str, name: str, kind: str) -> Any:
        (found,) = await self._call(path, PROPERTIES, "Get", "ss", [interface, name], gives="v")
        return _held({name: found}, name, kind)

    async def _get_all(self, path: str, interface: str) -> dict[str, Any]:
        (found,) = await self._call(path, PROPERTIES, "GetAll", "s", [interface], gives="a{sv}")
        return dict(found)

    async def _set(self, path: str, name: str, value: Variant) -> None:
        await self._call(path, PROPERTIES, "Set", "ssv", [ITEM, name, value])

    async def _call(
        self,
        path: str,
        interface: str,
        member: str,
        takes: str = "",
        body: Sequence[object] = (),
        *,
        gives: str = "",
    ) -> list[Any]:
        message = Message(
            destination=self._owner,
            path=path,
            interface=interface,
            member=member,
            signature=takes,
            body=list(body),
        )
        try:
            async with asyncio.timeout(_CALL_SECONDS):
                reply = await self._connection.exchange(message)
        except TimeoutError:
            raise UnreachableError(f"the provider does not answer {member}") from None
        if reply.message_type is MessageType.ERROR:
            raise _refused(reply)
        if reply.signature != gives:
            raise CorruptError(f"the provider answered {member} with {reply.signature[:99]!r}")
        return list(reply.body)

    async def _complete(self, prompt: str) -> Any:
        waiting: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._prompts[prompt] = waiting
        try:
            await self._call(prompt, PROMPT, "Prompt", "s", [""])
            async with asyncio.timeout(_PROMPT_SECONDS):
                dismissed, result = await waiting
        except TimeoutError:
            raise DeniedError("nobody answered the provider's prompt") from None
        finally:
            del self._prompts[prompt]
        if dismissed:
            raise DeniedError("the provider's prompt was dismissed")
        return result.value

    def _completed(self, path: str, body: list[Any]) -> None:
        waiting = self._prompts.get(path)
        if waiting is not None and not waiting.done() and len(body) == 2:  # noqa: PLR2004 - dismissed, result
            waiting.set_result(body)


def _entry(
    path: str, known: dict[str, Any], content_type: str = "", value: bytes | None = None
) -> Entry:
    """Return the item with these properties."""
    attributes, content_type = without_type(_held(known, "Attributes", "a{ss}"), content_type)
    return Entry(
        path=path,
        label=_held(known, "Label", "s"),
        attributes=attributes,
        content_type=content_type,
        created=_held(known, "Created", "t"),
        modified=_held(known, "Modified", "t"),
        value=value,
    )


def _held(known: dict[str, Any], name: str, kind: str) -> Any:
    value = known.get(name)
    if not isinstance(value, Variant) or value.signature != kind:
        raise CorruptError(f"the provider gave no {name} of the type {kind!r}")
    return value.value


def _refused(reply: Message) -> PrivysealError:
    name, text = reply.error_name or "", error_text(reply)[:300]
    if name.startswith("org.freedesktop.DBus.Error.Unknown"):
        return UnsupportedError(f"the provider cannot do that: {text!r}")
    if name == "org.gnome.keyring.Error.Denied":
        return DeniedError("the passphrase is wrong")
    return type(from_bus(name, text))(f"the provider refused: {text!r}")
