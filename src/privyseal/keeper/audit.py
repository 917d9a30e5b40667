"""The keeper's audit log: entries are chained at once in memory and made durable in groups.

What may be released waits for `flush`. On a disk that is not quick a thread writes; while it syncs,
the entries of everybody else gather and share the next sync. After a failed write or sync the log is over: the kernel may
have dropped the very pages it reported on, so trying again could succeed without the bytes.
"""

import asyncio
import fcntl
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final, Unpack

from privyseal.errors import ConflictError, CorruptError, PrivysealError, UsageError
from privyseal.model.clock import Clock
from privyseal.model.receipt import Entry, EventName, Told
from privyseal.model.value import decode
from privyseal.runtime.audit import log_files, log_lines
from privyseal.wire.audit import Chain, file_name, file_number

ROTATE_BYTES: Final = 16 * 1024 * 1024

LINGER: Final = 0.05
"""After how many seconds an entry is written that nobody flushes."""

QUICK_SECONDS: Final = 0.0005
QUICK_BYTES: Final = 64 * 1024
"""A write this short after a sync this fast is made on the event loop itself."""

Sync = Callable[[int], None]
"""Makes a descriptor's data durable, as `os.fdatasync` does."""


class _Files:
    """The writing end: appends to the newest file and starts the next one when it is full."""

    def __init__(self, folder: Path, number: int, rotate_bytes: int, sync: Sync) -> None:
        self._folder = folder
        self._folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._number = number
        self._rotate_bytes = rotate_bytes
        self._sync = sync
        self._fd = -1
        self._size = 0
        try:
            # The chain has one end: a second writer would fork it.
            fcntl.flock(self._folder_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._folder_fd)
            raise ConflictError(
                f"another keeper writes the audit log in {str(folder)!r}", hint="stop it first"
            ) from error

    def resume(self, path: Path, size: int) -> None:
        """Go on after the first `size` bytes of the newest file; what follows them is cut off."""
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._size = size
        if os.fstat(self._fd).st_size != size:
            os.ftruncate(self._fd, size)
            os.fsync(self._fd)

    def store(self, lines: Sequence[bytes]) -> None:
        """Append lines and return when they are on disk; runs in the writing thread."""
        if self._fd < 0 or self._size >= self._rotate_bytes:
            self._rotate()
        data = memoryview(b"".join(lines))
        self._size += len(data)
        while data:
            data = data[os.write(self._fd, data) :]
        self._sync(self._fd)

    def _rotate(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self._number += 1
        path = self._folder / file_name(self._number)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._fd = os.open(path, flags, 0o600)
        self._size = 0
        os.fsync(self._folder_fd)

    def close(self) -> None:
        """Close the files and let another keeper have them."""
        if self._fd >= 0:
            os.close(self._fd)
        os.close(self._folder_fd)


class AuditLog:
    """The one writer of a log.

    `append` never waits; nothing is promised before a later `flush` returns, though what nobody
    flushes is written soon, too. Both belong to the event loop's thread. `dropped` is how many
    bytes of an unfinished write were cut off at opening.
    """

    def __init__(
        self, files: _Files, clock: Clock, chain: Chain, unfinished: list[Entry], dropped: int
    ) -> None:
        self.dropped = dropped
        self._files = files
        self._clock = clock
        self._chain = chain
        self._unfinished = unfinished
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="audit")
        self._lines: list[bytes] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._flying: list[asyncio.Future[None]] | None = None
        self._failure: Exception | None = None
        self._linger: asyncio.TimerHandle | None = None
        # To and from a thread takes longer than a fast disk's sync. A disk that was slow the last
        # time is written from the thread, so it holds up the loop once, not at every entry.
        self._quick = False

    @classmethod
    def open(
        cls,
        folder: Path,
        clock: Clock,
        *,
        rotate_bytes: int = ROTATE_BYTES,
        sync: Sync = os.fdatasync,
    ) -> "AuditLog":
        """Open the log in `folder`, or begin one there.

        The newest file is checked entry by entry. A last line without its end was never
        acknowledged (a flush returns after the newline is on disk) and is cut off. A new file is
        begun once the newest holds `rotate_bytes`, before the next write.

        Raises:
            CorruptError: The newest file is broken elsewhere.
            ConflictError: Another keeper has the log open.
            PrivysealError: The folder or a file cannot be used.
        """
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
            paths = log_files(folder)
            files = _Files(folder, file_number(paths[-1].name) if paths else 1, rotate_bytes, sync)
            try:
                chain, size, unfinished = _read(paths)
                dropped = paths[-1].stat().st_size - size if paths else 0
                if paths:
                    files.resume(paths[-1], size)
            except BaseException:
                files.close()
                raise
        except OSError as error:
            raise PrivysealError(
                f"cannot open the audit log in {str(folder)!r}: {error.strerror}"
            ) from error
        return cls(files, clock, chain, unfinished, dropped)

    @property
    def head(self) -> tuple[int, str]:
        """Return number and hash of the last entry, on disk or not; (0, zeros) before the first."""
        return self._chain.n, self._chain.head

    def unfinished(self) -> list[Entry]:
        """Return the `asked` entries without a `decided` or `resolved` one, as of the opening.

        The two newest files are looked at: no request waits for as long as one of them fills.
        """
        return list(self._unfinished)

    def append(self, event: EventName, **told: Unpack[Told]) -> int:
        """Order and chain one entry, and return its number; it is not on disk yet.

        Raises:
            UsageError: A field is too long for the log; nothing was appended.
        """
        entry = Entry(
            n=self._chain.n + 1,
            at=self._clock.wall(),
            event=event,
            prev=self._chain.head,
            **told,
        )
        line = self._chain.line(entry)
        if self._failure is None:
            self._lines.append(line)
            if self._linger is None:
                self._linger = asyncio.get_running_loop().call_later(LINGER, self._lingered)
        return entry.n

    async def flush(self) -> None:
        """Return when every entry appended before this call is on disk.

        Raises:
            PrivysealError: One could not be written, now or earlier: release nothing any more.
        """
        if self._lines:
            self._write()
        self._check()
        if not self._lines and self._flying is None:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # What is still in `_lines` waits for the write after the one that is on its way.
        (self._waiting if self._lines or self._flying is None else self._flying).append(waiter)
        await waiter
        self._check()

    async def close(self) -> None:
        """Write what is left, and close the files even if that fails."""
        try:
            await self.flush()
        finally:
            if self._linger is not None:
                self._linger.cancel()
            self._thread.shutdown()
            self._files.close()

    def _write(self) -> None:
        if self._flying is not None:
            return
        loop = asyncio.get_running_loop()
        lines, self._lines = self._lines, []
        self._flying, self._waiting = self._waiting, []
        if self._quick and sum(map(len, lines)) <= QUICK_BYTES:
            self._stored(*self._store(lines))
            return

        def stored(future: Future[tuple[float, Exception | None]]) -> None:
            loop.call_soon_threadsafe(self._stored, *future.result())

        self._thread.submit(self._store, lines).add_done_callback(stored)

    def _store(self, lines: list[bytes]) -> tuple[float, Exception | None]:
        """Return how many seconds the disk took, and why it failed if it did."""
        begun = self._clock.monotonic()
        failure: Exception | None = None
        try:
            self._files.store(lines)
        except Exception as error:  # noqa: BLE001 - whatever it is, every flush says so from now on
            failure = error
        return self._clock.monotonic() - begun, failure

    def _lingered(self) -> None:
        self._linger = None
        if self._lines:
            self._write()

    def _stored(self, seconds: float, failure: Exception | None) -> None:
        self._quick = seconds < QUICK_SECONDS
        self._failure = failure
        done, self._flying = self._flying or [], None
        if failure is not None:
            done += self._waiting
            self._waiting.clear()
            self._lines.clear()
        for waiter in done:
            if not waiter.done():
                waiter.set_result(None)
        if self._lines:
            self._write()

    def _check(self) -> None:
        if self._failure is not None:
            reason = getattr(self._failure, "strerror", None) or type(self._failure).__name__
            raise PrivysealError(
                f"the audit log cannot be written: {reason}",
                hint="nothing is released until the disk is repaired and the keeper restarted",
            ) from self._failure


