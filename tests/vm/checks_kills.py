"""Any process is killed at any time: one answer, nothing released, everything back by itself."""

import time
from collections.abc import Sequence
from typing import Final

from tests.vm.checks_flood import ATTACKER, attacker
from tests.vm.desk import Desk
from tests.vm.machine import Process, Result
from tests.vm.registry import check

_BACK_SECONDS: Final = 30
_SERVICE: Final = "killed.example"
_WRITES: Final = 100
_CONFIG: Final = "/etc/privyseal/config.yaml"


def _kill(
    desk: Desk, name: str, command: str = f"secret-tool lookup service {_SERVICE}"
) -> tuple[Process, float]:
    """Kill one of our processes while a request waits; return that and the seconds until back."""
    desk.unlocked()
    desk.vm.show(8)
    if desk.vm.run("test -e /run/killed").status:
        desk.stored("never-in-vain", service=_SERVICE, label="Still there")
        desk.vm.succeed("touch /run/killed")
    attacker(desk)
    waiting = desk.vm.start(command, user="alice")
    desk.asked("Read a secret", "Still there")
    unit = f"privyseal-{name}@1000"
    before = desk.vm.succeed(f"systemctl show -P MainPID {unit}")
    start = time.monotonic()
    desk.vm.succeed(f"kill -9 {before}")

    def back() -> bool:
        shown = desk.vm.succeed(f"systemctl show -P MainPID -P ActiveState {unit}").split()
        return set(shown).isdisjoint({"0", before}) and "active" in shown

    desk.vm.wait_for(back, f"{unit} started again", seconds=_BACK_SECONDS)
    desk.vm.wait_for(
        lambda: desk.head().endswith("locked"), "the console with its keeper", seconds=_BACK_SECONDS
    )
    took = time.monotonic() - start
    print(f"         {name} and all that went with it were back after {took:.1f} s")
    return waiting, took


def _unharmed(desk: Desk) -> None:
    """Show that nothing is lost and nobody locked out."""
    desk.unlocked()
    desk.vm.show(8)
    desk.granted(_SERVICE, "never-in-vain")


def _refused(ended: Result, texts: Sequence[str] = ("",)) -> None:
    assert ended.status == 1, f"no refusal: {ended}"
    assert ended.out == "", f"a secret was released without a decision: {ended}"
    assert any(text in ended.err for text in texts), ended


@check("9: kill -9 of the keeper: who waited is told, nothing was released", seconds=240)
def keeper_killed(desk: Desk) -> None:
    waiting, _ = _kill(desk, "keeper")
    _refused(waiting.finish())
    _unharmed(desk)


@check("9: kill -9 of the agent: the program hears of it, and asks anew", seconds=240)
def agent_killed(desk: Desk) -> None:
    # secret-tool may hang when the service that it waits for dies (libsecret 0.20.5), so ask plainly.
    waiting, _ = _kill(desk, "agent", f"{ATTACKER} read {_SERVICE}")
    ended = waiting.finish()
    assert "refused" in ended.out, f"no refusal: {ended}"
    assert "never-in-vain" not in ended.out, f"a secret was released without a decision: {ended}"
    desk.vm.wait_for(lambda: " 0 waiting" in desk.head(), "its request taken off the console")
    _unharmed(desk)


@check(
    "9: kill -9 of the provider: the key is gone, the request waits for passphrase and decision",
    seconds=240,
)
def provider_killed(desk: Desk) -> None:
    waiting, _ = _kill(desk, "provider")
    desk.vm.wait_for(lambda: desk.head().endswith(" locked"), "the store locked")
    assert waiting.running(), f"it has ended: {waiting.output()}"
    _decided_after_unlock(desk, waiting)
    _unharmed(desk)


@check(
    "9: kill -9 of the private bus: keeper and provider start anew, who waited is told", seconds=240
)
def bus_killed(desk: Desk) -> None:
    waiting, _ = _kill(desk, "bus")
    _refused(waiting.finish())
    desk.vm.wait_for(lambda: desk.head().endswith(" locked"), "the store locked")
    _unharmed(desk)


