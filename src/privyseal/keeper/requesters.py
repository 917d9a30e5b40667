"""The processes that ask: introduced by a face with a pidfd, watched until they exit."""

import asyncio
import os
import re
import secrets
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from privyseal.errors import DeniedError, LimitError, NotFoundError, PrivysealError
from privyseal.keeper import unaided
from privyseal.keeper.backends.provider import NAME as SECRETS
from privyseal.keeper.ports import EvidenceSource
from privyseal.keeper.requests import Requester
from privyseal.keeper.testimony import as_reported
from privyseal.model.evidence import Evidence, Fact, ProcessRef
from privyseal.runtime.bus import Connection

MAX_INTRODUCED: Final = 64
"""How many requesters a process that is no agent may have registered at once."""

Left = Callable[[Requester, bool], None]
Look = Callable[[int], Awaitable[Evidence]]


class Callers:
    """Who is behind each connection to one bus: evidence about faces or about deciders.

    `uid`: the only user who is admitted. `speaker`: whose agent may speak for other processes, told
    by the unit it is in; None where that is whoever serves the Secret Service on the same bus.
    """

    def __init__(
        self, connection: Connection, look: Look, uid: int, speaker: int | None = None
    ) -> None:
        self._connection = connection
        self._look = look
        self._uid = uid
        self._speaker = speaker
        self._admitted: dict[str, int] = {}
        self._known: dict[str, Evidence] = {}
        self._looks = asyncio.Lock()  # what the agent brings does not wait for it
        self._agents: set[str] = set()
        self._came: dict[str, int] = {}

    def came(self, name: str) -> None:
        """Note that a connection has appeared; "" stands for all that were there before."""
        ticks = os.sysconf("SC_CLK_TCK")
        self._came[name] = time.clock_gettime_ns(time.CLOCK_BOOTTIME) * ticks // 1_000_000_000

    async def admit(self, name: str) -> int:
        """Return the PID behind a connection of this user; enough for who only looks.

        Raises:
            DeniedError: It belongs to another user, root included.
        """
        pid = self._admitted.get(name, 0)
        if not pid:
            self._admitted[name] = 0  # taken out if it leaves meanwhile, see `forget`
            try:
                pid, uid = await self._connection.process_of(name)
            except PrivysealError:
                self.forget(name)
                raise
            if uid != self._uid:
                raise DeniedError(f"user {uid} may not talk to the keeper of user {self._uid}")
            self.still(name)
            self._admitted[name] = pid
        return pid

    def still(self, name: str) -> None:
        """Check that a connection which was admitted has not left since.

        Raises:
            DeniedError: It has; nothing of it may be kept.
        """
        if name not in self._admitted:
            raise DeniedError("the caller has left")

    async def of(self, name: str) -> Evidence:
        """Return the evidence on the process that owns this connection.

        Raises:
            DeniedError: It belongs to another user, root included, or has gone.
        """
        known = self._known.get(name)
        if known is not None:
            return known
        pid = await self.admit(name)
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            raise DeniedError("the caller has exited") from None
        try:
            now = unaided.read(pidfd)
            came = self._came.get(name, self._came.get("", sys.maxsize))
            if (now.start or 0) > came:  # whoever connected has passed the connection on
                raise DeniedError("the program that opened this connection has exited")
            agent = self._speaker is not None and in_agent_unit(now.cgroup or "", self._speaker)
            evidence = await (self._look if agent else self.look)(pidfd)
            # A connection that is still there now was there when the pidfd was opened, so the
            # PID cannot have passed to another process in between.
            await self._connection.process_of(name)
        finally:
            os.close(pidfd)
        self.still(name)
        self._known[name] = evidence
        if agent:
            self._agents.add(name)
        return evidence

    async def look(self, pidfd: int) -> Evidence:
        """Return the evidence on a process, once those before it in the queue were looked at."""
        async with self._looks:
            return await self._look(pidfd)

    async def speaks_for_others(self, name: str) -> bool:
        """Return whether a connection is the agent's, once there is evidence on it."""
        if self._speaker is not None:
            return self.is_agent(name)
        owner = await self._connection.owner(SECRETS)
        pid = (await self._connection.process_of(owner))[0] if owner else 0
        speaks = 0 < pid == self._admitted.get(name)  # not before: it may have left meanwhile
        (self._agents.add if speaks else self._agents.discard)(name)
        return speaks

    def is_agent(self, name: str) -> bool:
        """Return whether a connection is known to be the agent's."""
        return name in self._agents

    @property
    def agent(self) -> str:
        """What is said of the agent; "" where it is known by its program."""
        return "" if self._speaker is None else "the session bus, by Privyseal's agent"

    async def stays(self, name: str) -> bool:
        """Return whether a connection is there still.

        Asked after it was noted somewhere, this leaves nobody behind: whoever has left by then is
        known to have, and the leaving of all others is yet to be announced.
        """
        return bool(await self._connection.owner(name))

    def forget(self, name: str) -> None:
        """Forget a connection that the bus has closed."""
        self._admitted.pop(name, None)
        self._came.pop(name, None)
        self._known.pop(name, None)
        self._agents.discard(name)


