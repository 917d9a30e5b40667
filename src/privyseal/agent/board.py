"""Notifications on the desktop, kept as they are wanted, and the answers that count.

A notification server is a program of the desktop and anyone on the bus can send a signal in its
name. So an answer counts only when it comes from the very connection that was asked to show the
notification, names one of its identifiers, and carries a key that was drawn for that notification
alone.
"""

import asyncio
import logging
import secrets
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from html import escape
from typing import Final

from dbus_fast import Variant

from privyseal.errors import PrivysealError, UnreachableError
from privyseal.model.approval import Approval
from privyseal.model.ask import Create
from privyseal.runtime.bus import DBUS, DBUS_PATH, Connection

log = logging.getLogger(__name__)

SERVER: Final = "org.freedesktop.Notifications"
SERVER_PATH: Final = "/org/freedesktop/Notifications"

MAX_SHOWN: Final = 20
"""Notifications on the desktop at any time."""
CELLS: Final = 72
"""Longest foreign text in a notification, in cells."""

_CRITICAL: Final = 2
_GOODBYE_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Draft:
    """What one notification is to say; equal drafts need not be shown again."""

    title: str
    lines: tuple[str, ...]
    approvals: tuple[Approval, ...]
    actions: tuple[str, ...]


@dataclass(slots=True)
class Shown:
    """A notification on the desktop; `keys` says what each of its buttons means."""

    draft: Draft
    number: int
    keys: dict[str, str] = field(default_factory=dict)


