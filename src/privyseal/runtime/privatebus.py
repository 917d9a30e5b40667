"""A message bus of our own with gnome-keyring on it: how that daemon runs behind the keeper.

Both are child processes whose lives end with `running`. Whoever is allowed into the folder can
talk to the bus, so it has mode 0700: that keeps out other users, not other programs of this one.
"""

import asyncio
import fcntl
import html
import logging
import os
import shutil
import stat
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

from privyseal.errors import (
    ConflictError,
    PrivysealError,
    UnreachableError,
    UnsupportedError,
    UsageError,
)
from privyseal.runtime.bus import DBUS, Connection
from privyseal.runtime.processes import end

log = logging.getLogger(__name__)

SECRETS: Final = "org.freedesktop.secrets"

_START_SECONDS: Final = 10.0
_PAUSE_SECONDS: Final = 1.0
_MAX_SOCKET_PATH: Final = 107
"""unix(7): sun_path has 108 bytes, the last one is zero."""

# Not the session configuration: with its folders of services the bus would start a second
# gnome-keyring, on the user's own files, whenever ours has died, and a prompter on some screen.
_CONFIGURATION: Final = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>{address}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="false"/>
    <allow receive_sender="*"/>
    <allow own="*"/>
  </policy>
  <limit name="max_incoming_bytes">67108864</limit>
  <limit name="max_message_size">33554432</limit>
