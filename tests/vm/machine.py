"""The virtual machine as a check uses it: run commands, type, read screens, take pictures.

    vm.run("id", user="alice")          a command as alice: status, out, err
    vm.succeed("systemctl start x")     the same as root; the check fails unless it worked
    asked = vm.start("secret-tool ...", user="alice")    goes on; asked.finish(), asked.running()
    vm.show(8)                          Ctrl+Alt+F8, and waits until VT 8 is in front
    vm.type("alice\\n", vt=1)            typed on the emulated keyboard, if VT 1 is in front
    vm.press("alt", "sysrq", "k")       keys together
    vm.screen(8)                        the text that VT 8 shows, 25 lines
    vm.shows(8, "Waiting")              waits until it shows that
    vm.wait_for(lambda: ..., "what it is that has to come about")
    with vm.network() as host:          the host's loopback can be reached there
    vm.picture("idle")                  build/vm/pictures/idle.png: the pixels
    vm.write("/etc/x", "text")          a file, as root

Everything is slow here, ten to fifty times slower than on the machine that emulates: wait for what
you need, never for a time.
"""

import base64
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from tests.vm.build import Image
from tests.vm.channel import Channel, HungError
from tests.vm.keys import keys_of
from tests.vm.place import PICTURES
from tests.vm.qemu import Qemu

UIDS: Final = {"root": 0, "alice": 1000, "bob": 1001, "carol": 1002}
BOOT_SECONDS: Final = 300
_SLACK_SECONDS: Final = 30
_POLL_SECONDS: Final = 0.1
_COLUMNS: Final = 80
_TAIL: Final = 2000


class LateError(AssertionError):
    """Something that was waited for did not come about in time."""


