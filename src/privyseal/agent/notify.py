"""Desktop notifications for waiting requests, with buttons where own-session mode allows them.

A notification server is a program of the desktop and anyone on the bus can send a signal in its
name. So an answer counts only when it comes from the very connection that was asked to show the
notification, names one of its identifiers, and carries a key that was drawn for that notification
alone. What is approved is the content that was shown; the keeper refuses if it has changed since.
"""

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from html import escape
from typing import Final

from dbus_fast import Variant

from privyseal.errors import PrivysealError, UnreachableError
from privyseal.model.approval import Approval
from privyseal.model.ask import Create
from privyseal.model.decision import Decision
from privyseal.model.evidence import ProcessRef
from privyseal.runtime.bus import DBUS, DBUS_PATH, Connection
from privyseal.runtime.keeper import DecisionLink
from privyseal.wire.keeper import BUS_NAME, Notice
from privyseal.wire.sanitise import fit

log = logging.getLogger(__name__)

SERVER: Final = "org.freedesktop.Notifications"
SERVER_PATH: Final = "/org/freedesktop/Notifications"

MAX_SINGLE: Final = 3
"""Requests of one requester that are shown one by one; more of them share one notification."""
MAX_SHOWN: Final = 20
"""Notifications on the desktop at any time."""

_CELLS: Final = 72
_CRITICAL: Final = 2
_GOODBYE_SECONDS: Final = 2.0

Requester = ProcessRef | str


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


