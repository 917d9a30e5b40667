"""Asks the witness who a requester is, and whether it still is that.

The witness is another process: our child, or root's behind a socket. It is found again when it
dies; a question that was in flight is put once more, to the new one. Without an answer there is no
evidence but what the kernel tells everybody, and nothing is guessed.
"""

import asyncio
import itertools
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, Literal

from privyseal.errors import PrivysealError, UnreachableError
from privyseal.keeper import unaided
from privyseal.keeper.testimony import UNAIDED, Statement, absent, evidence
from privyseal.model.evidence import Evidence, Program
from privyseal.model.value import decode, encode

LOOK_SECONDS: Final = 4.0
CHECK_SECONDS: Final = 4.0
MAX_ANSWER: Final = 256 * 1024
MAX_IN_FLIGHT: Final = 16

_GONE: Final = "it has exited"
_SILENT: Final = "the witness does not answer"


class _Link:
    """One running witness and the questions that wait for it."""

    def __init__(
        self, peer: socket.socket, child: asyncio.subprocess.Process | None = None
    ) -> None:
        peer.setblocking(False)  # noqa: FBT003  # the standard library's signature
        self.alive = True
        self._peer = peer
        self._child = child
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Statement]] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(peer.fileno(), self._receive)

    @classmethod
    async def start(cls) -> "_Link":
        """Start a witness as the user of this process."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                child = await asyncio.create_subprocess_exec(
                    *(
                        sys.executable,
                        "-I",
                        "-m",
                        "privyseal.witness",
                        "--fd",
                        str(theirs.fileno()),
                    ),
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    env={},
                )
            except BaseException as error:
                ours.close()
                if isinstance(error, OSError):
                    raise UnreachableError("the witness does not start") from error
                raise
        return cls(ours, child)

    @classmethod
    def connect(cls, path: Path) -> "_Link":
        """Connect to the witness behind a socket.

        Raises:
            UnreachableError: There is none, or it is too busy.
        """
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            peer.setblocking(False)  # noqa: FBT003  # the standard library's signature
            peer.connect(str(path))
        except OSError as error:
            peer.close()
            raise UnreachableError(_SILENT) from error
        return cls(peer)

    async def ask(self, op: Literal["look", "check"], pidfd: int) -> Statement:
        """Return the answer to one question.

        Raises:
            UnreachableError: The witness died, or breaks the rules.
        """
        number = next(self._numbers)
        try:
            socket.send_fds(self._peer, [encode({"id": number, "op": op})], [pidfd])
        except OSError as error:
            self.drop()
            raise UnreachableError(_SILENT) from error
        answer: asyncio.Future[Statement] = self._loop.create_future()
        self._waiting[number] = answer
        try:
            return await answer
        finally:
            del self._waiting[number]

    def _receive(self) -> None:
        try:
            message = self._peer.recv(MAX_ANSWER)
            testimony = decode(message, Statement, what="the witness's answer") if message else None
        except BlockingIOError:
            return
        except (OSError, PrivysealError):
            testimony = None
        if testimony is None:
            self.drop()
        elif (waiting := self._waiting.get(testimony.id)) and not waiting.done():
            waiting.set_result(testimony)

    def drop(self) -> None:
        """Hang up and kill; whoever waits is told."""
        if not self.alive:
            return
        self.alive = False
        self._loop.remove_reader(self._peer.fileno())
        self._peer.close()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(UnreachableError(_SILENT))
        if self._child is not None:
            with suppress(ProcessLookupError):
                self._child.kill()

    async def ended(self) -> None:
        """Return when the child has been reaped."""
        if self._child is not None:
            await self._child.wait()


class Witness:
    """The keeper's view of the witness; `look` and `check` may be called concurrently."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._link: _Link | None = None
        self._starting = asyncio.Lock()
        # Apart, so that requesters whose files hang cannot hold up the releases of others.
        self._looks = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._checks = asyncio.Semaphore(MAX_IN_FLIGHT)

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path | None = None) -> AsyncIterator["Witness"]:
        """Use the witness at `path`, or run one as the user of this process, for the block."""
        witness = cls(path)
        try:
            yield witness
        finally:
            await witness._stop()

    async def look(self, pidfd: int) -> Evidence:
        """Return everything known of the process behind `pidfd`, which stays the caller's.

        Never fails: what cannot be known is missing, and then `trusted` is False.
        """
        try:
            async with self._looks, asyncio.timeout(LOOK_SECONDS):
                seen = await self._ask("look", pidfd)
        except TimeoutError:
            return absent("it could not be read in time")
        except UnreachableError:
            return unaided.look(pidfd) if self._path else absent("no witness")
        if seen.state == "gone":
            return absent(_GONE)
        if seen.state == "refused":
            return absent("the witness could not read it")
        return evidence(seen)

    async def check(self, pidfd: int, seen: Evidence) -> str:
        """Return "" if it is still the process and the program that was seen, else what it is."""
        if seen.image.startswith(UNAIDED):
            return renamed(unaided.read(pidfd), seen)
        try:
            async with self._checks, asyncio.timeout(CHECK_SECONDS):
                now = await self._ask("check", pidfd)
        except TimeoutError:
            if self._link is not None:
                self._link.drop()
            return _SILENT
        except UnreachableError:
            return _SILENT
        return difference(now, seen)

    async def present(self) -> bool:
        """Return whether there is a witness, as far as can be told without a question."""
        try:
            return (await self._current()).alive
        except UnreachableError:
            return False

    async def _ask(self, op: Literal["look", "check"], pidfd: int) -> Statement:
        try:
            return await (await self._current()).ask(op, pidfd)
        except UnreachableError:
            return await (await self._current()).ask(op, pidfd)

    async def _current(self) -> _Link:
        if self._link is None or not self._link.alive:
            async with self._starting:
                if self._link is None or not self._link.alive:
                    await self._stop()
                    path = self._path
                    self._link = _Link.connect(path) if path else await _Link.start()
        return self._link

    async def _stop(self) -> None:
        if self._link is not None:
            self._link.drop()
            await self._link.ended()


def difference(now: Statement, seen: Evidence) -> str:
    """Return how the process differs from what was seen of it, or ""."""
    program = seen.program
    if now.state == "gone":
        return _GONE
    if now.state == "refused" or seen.process is None:
        return "it cannot be looked at"
    if (now.pid, now.start) != (seen.process.pid, seen.process.start_ticks):
        return "it is another process than the one that asked"
    return _changed(now, program, seen.image) if program is not None else ""


def renamed(now: Statement, seen: Evidence) -> str:
    """Return how a process that no witness saw differs from then, or ""."""
    other = difference(now, seen)
    if not other and UNAIDED + (now.comm or "") != seen.image:
        return "it has executed another program, or renamed itself, since it asked"
    return other


def _changed(now: Statement, program: Program, image: str) -> str:
    if now.exe is None or now.mounts is None:
        return "it is exiting, or hides from the witness since it asked"
    if now.exe != (program.exe_device, program.exe_inode) or now.image != image:
        return "it has executed another program since it asked"
    if now.mounts != program.mount_namespace:
        return "it has moved to another mount namespace since it asked"
    return ""
