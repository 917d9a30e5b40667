"""The checks of `privy doctor`. Each one uses what it checks; none changes anything for good."""

import ctypes
import json
import os
import shlex
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from configparser import ConfigParser, Error
from importlib.metadata import version
from pathlib import Path
from typing import Final, Literal, NamedTuple

from privyseal.errors import NotFoundError, PrivysealError
from privyseal.model.config import Config
from privyseal.runtime.audit import log_files, log_lines
from privyseal.runtime.blocking import BUS_NAME, Json, Keeper
from privyseal.runtime.blockingbus import Bus
from privyseal.runtime.clock import SystemClock
from privyseal.runtime.config import audit_path, store_path
from privyseal.runtime.settings import load_now
from privyseal.runtime.wayin import LoggedOutError
from privyseal.wire.auditcheck import Verifier

SECRETS: Final = "org.freedesktop.secrets"
NOTIFICATIONS: Final = "org.freedesktop.Notifications"

_OTHERS: Final = 0o077
_TIME_ERROR: Final = 5  # adjtimex(2): the clock is not synchronised
_TIMEX_BYTES: Final = 512  # struct timex takes 208 of them; modes = 0 only reads
_WITNESS_SECONDS: Final = 5

State = Literal["ok", "warn", "FAIL"]


class Finding(NamedTuple):
    """What one check found; `hint` says what to do about it."""

    check: str
    state: State
    text: str
    hint: str = ""


Checks = tuple[tuple[str, Callable[[str], Finding]], ...]
"""Every check by its name, in the order in which a person reads them."""


