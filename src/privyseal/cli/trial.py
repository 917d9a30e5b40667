"""One trial run: bus, keeper, agent and screen come up, and everything is put back at the end."""

import asyncio
import os
import secrets
import shlex
import shutil
import signal
import sys
import tempfile
import termios
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from privyseal.cli.owner import step_in_front
from privyseal.cli.trialfolder import PREFIX
from privyseal.errors import ConflictError, PrivysealError, UnreachableError, UsageError
from privyseal.model.secret import Secret
from privyseal.runtime.bus import Connection
from privyseal.runtime.children import Children, Interrupted
from privyseal.runtime.keeper import DecisionLink
from privyseal.runtime.names import SECRETS, Names
from privyseal.wire.keeper import BUS_NAME

READY_SECONDS: Final = 60.0
_LEAVE_SCREEN: Final = "\x1b[?1049l\x1b[?25h"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the command line asked for; `passphrase` is None in a trial that leaves nothing."""

    backend: str
    headless: bool
    own_bus: bool
    passphrase: Secret | None


async def run(wish: Wish) -> None:
    """Run until Ctrl-C or until the screen is left.

    Raises:
        ConflictError: Privyseal runs already, or another program's place cannot be taken.
        PrivysealError: A process ended; the message says which and why.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    with _private_folder() as folder:
        try:
            async with asyncio.TaskGroup() as group, AsyncExitStack() as stack:
                await _Trial(wish, folder, Children(folder, stop), stack, group).run()
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
    _say("everything is as it was" if wish.passphrase is None else "stopped; the store is kept")