class Board(ABC):
    """Shows what its drafts say and hands on what a person presses.

    `connection` serves the board alone: it listens for owners of bus names there, `followed` ones
    among them.
    """

    def __init__(self, connection: Connection, followed: Sequence[str] = ()) -> None:
        self._connection = connection
        self._names = (*followed, SERVER)
        self._owner = ""
        self._markup = True
        self._shown: dict[str, Shown] = {}
        self._dismissed: set[str] = set()
        self._stale = set(self._names)
        self._heard: deque[Callable[[], None]] = deque(maxlen=MAX_SHOWN)
        self._wake = asyncio.Event()
        self._patience: float | None = None
        self._told_missing = False
        self._tried = False

    async def run(self) -> None:
        """Follow what is to be shown and the notification server until cancelled."""
        for name in self._names:
            await self._connection.listen(
                DBUS, DBUS, "NameOwnerChanged", self._owner_changed, rule=f",arg0='{name}'"
            )
        self._wake.set()
        try:
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._patience):
                        await self._wake.wait()
                self._wake.clear()
                await self._turn()
        finally:
            with suppress(PrivysealError, TimeoutError):
                async with asyncio.timeout(_GOODBYE_SECONDS):
                    for shown in list(self._shown.values()):
                        await self._close(shown.number)

    @abstractmethod
    async def _refresh(self, stale: set[str]) -> None:
        """Learn what there is to show; the owners of the `stale` names have changed."""

    @abstractmethod
    def _drafts(self) -> Iterator[tuple[str, Draft]]:
        """Yield what is to be shown, each under a name of its own."""

    @abstractmethod
    def _act(self, name: str, shown: Shown, verb: str) -> None:
        """Take the press of a button."""

    def _put_away(self, name: str, shown: Shown) -> None:
        """Take note that a person put a notification away; asking again at once would be nagging."""
        del shown
        self._dismissed.add(name)

    async def _turn(self) -> None:
        while self._heard:
            self._heard.popleft()()
        stale, self._stale = self._stale, set()
        await self._refresh(stale)
        if SERVER in stale:
            await self._attach_server()
        drafts = dict(self._drafts())
        if drafts and not self._owner and not self._tried:
            # Not before there is something to say: desktops bring up their own when they are ready.
            self._tried = True
            await self._start_server()
        if self._owner:
            with suppress(PrivysealError):  # a server that fails is replaced, or stays away
                await self._reconcile(drafts)

    async def _attach_server(self) -> None:
        owner = await self._connection.owner(SERVER)
        if owner == self._owner:
            return
        for member in ("ActionInvoked", "NotificationClosed"):
            await self._connection.unlisten(self._owner, SERVER, member)
        self._shown.clear()
        self._owner = owner
        if not self._owner:
            self._tried = False
            return
        listen = self._connection.listen
        for member, take in (
            ("ActionInvoked", self._pressed),
            ("NotificationClosed", self._closed),
        ):
            await listen(self._owner, SERVER, member, partial(self._hear, take))
        with suppress(PrivysealError):
            reply = await self._call("GetCapabilities")
            self._markup = not isinstance(reply, list) or "body-markup" in reply

    async def _start_server(self) -> None:
        with suppress(PrivysealError):  # most desktops can start theirs on demand
            await self._connection.call(
                DBUS, DBUS_PATH, DBUS, "StartServiceByName", "su", [SERVER, 0]
            )
        await self._attach_server()
        if not self._owner and not self._told_missing:
            log.info("no notification server runs, so requests are not announced")
            self._told_missing = True

    def _owner_changed(self, _path: str, body: list[object]) -> None:
        if body[0] in self._names:
            self._stale.add(str(body[0]))
            self._wake.set()

    def _hear(self, take: Callable[[list[object]], None], _path: str, body: list[object]) -> None:
        # Not yet: the notification that it is about may still be on its way to `_shown`.
        self._heard.append(partial(take, body))
        self._wake.set()

    def _pressed(self, body: list[object]) -> None:
        number, key = (*body, None, None)[:2]
        for name, shown in self._shown.items():
            if shown.number == number and str(key) in shown.keys:
                self._act(name, shown, shown.keys[str(key)])
                return

    def _closed(self, body: list[object]) -> None:
        for name, shown in list(self._shown.items()):
            if [shown.number] == body[:1]:
                self._put_away(name, shown)
                del self._shown[name]

    async def _reconcile(self, drafts: dict[str, Draft]) -> None:
        """Make the desktop show exactly what the drafts say."""
        self._dismissed &= drafts.keys()
        for name in [name for name in self._shown if name not in drafts]:
            await self._close(self._shown.pop(name).number)
        for name, draft in list(drafts.items())[:MAX_SHOWN]:
            shown = self._shown.get(name)
            if name not in self._dismissed and (shown is None or shown.draft != draft):
                self._shown[name] = await self._show(draft, shown.number if shown else 0)

    async def _show(self, draft: Draft, replaces: int) -> Shown:
        keys = {secrets.token_hex(8): verb for verb in draft.actions}
        labels = [part for key, verb in keys.items() for part in (key, verb.capitalize())]
        body = "\n".join(escape(text) if self._markup else text for text in draft.lines)
        hints = {
            "urgency": Variant("y", _CRITICAL),
            "desktop-entry": Variant("s", "privyseal"),
        }
        title = draft.title
        number = await self._call(
            "Notify",
            "susssasa{sv}i",
            ["Privyseal", replaces, "dialog-password", title, body, labels, hints, 0],
        )
        if not isinstance(number, int):
            raise UnreachableError("the notification server breaks the rules")
        return Shown(draft, number, keys)

    async def _close(self, number: int) -> None:
        with suppress(PrivysealError):  # a server may say that it is closed already
            await self._call("CloseNotification", "u", [number])

    async def _call(
        self, member: str, signature: str = "", body: list[object] | None = None
    ) -> object:
        reply = await self._connection.call(
            self._owner, SERVER_PATH, SERVER, member, signature, body or []
        )
        return reply.body[0] if reply.body else None


def subjects(approval: Approval) -> list[str]:
    """Return what a request is about; at least one text."""
    content = approval.content
    made = [approval.ask.label] if isinstance(approval.ask, Create) else []
    items = [item.label or item.ref.item for item in content.items]
    facts = [f"{fact.name}: {fact.value}" for fact in content.details]
    return [*made, *items, *content.collections, *facts] or [content.title]
