"""The console process: keeper on one side, terminal on the other, the pure screen between them."""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Final

from privyseal.console import keys
from privyseal.console.layout import Line
from privyseal.console.looks import Keeping
from privyseal.console.screen import render
from privyseal.console.state import RECENT, ScreenState, left, rearmed, synced, told
from privyseal.console.terminal import BURST, Keys, Terminal
from privyseal.console.vt import ACQUIRE, RELEASE, VirtualTerminal
from privyseal.errors import PrivysealError, UnreachableError
from privyseal.model.approval import Lease
from privyseal.model.clock import Clock
from privyseal.runtime.keeper import DecisionLink
from privyseal.wire.keeper import Notice

_TICK: Final = 0.25
_TICK_AWAY: Final = 1.0
_REPAINT: Final = 1.0
"""Seconds after which a frame is painted although it is the same: others may have written over it."""
_RETRY: Final = 0.5
_EXECUTORS: Final = 4
"""To unlock can take a passphrase that GnuPG asks for here meanwhile."""
_ENTRY: Final = frozenset({"unlock", "pins"})


class Console:
    """One screen on one terminal for one keeper."""

    def __init__(
        self,
        terminal: Terminal,
        clock: Clock,
        first: ScreenState,
        link: DecisionLink | None = None,
        vt: VirtualTerminal | None = None,
    ) -> None:
        self._terminal = terminal
        self._vt = vt
        self._looks = Keeping(terminal.fd, os.environ.get("RUNTIME_DIRECTORY", "")) if vt else None
        self._clock = clock
        self._keys = Keys()
        self._quit = asyncio.Event()
        self._stale = asyncio.Event()
        self._leases = asyncio.Event()
        self._commands: asyncio.Queue[keys.Command] = asyncio.Queue()
        self._drawn = ""
        self._frame: list[Line] = []
        self._painted = 0.0
        self._painting = False
        self._defect: Exception | None = None
        self._state = replace(first, console_font=terminal.kernel_console)
        self._linked: asyncio.Future[DecisionLink] = asyncio.get_running_loop().create_future()
        if link is not None:
            self._linked.set_result(link)

    def linked(self, link: DecisionLink) -> None:
        """Take the way to the keeper, now that there is a bus."""
        self._linked.set_result(link)
        self._change(lambda state: replace(state, linked=True))

    def present(self, *, logged_in: bool) -> None:
        """Take in, while there is no bus, whether the user is logged in."""
        self._change(lambda state: replace(state, logged_in=logged_in))

    def quit(self) -> None:
        """End `run`."""
        self._quit.set()

    def review(self) -> None:
        """Bring the virtual terminal to the front, as somebody wants to look at it."""
        if self._vt is not None:
            self._vt.activate()

    async def run(self) -> None:
        """Draw and decide until the person quits, or SIGTERM or the end of the terminal comes."""
        loop = asyncio.get_running_loop()
        signals: dict[int, Callable[[], None]] = {
            signal.SIGTERM: self._quit.set,
            signal.SIGHUP: self._quit.set,
            signal.SIGINT: self._quit.set,
            signal.SIGWINCH: self._resized,
        }
        if self._vt is None:
            signals[signal.SIGTSTP] = self._suspend
        else:
            signals[RELEASE] = partial(self._released, self._vt)
            signals[ACQUIRE] = partial(self._acquired, self._vt)
        for number, action in signals.items():
            loop.add_signal_handler(number, action)
        loop.set_exception_handler(self._failed_callback)
        loop.add_reader(self._terminal.fd, self._typed)
        self._stale.set()
        if self._vt is not None:
            self._vt.guard()
            self._front(front=self._vt.in_front)
        try:
            async with asyncio.TaskGroup() as group:
                workers = [self._follow(), self._follow_leases(), self._tick()]
                workers += [self._execute() for _ in range(_EXECUTORS)]
                tasks = [group.create_task(worker) for worker in workers]
                await self._quit.wait()
                for task in tasks:
                    task.cancel()
        finally:
            if self._vt is not None:
                self._vt.unguard()  # first: unheard, its signals would end this process
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
        self._state = keys.noticed(change(now))
        if not self._painting:
            # A flood of notices becomes one frame; a key is never read before it is painted.
            self._painting = True
            asyncio.get_running_loop().call_soon(self._paint)

    def _paint(self) -> None:
        self._painting = False
        # A new challenge means that something to decide on has changed: what was typed until then
        # was typed at another picture.
        flush = self._state.challenge != self._drawn and self._state.view not in _ENTRY
        frame = render(self._state)
        if flush or frame != self._frame or self._state.mono - self._painted >= _REPAINT:
            self._drawn, self._frame = self._state.challenge, frame
            self._painted = self._state.mono
            self._terminal.draw(frame, flush=flush)

    def _front(self, *, front: bool) -> None:
        self._change(lambda state: replace(left(state, os.urandom(1)), front=front))
        self._paint()

    def _released(self, vt: VirtualTerminal) -> None:
        self._change(lambda state: state)
        if self._state.holds:
            vt.refuse()
            said = "Not while you type: this screen stays for a moment after each key."
            self._change(lambda state: replace(state, said=said))
            return
        self._front(front=False)
        vt.allow()

    def _acquired(self, vt: VirtualTerminal) -> None:
        vt.acquired()
        vt.reset()
        if self._looks is not None:
            self._looks.restore()
        self._keys = Keys()
        self._terminal.flush()
        self._front(front=True)

    def _typed(self) -> None:
        data = self._terminal.read()
        if data is None:
            self._quit.set()
        if not data:
            return
        if self._vt is not None and not self._vt.in_front:
            return
        typed = self._keys.feed(data)
        if self._state.view not in _ENTRY and self._looked_after():
            return
        if len(typed) > BURST and self._state.view not in _ENTRY:
            return
        for key in typed:
            self._press(key)

    def _looked_after(self) -> bool:
        """Put back font and size; say so, and forget what was typed at another picture."""
        if self._looks is None or not self._looks.restore():
            return False
        self._frame = []
        self._failed("Somebody changed font or size of all terminals. They are as before.")
        return True

    def _press(self, key: str) -> None:
        commands: list[keys.Command] = []

        def pressed(state: ScreenState) -> ScreenState:
            state, command = keys.press(state, key, os.urandom(1))
            if command is not None:
                commands.append(command)
            return state

        self._change(pressed)
        for command in commands:
            if isinstance(command, keys.Quit):
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
        looked = 0.0
        while True:
            self._change(lambda state: state)
            if self._vt is not None and self._vt.in_front != self._state.front:
                # It went without asking us, or came without a word: ask for both once more.
                self._vt.guard()
                self._front(front=not self._state.front)
            if self._state.front and self._clock.monotonic() - looked >= _REPAINT:
                looked = self._clock.monotonic()
                self._looked_after()
                if self._state.subject is None:
                    self._stale.set()  # leased reads are recorded, and nobody tells us of them
            await asyncio.sleep(_TICK if self._state.front else _TICK_AWAY)

    async def _execute(self) -> None:
        while True:
            command = await self._commands.get()
            try:
                await self._do(command)
            except PrivysealError as error:
                self._failed(str(error))

    async def _do(self, command: keys.Command) -> None:
        if isinstance(command, keys.Quit):
            self._quit.set()
            return
        if not self._linked.done():
            raise UnreachableError("there is no keeper to ask")
        link = self._linked.result()
        match command:
            case keys.Decide(decision):
                ended = await link.decide(decision)
                self._notice(Notice(what="resolved", approval=ended))
            case keys.Revoke(lease):
                await link.revoke(lease)
                self._leases.set()
            case keys.Lock():
                await link.lock()
                self._stale.set()
            case keys.Unlock(passphrase):
                await link.unlock(passphrase)
                self._change(_unlocked)
                self._stale.set()
            case keys.Answer(pin, passphrase):
                await link.answer_pin(pin, passphrase)
                self._stale.set()
            case keys.AskRules():
                policy = await link.rules()
                self._change(lambda state: replace(state, policy=policy))
            case keys.LogOut():
                await link.log_out()

    def _notice(self, notice: Notice) -> None:
        if notice.what == "review":
            self.review()
            return
        if notice.what == "leases":
            self._leases.set()
        elif notice.approval is None:
            self._stale.set()
        self._change(lambda state: told(state, notice, os.urandom(1)))

    async def _follow(self) -> None:
        """Attach to the keeper, and again each time it comes back."""
        link = await asyncio.shield(self._linked)
        with suppress(UnreachableError):  # whoever opened the bus notices that it has gone
            await link.watch_owner(self._gone, self._stale.set)
        while True:
            await self._stale.wait()
            self._stale.clear()
            try:
                if self._state.status is None:
                    await link.watch(self._notice)
                await self._sync(link)
            except PrivysealError:
                self._gone()
                await asyncio.sleep(_RETRY)
                self._stale.set()

    async def _sync(self, link: DecisionLink) -> None:
        status = await link.status()
        pending = await link.pending()
        recent = await link.history(RECENT)
        pins = await link.pins() if self._state.vt else ()
        self._change(lambda state: synced(state, status, pending, recent, os.urandom(1), pins))
        self._leases.set()

    async def _follow_leases(self) -> None:
        link = await asyncio.shield(self._linked)
        while True:
            await self._leases.wait()
            self._leases.clear()
            with suppress(PrivysealError):
                self._lease(tuple(await link.leases()))

    def _lease(self, leases: tuple[Lease, ...]) -> None:
        self._change(lambda state: replace(state, leases=leases))

    def _gone(self) -> None:
        if self._state.status is not None:
            self._change(
                lambda state: replace(rearmed(state, os.urandom(1)), status=None, decided="")
            )


def _unlocked(state: ScreenState) -> ScreenState:
    # It may have taken a while: another view stays under the hand that types there.
    if state.view == "unlock":
        # What wanted just that is over, and the person here for what it wanted that for.
        state = replace(keys.moved_on(state, os.urandom(1)), view="requests")
    return replace(state, said="Unlocked.")