class Machine:
    """What the checks look at: the bus, the keeper, the configuration and the kernel."""

    def __init__(self) -> None:
        self.config = Config()
        self.bus: Bus | None = None
        self.keeper = 0

    def findings(self) -> Iterator[Finding]:
        """Run every check; one that cannot run says so as its finding."""
        for name, check in self._checks():
            try:
                yield check(name)
            except LoggedOutError as error:
                yield Finding(name, "warn", str(error), error.hint)
            except PrivysealError as error:
                yield Finding(name, "FAIL", str(error), error.hint)
            except OSError as error:
                yield Finding(name, "FAIL", f"cannot be checked: {error.strerror}")
        if self.bus is not None:
            self.bus.close()

    def _checks(self) -> Checks:
        return (
            ("configuration", self._configuration),
            ("session bus", self._session_bus),
            ("keeper", self._keeper),
            ("provider", self._provider),
            ("activation", self._activation),
            ("store", self._store),
            ("audit folder", self._audit_folder),
            ("audit log", self._audit_log),
            ("witness", self._witness),
            ("notifications", self._notifications),
            ("ptrace", self._ptrace),
            ("core dumps", self._core_dumps),
            ("clock", self._clock),
        )

    def _configuration(self, name: str) -> Finding:
        loaded = load_now()
        self.config = loaded.config
        return Finding(name, "ok", f"valid, {len(loaded.settings)} settings")

    def _session_bus(self, name: str) -> Finding:
        self.bus = Bus.open()
        return Finding(name, "ok", "answers")

    def _keeper(self, name: str) -> Finding:
        with Keeper.open() as keeper:
            status = keeper.status()
        self.keeper = self._pid(BUS_NAME)
        return self._answers(name, status)

    def _answers(self, name: str, status: Json) -> Finding:
        ours, theirs = version("privyseal"), status["version"]
        if ours != theirs:
            hint = "start it again, so that both are the same"
            return Finding(name, "warn", f"is version {theirs}, this command {ours}", hint)
        pid = f", pid {self.keeper}" if self.keeper else ""
        return Finding(name, "ok", f"version {theirs}, {status['mode']} mode{pid}")

    def _provider(self, name: str) -> Finding:
        pid = self._pid(SECRETS)
        if not pid:
            hint = "start Privyseal with `privy try` or `privy service install`"
            return Finding(name, "FAIL", f"nobody serves {SECRETS}", hint)
        exe, words = program_of(pid)
        if "privyseal.agent" not in words:
            hint = "stop it, then start Privyseal: until then it gives secrets out unasked"
            return Finding(name, "FAIL", f"{SECRETS} is served by {exe}, pid {pid}", hint)
        path = "/org/freedesktop/secrets"
        reply = self._bus().call(
            SECRETS, path, "org.freedesktop.Secret.Service", "ReadAlias", "s", ["default"]
        )
        return Finding(name, "ok", f"our agent, pid {pid}; default is {reply[0]}")

    def _activation(self, name: str) -> Finding:
        for folder in _service_folders():
            for file in sorted(folder.glob("*.service")):
                command = _activates(file, SECRETS)
                if not command:
                    continue
                if Path(command[0]).name in {"false", "true", "sleep"}:
                    return Finding(name, "ok", f"{file} keeps other providers from being started")
                if any("privyseal" in word for word in command):
                    return Finding(name, "ok", f"{file} starts our agent")
                hint = "`privy service install` puts a file of ours before it"
                text = f"{file} starts {command[0]} when our agent is away"
                return Finding(name, "warn", text, hint)
        return Finding(name, "ok", f"no file starts another provider of {SECRETS}")

    def _store(self, name: str) -> Finding:
        path = store_path(self.config)
        if self.config.backend == "embedded":
            for place in [path, *path.glob("*")] if path.exists() else []:
                mode = place.stat().st_mode
                if mode & _OTHERS:
                    text = f"others may use {place}: mode {mode & 0o777:03o}"
                    return Finding(name, "FAIL", text, f"chmod go= {shlex.quote(str(place))}")
        with Keeper.open() as keeper:
            status = keeper.status()
        if not status["initialised"]:
            return Finding(name, "warn", "there is none yet", "make it with `privy unlock`")
        if status["locked"]:
            return Finding(name, "warn", "is locked", "unlock it with `privy unlock`")
        return Finding(name, "ok", f"unlocked: {status['backend']}")

    def _audit_folder(self, name: str) -> Finding:
        folder = self._audit_path()
        if not folder.exists():
            return Finding(name, "warn", f"is not there yet: {folder}")
        if folder.stat().st_mode & _OTHERS:
            hint = f"chmod go= {shlex.quote(str(folder))}"
            return Finding(name, "FAIL", f"others may read it: {folder}", hint)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"privy doctor")
            file.flush()
            os.fsync(file.fileno())
        return Finding(name, "ok", f"writable and durable: {folder}")

    def _audit_path(self) -> Path:
        """Return where the keeper that runs writes its log: a trial's has a folder of its own."""
        _, words = program_of(self.keeper) if self.keeper else ("", [])
        if "--state" in words[:-1] and not self.config.audit.path:
            return Path(words[words.index("--state") + 1]) / "audit"
        return audit_path(self.config)

    def _audit_log(self, name: str) -> Finding:
        verifier, count = Verifier(), 0
        try:
            for path in log_files(self._audit_path()):
                count += sum(1 for _ in verifier.verify(path.name, log_lines(path)))
        except NotFoundError:
            return Finding(name, "warn", "nothing is recorded yet")
        return Finding(name, "ok", f"{count} entries, chain and receipts are good")

    def _witness(self, name: str) -> Finding:
        facts = _ask_witness()
        if facts.get("exe") is None and len(facts) <= 1:
            return Finding(name, "FAIL", "answers, but reads nothing", "is /proc mounted?")
        return Finding(name, "ok", f"reads {len(facts)} facts of a process")

    def _notifications(self, name: str) -> Finding:
        if not self.config.notifications.enabled:
            return Finding(name, "ok", "are switched off")
        try:
            path = "/org/freedesktop/Notifications"
            server = self._bus().call(NOTIFICATIONS, path, NOTIFICATIONS, "GetServerInformation")
        except PrivysealError:
            hint = "install a notification daemon, or keep `privy watch` open"
            return Finding(name, "warn", "no server answers on this bus", hint)
        return Finding(name, "ok", f"{server[0]} {server[2]}")

    def _ptrace(self, name: str) -> Finding:
        try:
            scope = int(Path("/proc/sys/kernel/yama/ptrace_scope").read_text(encoding="ascii"))
        except FileNotFoundError:
            scope = 0
        if scope == 0:
            hint = "sysctl kernel.yama.ptrace_scope=1"
            text = "any program of yours may read the memory of any other"
            return Finding(name, "warn", text, hint)
        return Finding(name, "ok", f"kernel.yama.ptrace_scope is {scope}")

    def _core_dumps(self, name: str) -> Finding:
        if not self.keeper:
            return Finding(name, "warn", "the keeper does not run, so its limits are unknown")
        limits = Path(f"/proc/{self.keeper}/limits").read_text(encoding="ascii")
        [line] = [line for line in limits.splitlines() if line.startswith("Max core file size")]
        soft, hard = line.split()[4:6]
        if (soft, hard) == ("0", "0"):
            return Finding(name, "ok", "the keeper leaves none")
        hint = "start the keeper by `python -m privyseal.keeper`, which forbids them"
        return Finding(
            name, "FAIL", f"the keeper may leave some: limit {soft}, at most {hard}", hint
        )

    def _clock(self, name: str) -> Finding:
        made = Path(__file__).stat().st_mtime
        if SystemClock().wall() < made:
            hint = "set the clock: receipts carry its time"
            return Finding(name, "FAIL", "stands before the day this program was installed", hint)
        if ctypes.CDLL(None).adjtimex(bytes(_TIMEX_BYTES)) == _TIME_ERROR:
            hint = "timedatectl set-ntp true"
            return Finding(name, "warn", "is not synchronised", hint)
        return Finding(name, "ok", "synchronised")

    def _bus(self) -> Bus:
        if self.bus is None:
            raise PrivysealError("cannot be checked without a session bus")
        return self.bus

    def _pid(self, name: str) -> int:
        if not self._bus().owner(name):
            return 0
        return int(self._bus().ask_bus("GetConnectionUnixProcessID", name))