class Notifier:
    """Shows each waiting request as a notification and takes the answers.

    `connection` serves the notifier alone: it listens for owners of bus names there. Without
    `buttons` notifications only inform. `review`, if given, is called when a person wants to look
    closer.
    """

    def __init__(
        self,
        connection: Connection,
        link: DecisionLink,
        *,
        buttons: bool,
        keeper_name: str = BUS_NAME,
        review: Callable[[], None] | None = None,
    ) -> None:
        self._connection = connection
        self._link = link
        self._buttons = buttons
        self._review = review
        self._names = {keeper_name: "keeper", SERVER: "server"}
        self._owner = ""
        self._markup = True
        self._pending: dict[str, Approval] = {}
        self._shown: dict[str, Shown] = {}
        self._dismissed: set[str] = set()
        self._decisions: deque[Decision] = deque()
        self._stale = {"keeper", "server"}
        self._wake = asyncio.Event()
        self._told_missing = False

    async def run(self) -> None:
        """Follow the keeper and the notification server until cancelled."""
        for name in self._names:
            await self._connection.listen(
                DBUS, DBUS, "NameOwnerChanged", self._owner_changed, rule=f",arg0='{name}'"
            )
        self._wake.set()
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self._turn()
        finally:
            with suppress(PrivysealError, TimeoutError):
                async with asyncio.timeout(_GOODBYE_SECONDS):
                    for shown in list(self._shown.values()):
                        await self._close(shown.number)

    async def _turn(self) -> None:
        stale, self._stale = self._stale, set()
        if "keeper" in stale:
            await self._attach_keeper()
        if "server" in stale:
            await self._attach_server()
        while self._decisions:
            decision = self._decisions.popleft()
            try:
                await self._link.decide(decision)
            except PrivysealError as error:
                log.warning("the answer to request %s did not count: %s", decision.request, error)
        if self._owner:
            with suppress(PrivysealError):  # a server that fails is replaced, or stays away
                await self._reconcile()

    async def _attach_keeper(self) -> None:
        self._pending = {}
        with suppress(PrivysealError):  # its return is announced by the bus
            await self._link.watch(self._notice)
            self._pending = {approval.id: approval for approval in await self._link.pending()}

    async def _attach_server(self) -> None:
        owner = await self._connection.owner(SERVER) or await self._start_server()
        if owner == self._owner != "":
            return
        for member in ("ActionInvoked", "NotificationClosed"):
            await self._connection.unlisten(self._owner, SERVER, member)
        self._shown.clear()
        self._owner = owner
        if not self._owner:
            if not self._told_missing:
                log.info("no notification server runs, so requests are not announced")
            self._told_missing = True
            return
        listen = self._connection.listen
        await listen(self._owner, SERVER, "ActionInvoked", self._invoked)
        await listen(self._owner, SERVER, "NotificationClosed", self._closed)
        with suppress(PrivysealError):
            reply = await self._call("GetCapabilities")
            self._markup = not isinstance(reply, list) or "body-markup" in reply

    async def _start_server(self) -> str:
        with suppress(PrivysealError):  # most desktops can start theirs on demand
            await self._connection.call(
                DBUS, DBUS_PATH, DBUS, "StartServiceByName", "su", [SERVER, 0]
            )
        return await self._connection.owner(SERVER)

    def _owner_changed(self, _path: str, body: list[object]) -> None:
        what = self._names.get(str(body[0]))
        if what is not None:
            self._stale.add(what)
            self._wake.set()

    def _notice(self, notice: Notice) -> None:
        approval = notice.approval
        if approval is None:
            return
        if approval.state == "pending":
            self._pending[approval.id] = approval
        else:
            self._pending.pop(approval.id, None)
        self._wake.set()

    def _invoked(self, _path: str, body: list[object]) -> None:
        number, key = (*body, None, None)[:2]
        for name, shown in self._shown.items():
            if shown.number == number and str(key) in shown.keys:
                self._act(name, shown, shown.keys[str(key)])
                return

    def _act(self, name: str, shown: Shown, verb: str) -> None:
        if verb == "review":
            if self._review is not None:
                self._review()
            return
        shown.keys.clear()  # one answer for each notification
        self._dismissed.add(name)
        (approval,) = shown.draft.approvals
        self._decisions.append(
            Decision(
                request=approval.id,
                digest=approval.content.digest(),
                allow=verb == "approve",
                face="notification",
                screen=(shown.draft.title, *shown.draft.lines),
            )
        )
        self._wake.set()

    def _closed(self, _path: str, body: list[object]) -> None:
        for name, shown in list(self._shown.items()):
            if [shown.number] == body[:1]:
                # Put away by the person or evicted: asking again at once would be nagging.
                self._dismissed.add(name)
                del self._shown[name]

    async def _reconcile(self) -> None:
        """Make the desktop show exactly what waits."""
        drafts = dict(self._drafts())
        self._dismissed &= drafts.keys()
        for name in [name for name in self._shown if name not in drafts]:
            await self._close(self._shown.pop(name).number)
        for name, draft in list(drafts.items())[:MAX_SHOWN]:
            shown = self._shown.get(name)
            if name not in self._dismissed and (shown is None or shown.draft != draft):
                self._shown[name] = await self._show(draft, shown.number if shown else 0)

    def _drafts(self) -> Iterator[tuple[str, Draft]]:
        groups: dict[Requester, list[Approval]] = {}
        for approval in self._pending.values():
            evidence = approval.content.evidence
            groups.setdefault(evidence.process or evidence.summary, []).append(approval)
        for requester, approvals in groups.items():
            name = f"group {requester}"
            # Once they share a notification they keep to it, so that none pops up again.
            if len(approvals) > (1 if name in self._shown else MAX_SINGLE):
                yield name, self._digest(approvals)
            else:
                yield from ((f"request {a.id} {a.digest}", self._single(a)) for a in approvals)

    def _single(self, approval: Approval) -> Draft:
        content = approval.content
        lines = [f"What: {fit(what, _CELLS)}" for what in _subjects(approval)[:MAX_SINGLE]]
        unseen = len(_subjects(approval)) - MAX_SINGLE
        if unseen > 0:
            lines.append(f"and {unseen} more")
        lines.append(f"Asked by: {fit(content.evidence.summary, _CELLS)}")
        if not content.evidence.trusted:
            lines.append("Warning: it may not be the program that it seems to be")
        actions: tuple[str, ...] = ("approve", "deny")
        if unseen > 0 and not isinstance(approval.ask, Create):
            # Nobody approves what is not there to be read; what a new item looks like is no matter.
            actions = ("deny",)
        if approval.needs_unlock:
            lines.append("The store is locked: unlock it first")
            actions = ("deny",)
        return self._draft(fit(content.title, _CELLS), lines, (approval,), actions)

    def _digest(self, approvals: list[Approval]) -> Draft:
        content = approvals[0].content
        lines = [f"Asked by: {fit(content.evidence.summary, _CELLS)}"]
        lines += [f"First: {fit(_subjects(approvals[0])[0], _CELLS)}"]
        return self._draft(f"{len(approvals)} requests wait", lines, tuple(approvals), ())

    def _draft(
        self,
        title: str,
        lines: list[str],
        approvals: tuple[Approval, ...],
        actions: tuple[str, ...],
    ) -> Draft:
        if self._review is not None:
            actions = (*actions, "review")
        if not self._buttons:
            lines, actions = [*lines, "Decide on the console"], ()
        elif "approve" not in actions:
            lines = [*lines, "Decide in privy watch"]
        return Draft(title, tuple(lines), approvals, actions)

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


def _subjects(approval: Approval) -> list[str]:
    """Return what the request is about; at least one text."""
    content = approval.content
    made = [approval.ask.label] if isinstance(approval.ask, Create) else []
    items = [item.label or item.ref.item for item in content.items]
    facts = [f"{fact.name}: {fact.value}" for fact in content.details]
    return [*made, *items, *content.collections, *facts] or [content.title]
