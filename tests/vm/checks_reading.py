"""What alice's programs can reach of the companion: its memory, files, sockets, its terminal."""

from typing import Final

from tests.vm.desk import Desk
from tests.vm.hostiles import at_terminal, reach
from tests.vm.registry import check

_KERNEL_ALLOWS: Final = frozenset({"connect"})
_HARMLESS: Final = frozenset({"fd"})
_DEVICES: Final = (
    "/dev/tty0",
    "/dev/mem",
    "/dev/uinput",
    "/dev/input/event0",
    "/dev/vcs",
    "/dev/vcsa",
)


def _processes(desk: Desk) -> dict[str, str]:
    """Return PID and program of each process of the companion and of its witness."""
    listed = desk.vm.succeed("ps -o pid=,args= -u privyseal-1000").splitlines()
    listed += desk.vm.run("pgrep -af privyseal.witness").out.splitlines()
    return {line.split()[0]: line.split(None, 1)[1] for line in listed}


def _through(told: dict[str, str]) -> dict[str, str]:
    return {name: said for name, said in told.items() if not said.startswith("refused")}


@check(
    "3: alice can trace, read, stop or end no process of the companion",
    seconds=400,
    every_change=True,
)
def processes_out_of_reach(desk: Desk) -> None:
    desk.unlocked()
    desk.stored("unreached", service="unreached.example")
    asked = desk.lookup("unreached.example")
    desk.asked("Read a secret", "unreached.example")
    own = desk.vm.start("exec sleep 600", user="alice")
    desk.vm.wait_until_succeeds("pgrep -u alice -x sleep")
    pid = desk.vm.succeed("pgrep -u alice -x sleep | tail -1")
    works = reach(desk, "pid", pid)
    assert not set(works) - set(_through(works)), f"not even on alice's own process: {works}"
    own.finish()
    found = _processes(desk)
    for program in ("keeper", "provider", "console", "witness", "dbus-daemon"):
        assert any(program in args for args in found.values()), f"no {program} in {found}"
    got = _through(reach(desk, "pid", *found))
    assert not got, "\n".join(
        f"{name} {said}: {found[name.split(':')[1]]}" for name, said in got.items()
    )
    for pid, args in found.items():
        for debugger in (f"gdb -p {pid} -batch -ex bt", f"gcore -o /tmp/core {pid}"):
            said = desk.vm.run(debugger, user="alice", seconds=60).text
            assert "not permitted" in said, f"{debugger} ({args}): {said}"
    assert not desk.vm.run("ls /tmp/core.*").out, "a memory image was written"
    assert _processes(desk) == found, "a process has ended"
    desk.allow()
    assert asked.finish().out == "unreached"


@check(
    "3: the memory of alice's own agent is closed to her other programs",
    seconds=200,
    every_change=True,
)
def agent_out_of_reach(desk: Desk) -> None:
    desk.companion()
    pid = desk.vm.succeed("systemctl show -P MainPID privyseal-agent@1000")
    assert desk.vm.succeed(f"ps -o user= -p {pid}") == "alice"
    got = _through(reach(desk, "memory", pid))
    assert not got, f"of the agent: {got}"


@check(
    "3: alice can open neither terminal, sockets, files nor audit log of the companion",
    seconds=300,
    every_change=True,
)
def files_out_of_reach(desk: Desk) -> None:
    desk.unlocked()
    paths = desk.vm.succeed(
        "find /run/privyseal /var/lib/privyseal /opt/privyseal /etc/privyseal -maxdepth 3"
        " -path /opt/privyseal/lib -prune -o -print; echo /opt/privyseal/lib; ls -d /dev/vcs*8 /dev/tty8;"
        " ls /etc/systemd/system/privyseal* -d; ls /etc/dbus-1/system.d/*privyseal*"
    ).splitlines()
    paths += _DEVICES
    assert any(path.endswith("audit.log") or "audit" in path for path in paths), paths
    works = reach(desk, "path", *paths, user="root")
    assert len(_through(works)) > len(paths), f"not even root gets through: {works}"
    public = ("/opt/privyseal", "/etc/", "/run/privyseal", "/var/lib/privyseal")
    got = {
        name: said
        for name, said in _through(reach(desk, "path", *paths)).items()
        # Programs, units and the record are for everybody to read.
        if not (name.startswith("read:") and name.removeprefix("read:").startswith(public[:2]))
        and name not in {"read:/run/privyseal", "read:/var/lib/privyseal"}
    }
    assert not got, f"alice got through: {got}"


@check(
    "3: from a terminal of her own alice types and writes on no other, and keeps its keys",
    seconds=300,
    every_change=True,
)
def terminal_out_of_reach(desk: Desk) -> None:
    desk.unlocked()
    desk.stored("untyped", service="untyped.example")
    asked = desk.lookup("untyped.example")
    desk.asked("Read a secret", "untyped.example")
    refused = (
        "sti-tty8",
        "sti-tty0",
        "keymap",
        "keycode",
        "function-key",
        "key-repeat",
        "lock-switching",
        "free-terminal-8",
        "output-to-me",
    )
    said = at_terminal(desk, "sti-own", *refused)
    assert "sti-own through" in said, f"the attack does not work at all: {said}"
    for name in refused:
        assert f"{name} refused" in said, said
    for command in (
        "wall kilroy",
        "echo kilroy | write privyseal-1000 tty8",
        "echo kilroy >/dev/tty8",
    ):
        desk.vm.run(command, user="alice")
    assert "kilroy" not in desk.vm.screen(8), "another program's text is on VT 8"
    for command in (
        "systemctl kill privyseal-console@1000",
        "systemctl stop privyseal-keeper@1000",
        "systemctl restart privyseal-witness@1000.socket",
    ):
        done = desk.vm.run(f"{command} --no-ask-password", user="alice")
        assert done.status, f"{command}: worked as alice"
    # An open descriptor of the terminal alone is no right to its keys either.
    left = desk.vm.run(
        "setpriv --reuid=alice --regid=alice --clear-groups python3 -c 'import fcntl, termios;"
        ' fcntl.ioctl(3, termios.TIOCSTI, b"k")\' 3<>/dev/tty8'
    )
    assert "Operation not permitted" in left.err, left.text
    assert asked.running(), "the request was decided"
    desk.allow()
    assert asked.finish().out == "untyped"
