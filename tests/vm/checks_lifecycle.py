"""The companion comes with the first login and goes with the last; locking leaves no key behind."""

import re
import time
from typing import Final

from tests.vm.desk import PASSPHRASE, Desk
from tests.vm.registry import check

_SECRET: Final = "5ecret-in-memory-0f-nobody"
_SSH: Final = (
    "ssh -n -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -i /home/alice/.ssh/id"
)
_STARTED: Final = "pgrep -u privyseal-1000 -f privyseal.keeper"
_SCAN: Final = r"""
import os, re, sys
needles = [word.encode() for word in sys.argv[1:]]
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        if os.stat(f"/proc/{pid}").st_uid != USER:
            continue
        found = 0
        with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb") as memory:
            for line in maps:
                low, high = (int(end, 16) for end in line.split()[0].split("-"))
                if "r" not in line.split()[1] or "[v" in line:
                    continue
                memory.seek(low)
                try:
                    data = memory.read(high - low)
                except OSError:
                    continue
                found += sum(data.count(needle) for needle in needles)
        print(pid, open(f"/proc/{pid}/cmdline").read().replace("\0", " ").split()[4:5], found)
    except (FileNotFoundError, ProcessLookupError):
        pass
"""


def _found(desk: Desk, needle: str) -> dict[str, int]:
    """Return, for each process of the companion, how often its memory holds a text."""
    uid = desk.vm.succeed("id -u privyseal-1000")
    desk.vm.write("/run/scan.py", _SCAN.replace("USER", uid))
    lines = desk.vm.succeed(f"python3 /run/scan.py '{needle}'", seconds=90).splitlines()
    return {line.rpartition(" ")[0]: int(line.rpartition(" ")[2]) for line in lines}


def _pids(desk: Desk) -> set[str]:
    return set(desk.vm.run("pgrep -u privyseal-1000").out.split())


@check(
    "10: lock ends every process with a key: root finds passphrase and secret before, not after",
    seconds=300,
)
def lock_empties_memory(desk: Desk) -> None:
    desk.unlocked()
    desk.vm.show(8)
    desk.stored(_SECRET, service="memory.example", label="In memory")
    desk.granted("memory.example", _SECRET)
    before = {needle: _found(desk, needle) for needle in (_SECRET, PASSPHRASE)}
    assert sum(before[_SECRET].values()), f"the scan does not find what must be there: {before}"
    old = _pids(desk)
    desk.vm.succeed("privy lock", user="alice")
    start = time.monotonic()
    desk.vm.wait_for(lambda: not old & _pids(desk), "the end of every process", seconds=20)
    print(f"         every process of before had ended {time.monotonic() - start:.1f} s later")
    desk.vm.wait_for(lambda: desk.head().endswith(" locked"), "the store locked", seconds=60)
    for needle in (_SECRET, PASSPHRASE):
        after = _found(desk, needle)
        print(f"         found before {sum(before[needle].values())}, after {sum(after.values())}")
        assert not sum(after.values()), f"in memory after the lock: {after}"
    desk.unlocked()
    desk.granted("memory.example", _SECRET)


@check("10: the machine goes to sleep: the store is locked, its processes are others", seconds=300)
def suspend_locks(desk: Desk) -> None:
    desk.unlocked()
    old = _pids(desk)
    # The way of logind and systemd is real; only the last step, which would stop this machine, is not.
    desk.vm.write(
        "/run/systemd/system/systemd-suspend.service.d/vm.conf",
        "[Service]\nExecStart=\nExecStart=/bin/sh -c 'pgrep -u privyseal-1000 >/run/asleep'\n",
    )
    desk.vm.succeed("systemctl daemon-reload; rm -f /run/asleep")
    try:
        desk.vm.succeed("systemctl suspend --no-block || systemctl suspend")
        desk.vm.wait_until_succeeds("test -s /run/asleep", seconds=60)
        asleep = set(desk.vm.succeed("cat /run/asleep").split())
        assert not asleep & old, f"these slept with a key: {asleep & old}"
        desk.vm.wait_for(lambda: desk.head().endswith(" locked"), "the store locked", seconds=60)
    finally:
        desk.vm.succeed("rm -r /run/systemd/system/systemd-suspend.service.d")
        desk.vm.succeed("systemctl daemon-reload")
    desk.unlocked()
    desk.vm.show(8)
    desk.stored("aw4ke", service="awake.example")
    desk.granted("awake.example", "aw4ke")


