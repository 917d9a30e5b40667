"""The keeper's state in one glance, with what faces complain of."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from privyseal.errors import LimitError, PrivysealError
from privyseal.keeper.core import Core
from privyseal.model.approval import Status
from privyseal.wire.keeper import MAX_TROUBLE, Notice

VERSION: Final = "0.1.0"
MAX_TROUBLES: Final = 8
_STORE_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Station:
    """Whom this keeper serves: the desktop user and the console's terminal in companion mode."""

    mode: str = "own-session"
    user: str = ""
    vt: int = 0


class Glance:
    """Gathers the status; remembers the trouble that each connection reported last."""

    def __init__(
        self, core: Core, station: Station, witness: Callable[[], Awaitable[bool]]
    ) -> None:
        self._core = core
        self._station = station
        self._witness = witness
        self._since = core.ports.clock.wall()
        self._troubles: dict[str, str] = {}

    async def status(self) -> Status:
        """Return the state; a store out of reach is trouble, not an error."""
        core = self._core
        troubles = list(dict.fromkeys(self._troubles.values()))[:MAX_TROUBLES]
        initialised = True
        try:
            async with asyncio.timeout(_STORE_SECONDS):
                initialised = await core.ports.backend.initialised()
        except TimeoutError:
            troubles.insert(0, "the store's provider does not answer")
        except PrivysealError as error:
            troubles.insert(0, f"the store cannot be reached: {error}"[:MAX_TROUBLE])
        return Status(
            version=VERSION,
            mode=self._station.mode,
            backend=core.ports.backend.description,
            locked=core.store_locked,
            initialised=initialised,
            pending=len(core.book),
            leases=len(core.leases),
            since=self._since,
            audit_entries=core.ports.audit.head[0],
            receipt_key=core.ports.signer.public_key,
            user=self._station.user,
            vt=self._station.vt,
            witness=await self._witness(),
            troubles=tuple(troubles),
        )

    def report(self, connection: str, trouble: str) -> None:
        """Note what a connection complains of; "" says that it is over.

        Raises:
            LimitError: The text is too long.
        """
        if len(trouble) > MAX_TROUBLE:
            raise LimitError(f"a report is at most {MAX_TROUBLE} characters long")
        if self._troubles.get(connection, "") == trouble:
            return
        self._troubles[connection] = trouble
        if not trouble:
            del self._troubles[connection]
        self._core.ports.audience.notice(Notice(what="troubles"))

    def forget(self, connection: str) -> None:
        """Drop what a connection reported that has left."""
        self.report(connection, "")
