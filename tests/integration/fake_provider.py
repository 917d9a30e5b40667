"""A Secret Service provider that has no extras of gnome-keyring, asks by prompts, and may lie."""

import asyncio

from dbus_fast import Variant

from privyseal.errors import LockedError, NoSessionError, UnsupportedError
from privyseal.runtime.bus import Call, Connection, Method, Reply

ROOT = "/org/freedesktop/secrets"
SERVICE = "org.freedesktop.Secret.Service"
COLLECTION = "org.freedesktop.Secret.Collection"
ITEM = "org.freedesktop.Secret.Item"
PROMPT = "org.freedesktop.Secret.Prompt"
PROPERTIES = "org.freedesktop.DBus.Properties"
HOME = f"{ROOT}/collection/home"


class FakeProvider:
    """One collection, one item; every field is an answer that a test may change."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.locked = False
        self.session = f"{ROOT}/session/s1"
        self.collections: object = [HOME]
        self.items: object = [f"{HOME}/1"]
        self.found: list[str] = [f"{HOME}/1"]
        self.made = f"{HOME}/2"
        self.prompt = f"{ROOT}/prompt/p1"
        self.dismisses = False
        self.label = Variant("s", "an item")
        self.attributes: dict[str, str] = {"a": "b"}
        self.value = b"hunter2"
        self.content_type = "application/x-kept"
        self.asked: list[str] = []
        self.silent = False
        self.refuses_sessions = False
        self.search_gives = "aoao"
        self.prompted = asyncio.Event()

    async def serve(self) -> None:
        self._connection.serve(
            {
                (SERVICE, "OpenSession"): Method("sv", "vo", self._open),
                (SERVICE, "ReadAlias"): Method("s", "o", self._read_alias),
                (SERVICE, "SearchItems"): Method("a{ss}", self.search_gives, self._search),
                (SERVICE, "Unlock"): Method("ao", "aoo", self._unlock),
                (SERVICE, "Lock"): Method("ao", "aoo", self._lock),
                (COLLECTION, "CreateItem"): Method("a{sv}(oayays)b", "oo", self._create),
                (ITEM, "GetSecret"): Method("o", "(oayays)", self._get_secret),
                (ITEM, "Delete"): Method("", "o", self._delete),
                (PROMPT, "Prompt"): Method("s", "", self._prompt),
                (PROMPT, "Dismiss"): Method("", "", self._dismiss),
                (PROPERTIES, "Get"): Method("ss", "v", self._get),
                (PROPERTIES, "GetAll"): Method("s", "a{sv}", self._get_all),
            }
        )
        await self._connection.claim("org.freedesktop.secrets")

    def close(self) -> None:
        self._connection.close()

    def complete(self, *, result: Variant) -> None:
        self._connection.emit(self.prompt, PROMPT, "Completed", "bv", [self.dismisses, result])

    async def _open(self, _call: Call) -> Reply:
        if self.refuses_sessions:
            raise UnsupportedError("x" * 1000)
        return Reply([Variant("s", ""), self.session])

    async def _read_alias(self, call: Call) -> Reply:
        return Reply([HOME if call.body[0] == "default" else "/"])

    async def _search(self, _call: Call) -> Reply:
        return Reply([self.found, []][: len(self.search_gives) // 2])

    async def _unlock(self, _call: Call) -> Reply:
        return Reply([[], self.prompt])

    async def _lock(self, call: Call) -> Reply:
        self.locked = True
        return Reply([call.body[0], "/"])

    async def _create(self, _call: Call) -> Reply:
        return Reply([self.made, "/"])

    async def _get_secret(self, call: Call) -> Reply:
        if call.body[0] != self.session:
            raise NoSessionError("no such session")
        if self.locked:
            raise LockedError("locked")
        return Reply([[self.session, b"", self.value, self.content_type]])

    async def _delete(self, _call: Call) -> Reply:
        return Reply([self.prompt])

    async def _prompt(self, call: Call) -> Reply:
        self.asked.append(call.path)
        self.prompted.set()
        if not self.silent:
            self.locked = self.locked and self.dismisses
            self.complete(result=Variant("ao", [HOME]))
        return Reply()

    async def _dismiss(self, _call: Call) -> Reply:
        self.asked.append("dismissed")
        return Reply()

    async def _get(self, call: Call) -> Reply:
        return Reply([Variant("ao", self.items if call.body[1] == "Items" else self.collections)])

    async def _get_all(self, call: Call) -> Reply:
        times = {"Created": Variant("t", 7), "Modified": Variant("t", 8)}
        own = {"Locked": Variant("b", self.locked), "Label": self.label}
        if call.body[0] == ITEM:
            own["Attributes"] = Variant("a{ss}", self.attributes)
        return Reply([{**times, **own}])