@check(
    "10: with the last session every process ends, and only a fresh console stands there",
    seconds=300,
)
def last_logout_ends_all(desk: Desk) -> None:
    desk.logged_out()
    desk.unlocked()
    second = desk.vm.start("su -l alice -c 'sleep 1000'")
    desk.vm.wait_for(lambda: len(_sessions(desk)) > 1, "a second session of alice", seconds=60)
    old = _pids(desk)
    desk.vm.succeed(f"loginctl terminate-session {desk.session('alice', 1)}")
    desk.vm.wait_for(lambda: len(_sessions(desk)) == 1, "one session gone", seconds=60)
    time.sleep(3)
    assert "unlocked" in desk.head(), f"one logout of two locked it: {desk.head()}"
    assert old <= _pids(desk), "one logout of two ended processes"
    start = time.monotonic()
    second.kill()
    desk.vm.run("loginctl terminate-user alice")
    desk.vm.wait_for(
        lambda: "not logged in" in desk.vm.screen(8), "the console says so", seconds=60
    )

    def only_console() -> bool:
        running = desk.vm.run("ps -o args= -u privyseal-1000").out
        return re.findall(r"privyseal\.\w+|dbus-daemon", running) == ["privyseal.console"]

    desk.vm.wait_for(only_console, "nothing of the companion but its console", seconds=60)
    print(f"         gone {time.monotonic() - start:.1f} s after the last logout")
    assert not old & _pids(desk), f"processes outlived the logout: {old & _pids(desk)}"
    for needle in (_SECRET, PASSPHRASE):
        assert not sum(_found(desk, needle).values()), "in memory after the logout"


def _sessions(desk: Desk) -> list[str]:
    return [
        line
        for line in desk.vm.succeed("loginctl list-sessions --no-legend").splitlines()
        if " alice " in line
    ]


@check(
    "10: a login by su -l, by ssh or at a getty starts the companion; lingering alone keeps no key",
    seconds=420,
)
def every_way_in_starts_it(desk: Desk) -> None:
    desk.provisioned()
    desk.vm.succeed(
        'su alice -c \'mkdir -p ~/.ssh; [ -e ~/.ssh/id ] || ssh-keygen -q -t ed25519 -N "" -f ~/.ssh/id;'
        " cp ~/.ssh/id.pub ~/.ssh/authorized_keys'"
    )
    for way in (
        "su -l alice -c 'sleep 1000'",
        f"{_SSH} alice@127.0.0.1 sleep 1000",
    ):
        desk.logged_out()
        assert desk.vm.run(_STARTED).status, "it runs before the login: the check proves nothing"
        inside = desk.vm.start(way)
        desk.vm.wait_until_succeeds(_STARTED, seconds=60)
        inside.kill()
    desk.logged_out()
    desk.vm.succeed("loginctl enable-linger alice")
    try:
        desk.unlocked()
        old = _pids(desk)
        desk.vm.succeed("loginctl terminate-session " + desk.session("alice", 1))
        desk.vm.wait_for(
            lambda: desk.head().endswith(" locked") or "not" in desk.head(),
            "the store locked although alice lingers",
            seconds=60,
        )
        assert not old & _pids(desk), f"a lingering user's keys stayed: {old & _pids(desk)}"
    finally:
        desk.vm.succeed("loginctl disable-linger alice")
        desk.logged_out()


@check("10: log out on the console ends all; a request brings it back, locked", seconds=240)
def console_logout(desk: Desk) -> None:
    desk.unlocked()
    desk.vm.show(8)
    desk.stored("b4ck", service="back.example", label="Back again")
    old = _pids(desk)
    desk.vm.press("esc")
    desk.vm.type("o", vt=8)
    seen = desk.vm.shows(8, "Log out")
    typed = re.search(r"type  ([a-z]) ([a-z])\b", seen)
    time.sleep(1.5)
    if typed:
        desk.vm.type(typed[1] + typed[2], vt=8)
    else:
        desk.vm.type("\n", vt=8)
    desk.vm.wait_for(lambda: not (old & _pids(desk)), "every process ended", seconds=60)
    time.sleep(5)
    assert desk.vm.run(_STARTED).status, "the keeper came back although nobody asked"
    asked = desk.lookup("back.example")
    desk.vm.wait_until_succeeds(_STARTED, seconds=60)
    desk.unlocked()
    desk.vm.show(8)
    if asked.running():
        desk.asked("Read a secret")
        desk.allow()
        assert asked.finish().out == "b4ck"
    desk.granted("back.example", "b4ck")
