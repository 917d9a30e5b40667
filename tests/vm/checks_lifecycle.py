"""When the companion comes, and that nothing of it stays when it goes."""

import time
from typing import Final

from tests.vm.desk import PASSPHRASE, Desk
from tests.vm.registry import check

_SECRET: Final = "xyzzy-in-memory-4711"
_WAKING_SECONDS: Final = 15
_SCAN: Final = """
import os, pathlib, sys

needles = [text.encode() for text in sys.stdin.read().split(chr(10)) if text]
uid = int(sys.argv[1])
for folder in pathlib.Path("/proc").iterdir():
    try:
        if not folder.name.isdecimal() or folder.stat().st_uid not in (0, uid):
            continue
        # A process that is not dumpable belongs to root here, whoever it runs as.
        status = (folder / "status").read_text()
        if f"Uid:\\t{uid}\\t" not in status:
            continue
        with open(folder / "mem", "rb", 0) as memory:
            for line in (folder / "maps").read_text().splitlines():
                span, rights = line.split()[:2]
                if "r" not in rights or "[v" in line:
                    continue
                start, end = (int(part, 16) for part in span.split("-"))
                try:
                    memory.seek(start)
                    data = memory.read(end - start)
                except OSError:
                    continue
                for needle in needles:
                    if needle in data:
                        print(folder.name, status.split()[1], needle.decode())
    except (FileNotFoundError, ProcessLookupError):
        continue
print("scanned")
"""


def found_in_memory(desk: Desk, *needles: str) -> list[str]:
    """Return where in the memory of alice's companion one of the texts lies."""
    desk.vm.write("/run/scan.py", _SCAN)
    command = "python3 /run/scan.py $(id -u privyseal-1000)"
    *found, last = desk.vm.run(command, stdin="\n".join(needles), seconds=120).out.splitlines()
    assert last == "scanned", found
    return found


def processes(desk: Desk) -> dict[str, str]:
    """Return the processes of alice's companion: what they run, by PID and start."""
    listed = desk.vm.run("ps -o pid=,lstart=,args= -u privyseal-1000").out.splitlines()
    return {line[:32]: line[32:].strip() for line in listed}


@check(
    "10: a lock leaves neither secret nor passphrase in any process of the companion", seconds=300
)
def memory_after_a_lock(desk: Desk) -> None:
    desk.unlocked()
    desk.stored(_SECRET, service="memory.example")
    desk.granted("memory.example", _SECRET)
    assert found_in_memory(desk, _SECRET, PASSPHRASE), "the scan finds nothing even when unlocked"
    before = processes(desk)
    desk.vm.succeed("privy lock", user="alice")
    desk.vm.wait_for(lambda: not {*before} & {*processes(desk)}, "every process replaced")
    desk.vm.wait_for(lambda: "locked" in desk.head(), "the keeper back", seconds=60)
    assert "unlocked" not in desk.head()
    left = found_in_memory(desk, _SECRET, PASSPHRASE)
    assert not left, f"still in memory: {left}"
    desk.unlocked()
    desk.granted("memory.example", _SECRET)


@check("10: who waits while the companion locks is told so, and where to unlock", seconds=300)
def told_of_a_lock(desk: Desk) -> None:
    desk.unlocked()
    desk.stored(_SECRET, service="waiting.example")
    waiting = desk.lookup("waiting.example")
    desk.asked("Read a secret", "waiting.example")
    desk.vm.succeed("privy lock", user="alice")
    done = waiting.finish()
    assert (done.status, done.out) == (1, ""), done.text
    assert "secret-tool: Privyseal was locked" in done.text, done.text
    assert "Unlock it on the console: Ctrl+Alt+F8" in done.text, done.text
    desk.unlocked()
    desk.granted("waiting.example", _SECRET)


@check(
    "10: the last session ends: no process of the companion but a fresh console",
    seconds=300,
    every_change=True,
)
def last_logout(desk: Desk) -> None:
    desk.unlocked()
    desk.logged_in(vt=2)
    before = processes(desk)
    desk.vm.show(2)
    desk.vm.type("exit\n", vt=2)
    desk.vm.wait_for(lambda: not desk.session("alice", 2), "one of two sessions ended")
    assert "unlocked" in desk.head(), "the first of two logouts locked"
    desk.vm.show(1)
    desk.vm.type("exit\n", vt=1)
    desk.vm.wait_for(
        lambda: ["privyseal.console" in args for args in processes(desk).values()] == [True],
        "keeper, provider and bus gone, a console there",
        seconds=90,
    )
    assert not {*before} & {*processes(desk)}, "the console is the one that saw the passphrase"
    desk.vm.show(8)
    desk.vm.shows(8, "not logged in")
    desk.companion()
    assert "unlocked" not in desk.head(), "the store is open after a new login"
    desk.unlocked()


