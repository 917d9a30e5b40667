"""Desktop notifications in companion mode: that somebody waits at the console, and what is wrong.

They inform and no more. The one button brings the console to the front, which any program of the
desktop may do anyway.
"""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from privyseal.agent.board import CELLS, Board, Draft, Shown, subjects
from privyseal.agent.companionlink import CompanionLink
from privyseal.agent.troubles import Troubles
from privyseal.errors import PrivysealError
from privyseal.model.approval import Approval
from privyseal.runtime.bus import Connection
from privyseal.wire.sanitise import fit

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 5.0
"""How often the keeper is asked while requests wait: what other faces asked ends unannounced."""
REST_SECONDS: Final = 1.0
MAX_LINES: Final = 3

_WAITING: Final = "waiting"
_TROUBLE: Final = "trouble"


class Tidings(Board):
    """One notification for all requests that wait, and one for what is wrong.

    `names_secrets` lets it say what is asked for; `way_in` are the keys that lead to the console.
    """

    def __init__(
        self,
        connection: Connection,
        link: CompanionLink,
        troubles: Troubles,
        way_in: str,
    ) -> None:
        super().__init__(connection)
        self._link = link
        self._troubles = troubles
        self._way_in = way_in
        self.names_secrets = False
        self._waiting: list[Approval] = []
        self._seen: set[str] = set()
        self._reviewing = False
        self._due = 0.0

    def look(self) -> None:
        """Look again at what there is to tell."""
        self._wake.set()

    async def _refresh(self, stale: set[str]) -> None:
        del stale
        now = asyncio.get_running_loop().time()
        if now < self._due:  # a flood of requests costs one look a second
            self._patience = self._due - now
        else:
            self._due = now + REST_SECONDS
            self._waiting = await self._look()
            self._seen &= {approval.id for approval in self._waiting}
            self._patience = LOOK_SECONDS if self._waiting else None
        if self._reviewing:
            self._reviewing = False
            try:
                await self._link.review()
            except PrivysealError as error:
                log.warning("the console did not come to the front: %s", error)

    async def _look(self) -> list[Approval]:
        with suppress(PrivysealError):  # the next look is not far
            if await self._link.present():
                return await self._link.waiting()
        return []

    def _drafts(self) -> Iterator[tuple[str, Draft]]:
        texts = tuple(fit(text, 4 * CELLS) for text in self._troubles.texts)
        if texts:
            yield _TROUBLE, Draft("Privyseal is not in its place", texts, (), ())
        if any(approval.id not in self._seen for approval in self._waiting):
            yield _WAITING, self._draft(self._waiting)

    def _draft(self, waiting: list[Approval]) -> Draft:
        many = len(waiting)
        title = "A request waits for you" if many == 1 else f"{many} requests wait for you"
        lines = _first("Asked by", [a.content.evidence.summary for a in waiting])
        if self.names_secrets:
            lines += _first("What", [what for a in waiting for what in subjects(a)])
        if any(approval.needs_unlock for approval in waiting):
            lines.append("The store is locked")
        lines.append(f"Decide on the console: {self._way_in}")
        return Draft(title, tuple(lines), tuple(waiting), ("review",))

    def _act(self, name: str, shown: Shown, verb: str) -> None:
        del name, shown, verb
        self._reviewing = True
        self._wake.set()

    def _put_away(self, name: str, shown: Shown) -> None:
        if name == _WAITING:
            # Put away are these requests; another one is worth another notification.
            self._seen |= {approval.id for approval in shown.draft.approvals}
        else:
            super()._put_away(name, shown)


def _first(what: str, texts: list[str]) -> list[str]:
    different = list(dict.fromkeys(texts))
    lines = [f"{what}: {fit(text, CELLS)}" for text in different[:MAX_LINES]]
    more = len(different) - MAX_LINES
    return [*lines, f"and {more} more"] if more > 0 else lines
