"""Companions beside their desktop users: a system bus with a policy, real users, real processes."""

import asyncio
import contextlib
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.system_bus import system_configuration
from tests.waiting import PATIENCE, eventually

from privyseal import errors

# Locking ends every process of a user: two runs of these tests must not share users.
_FIRST: Final = 200_000 + os.getpid() % 50_000 * 4
ALICE: Final = _FIRST
BOB: Final = _FIRST + 1
COMPANION: Final = {ALICE: _FIRST + 2, BOB: _FIRST + 3}
PASSPHRASE: Final = "correct horse battery staple"

_LOGIND: Final = """
  <policy context="default"><allow send_destination="org.freedesktop.login1"/></policy>
  <policy user="root">
    <allow own="org.freedesktop.login1"/>
    <allow send_type="method_call"/>
  </policy>
"""
_DEPLOYED: Final = Path(__file__).parents[3] / "deploy" / "dbus"


class Puppet:
    """One process of some user that a test moves; see puppet.py."""

    def __init__(self, process: Process, group: asyncio.TaskGroup) -> None:
        self.process = process
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[object]] = {}
        group.create_task(self._listen())

    async def do(self, what: str, *arguments: object) -> object:
        """Return the result of one deed, or raise the error that it ended with."""
        assert self.process.stdin is not None
        number = next(self._numbers)
        answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        self.process.stdin.write(json.dumps([number, what, arguments]).encode() + b"\n")
        async with asyncio.timeout(PATIENCE):
            return await answer

    async def _listen(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            number, result, *error = json.loads(line)
            if error:
                self._waiting[number].set_exception(getattr(errors, error[0])(error[1]))
            else:
                self._waiting[number].set_result(result)
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(errors.UnreachableError("the puppet ended"))


@dataclass
class Machine:
    """The system bus, and all that runs for a test."""

    folder: Path
    group: asyncio.TaskGroup
    processes: list[Process]

    def _as(self, uid: int) -> list[str]:
        # Everything shares the mounts of the bus, which are those of this system but for the
        # accounts: the witness tells processes with other mounts apart.
        mounts = ["nsenter", f"--mount=/proc/{self.processes[0].pid}/ns/mnt", "--"]
        return [*mounts, "setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--"]

    @property
    def bus(self) -> str:
        """The address of the system bus."""
        return f"unix:path={self.folder}/system"

    async def start(
        self,
        uid: int,
        *arguments: str,
        name: str,
        talks: bool = False,
        passes: Sequence[int] = (),
        **environ: str,
    ) -> Process:
        """Start a program as a user, and return once it is that program of that user.

        Its words are in a log of that name.
        """
        log = (self.folder / f"{name}.log").open("ab")
        process = await asyncio.create_subprocess_exec(
            *self._as(uid),
            *arguments,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **environ},
            cwd="/",
            stdin=PIPE if talks else asyncio.subprocess.DEVNULL,
            stdout=PIPE if talks else log,
            stderr=log,
            pass_fds=passes,
        )
        log.close()
        self.processes.append(process)
        await eventually(lambda: _arrived(process))
        return process

    async def puppet(self, uid: int, role: str, address: str, name: str) -> Puppet:
        """Start a process that a test moves."""
        script = str(Path(__file__).with_name("puppet.py"))
        process = await self.start(
            uid, sys.executable, "-I", script, role, address, name, name="puppet", talks=True
        )
        return Puppet(process, self.group)

    async def face(self, uid: int, of: int = ALICE) -> Puppet:
        """Start a face of a user, at the keeper of the same or another."""
        return await self.puppet(uid, "ask", self.bus, f"org.privyseal.Keeper1.u{of}")

    async def run(self, uid: int, *arguments: str) -> tuple[int, str]:
        """Run a program to its end; return its status and its words."""
        process = await asyncio.create_subprocess_exec(
            *self._as(uid),
            *arguments,
            # Without what measures coverage: another user cannot write its file, and would say so.
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(PATIENCE):
            words, _ = await process.communicate()
        return process.returncode or 0, words.decode()

    async def call(
        self, uid: int, address: str, to: str, method: str, *args: str
    ) -> tuple[int, str]:
        """Call a method of a keeper's object as a user."""
        return await self.run(
            uid, "gdbus", "call", "--address", address, "--dest", to,
            "--object-path", "/org/privyseal/Keeper1", "--method", method, *args,
        )  # fmt: skip

    @contextlib.contextmanager
    def control_group(self, path: str, pid: int) -> Iterator[None]:
        """Put a process into a control group, as the first process of the system does."""
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
        root = next(Path(mount[1]) for mount in mounts if mount[2] == "cgroup2")
        group = root / path
        made = [each for each in (group, *group.parents) if not each.exists()]
        group.mkdir(parents=True, exist_ok=True)
        (group / "cgroup.procs").write_text(str(pid))
        try:
            yield
        finally:
            (root / "cgroup.procs").write_text(str(pid))
            for each in made:
                each.rmdir()

    async def said(self, name: str, words: str) -> None:
        """Return once a program said something."""
        await eventually(lambda: words in self.log(name))

    def log(self, name: str) -> str:
        """Return what a program said."""
        return (self.folder / f"{name}.log").read_text()


@dataclass
class Companion:
    """The second user of one desktop user, and its processes."""

    machine: Machine
    user: int
    person: Puppet = field(init=False)
    keeper: Process = field(init=False)

    @property
    def uid(self) -> int:
        """The companion's own UID."""
        return COMPANION[self.user]

    @property
    def home(self) -> Path:
        """Its folder, closed to everybody else."""
        return self.machine.folder / str(self.user)

    @property
    def bus(self) -> str:
        """The address of the private bus."""
        return f"unix:path={self.home}/bus"

    @property
    def name(self) -> str:
        """The keeper's name on the system bus."""
        return f"org.privyseal.Keeper1.u{self.user}"

    async def begin(self, *, witness: bool = True, open_bus: bool = False) -> None:
        """Start the private bus, a provider, the witness and the keeper.

        `open_bus`: the bus lets everybody in who reaches its socket, unlike the one that is deployed.
        """
        self.home.mkdir(mode=0o700)
        configuration = self.home / "bus.conf"
        deployed = (_DEPLOYED / "private-bus.conf").read_text()
        rule = '<policy context="default">'
        opened = deployed.replace(rule, f'{rule}<allow user="*"/>')
        configuration.write_text(opened if open_bus else deployed)
        for path in (self.home, configuration):
            os.chown(path, self.uid, self.uid)
        if witness:
            await self.start_witness()
        await self.start_all()

    async def start_all(self) -> None:
        """Start whatever runs as the companion, as systemd does after a lock."""
        start, home = self.machine.start, str(self.home)
        (self.home / "bus").unlink(missing_ok=True)
        configuration = str(self.home / "bus.conf")
        await start(
            self.uid,
            "dbus-daemon",
            f"--config-file={configuration}",
            f"--address={self.bus}",
            "--nofork",
            name="bus",
        )
        await eventually(lambda: _listens(self.home / "bus"))
        await start(
            self.uid, sys.executable, "-I", "-m", "privyseal.provider", "--bus-address", self.bus,
            "--store", f"{home}/store", name="provider", HOME=home,
        )  # fmt: skip
        await self._owned(self.bus, "org.freedesktop.secrets", self.uid)
        await self.start_keeper()

    async def try_keeper(self, uid: int) -> tuple[int, str]:
        """Start a keeper as some other user; return its status and its words."""
        return await self.machine.run(
            uid, sys.executable, "-I", "-m", "privyseal.keeper", "--desktop-uid", str(self.user),
            "--state", str(self.machine.folder / "nowhere"),
        )  # fmt: skip

    async def start_keeper(self) -> None:
        """Start the keeper alone."""
        self.keeper = await self.machine.start(
            self.uid, sys.executable, "-I", "-X", "importtime", "-m", "privyseal.keeper",
            "--desktop-uid", str(self.user), "--state", str(self.home), "--bus-address", self.bus,
            "--request-bus", self.machine.bus, "--witness", str(self.socket),
            name=f"keeper-{self.user}", HOME=str(self.home),
        )  # fmt: skip
        await self._owned(self.bus, "org.privyseal.Keeper1", self.uid)
        self.person = await self.machine.puppet(
            self.uid, "decide", self.bus, "org.privyseal.Keeper1"
        )
        await self.person.do("watch")

    @property
    def socket(self) -> Path:
        """Where the witness listens."""
        return self.machine.folder / f"witness-{self.user}"

    async def start_witness(self) -> Process:
        """Start the witness as systemd does: root, with a listening socket as descriptor 3."""
        self.socket.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(str(self.socket))
            listener.listen()
            os.chown(self.socket, self.uid, self.uid)
            self.socket.chmod(0o600)
            fd = listener.fileno()
            script = f'exec 3<&{fd}; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"'
            return await self.machine.start(
                0, "bash", "-c", script, "bash", sys.executable, "-I", "-m", "privyseal.witness",
                "--uid", str(self.user), "--peer", f"privyseal-{self.user}",
                name="witness", passes=[fd],
            )  # fmt: skip

    async def kill_witness(self, witness: Process) -> None:
        """Kill the witness with its children, and its socket, which systemd would keep."""
        self.socket.unlink()
        children = Path(f"/proc/{witness.pid}/task/{witness.pid}/children").read_text().split()
        for pid in (witness.pid, *map(int, children)):
            os.kill(pid, signal.SIGKILL)
        await witness.wait()

    async def refused(self, approval: dict[str, object]) -> str:
        """Try to allow what has changed; return why that was refused."""
        try:
            await self.person.do("decide", approval["id"], approval["digest"], True)  # noqa: FBT003 - JSON
        except errors.ConflictError as error:
            return str(error)
        return ""

    async def waiting(self, number: int = 1) -> list[dict[str, object]]:
        """Return what waits for a person, once so many requests do."""
        pending = await answers(
            lambda: self.person.do("pending"),
            lambda found: isinstance(found, list) and len(found) >= number,
        )
        assert isinstance(pending, list)
        return pending

    async def decide(self, *, allow: bool = True) -> dict[str, object]:
        """Wait for one request and decide it; return it as it was shown."""
        approval = (await self.waiting())[0]
        await self.person.do("decide", approval["id"], approval["digest"], allow)
        return approval

    async def heard(self, what: str) -> None:
        """Return once those who watch were told of something."""
        await answers(lambda: self.person.do("heard"), lambda heard: what in str(heard))

    async def fill(self) -> None:
        """Unlock for the first time and store one item, as the desktop user would."""
        await self.person.do("unlock", PASSPHRASE)
        face = await self.machine.face(self.user, self.user)
        await face.do("subscribe")
        async with asyncio.TaskGroup() as group:
            stored = group.create_task(face.do("store", "hunter2", "GitHub token", "demo"))
            await self.decide()
        assert stored.result() == "allowed"

    async def ended(self) -> int:
        """Return how the keeper ended, once no process of the companion is left."""
        async with asyncio.timeout(PATIENCE):
            status = await self.keeper.wait()
        await eventually(lambda: not self._lives())
        return status

    def _lives(self) -> bool:
        found = subprocess.run(["pgrep", "-U", str(self.uid)], check=False, capture_output=True)
        return bool(found.stdout)

    async def _owned(self, address: str, name: str, uid: int) -> None:
        async def owned() -> object:
            return await self.machine.run(
                uid, "gdbus", "call", "--address", address, "--dest", "org.freedesktop.DBus",
                "--object-path", "/", "--method", "org.freedesktop.DBus.NameHasOwner", name,
            )  # fmt: skip

        await answers(owned, lambda answer: "true" in str(answer))


async def answers(ask: Callable[[], Awaitable[object]], wanted: Callable[[object], bool]) -> object:
    """Return the answer once it is what is wanted; fail when it does not come to that in time."""
    async with asyncio.timeout(PATIENCE):
        while not wanted(answer := await ask()):  # noqa: ASYNC110 - another process tells no event
            await asyncio.sleep(0.02)
    return answer


def _arrived(process: Process) -> bool:
    """Return whether a process is past the programs that change its mounts and its user."""
    try:
        program = Path(f"/proc/{process.pid}/cmdline").read_bytes().partition(b"\0")[0]
    except OSError:
        return True
    return process.returncode is not None or program not in {b"", b"nsenter", b"setpriv"}


def _opened(folder: Path) -> list[str]:
    """Return commands that let every user reach Python and the product, wherever they lie."""
    wanted = {Path(sys.base_prefix), Path(sys.prefix), Path(__file__).parents[3]}
    closed: set[Path] = set()
    for path in wanted:
        above = [each for each in reversed(path.parents) if not each.stat().st_mode & 0o001]
        closed |= set(above[:1])
    hidden = [path for path in wanted if closed & set(path.parents)]
    spare = {path: folder / f"open-{number}" for number, path in enumerate(hidden)}
    return [
        *(f"mkdir {place} && mount --bind {path} {place}" for path, place in spare.items()),
        *(f"mount -t tmpfs -o mode=755 none {path}" for path in closed),
        *(f"mkdir -p {path} && mount --bind {place} {path}" for path, place in spare.items()),
    ]


@asynccontextmanager
async def machine() -> AsyncIterator[Machine]:
    """Start a system bus that knows two desktop users and their companions."""
    folder = Path(tempfile.mkdtemp(prefix="privyseal-"))
    folder.chmod(0o755)
    policies = []
    for user in COMPANION:
        policy = folder / f"{user}.conf"
        deployed = (_DEPLOYED / "system-policy.conf").read_text()
        policy.write_text(deployed.replace("@UID@", str(user)))
        policies.append(policy)
    configuration = folder / "system.conf"
    configuration.write_text(system_configuration(folder / "system", policies, added=_LOGIND))
    accounts = Path("/etc/passwd").read_text()
    for user, own in COMPANION.items():
        for name, uid in ((f"user-{user}", user), (f"privyseal-{user}", own)):
            accounts += f"{name}:x:{uid}:{uid}::/nonexistent:/usr/sbin/nologin\n"
    passwd = folder / "passwd"
    passwd.write_text(accounts)
    commands = [f"mount --bind {passwd} /etc/passwd", *_opened(folder)]
    script = " && ".join([*commands, f"exec dbus-daemon --config-file={configuration} --nofork"])
    log = (folder / "system.log").open("ab")
    async with asyncio.TaskGroup() as group:
        bus = await asyncio.create_subprocess_exec("unshare", "-m", "sh", "-c", script, stderr=log)
        log.close()
        made = Machine(folder, group, [bus])
        try:
            await eventually(lambda: _listens(folder / "system"))
            yield made
        finally:
            for process in made.processes:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGKILL)
            for process in made.processes:
                await process.wait()
            shutil.rmtree(folder)


def _listens(path: Path) -> bool:
    # The file of a socket is there before anybody listens.
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0