class Requesters:
    """All requesters by token. A token is worth something only to the face that registered it."""

    def __init__(self, callers: Callers, witness: EvidenceSource, limit: int, left: Left) -> None:
        self._callers = callers
        self._witness = witness
        self._limit = limit
        self._left = left
        self._by_token: dict[str, Requester] = {}
        self._lingering: dict[ProcessRef, Requester] = {}

    async def register(self, face: str, pidfd: int, reported: Sequence[Fact]) -> Requester:
        """Take a new requester and own its `pidfd` from now on.

        Raises:
            LimitError: Too many are registered, by all or by this process.
            DeniedError: The face or the process belongs to another user.
        """
        try:
            self._make_room()
            through = await self._callers.of(face)
            speaker = await self._callers.admit(face)
            itself = speaker == unaided.pid_of(pidfd)
            agent = not itself and await self._callers.speaks_for_others(face)
            known = itself or agent
            if agent:
                seen = await self._witness.look(pidfd)
            else:
                seen = through if itself else await self._callers.look(pidfd)
                self._make_room(speaker)
            said = (known and self._callers.agent) or through.summary
            claims = (*as_reported(reported), _link(said, itself=itself, known=known))
            evidence = msgspec.structs.replace(
                seen,
                trusted=seen.trusted and known,
                facts=(*seen.facts, *claims),
                through="" if itself else _name_of(face, through),
            )
            self._callers.still(face)
        except BaseException:
            os.close(pidfd)
            raise
        requester = Requester(secrets.token_hex(8), face, pidfd, evidence, claims, speaker)
        self._by_token[requester.token] = requester
        # A pidfd becomes readable when its process exits (pidfd_open(2)).
        asyncio.get_running_loop().add_reader(pidfd, self._exited, requester)
        return requester

    def of(self, face: str, token: str) -> Requester:
        """Return the requester behind a token.

        Raises:
            NotFoundError: There is none, or another face registered it.
        """
        requester = self._by_token.get(token)
        if requester is None or requester.face != face:
            raise NotFoundError("no such requester")
        return requester

    def forget(self, requester: Requester) -> None:
        """Let go of a requester that its face says has left."""
        self._drop(requester, exited=False)

    def face_left(self, face: str) -> None:
        """Let go of everything that came through a face which has left the bus."""
        self._callers.forget(face)
        for requester in [r for r in self._by_token.values() if r.face == face]:
            self._drop(requester, exited=False)

    def close(self) -> None:
        """Let go of all."""
        for requester in list(self._by_token.values()):
            self._drop(requester, exited=False)
        for requester in list(self._lingering.values()):
            self._exited(requester)

    def _make_room(self, speaker: int = 0) -> None:
        introduced = sum(one.speaker == speaker for one in self._by_token.values() if speaker)
        if introduced >= MAX_INTRODUCED:
            raise LimitError(f"this process has {introduced} requesters registered already")
        if len(self._by_token) + len(self._lingering) >= self._limit:
            raise LimitError(f"{len(self._by_token)} requesters are registered already")

    def _exited(self, requester: Requester) -> None:
        process = requester.evidence.process
        if process is not None and self._lingering.get(process) is requester:
            del self._lingering[process]
            self._left(requester, True)  # noqa: FBT003 - a callback's shape
            self._close(requester)
        else:
            self._drop(requester, exited=True)

    def _drop(self, requester: Requester, *, exited: bool) -> None:
        if self._by_token.pop(requester.token, None) is None:
            return
        self._left(requester, exited)
        process = requester.evidence.process
        if exited or process is None or process in self._lingering:
            self._close(requester)
        else:
            # Its connection is gone, but leases of the process may stay until that exits too.
            self._lingering[process] = requester

    def _close(self, requester: Requester) -> None:
        asyncio.get_running_loop().remove_reader(requester.pidfd)
        os.close(requester.pidfd)


def _name_of(face: str, evidence: Evidence) -> str:
    process = evidence.process
    return f"{process.pid} since {process.start_ticks}" if process else face


def in_agent_unit(group: str, uid: int) -> bool:
    """Return whether a control group is that of the agent's system unit for the user `uid`.

    Only the first process of the system puts processes there (systemd.slice(5)); one below
    user.slice has whatever name the user's own manager gave it.
    """
    unit = rf"/system\.slice/(system-privyseal\\x2dagent\.slice/)?privyseal-agent@{uid}\.service"
    return re.fullmatch(unit, group) is not None


def _link(face: str, *, itself: bool, known: bool) -> Fact:
    if itself:
        return Fact(grade="verified", name="asked", value="itself, on its own connection")
    if not known:
        text = f"{face} says that it asks, and would get what it is given"
        return Fact(grade="warning", name="asked through", value=text)
    return Fact(grade="reported", name="asked through", value=face)