def program_of(pid: int) -> tuple[str, list[str]]:
    """Return the program of a process and its arguments, as far as they can be seen."""
    try:
        exe = os.readlink(f"/proc/{pid}/exe")  # noqa: PTH115 - "(deleted)" is no part of a path
    except OSError:
        exe = "a program that cannot be seen"
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        words = []
    return exe, [os.fsdecode(word) for word in words]


def _service_folders() -> list[Path]:
    # In the order of dbus-daemon(1), <standard_session_servicedirs/>.
    home = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local/share")
    shared = os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    places = [runtime] if runtime else []
    places += [home, *shared.split(":"), "/usr/share"]
    return [Path(place) / "dbus-1/services" for place in places]


def _activates(file: Path, name: str) -> list[str]:
    """Return the command by which a service file starts `name`; empty when it does not."""
    parsed = ConfigParser(interpolation=None)
    try:
        parsed.read(file)
        section = parsed["D-BUS Service"]
        return shlex.split(section["Exec"]) if section["Name"] == name else []
    except (Error, KeyError, ValueError):
        return []


def _ask_witness() -> Json:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-I", "-m", "privyseal.witness", "--fd", str(theirs.fileno())]
    pidfd = os.pidfd_open(os.getpid())
    try:
        with ours, subprocess.Popen(command, pass_fds=[theirs.fileno()]) as process:
            theirs.close()
            ours.settimeout(_WITNESS_SECONDS)
            try:
                request = json.dumps({"id": 1, "op": "look"}).encode()
                socket.send_fds(ours, [request], [pidfd])
                answer = json.loads(ours.recv(1 << 20))
            except (OSError, ValueError) as error:
                raise PrivysealError("does not answer") from error
            finally:
                process.terminate()
    finally:
        os.close(pidfd)
    return dict(answer)
