"""The programs that call the face: one record for each unique name on the bus.

A unique name is never used again by the bus, so whatever hangs on the record (sessions, prompts,
waiting requests) belongs to one connection of one process and goes when that connection goes.
"""

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

from privyseal.agent.requests import Requester, Requests, Share
from privyseal.errors import LimitError, PrivysealError, UnreachableError
from privyseal.model.clock import Clock
from privyseal.model.evidence import Fact
from privyseal.model.keyring import ItemRef
from privyseal.runtime.bus import DBUS, Connection

log = logging.getLogger(__name__)

MAX_PEERS: Final = 4096
MAX_CALLS: Final = 512
MAX_APPLICATIONS: Final = 256
_REMEMBERED: Final = 1024
_RECENT_SECONDS: Final = 60.0
_OPEN_SECONDS: Final = 1.0


@dataclass(eq=False, slots=True)
class Peer:
    """One connection; `identified` is the process behind it, once that is known.

    `reads` is set by the first sign that it is after values: a session opened, an item unlocked.
    Before that, an item is as locked to it as its collection: clients refuse to delete or rename
    what says that it is locked, and with no session there is nothing to protect from being read.
    """

    name: str
    identified: Requester | None = None
    gone: bool = False
    reads: bool = False
    identifying: asyncio.Lock = field(default_factory=asyncio.Lock)
    applications: dict[str, Requester] = field(default_factory=dict)
    searched: deque[tuple[float, ItemRef]] = field(
        default_factory=lambda: deque(maxlen=_REMEMBERED)
    )
    opened: dict[ItemRef, tuple[float, int]] = field(default_factory=dict)
    cut_off: dict[ItemRef, PrivysealError] = field(default_factory=dict)

    @property
    def requester(self) -> Requester:
        """The process behind it.

        Raises:
            UnreachableError: It left before it could be identified.
        """
        if self.identified is None:
            raise UnreachableError("the caller has left the bus")
        return self.identified

    def remember(self, items: Sequence[ItemRef], now: float) -> None:
        """Note what a search found for this peer and it may not read yet."""
        self.searched.extend((now, item) for item in items)

    def searched_lately(self, collection: str, now: float) -> list[ItemRef]:
        """Return what this peer searched for in a collection within the last minute."""
        found = (i for at, i in self.searched if now - at <= _RECENT_SECONDS)
        return [item for item in dict.fromkeys(found) if item.collection == collection]

    def note_open(self, items: Iterable[ItemRef], now: float, changes: int) -> None:
        """Note what this peer could read just now, `changes` changes into the store's life."""
        self.opened |= dict.fromkeys(items, (now + _OPEN_SECONDS, changes))
        if len(self.opened) > _REMEMBERED:
            self.opened.clear()

    def is_open(self, item: ItemRef, now: float, changes: int) -> bool:
        """Return whether it could read the item a moment ago and nothing has changed since.

        A client asks whether an item is locked before each read: the answer of the read before
        saves a question to the keeper. A lease that ran out within that moment costs the client
        nothing but that its next read asks a person.
        """
        until, then = self.opened.get(item, (0.0, -1))
        return now < until and then == changes

    def hear_why(self, items: Iterable[ItemRef]) -> None:
        """Raise why the prompt for one of these items was cut off, the first time it is read after.

        Raises:
            PrivysealError: It was.
        """
        errors = [error for item in items if (error := self.cut_off.pop(item, None))]
        if errors:
            raise errors[0]


