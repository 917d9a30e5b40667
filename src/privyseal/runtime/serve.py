"""How a daemon starts, says that it is ready, and stops."""

import asyncio
import ctypes
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final

from privyseal.errors import PrivysealError, leaves

log = logging.getLogger(__name__)

_PR_SET_DUMPABLE: Final = 4
_MOST_FILES: Final = 65536


def harden() -> None:
    """Keep this process's memory from other processes of its user and from core files.

    After PR_SET_DUMPABLE 0 (prctl(2)) only root may ptrace it or read /proc/PID/mem; files it
    makes are readable by its user alone.
    """
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def allow_many_files() -> None:
    """Raise the limit on open descriptors as far as this process may.

    Every requester costs one; the usual soft limit of 1024 is there for programs that use select(2).
    """
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def log_to_stderr(*, debug: bool = False) -> None:
    """Send log lines to standard error; under systemd without the time, which journald adds."""
    form = "%(levelname)s %(message)s"
    if "INVOCATION_ID" not in os.environ:
        form = "%(asctime)s " + form
    logging.basicConfig(
        stream=sys.stderr, format=form, level=logging.DEBUG if debug else logging.INFO
    )


def to_the_end(program: Coroutine[Any, Any, None]) -> int:
    """Run a daemon; log why it could not start or go on, if so, and return its exit status."""
    failures: list[PrivysealError] = []
    try:
        asyncio.run(program)
    except* PrivysealError as group:
        failures = leaves(group)
    for failure in failures:
        log.error("%s%s", failure, f"; {failure.hint}" if failure.hint else "")
    return failures[0].exit_status if failures else 0


def ready() -> None:
    """Tell systemd, if it listens, that the service is ready (sd_notify(3), READY=1)."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    target = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notifier:
        notifier.connect(target)
        notifier.sendall(b"READY=1")


def stop_event(reload: Callable[[], None] | None = None) -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set; SIGHUP calls `reload`, if given."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if reload is not None:
        loop.add_signal_handler(signal.SIGHUP, reload)
    return stop
