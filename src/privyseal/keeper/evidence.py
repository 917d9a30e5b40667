"""Asks the witness who a requester is, and whether it still is that.

The witness is another process. It is started again when it dies; a question that was in flight is
put once more, to the new one. Without an answer there is no evidence, and nothing is guessed.
"""

import asyncio
import itertools
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final, Literal

from privyseal.errors import PrivysealError, UnreachableError
from privyseal.keeper.testimony import Statement, absent, evidence
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

    def __init__(self, peer: socket.socket, child: asyncio.subprocess.Process) -> None:
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
        ours.setblocking(False)  # noqa: FBT003  # the standard library's signature
        return cls(ours, child)

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
        with suppress(ProcessLookupError):
            self._child.kill()

    async def ended(self) -> None:
        """Return when the child has been reaped."""
        await self._child.wait()


class Witness:
    """The keeper's view of the witness; `look` and `check` may be called concurrently."""

    def __init__(self) -> None:
        self._link: _Link | None = None
        self._starting = asyncio.Lock()
        # Apart, so that requesters whose files hang cannot hold up the releases of others.
        self._looks = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._checks = asyncio.Semaphore(MAX_IN_FLIGHT)

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncIterator["Witness"]:
        """Run a witness as the user of this process until the block ends."""
        witness = cls()
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
            return absent("no witness")
        if seen.state == "gone":
            return absent(_GONE)
        if seen.state == "refused":
            return absent("the witness could not read it")
        return evidence(seen)

    async def check(self, pidfd: int, seen: Evidence) -> str:
        """Return "" if it is still the process and the program that was seen, else what it is."""
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
                    self._link = await _Link.start()
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


def _changed(now: Statement, program: Program, image: str) -> str:
    if now.exe is None or now.mounts is None:
        return "it is exiting, or hides from the witness since it asked"
    if now.exe != (program.exe_device, program.exe_inode) or now.image != image:
        return "it has executed another program since it asked"
    if now.mounts != program.mount_namespace:
        return "it has moved to another mount namespace since it asked"
    return ""
