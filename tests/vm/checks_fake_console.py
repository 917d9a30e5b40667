"""A false console on another terminal, the secure attention key, and what all terminals share."""

import time
from typing import Final

from tests.vm.desk import DWELL_SECONDS, Desk
from tests.vm.hostiles import at_terminal, pixels, planted
from tests.vm.registry import check

_BACK_SECONDS: Final = 2.0
_SETTLED_SECONDS: Final = 2.5
"""The console looks each second whether font and size are as they were."""
_FALSE: Final = """
import os, re, sys, termios, tty
shown = open(sys.argv[1]).read()
old = termios.tcgetattr(0)
tty.setraw(0)
os.write(1, ("\\x1b[2J\\x1b[H\\x1b[?25l" + shown.replace(chr(10), "\\r\\n")).encode())
while True:
    open(sys.argv[2], "ab").write(os.read(0, 100))
"""


@check(
    "6: a perfect copy on VT 1 gets keys and decides nothing; SAK ends it, not us",
    seconds=300,
    every_change=True,
)
def false_console(desk: Desk) -> None:
    desk.unlocked()
    desk.stored("not-by-copy", service="copied.example")
    asked = desk.lookup("copied.example")
    desk.asked("Read a secret", "copied.example")
    letters = desk.pair()
    desk.vm.run("rm -f /tmp/copy.txt")
    desk.vm.write("/tmp/copy.txt", desk.vm.screen(8), owner="alice")
    desk.vm.write("/tmp/false.py", _FALSE)
    desk.vm.run("rm -f /tmp/keys")
    desk.command("python3 /tmp/false.py /tmp/copy.txt /tmp/keys")
    desk.vm.shows(1, "PRIVYSEAL", "copied.example", f"{letters[0]} {letters[1]}")
    desk.vm.picture("console-false")
    time.sleep(DWELL_SECONDS)
    desk.vm.type(letters, vt=1)
    desk.vm.wait_until_succeeds(f"grep -q {letters} /tmp/keys")
    assert asked.running(), "keys typed at the copy decided a request"
    before = desk.vm.succeed("systemctl show -P MainPID privyseal-console@1000")
    desk.vm.press("alt", "sysrq", "k")
    desk.vm.shows(1, "login:", seconds=60)
    assert desk.vm.run("pgrep -f /tmp/false.py").status == 1, "the false console outlived SAK"
    after = desk.vm.succeed("systemctl show -P MainPID privyseal-console@1000")
    assert before == after, "SAK on VT 1 ended the console on VT 8"
    assert asked.running(), "the request ended with the false console"
    desk.asked("Read a secret", "copied.example")
    assert desk.pair() != letters, "leaving the console kept the pair"
    desk.allow()
    assert asked.finish().out == "not-by-copy"
    desk.logged_in()


@check("6: after SAK on the console itself it is back in 2 s, and the request waits", seconds=300)
def attention_key(desk: Desk) -> None:
    desk.unlocked()
    desk.stored("still-waits", service="attention.example")
    asked = desk.lookup("attention.example")
    desk.asked("Read a secret", "attention.example")
    planted(desk)
    before = desk.vm.succeed("systemctl show -P MainPID privyseal-console@1000")
    watching = desk.vm.start(f"python3 /opt/attacks/back.py {before}")
    desk.vm.shows(8, "attention.example")
    time.sleep(1)  # until it watches
    desk.vm.press("alt", "sysrq", "k")
    took = watching.finish().out.split()
    assert took, watching.output().text
    print(f"         first frame {float(took[0]):.2f} s after the end of the console by SAK")
    assert float(took[0]) <= _BACK_SECONDS, f"the console took {took[0]} s to come back"
    assert asked.running(), "the request did not outlive the console"
    desk.asked("Read a secret", "attention.example")
    desk.allow()
    assert asked.finish().out == "still-waits"


@check("6: font, characters, colours and size changed on VT 1 leave VT 8 as it was", seconds=300)
def console_state(desk: Desk) -> None:
    desk.unlocked()
    desk.stored("well-drawn", service="drawn.example")
    desk.vm.type("\n", vt=8)
    expected = _help(desk)
    assert _help(desk) == expected, "the page is not the same each time"
    for attack in (
        "font-blank",
        "font-swapped",
        "font-small",
        "font-512",
        "unimap",
        "palette",
        "size-20x10",
        "size-160x25",
        "size-80x100",
    ):
        said = at_terminal(desk, attack)
        assert f"{attack} through" in said, f"the attack does not work at all: {said}"
        seen = _help(desk, after=attack)
        assert seen == expected, f"{attack}: the picture of VT 8 is not as before"
    # At the same time as the console is in front.
    at_terminal(desk, "wait-4", "font-swapped", front=8)
    assert _help(desk) == expected, "font-swapped while in front: the picture is not as before"
    desk.vm.show(1)
    desk.granted("drawn.example", "well-drawn")


def _help(desk: Desk, *, after: str = "nothing") -> bytes:
    """Return the picture of a page of the console that never changes."""
    desk.vm.show(1)  # whatever page it is on, this leaves it
    desk.sit_at()
    time.sleep(_SETTLED_SECONDS)
    desk.vm.type("?", vt=8)
    time.sleep(1)
    assert "read this line twice" in desk.vm.screen(8), f"{after}: VT 8 shows {desk.vm.screen(8)}"
    time.sleep(_SETTLED_SECONDS)
    return pixels(desk)