class Peers:
    """Every peer there is; `left` hooks are called with each one that leaves."""

    def __init__(self, connection: Connection, requests: Requests, clock: Clock) -> None:
        self._connection = connection
        self._requests = requests
        self._peers: dict[str, Peer] = {}
        self._left: list[Callable[[Peer], None]] = []
        self._shares: WeakValueDictionary[int, Share] = WeakValueDictionary()
        self.clock = clock
        self.changes = 0

    async def start(self) -> None:
        """Watch connections leave the bus."""
        await self._connection.listen(DBUS, DBUS, "NameOwnerChanged", self._changed)

    def on_left(self, hook: Callable[[Peer], None]) -> None:
        """Call `hook` with each peer that leaves."""
        self._left.append(hook)

    def __len__(self) -> int:
        return len(self._peers)

    def let_go(self) -> None:
        """Close every pidfd: the bus that these peers are on is gone."""
        for peer in self._peers.values():
            for requester in (*peer.applications.values(), peer.identified):
                if requester is not None:
                    requester.close()
        self._peers.clear()

    async def identify(self, name: str) -> Peer:
        """Return the peer behind a unique name, with its process held by a pidfd.

        Raises:
            LimitError: Too many peers.
            UnreachableError: It left before it could be identified.
        """
        peer = self._peers.get(name)
        if peer is None:
            if len(self._peers) >= MAX_PEERS:
                raise LimitError("too many programs use the Secret Service at once")
            peer = self._peers[name] = Peer(name)
        async with peer.identifying:
            if peer.identified is None and not peer.gone:
                try:
                    requester = await self._introduce(name)
                except BaseException:
                    self._drop(name)
                    raise
                # Its end may have been announced while we asked the bus about it.
                if self._peers.get(name) is peer:
                    peer.identified = requester
                else:
                    self._requests.forget(requester)
        if peer.gone:
            raise UnreachableError("the caller has left the bus")
        return peer

    def application(self, peer: Peer, identifier: str) -> Requester:
        """Return the requester for an application on whose behalf a portal calls.

        Raises:
            LimitError: The portal speaks for too many applications.
        """
        known = peer.applications.get(identifier)
        if known is not None:
            return known
        if len(peer.applications) >= MAX_APPLICATIONS:
            raise LimitError("the portal speaks for too many applications at once")
        requester = Requester(
            pidfd=os.dup(peer.requester.pidfd),
            share=peer.requester.share,
            reported=(Fact(grade="reported", name="application", value=identifier),),
        )
        peer.applications[identifier] = requester
        return requester

    async def _introduce(self, name: str) -> Requester:
        pid, _uid = await self._connection.process_of(name)
        requester = Requester(_open_process(pid), share=self._shares.setdefault(pid, Share()))
        if not await self._connection.owner(name):
            self._requests.forget(requester)
            raise UnreachableError("the caller has left the bus")
        return requester

    def _changed(self, _path: str, body: list[object]) -> None:
        name, _old, new = body
        if isinstance(name, str) and not new:
            self._drop(name)

    def _drop(self, name: str) -> None:
        peer = self._peers.pop(name, None)
        if peer is None:
            return
        peer.gone = True
        for hook in self._left:
            hook(peer)
        for requester in (*peer.applications.values(), peer.identified):
            if requester is not None:
                self._requests.forget(requester)


def _open_process(pid: int) -> int:
    """Return a pidfd for the very process that had `pid` before the call and has it after.

    The PID came from the bus. Were it used again before the pidfd is open, the start times would
    differ; were it used again before the first look, the caller's connection would be gone, and
    that is checked afterwards.
    """
    try:
        before = _start_ticks(pid)
        pidfd = os.pidfd_open(pid)
        try:
            if _start_ticks(pid) == before:
                return pidfd
        except OSError:
            pass
        os.close(pidfd)
    except OSError as error:
        raise UnreachableError("the caller has exited") from error
    raise PrivysealError("the caller's process changed while it was identified")


def _start_ticks(pid: int) -> int:
    """Return field 22 of /proc/PID/stat (proc(5)): clock ticks between boot and process start."""
    stat = Path(f"/proc/{pid}/stat").read_bytes()
    # The command name may hold spaces and parentheses; nothing after its last one does.
    return int(stat.rpartition(b")")[2].split()[19])