@check("10: the machine sleeps: the store is locked when it wakes", seconds=300)
def suspend(desk: Desk) -> None:
    desk.unlocked()
    before = processes(desk)
    # To idle with everything frozen is the one kind of sleep that every machine has.
    desk.vm.write("/etc/systemd/sleep.conf.d/vm.conf", "[Sleep]\nSuspendState=freeze\n")
    desk.vm.succeed("echo enabled >/sys/bus/serio/devices/serio0/power/wakeup")
    sleeping = desk.vm.start("systemctl suspend")
    for _ in range(_WAKING_SECONDS):  # it cannot be asked whether it sleeps
        time.sleep(1)
        desk.vm.press("ctrl")
    sleeping.finish()
    desk.vm.wait_for(lambda: not {*before} & {*processes(desk)}, "every process replaced")
    desk.vm.wait_until_succeeds("journalctl -b | grep -q 'returned from sleep'")
    desk.vm.wait_for(lambda: "locked" in desk.head(), "the keeper back", seconds=60)
    assert "unlocked" not in desk.head()
    desk.vm.succeed("rm -r /etc/systemd/sleep.conf.d")
    desk.unlocked()


@check(
    "B: su -l and ssh start the companion as a getty does, and no login waits for it", seconds=400
)
def other_ways_in(desk: Desk) -> None:
    desk.provisioned()
    desk.logged_out()
    inside = desk.vm.start("su -l alice -c 'sleep 1000'")
    desk.vm.wait_for(lambda: "lock" in desk.head() or "store" in desk.head(), "su", seconds=90)
    desk.vm.wait_until_succeeds("pkill -u alice sleep")
    inside.finish()
    desk.logged_out()
    desk.vm.wait_until_succeeds("! pgrep -u privyseal-1000 -f privyseal.keeper")
    desk.vm.succeed(
        "systemctl start ssh; mkdir -p ~/.ssh; ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/k"
    )
    desk.vm.succeed(
        "install -d -m 700 -o alice ~alice/.ssh;"
        " install -m 600 -o alice ~/.ssh/k.pub ~alice/.ssh/authorized_keys"
    )
    ssh = "ssh -i ~/.ssh/k -o StrictHostKeyChecking=no -o BatchMode=yes alice@127.0.0.1"
    inside = desk.vm.start(f"{ssh} sleep 1000")
    desk.vm.wait_for(lambda: "lock" in desk.head() or "store" in desk.head(), "ssh", seconds=90)
    desk.vm.wait_until_succeeds("pkill -u alice sleep")
    inside.finish()
    desk.logged_out()
    desk.vm.succeed("systemctl stop ssh; rm -r ~/.ssh ~alice/.ssh")
    desk.unlocked()


@check("B: logged out on the console, the companion rests until somebody asks", seconds=300)
def log_out_on_the_console(desk: Desk) -> None:
    desk.unlocked()
    desk.sit_at()
    desk.vm.type("o", vt=8)
    desk.confirm()
    desk.vm.wait_for(
        lambda: all("privyseal.console" in args for args in processes(desk).values()),
        "keeper, provider and bus gone",
        seconds=60,
    )
    for looks in ("privy status", "privy list", "privy doctor"):
        assert "logged out" in desk.vm.run(looks, user="alice").text
    desk.vm.shows(8, "The companion is logged out", "alice is logged in")
    assert all("privyseal.console" in args for args in processes(desk).values())
    desk.vm.run("privy get service=nothing.example", user="alice")
    desk.vm.wait_for(lambda: "locked" in desk.head(), "the companion asked back", seconds=60)
    assert "unlocked" not in desk.head()
    desk.unlocked()


@check(
    "10: a user who lingers keeps no key past the last session, and one logout of two ends nothing",
    seconds=300,
)
def lingering(desk: Desk) -> None:
    desk.unlocked()
    second = desk.vm.start("su -l alice -c 'sleep 1000'")
    before = processes(desk)
    desk.vm.wait_until_succeeds("loginctl list-sessions --no-legend | grep -c alice | grep -q 2")
    desk.vm.succeed("pkill -u alice sleep")  # a killed su would leave it, and the session with it
    second.finish()
    desk.vm.wait_until_succeeds("loginctl list-sessions --no-legend | grep -c alice | grep -q 1")
    assert {*before} <= {*processes(desk)}, "one logout of two ended processes"
    desk.vm.succeed("loginctl enable-linger alice")
    try:
        desk.vm.succeed(f"loginctl terminate-session {desk.session('alice', 1)}")
        desk.vm.wait_for(
            lambda: not {*before} & {*processes(desk)}, "every process that held a key ended"
        )
    finally:
        desk.vm.succeed("loginctl disable-linger alice")
        desk.logged_out()
    desk.unlocked()