def _read(paths: Sequence[Path]) -> tuple[Chain, int, list[Entry]]:
    """Return the chain's end, how much of the newest file is good, and what was left unfinished."""
    asked: dict[str, Entry] = {}
    if not paths:
        return Chain(), 0, []
    chain = _link(paths[-2], asked) if len(paths) > 1 else Chain()
    size = 0
    for number, line in enumerate(log_lines(paths[-1]), 1):
        if not line.endswith(b"\n") and size + len(line) == paths[-1].stat().st_size:
            break
        expected = chain.n + 1
        try:
            _note(chain.follow(line), asked)
        except CorruptError as error:
            raise _corrupt(f"{str(paths[-1])!r}, line {number}, entry {expected}", error) from error
        size += len(line)
    return chain, size, list(asked.values())


def _link(path: Path, asked: dict[str, Entry]) -> Chain:
    """Return the chain as it stood at the end of the file before the newest."""
    entry = None
    for number, line in enumerate(log_lines(path), 1):
        try:
            entry = decode(line, Entry, what="the entry")
        except UsageError as error:
            raise _corrupt(f"{str(path)!r}, line {number}", error) from error
        _note(entry, asked)
    return Chain(entry.n, entry.hash) if entry is not None else Chain()


def _note(entry: Entry, asked: dict[str, Entry]) -> None:
    if entry.event == "asked":
        asked[entry.request] = entry
    elif entry.event in {"decided", "resolved"}:
        asked.pop(entry.request, None)


def _corrupt(place: str, error: PrivysealError) -> CorruptError:
    return CorruptError(
        f"the audit log is broken at {place}: {error}",
        hint="move its folder away and keep it as evidence; the keeper then begins a new log",
    )
