"""The console process: keeper on one side, terminal on the other, the pure screen between them."""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Final

from privyseal.console.keys import Command, Decide, Lock, Quit, Revoke, Unlock, noticed, press
from privyseal.console.screen import render
from privyseal.console.state import RECENT, ScreenState, rearmed, synced, told
from privyseal.console.terminal import BURST, Keys, Terminal
from privyseal.errors import PrivysealError, UnreachableError
from privyseal.model.approval import Lease
from privyseal.model.clock import Clock
from privyseal.runtime.bus import Connection
from privyseal.runtime.keeper import DecisionLink
from privyseal.wire.keeper import Notice

_TICK: Final = 0.25
_RETRY: Final = 0.5


class Console:
    """One screen on one terminal for one keeper."""

    def __init__(
        self, terminal: Terminal, link: DecisionLink, clock: Clock, first: ScreenState
    ) -> None:
        self._terminal = terminal
        self._link = link
        self._clock = clock
        self._keys = Keys()
        self._quit = asyncio.Event()
        self._stale = asyncio.Event()
        self._leases = asyncio.Event()
        self._commands: asyncio.Queue[Command] = asyncio.Queue()
        self._drawn = ""
        self._painting = False
        self._defect: Exception | None = None
        self._state = replace(first, console_font=terminal.kernel_console)

    async def run(self) -> None:
        """Draw and decide until the person quits, or SIGTERM or the end of the terminal comes."""
        loop = asyncio.get_running_loop()
        signals: dict[int, Callable[[], None]] = {
            signal.SIGTERM: self._quit.set,
            signal.SIGHUP: self._quit.set,
            signal.SIGINT: self._quit.set,
            signal.SIGTSTP: self._suspend,
            signal.SIGWINCH: self._resized,
        }
        for number, action in signals.items():
            loop.add_signal_handler(number, action)
        loop.set_exception_handler(self._failed_callback)
        loop.add_reader(self._terminal.fd, self._typed)
        self._stale.set()
        try:
            async with asyncio.TaskGroup() as group:
                workers = (self._follow(), self._follow_leases(), self._execute(), self._tick())
                tasks = [group.create_task(worker) for worker in workers]
                await self._quit.wait()
                for task in tasks:
                    task.cancel()
        finally:
            loop.remove_reader(self._terminal.fd)
            for number in signals:
                loop.remove_signal_handler(number)
            loop.set_exception_handler(None)
        if self._defect is not None:
            raise self._defect

    def _failed_callback(
        self, _loop: asyncio.AbstractEventLoop, context: dict[str, object]
    ) -> None:
        # A screen that can no longer be drawn must not stay there as if it could.
        error = context.get("exception")
        self._defect = error if isinstance(error, Exception) else RuntimeError(context["message"])
        self._quit.set()

    def _change(self, change: Callable[[ScreenState], ScreenState]) -> None:
        columns, rows = self._terminal.size()
        now = replace(
            self._state,
            columns=columns,
            rows=rows,
            wall=self._clock.wall(),
            mono=self._clock.monotonic(),
        )
        self._state = noticed(change(now))
        if not self._painting:
            # A flood of notices becomes one frame; a key is never read before it is painted.
            self._painting = True
            asyncio.get_running_loop().call_soon(self._paint)

    def _paint(self) -> None:
        self._painting = False
        # A new challenge means that something to decide on has changed: what was typed until then
        # was typed at another picture.
        flush = self._state.challenge != self._drawn and self._state.view == "requests"
        self._drawn = self._state.challenge
        self._terminal.draw(render(self._state), flush=flush)

    def _typed(self) -> None:
        data = self._terminal.read()
        if not data:
            self._quit.set()
            return
        keys = self._keys.feed(data)
        if len(keys) > BURST and self._state.view != "unlock":
            return
        for key in keys:
            self._press(key)

    def _press(self, key: str) -> None:
        commands: list[Command] = []

        def pressed(state: ScreenState) -> ScreenState:
            state, command = press(state, key, os.urandom(1))
            if command is not None:
                commands.append(command)
            return state

        self._change(pressed)
        for command in commands:
            if isinstance(command, Quit):
                self._quit.set()
            else:
                self._commands.put_nowait(command)

    def _suspend(self) -> None:
        self._terminal.suspend()
        self._resized()

    def _resized(self) -> None:
        self._change(lambda state: rearmed(state, os.urandom(1)))

    def _failed(self, said: str) -> None:
        self._change(lambda state: replace(rearmed(state, os.urandom(1)), said=said, decided=""))

    async def _tick(self) -> None:
        while True:
            self._change(lambda state: state)
            await asyncio.sleep(_TICK)

    async def _execute(self) -> None:
        while True:
            command = await self._commands.get()
            try:
                await self._do(command)
            except PrivysealError as error:
                self._failed(str(error))

    async def _do(self, command: Command) -> None:
        match command:
            case Decide(decision):
                ended = await self._link.decide(decision)
                self._notice(Notice(what="resolved", approval=ended))
            case Revoke(lease):
                await self._link.revoke(lease)
                self._leases.set()
            case Lock():
                await self._link.lock()
                self._stale.set()
            case Unlock(passphrase):
                await self._link.unlock(passphrase)
                self._change(lambda state: replace(state, view="requests", said="Unlocked."))
                self._stale.set()
            case Quit():
                self._quit.set()

    def _notice(self, notice: Notice) -> None:
        if notice.what == "leases":
            self._leases.set()
        elif notice.approval is None:
            self._stale.set()
        self._change(lambda state: told(state, notice, os.urandom(1)))

    async def _follow(self) -> None:
        """Attach to the keeper, and again each time it comes back."""
        await self._link.watch_owner(self._gone, self._stale.set)
        while True:
            await self._stale.wait()
            self._stale.clear()
            try:
                if self._state.status is None:
                    await self._link.watch(self._notice)
                await self._sync()
            except PrivysealError:
                self._gone()
                await asyncio.sleep(_RETRY)
                self._stale.set()

    async def _sync(self) -> None:
        status = await self._link.status()
        pending = await self._link.pending()
        recent = await self._link.history(RECENT)
        self._change(lambda state: synced(state, status, pending, recent, os.urandom(1)))
        self._leases.set()

    async def _follow_leases(self) -> None:
        while True:
            await self._leases.wait()
            self._leases.clear()
            with suppress(PrivysealError):
                self._lease(tuple(await self._link.leases()))

    def _lease(self, leases: tuple[Lease, ...]) -> None:
        self._change(lambda state: replace(state, leases=leases))

    def _gone(self) -> None:
        if self._state.status is not None:
            self._change(
                lambda state: replace(rearmed(state, os.urandom(1)), status=None, decided="")
            )


async def run(terminal: Terminal, keeper_name: str, clock: Clock, first: ScreenState) -> None:
    """Show the screen on `terminal`, starting as `first`, for the keeper that owns `keeper_name`.

    Raises:
        UnreachableError: There is no message bus, or it has gone.
    """
    async with asyncio.TaskGroup() as group:
        connection = await Connection.open(group)
        lost = group.create_task(_lost(connection))
        try:
            with terminal:
                await Console(terminal, DecisionLink(connection, keeper_name), clock, first).run()
        finally:
            lost.cancel()
            connection.close()


async def _lost(connection: Connection) -> None:
    await connection.closed()
    raise UnreachableError("the message bus has gone")