class _Trial:
    """The steps of one run; what each one started ends with the stack, last first."""

    def __init__(
        self,
        wish: Wish,
        folder: Path,
        children: Children,
        stack: AsyncExitStack,
        group: asyncio.TaskGroup,
    ) -> None:
        self._wish = wish
        self._folder = folder
        self._children = children
        self._stack = stack
        self._group = group
        self._env = dict(os.environ)
        self._env.setdefault("XDG_RUNTIME_DIR", str(folder))
        standard = Path(self._env["XDG_RUNTIME_DIR"]) / "bus"
        if not self._env.get("DBUS_SESSION_BUS_ADDRESS") and standard.is_socket():
            self._env["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={standard}"

    async def run(self) -> None:
        try:
            await self._steps()
        except Interrupted:
            _say("stopping")

    async def _steps(self) -> None:
        connection = await self._bus()
        names = Names(connection)
        await names.start()
        if await names.pid(BUS_NAME):
            raise ConflictError(
                "Privyseal runs on this session bus already",
                hint="use it as it is, or stop it with `privy service uninstall`",
            )
        await self._keeper(names, connection)
        await self._stack.enter_async_context(step_in_front(names, connection, _say))
        await self._agent(names)
        told = self._explain()
        await self._approve(connection, told)

    async def _bus(self) -> Connection:
        """Connect to the session bus, or start one when there is none."""
        if not self._wish.own_bus:
            try:
                connection = await Connection.open(
                    self._group, self._env.get("DBUS_SESSION_BUS_ADDRESS")
                )
            except UnreachableError:
                _say("there is no session bus here: starting one")
            else:
                self._stack.callback(connection.close)
                return connection
        address = await self._stack.enter_async_context(_bus_daemon(self._children, self._folder))
        self._env["DBUS_SESSION_BUS_ADDRESS"] = address
        connection = await Connection.open(self._group, address)
        self._stack.callback(connection.close)
        return connection

    async def _keeper(self, names: Names, connection: Connection) -> None:
        argv = [sys.executable, "-I", "-m", "privyseal.keeper"]
        if self._wish.passphrase is None:
            argv += ["--state", str(self._folder / "state"), "--store", str(self._folder / "store")]
        if self._wish.backend != "embedded":
            argv += ["--backend", self._wish.backend]
        # What it makes while it runs goes with the trial as well.
        env = {**self._env, "XDG_RUNTIME_DIR": str(self._folder)}
        await self._start("keeper", argv, names, BUS_NAME, env)
        passphrase = self._wish.passphrase or Secret(secrets.token_urlsafe(32).encode())
        await self._children.guard(DecisionLink(connection).unlock(passphrase))

    async def _agent(self, names: Names) -> None:
        argv = [sys.executable, "-I", "-m", "privyseal.agent"]
        await self._start("agent", argv, names, SECRETS, self._env)

    async def _start(
        self, name: str, argv: list[str], names: Names, bus_name: str, env: dict[str, str]
    ) -> None:
        process = await self._stack.enter_async_context(self._children.child(name, argv, env=env))
        await self._children.guard(
            names.until(bus_name, lambda pid: pid == process.pid, seconds=READY_SECONDS)
        )

    def _explain(self) -> list[str]:
        """Say what to do now; return the lines that the screen repeats while nothing waits."""
        _say("ready" if self._wish.passphrase else "ready; what you store now is gone at the end")
        if self._wish.passphrase is None:
            _say(f"the trial's audit log: privy audit show --folder {self._folder / 'state/audit'}")
        address = self._env.get("DBUS_SESSION_BUS_ADDRESS", "")
        export = []
        if address != f"unix:path=/run/user/{os.getuid()}/bus":
            export = [f"    export DBUS_SESSION_BUS_ADDRESS={shlex.quote(address)}"]
        here = Path(sys.executable).with_name("privy")
        if Path(shutil.which("privy") or "") != here:
            export.append(f'    export PATH={shlex.quote(str(here.parent))}:"$PATH"')
        told = ["In a second terminal:", "", *export]
        told += ["    secret-tool store --label=demo service demo"]
        told += ["    secret-tool lookup service demo"]
        print("", *told, "", sep="\n")
        if self._wish.headless:
            print("Each one waits until you decide, in a third terminal:\n")
            print(*export, "    privy list", "    privy approve ID", "", sep="\n")
            print("Ctrl-C ends the trial.", flush=True)
        return told

    async def _approve(self, connection: Connection, told: list[str]) -> None:
        """Show the approval screen until it is left, or wait for Ctrl-C."""
        if self._wish.headless:
            await self._children.guard(asyncio.Event().wait())
            return
        print("The approval screen opens with the first request, or now with Enter.")
        print("q there or Ctrl-C here ends the trial.", flush=True)
        await self._children.guard(_wanted(DecisionLink(connection)))
        if self._wish.passphrase is None:
            told = [*told, "", "A lock is final here: its passphrase is random."]
        argv = [sys.executable, "-I", "-m", "privyseal.console", "--banner", "trial"]
        argv += [f"--note={note}" for note in told]
        with _terminal_restored():
            async with self._children.child(
                "screen", argv, env=self._env, terminal=True
            ) as process:
                status = await self._children.guard(process.wait())
        if status:
            raise self._children.ended("screen", status)


def _say(text: str) -> None:
    print(f"privy: {text}", flush=True)


@contextmanager
def _private_folder() -> Iterator[Path]:
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    if not os.access(base, os.W_OK):
        base = tempfile.gettempdir()
    try:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
    except OSError as error:
        raise PrivysealError(f"cannot make a folder in {base!r}: {error.strerror}") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def _bus_daemon(children: Children, folder: Path) -> AsyncIterator[str]:
    """Run a session bus in `folder`; yield its address."""
    if shutil.which("dbus-daemon") is None:
        raise UnreachableError(
            "there is no session bus and no dbus-daemon to start one",
            hint="install the Debian package dbus-daemon",
        )
    # It makes folders there, and so does what it starts.
    env = {**os.environ, "XDG_RUNTIME_DIR": str(folder)}
    read, write = os.pipe()
    argv = ["dbus-daemon", "--session", "--nofork", "--nopidfile", "--nosyslog"]
    # D-Bus specification, "Server Addresses": other bytes than these are escaped.
    argv += [f"--address=unix:path={quote(str(folder / 'bus'), safe='/-_.*')}"]
    argv += [f"--print-address={write}"]
    with os.fdopen(read) as answer, os.fdopen(write, "w") as told:
        async with children.child("bus", argv, env=env, fds=[write]):
            told.close()
            # It ends at the first line or, when the daemon cannot start, with the daemon.
            address = await asyncio.to_thread(answer.readline)
            if not address:
                await children.guard(asyncio.Event().wait())
            # The guid after the comma checks who answers; a person pastes the rest more easily.
            yield address.strip().partition(",")[0]


async def _wanted(link: DecisionLink) -> None:
    """Wait for the first request or the Enter key."""
    came = asyncio.Queue[str]()
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin, lambda: came.put_nowait(sys.stdin.readline()))
    try:
        await link.watch(lambda notice: came.put_nowait(notice.what))
        while not await link.pending():
            line = await came.get()
            if not line:
                raise UsageError("the terminal is closed")
            if line.endswith("\n"):
                break
    finally:
        loop.remove_reader(sys.stdin)


@contextmanager
def _terminal_restored() -> Iterator[None]:
    before = termios.tcgetattr(sys.stdin)
    try:
        yield
    finally:
        # The screen does this itself, unless it was killed.
        if termios.tcgetattr(sys.stdin) != before:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
            print(_LEAVE_SCREEN, end="", flush=True)
