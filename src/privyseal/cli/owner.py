"""The program that serves `org.freedesktop.secrets` before us: step in front of it, and back."""

import os
import shlex
import signal
from collections.abc import AsyncIterator, Callable
from configparser import ConfigParser, Error
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from privyseal.errors import ConflictError, PrivysealError
from privyseal.runtime.bus import Connection
from privyseal.runtime.names import SECRETS, Names

HAND_OVER_SECONDS: Final = 10.0
_PATH: Final = "/org/freedesktop/secrets"
_SERVICE: Final = "org.freedesktop.Secret.Service"
_COLLECTION: Final = "org.freedesktop.Secret.Collection"
_PROPERTIES: Final = "org.freedesktop.DBus.Properties"
_ELSEWHERE: Final = "leave it alone and try on a bus of its own: `privy try --own-bus`"


@asynccontextmanager
async def step_in_front(
    names: Names, connection: Connection, say: Callable[[str], None]
) -> AsyncIterator[None]:
    """Stop who serves the name now, and start it again when the block ends.

    That is done only where it can be undone exactly: the bus itself started the program, so it
    can start the very same again, and nothing is unlocked in it that would be locked afterwards.

    Raises:
        ConflictError: It cannot be undone exactly; nothing was touched.
    """
    pid = await names.pid(SECRETS)
    if not pid:
        yield
        return
    pidfd = await _hold(pid, names)
    try:
        who = await _replaceable(pid, connection)
        say(f"{who} (pid {pid}) steps back until the trial ends")
        signal.pidfd_send_signal(pidfd, signal.SIGTERM)
    finally:
        os.close(pidfd)
    try:
        await names.until(SECRETS, lambda owner: owner != pid, seconds=HAND_OVER_SECONDS)
        yield
    finally:
        if not await names.pid(SECRETS):
            await names.activate(SECRETS)
        say(f"{who} is back")


async def _hold(pid: int, names: Names) -> int:
    """Return a pidfd of the process that owns the name; the PID means no other process by now."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError as error:
        raise ConflictError(f"the owner of {SECRETS} cannot be seen: {error.strerror}") from error
    if await names.pid(SECRETS) != pid:
        os.close(pidfd)
        raise ConflictError(f"the owner of {SECRETS} is changing", hint="try again")
    return pidfd


async def _replaceable(pid: int, connection: Connection) -> str:
    argv = _arguments(pid)
    who = Path(argv[0]).name if argv else f"process {pid}"
    if not argv or argv != activation_command(SECRETS):
        raise ConflictError(
            f"{who} (pid {pid}) serves {SECRETS} here, and was not started by this bus: "
            "it could not be brought back as it is",
            hint=_ELSEWHERE,
        )
    if loss := await _loss(connection):
        raise ConflictError(
            f"{who} (pid {pid}) serves {SECRETS} here, and stopping it would {loss}",
            hint=_ELSEWHERE,
        )
    return who


def _arguments(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return [os.fsdecode(word) for word in text.split(b"\0")[:-1]]


def activation_command(name: str) -> list[str]:
    """Return the command that a session bus starts for `name`; empty when it knows none.

    The folders are those of dbus-daemon(1), in its order, without systemd's units.
    """
    home = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    shared = os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    for folder in [home, *shared.split(":"), "/usr/share"]:
        file = ConfigParser(interpolation=None)
        try:
            read = file.read(Path(folder) / "dbus-1" / "services" / f"{name}.service")
            if read:
                return shlex.split(file["D-BUS Service"]["Exec"])
        except (Error, KeyError, ValueError):
            return []
    return []


async def _loss(connection: Connection) -> str:
    """Return what stopping the service would do for good; empty when it would do nothing."""

    async def get(path: str, interface: str, name: str) -> object:
        reply = await connection.call(SECRETS, path, _PROPERTIES, "Get", "ss", [interface, name])
        return reply.body[0].value

    try:
        paths = await get(_PATH, _SERVICE, "Collections")
        for path in paths if isinstance(paths, list) else []:
            if str(path).endswith("/session"):
                if await get(path, _COLLECTION, "Items"):
                    return "lose the items of its session collection"
            elif not await get(path, _COLLECTION, "Locked"):
                return f"lock its collection {str(path).rpartition('/')[2]!r}"
    except PrivysealError as error:
        raise ConflictError(f"the owner of {SECRETS} does not answer: {error}") from error
    return ""
