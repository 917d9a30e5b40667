"""Desktop notifications for waiting requests, with buttons where own-session mode allows them.

What is approved is the content that was shown; the keeper refuses if it has changed since.
"""

import logging
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from privyseal.agent.board import CELLS, Board, Draft, Shown, subjects
from privyseal.errors import PrivysealError
from privyseal.model.approval import Approval
from privyseal.model.ask import Create
from privyseal.model.decision import Decision
from privyseal.model.evidence import ProcessRef
from privyseal.runtime.bus import Connection
from privyseal.runtime.keeper import DecisionLink
from privyseal.wire.keeper import BUS_NAME, Notice
from privyseal.wire.sanitise import fit

log = logging.getLogger(__name__)

MAX_SINGLE: Final = 3
"""Requests of one requester that are shown one by one; more of them share one notification."""

Requester = ProcessRef | str


class Notifier(Board):
    """Shows each waiting request as a notification and takes the answers.

    Without `buttons` notifications only inform.
    """

    def __init__(
        self,
        connection: Connection,
        link: DecisionLink,
        *,
        buttons: bool,
        keeper_name: str = BUS_NAME,
    ) -> None:
        super().__init__(connection, [keeper_name])
        self._keeper_name = keeper_name
        self._link = link
        self._buttons = buttons
        self._pending: dict[str, Approval] = {}
        self._decisions: deque[Decision] = deque()

    async def _refresh(self, stale: set[str]) -> None:
        if self._keeper_name in stale:
            self._pending = {}
            with suppress(PrivysealError):  # its return is announced by the bus
                await self._link.watch(self._notice)
                self._pending = {approval.id: approval for approval in await self._link.pending()}
        while self._decisions:
            decision = self._decisions.popleft()
            try:
                await self._link.decide(decision)
            except PrivysealError as error:
                log.warning("the answer to request %s did not count: %s", decision.request, error)

    def _notice(self, notice: Notice) -> None:
        approval = notice.approval
        if approval is None:
            return
        if approval.state == "pending":
            self._pending[approval.id] = approval
        else:
            self._pending.pop(approval.id, None)
        self._wake.set()

    def _act(self, name: str, shown: Shown, verb: str) -> None:
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
        about = subjects(approval)
        lines = [f"What: {fit(what, CELLS)}" for what in about[:MAX_SINGLE]]
        unseen = len(about) - MAX_SINGLE
        if unseen > 0:
            lines.append(f"and {unseen} more")
        lines.append(f"Asked by: {fit(content.evidence.summary, CELLS)}")
        if not content.evidence.trusted:
            lines.append("Warning: it may not be the program that it seems to be")
        actions: tuple[str, ...] = ("approve", "deny")
        if unseen > 0 and not isinstance(approval.ask, Create):
            # Nobody approves what is not there to be read; what a new item looks like is no matter.
            actions = ("deny",)
        if approval.needs_unlock:
            lines.append("The store is locked: unlock it first")
            actions = ("deny",)
        return self._draft(fit(content.title, CELLS), lines, (approval,), actions)

    def _digest(self, approvals: list[Approval]) -> Draft:
        content = approvals[0].content
        lines = [f"Asked by: {fit(content.evidence.summary, CELLS)}"]
        lines += [f"First: {fit(subjects(approvals[0])[0], CELLS)}"]
        return self._draft(f"{len(approvals)} requests wait", lines, tuple(approvals), ())

    def _draft(
        self,
        title: str,
        lines: list[str],
        approvals: tuple[Approval, ...],
        actions: tuple[str, ...],
    ) -> Draft:
        if not self._buttons:
            lines, actions = [*lines, "Decide on the console"], ()
        elif "approve" not in actions:
            lines = [*lines, "Decide in privy watch"]
        return Draft(title, tuple(lines), approvals, actions)