class Result(NamedTuple):
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Everything it said, for a message."""
        return f"{self.out}{self.err}".strip()[-_TAIL:]


class Machine:
    """One running machine. Not for several threads."""

    def __init__(self, image: Image, folder: Path, *, keep: bool = False) -> None:
        self._count = 0
        self._count = 0
        start = time.monotonic()
        self.qemu = Qemu(image, folder, serial_shell=keep)
        try:
            self._guest = Channel(folder / "guest")
            self._guest.receive(BOOT_SECONDS)
            self.boot_seconds = time.monotonic() - start
        except HungError:
            self.qemu.stop()
            raise

    # Commands

    def run(
        self,
        command: str,
        *,
        user: str = "root",
        seconds: float = 60,
        stdin: str = "",
        in_session: bool = True,
    ) -> Result:
        """Run a command with bash and return how it ended; 124 when it took too long.

        Args:
            command: Text for `bash -c`.
            user: Whose it is: a name out of UIDS, or any user of the machine. Everybody but root
                gets the environment of a login, with the address of the user's own session bus.
            seconds: After these it is killed.
            stdin: What it reads.
            in_session: Put it into a login session of the user, where there is one, as if it was
                started there (its control group says so).
        """
        text = command if user == "root" else _as(user, command, in_session=in_session)
        answer = self._ask({"run": text, "seconds": seconds, "stdin": stdin}, seconds)
        return _result(answer)

    def succeed(
        self, command: str, *, user: str = "root", seconds: float = 60, stdin: str = ""
    ) -> str:
        """Run a command that has to work; return what it wrote, without the last line's end."""
        result = self.run(command, user=user, seconds=seconds, stdin=stdin)
        assert result.status == 0, f"{command}: status {result.status}: {result.text}"
        return result.out.rstrip("\n")

    def start(self, command: str, *, user: str = "root", in_session: bool = True) -> "Process":
        """Start a command that goes on while the check does other things."""
        text = command if user == "root" else _as(user, command, in_session=in_session)
        return Process(self, command, int(str(self._ask({"start": text})["process"])))

    def write(
        self, path: str, text: str | bytes, *, mode: int = 0o644, owner: str = "root"
    ) -> None:
        """Write a file; its folder is made where it is missing."""
        data = text.encode() if isinstance(text, str) else text
        quoted = shlex.quote(path)
        self.succeed(
            f'mkdir -p "$(dirname {quoted})" && base64 -d >{quoted} && chmod {mode:o} {quoted}'
            f" && chown {owner}: {quoted}",
            stdin=base64.b64encode(data).decode(),
        )

    # Keyboard and screen

    def active_vt(self) -> int:
        """Return which virtual terminal is in front."""
        return int(str(self._ask({"read": "/sys/class/tty/tty0/active"})["text"]).strip()[3:])

    def uptime(self) -> float:
        """Return for how many seconds the machine has been running (proc(5))."""
        return float(str(self._ask({"read": "/proc/uptime"})["text"]).split()[0])

    def show(self, vt: int, *, seconds: float = 10) -> None:
        """Press Ctrl+Alt+F`vt` and wait until that terminal is in front."""
        self.press("ctrl", "alt", f"f{vt}")
        self.wait_for(lambda: self.active_vt() == vt, f"VT {vt} in front", seconds=seconds)

    def press(self, *keys: str) -> None:
        """Press keys together, in QEMU's names ("ctrl", "alt", "f8", "sysrq", "ret", "a")."""
        self.qemu.press(*keys)

    def type(self, text: str, *, vt: int) -> None:
        """Type a text on the keyboard; the check fails when another terminal than `vt` is in front."""
        active = self.active_vt()
        assert active == vt, f"VT {active} is in front, not {vt}: nothing typed"
        for character in text:
            self.press(*keys_of(character))

    def screen(self, vt: int) -> str:
        """Return the text on a virtual terminal, in front or not, without blanks at the line ends."""
        text = str(self._ask({"screen": vt})["text"])
        lines = [text[at : at + _COLUMNS].rstrip() for at in range(0, len(text), _COLUMNS)]
        return "\n".join(lines).rstrip("\n")

    def shows(self, vt: int, *texts: str, seconds: float = 30) -> str:
        """Wait until a terminal shows all of the texts; return what it shows then."""
        seen = ""

        def there() -> bool:
            nonlocal seen
            seen = self.screen(vt)
            return all(text in seen for text in texts)

        try:
            self.wait_for(there, f"{texts} on VT {vt}", seconds=seconds)
        except LateError as error:
            raise LateError(f"{error}; it shows:\n{seen}") from None
        return seen

    def picture(self, name: str) -> Path:
        """Save the screen's pixels as build/vm/pictures/NAME.png."""
        file = PICTURES / f"{name}.png"
        self.qemu.picture(file)
        return file

    # Network

    @contextmanager
    def network(self) -> Iterator[str]:
        """Plug in a network card; yield the address where the machine finds this host's loopback."""
        card = "/sys/class/net/[!l]*"
        # It gets another name soon after it came.
        named = f'card=$(basename {card}) && ip link set "$card" up'
        self.qemu.plug_network()
        try:
            self.wait_until_succeeds(f'{named} && ip address replace 10.0.2.15/24 dev "$card"')
            yield "10.0.2.2"
        finally:
            self.qemu.unplug_network()
            self.wait_for(lambda: self.run(f"test -d {card}").status != 0, "no card", seconds=60)

    # Waiting

    def wait_for(self, condition: Callable[[], object], what: str, *, seconds: float = 30) -> None:
        """Return as soon as `condition` holds; fail, naming `what` was awaited, when it does not."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise LateError(f"not within {seconds:.0f} s: {what}")
            time.sleep(_POLL_SECONDS)

    def wait_until_succeeds(self, command: str, *, user: str = "root", seconds: float = 60) -> str:
        """Repeat a command until its status is 0; return what it wrote."""
        last = Result(-1, "", "")

        def works() -> bool:
            nonlocal last
            last = self.run(command, user=user)
            return last.status == 0

        try:
            self.wait_for(works, command, seconds=seconds)
        except LateError as error:
            raise LateError(f"{error}: {last.text}") from None
        return last.out.rstrip("\n")

    # The wire

    def poll(self, process: int) -> dict[str, object]:
        """Ask about a started process (Process does)."""
        return self._ask({"poll": process})

    def reset(self) -> None:
        """Press the reset button, whatever the machine is doing, and wait until it is up again.

        What it wrote to its disk stays; what only its memory held is lost, as when the power fails.
        """
        self.qemu.command("system_reset")
        while not self._guest.receive(BOOT_SECONDS).get("hello"):
            pass

    def stop(self) -> None:
        """Switch the machine off, without asking it."""
        self.qemu.stop()

    def _ask(self, question: dict[str, object], seconds: float = 0) -> dict[str, object]:
        self._count += 1
        number = self._count
        self._guest.send({"id": number, **question})
        while True:
            answer = self._guest.receive(seconds + _SLACK_SECONDS)
            if answer.get("hello"):
                raise HungError("the machine started anew")
            # An answer to an earlier question is that of a check whose time was up.
            if answer["id"] == number:
                return answer


class Process:
    """A command that runs in the machine; see Machine.start."""

    def __init__(self, machine: Machine, command: str, pid: int) -> None:
        self._machine = machine
        self.command = command
        self.pid = pid
        self._result: Result | None = None

    def running(self) -> bool:
        """Say whether it has not ended."""
        return self.ended() is None

    def ended(self) -> Result | None:
        """Return how it ended, or None while it runs."""
        if self._result is None:
            state = self._machine.poll(self.pid)
            self._result = None if state["status"] is None else _result(state)
        return self._result

    def output(self) -> Result:
        """Return what it wrote so far; its status is -1 while it runs."""
        state = self._machine.poll(self.pid)
        return _result(state if state["status"] is not None else {**state, "status": -1})

    def finish(self, *, seconds: float = 60) -> Result:
        """Wait until it ended; the check fails when it does not."""
        try:
            self._machine.wait_for(lambda: self.ended() is not None, self.command, seconds=seconds)
        except LateError as error:
            raise LateError(f"{error}: {self.output().text}") from None
        assert self._result is not None
        return self._result

    def kill(self) -> None:
        """End it and everything that it started, and leave no dead process of its user behind."""
        self._machine.run(f"kill -9 -- -{self.pid}")
        self._machine.wait_for(lambda: self.ended() is not None, f"the end of {self.command}")


def _result(answer: dict[str, object]) -> Result:
    return Result(int(str(answer["status"])), str(answer["out"]), str(answer["err"]))


def _as(user: str, command: str, *, in_session: bool) -> str:
    quoted = shlex.quote(user)
    enter = (
        "for s in /sys/fs/cgroup/user.slice/user-$uid.slice/session-*.scope; do"
        ' { [ -e "$s" ] && echo $$ >"$s/cgroup.procs"; } 2>/dev/null && break; done; '
    )
    return (
        f"uid=$(id -u {quoted}) || exit 125; {enter if in_session else ''}"
        f'cd "$(getent passwd {quoted} | cut -d: -f6)" 2>/dev/null || cd /; '
        f"exec setpriv --reuid={quoted} --regid=$(id -g {quoted}) --init-groups env -i"
        f' HOME="$PWD" USER={quoted} LOGNAME={quoted} SHELL=/bin/bash LANG=C.UTF-8 TERM=linux'
        " PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
        " XDG_RUNTIME_DIR=/run/user/$uid DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/$uid/bus"
        f" bash -c {shlex.quote(command)}"
    )