</busconfig>
"""


class PrivateBus:
    """dbus-daemon and gnome-keyring-daemon, from `start` to `stop`; one that dies is started again.

    `folder` holds the socket, `data_home` the folder `keyrings` with the daemon's files.
    """

    def __init__(
        self,
        group: asyncio.TaskGroup,
        folder: Path,
        data_home: Path,
        *,
        pause_seconds: float = _PAUSE_SECONDS,
    ) -> None:
        self._group = group
        self._folder = folder
        self._data_home = data_home
        self._pause_seconds = pause_seconds
        self._socket = folder / "bus"
        self._bus: Process | None = None
        self._keyring: Process | None = None
        self._died = asyncio.Event()
        self._lock = -1
        self._stopping = False
        self._starting = asyncio.Lock()

    @property
    def address(self) -> str:
        """The D-Bus address; the same one after every restart."""
        return f"unix:path={quote(str(self._socket), safe='/-_.')}"

    @property
    def pids(self) -> tuple[int, int]:
        """The PIDs of dbus-daemon and gnome-keyring-daemon; 0 for one that does not run."""
        return _pid(self._bus), _pid(self._keyring)

    async def start(self) -> None:
        """Return when gnome-keyring answers on the bus.

        Raises:
            UnsupportedError: A program is not installed.
            UsageError: The folder cannot hold the socket, or belongs to somebody else.
            ConflictError: Another gnome-keyring of ours works on these files.
            UnreachableError: One of the daemons does not start.
        """
        if len(os.fsencode(self._socket)) > _MAX_SOCKET_PATH:
            raise UsageError(f"the path of the socket is too long: {str(self._socket)!r}")
        for folder in (self._folder, self._folder / "control", self._data_home):
            _own(folder)
        # Two daemons on the same files would each overwrite what the other has written.
        self._lock = _lock(self._data_home)
        try:
            await self._start_both()
        except BaseException:
            await self.stop()
            raise
        self._group.create_task(self._supervise(), name="private bus")

    async def stop(self) -> None:
        """End both daemons and wait for them."""
        self._stopping = True
        self._died.set()
        async with self._starting:
            for process in filter(None, (self._keyring, self._bus)):
                await end(process)
        self._socket.unlink(missing_ok=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    async def _supervise(self) -> None:
        while True:
            await self._died.wait()
            if self._stopping:
                return
            self._died.clear()
            await asyncio.sleep(self._pause_seconds)
            try:
                await self._start_both()
            except PrivysealError as error:
                log.warning("%s; trying again", error)
                self._died.set()

    async def _start_both(self) -> None:
        async with self._starting:
            if not self._stopping and not _pid(self._bus):
                if self._keyring is not None:
                    await end(self._keyring)  # it cannot follow to another bus
                self._bus = await self._start_bus()
            if not self._stopping and not _pid(self._keyring):
                self._keyring = await self._start_keyring()

    async def _start_bus(self) -> Process:
        configuration = self._folder / "bus.conf"
        configuration.write_text(_CONFIGURATION.format(address=html.escape(self.address)))
        self._socket.unlink(missing_ok=True)
        arguments = ["dbus-daemon", f"--config-file={configuration}", "--nofork", "--print-address"]
        process = await self._spawn(arguments, {}, stdout=PIPE)
        try:
            async with asyncio.timeout(_START_SECONDS):
                ready = await process.stdout.readline() if process.stdout is not None else b""
        except TimeoutError:
            ready = b""
        if not ready:
            await end(process)
            raise UnreachableError("dbus-daemon did not start", hint=f"look at {configuration}")
        return process

    async def _start_keyring(self) -> Process:
        arguments = [
            "gnome-keyring-daemon",
            "--foreground",
            "--components=secrets",
            f"--control-directory={self._folder / 'control'}",
        ]
        extra = {"DBUS_SESSION_BUS_ADDRESS": self.address}
        process = await self._spawn(arguments, extra, stdout=DEVNULL)
        if not await self._appears(process):
            await end(process)
            raise UnreachableError("gnome-keyring-daemon did not start")
        return process

    async def _spawn(
        self, arguments: Sequence[str], extra: Mapping[str, str], *, stdout: int
    ) -> Process:
        for program in ("setpriv", arguments[0]):
            if shutil.which(program) is None:
                raise UnsupportedError(
                    f"{program} is not installed",
                    hint="install the packages dbus, gnome-keyring and util-linux",
                )
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            # With another HOME gnome-keyring would read keyrings of ancient days from there.
            "HOME": str(self._data_home),
            "XDG_DATA_HOME": str(self._data_home),
            "XDG_RUNTIME_DIR": str(self._folder),
            **extra,
        }
        # When we are killed the bus goes too, and gnome-keyring ends with its bus.
        process = await asyncio.create_subprocess_exec(
            *("setpriv", "--pdeathsig", "TERM", "--", *arguments),
            env=environment,
            cwd="/",
            stdin=DEVNULL,
            stdout=stdout,
            stderr=DEVNULL,  # it tells of paths and of its own defects, to nobody who could act
            start_new_session=True,  # Ctrl-C in a terminal is for us: we stop them in order
        )
        self._group.create_task(self._outlive(process, arguments[0]), name=arguments[0])
        return process

    async def _outlive(self, process: Process, name: str) -> None:
        status = await process.wait()
        if not self._stopping:
            log.warning("%s ended with status %s", name, status)
            self._died.set()

    async def _appears(self, process: Process) -> bool:
        connection = await Connection.open(self._group, self.address)
        known = asyncio.Event()
        ended = self._group.create_task(process.wait(), name="start of gnome-keyring")
        ended.add_done_callback(lambda _: known.set())
        rule = f",arg0='{SECRETS}'"
        try:
            async with asyncio.timeout(_START_SECONDS):
                await connection.listen(
                    DBUS, DBUS, "NameOwnerChanged", lambda _path, _body: known.set(), rule=rule
                )
                if not await connection.owner(SECRETS):
                    await known.wait()
        except TimeoutError:
            return False
        finally:
            ended.cancel()
            connection.close()
        return process.returncode is None


def _pid(process: Process | None) -> int:
    return process.pid if process is not None and process.returncode is None else 0


def _own(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise UsageError(f"{str(folder)!r} is no folder of yours")
        folder.chmod(0o700)
    except OSError as error:
        raise UsageError(f"cannot make the folder {str(folder)!r}: {error.strerror}") from error


def _lock(folder: Path) -> int:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise ConflictError(f"another keeper works on {str(folder)!r}") from None
    return fd
