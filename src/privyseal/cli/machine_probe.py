"""Tries, as one user, what that user may and may not do to the companion; prints the outcomes.

Run as `python -I -m privyseal.cli.machine_probe UID RECORD`, as root or as that user. The record is
a companion's, as JSON; the outcomes are one JSON object on stdout, by the name of the trial: `done`,
`refused` or `failed`, and what was seen.
"""

import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from privyseal.cli.lower import become
from privyseal.errors import DeniedError, PrivysealError
from privyseal.model.value import decode
from privyseal.runtime.blocking import PATH, REQUEST
from privyseal.runtime.blockingbus import DBUS, DBUS_PATH, Bus
from privyseal.runtime.companion import Companion

SYSTEM_BUS: Final = "unix:path=/run/dbus/system_bus_socket"
_SECRETS: Final = "org.freedesktop.secrets"
_DO_NOT_QUEUE: Final = 4


class Trials:
    """What is tried, each by a name of its own."""

    def __init__(self, companion: Companion, system_bus: str) -> None:
        self._companion = companion
        self._system_bus = system_bus

    def run(self, names: list[str]) -> dict[str, tuple[str, str]]:
        """Return the outcome of each trial that is named."""
        every: dict[str, Callable[[], str]] = {
            "ask": self._ask,
            "own": self._own,
            "private bus": self._private_bus,
            "witness": self._witness,
            "broker": lambda: _connect(self._companion.broker, socket.SOCK_SEQPACKET),
            "home": self._home,
            "read terminal": lambda: self._terminal(os.O_RDONLY),
            "write terminal": lambda: self._terminal(os.O_WRONLY),
            "agent": self._agent,
        }
        return {name: _outcome(every[name]) for name in names}

    def _ask(self) -> str:
        bus = Bus.open(self._system_bus)
        try:
            status = bus.call(self._companion.bus_name, PATH, REQUEST, "Status")[0]
        finally:
            bus.close()
        return str(status)

    def _own(self) -> str:
        bus = Bus.open(self._system_bus)
        try:
            asked = [self._companion.bus_name, _DO_NOT_QUEUE]
            return str(bus.call(DBUS, DBUS_PATH, DBUS, "RequestName", "su", asked)[0])
        finally:
            bus.close()

    def _private_bus(self) -> str:
        return _connect(
            Path(self._companion.private_bus.removeprefix("unix:path=")), socket.SOCK_STREAM
        )

    def _witness(self) -> str:
        return _connect(self._companion.witness, socket.SOCK_SEQPACKET)

    def _home(self) -> str:
        return str(len(list(self._companion.home.iterdir())))

    def _terminal(self, how: int) -> str:
        os.close(os.open(f"/dev/tty{self._companion.vt}", how | os.O_NOCTTY | os.O_NONBLOCK))
        return "opened"

    def _agent(self) -> str:
        bus = Bus.open()
        try:
            if not bus.owner(_SECRETS):
                return ""
            return str(bus.ask_bus("GetConnectionUnixProcessID", _SECRETS))
        finally:
            bus.close()


def _connect(path: Path, kind: int) -> str:
    with socket.socket(socket.AF_UNIX, kind) as peer:
        peer.connect(os.fspath(path))
    return "connected"


def _outcome(trial: Callable[[], str]) -> tuple[str, str]:
    try:
        return "done", trial()
    except DeniedError as error:
        return "refused", str(error)
    except PermissionError as error:
        return "refused", error.strerror or ""
    except PrivysealError as error:
        return "failed", str(error)
    except OSError as error:
        return "failed", error.strerror or ""


def main(words: list[str]) -> int:
    """Become the user, try, print."""
    uid, record, system_bus, *names = words
    become(int(uid))
    companion = decode(record, Companion, what="the record")
    print(json.dumps(Trials(companion, system_bus).run(names)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