@check(
    "9: kill -9 of the console while armed: the screen can be left, the request is drawn anew",
    seconds=240,
)
def console_killed(desk: Desk) -> None:
    desk.unlocked()
    waiting, _ = _kill(desk, "console")
    desk.vm.show(1)
    desk.vm.show(8)
    assert waiting.running(), f"it has ended: {waiting.output()}"
    desk.asked("Read a secret", "Still there")
    desk.allow()
    done = waiting.finish()
    assert (done.status, done.out) == (0, "never-in-vain"), done
    # And with a letter typed, when the console refuses to be left for some seconds.
    again = desk.lookup(_SERVICE)
    desk.asked("Read a secret", "Still there")
    letters = desk.pair()
    time.sleep(1)
    desk.vm.type(letters[0], vt=8)
    desk.vm.succeed("kill -9 $(systemctl show -P MainPID privyseal-console@1000)")
    start = time.monotonic()
    while desk.vm.active_vt() != 1:
        assert time.monotonic() - start < 10, "the dead console holds the screen"
        desk.vm.press("ctrl", "alt", "f1")
        time.sleep(0.5)
    desk.vm.show(8)
    desk.vm.type(letters[1], vt=8)
    assert again.running(), f"half a pair typed into a dead console decided: {again.output()}"
    desk.asked("Read a secret", "Still there")
    desk.allow()
    assert again.finish().out == "never-in-vain"


@check(
    "9: kill -9 of the witness: root's socket starts another, the decision is still checked",
    seconds=240,
)
def witness_killed(desk: Desk) -> None:
    waiting, _ = _kill(desk, "witness")
    assert waiting.running(), f"it has ended: {waiting.output()}"
    desk.asked("Read a secret", "Still there")
    desk.allow()
    done = waiting.finish()
    assert (done.status, done.out) == (0, "never-in-vain"), done
    _unharmed(desk)


def _decided_after_unlock(desk: Desk, waiting: Process) -> None:
    desk.unlocked()
    desk.vm.show(8)
    desk.asked("Read a secret", "Still there")
    desk.allow()
    done = waiting.finish()
    assert (done.status, done.out) == (0, "never-in-vain"), done


@check(
    "9: the reset button in the middle of 100 writes: each acknowledged item is there afterwards;"
    " then with dbus-broker as the system's bus",
    seconds=480,
)
def reset_while_writing(desk: Desk) -> None:
    desk.unlocked()
    attacker(desk)
    desk.vm.write(_CONFIG, "verdicts:\n  create: allow\n")
    desk.vm.succeed("systemctl kill -s HUP privyseal-keeper@1000; sync")
    desk.vm.run("rm -f /home/alice/noted")
    writing = desk.vm.start(f"{ATTACKER} store /home/alice/noted {_WRITES}", user="alice")
    desk.vm.wait_for(
        lambda: len(_noted(desk)) >= _WRITES // 3 or not writing.running(),
        "a third written",
        seconds=120,
    )
    assert writing.running(), f"it has ended: {writing.output().text}"
    seen = _noted(desk)
    desk.vm.succeed(
        "systemctl disable dbus-daemon.service; systemctl enable dbus-broker.service;"
        " sync -f /etc/systemd/system"
    )
    desk.vm.reset()
    desk.booted()
    noted = _noted(desk)
    assert set(seen) <= set(noted), "the machine lost what was synced: the check proves nothing"
    assert len(noted) < _WRITES, "everything was written before the reset"
    desk.vm.succeed(f"rm {_CONFIG}")
    assert "dbus-broker" in desk.vm.succeed("systemctl show -P Id dbus.service")
    desk.unlocked()
    held = desk.vm.succeed(
        "busctl --user get-property org.freedesktop.secrets"
        " /org/freedesktop/secrets/collection/login org.freedesktop.Secret.Collection Items",
        user="alice",
    )
    lost = [path for path in noted if path.rpartition("/")[2] not in held]
    print(f"         {len(noted)} items were acknowledged before the reset; {len(lost)} were lost")
    assert not lost, f"acknowledged, and lost by the reset: {lost}"
    last = len(noted) - 1
    asked = desk.vm.start(f"secret-tool lookup n {last}", user="alice")
    desk.vm.show(8)
    desk.asked("Read a secret", f"item {last}")
    desk.allow()
    done = asked.finish()
    assert (done.status, done.out) == (0, f"value {last}"), f"on dbus-broker: {done}"


def _noted(desk: Desk) -> list[str]:
    """Return the paths of the items that the store acknowledged."""
    lines = desk.vm.run("cat /home/alice/noted").out.splitlines()
    return [line.split()[1] for line in lines if "/" in line]
