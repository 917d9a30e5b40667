"""One process asks ten thousand times: another's request is seen, and can be decided."""

import time
from pathlib import Path
from typing import Final

from tests.soak import times
from tests.vm.desk import Desk
from tests.vm.machine import Process
from tests.vm.registry import check

ATTACKER: Final = "/opt/privyseal/bin/python3 -I /opt/attacker.py"
_MOST_SECONDS: Final = 2.0
"""From the start of the requesting program to its request on the screen."""

_THROUGH_AGENT: Final = times(2_000, soak=10_000)
_MORE_MEMORY: Final = 32 * 1024
_PROGRAMS: Final = ("keeper", "agent", "console", "provider", "dbus-daemon --config-file")


def attacker(desk: Desk) -> None:
    """Put the hostile program where everybody may run it."""
    source = Path(__file__).with_name("attacker.py").read_text()
    desk.vm.write("/opt/attacker.py", source, mode=0o755)


def _flood(desk: Desk, words: str) -> None:
    desk.unlocked()
    attacker(desk)
    desk.stored("h0nest", service="flood.example", label="Honest secret")
    usual = _seconds_to_screen(desk)
    before = _memory(desk)
    flood = desk.vm.start(f"ulimit -n 8192; {ATTACKER} {words}", user="alice")
    try:
        desk.vm.wait_for(lambda: "under way" in flood.output().out, "the flood", seconds=90)
        first = _seconds_to_screen(desk, flood)
        desk.vm.wait_for(lambda: flood.output().out.count("\n") > 1, "its end", seconds=200)
        outcome = flood.output().out.splitlines()[1]
        after = _memory(desk)
        last = _seconds_to_screen(desk, flood)
    finally:
        flood.kill()
    print(
        f"         on screen after {usual:.1f} s without the flood, {first:.1f} s in it and"
        f" {last:.1f} s after 10,000; KiB before and after: "
        + ", ".join(f"{name.split()[0]} {before[name]} {after[name]}" for name in before)
    )
    assert max(first, last) <= _MOST_SECONDS, f"{usual=:.1f} {first=:.1f} {last=:.1f}"
    for name in before:
        assert after[name] < before[name] + _MORE_MEMORY, f"{name} grew: {before} {after}"
    assert "Limit" in outcome or "LimitError" in outcome, f"nothing was refused: {outcome}"
    desk.vm.wait_for(lambda: " 0 waiting" in desk.head(), "the flood's requests gone", seconds=60)


def _seconds_to_screen(desk: Desk, flood: Process | None = None) -> float:
    """Return how long an honest request takes to the screen; it is chosen there and allowed."""
    desk.vm.show(1)
    desk.vm.show(8)
    asked = desk.lookup("flood.example")
    desk.vm.wait_for(
        lambda: "READ" in desk.vm.screen(8) or not asked.running(), "it on the screen", seconds=30
    )
    seen_at = desk.vm.uptime()
    assert asked.running(), f"an honest request was refused: {asked.output().text}"
    took = seen_at - _start(desk, "secret-tool")
    assert flood is None or flood.running(), "the flood ended by itself"
    for _ in range(40):
        if "Read a secret" in (seen := desk.vm.screen(8)) and " left ─" in seen:
            break
        desk.vm.press("down")
        time.sleep(0.3)
    desk.asked("Read a secret", "Honest secret")
    desk.allow()
    done = asked.finish()
    assert (done.status, done.out) == (0, "h0nest"), f"after {took:.1f} s: {done.text}"
    return took


def _start(desk: Desk, program: str) -> float:
    """Return when the newest process of a program started, in seconds of uptime (proc(5))."""
    ticks = desk.vm.succeed(f"cut -d' ' -f22 /proc/$(pgrep -nx {program})/stat")
    return int(ticks) / 100


def _memory(desk: Desk) -> dict[str, int]:
    """Return the resident memory of our programs, in KiB."""
    listed = desk.vm.succeed("ps -eo rss=,args=").splitlines()
    return {
        program: sum(int(line.split()[0]) for line in listed if _runs(line, program))
        for program in _PROGRAMS
    }


def _runs(line: str, program: str) -> bool:
    return (
        (f"privyseal.{program} " in line or f"/{program}" in line)
        and "/1001" not in line
        and ("1000" in line)
    )


@check("8: 10,000 requests straight to the keeper: another's is on screen within 2 s", seconds=420)
def flood_of_the_keeper(desk: Desk) -> None:
    _flood(desk, "flood-keeper 10000")


@check("8: a flood through the Secret Service, on 50 connections of one process", seconds=420)
def flood_of_the_agent(desk: Desk) -> None:
    _flood(desk, f"flood-agent {_THROUGH_AGENT} 50")


@check(
    "8: one process introduces thousands of others: neither witness nor places are taken from the rest",
    seconds=420,
)
def flood_of_names(desk: Desk) -> None:
    _flood(desk, f"flood-names {_THROUGH_AGENT} 8")
