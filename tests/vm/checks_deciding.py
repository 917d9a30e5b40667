"""Keys at the wrong moment, the wrong keys, and requests that change under the hand."""

import time

from tests.vm.desk import DWELL_SECONDS, Desk
from tests.vm.registry import check


@check(
    "2: wrong pair, type-ahead, early keys and a pair from before a switch allow nothing",
    seconds=400,
    every_change=True,
)
def wrong_keys(desk: Desk) -> None:
    desk.unlocked()
    desk.stored("well-typed", service="typed.example")
    desk.sit_at()
    asked = desk.lookup("typed.example")
    for _ in range(4):  # as the request appears
        desk.vm.type("abcdfgmprstvwxyz", vt=8)
    desk.asked("Read a secret", "typed.example")
    assert asked.running(), f"type-ahead: {asked.output().text}"
    letters = desk.pair()
    time.sleep(DWELL_SECONDS)
    wrong = "".join("a" if letter != "a" else "b" for letter in letters)
    desk.vm.type(wrong, vt=8)
    desk.vm.shows(8, "not the pair", "type  · ·")  # no pair is drawn while none counts
    desk.vm.type(letters, vt=8)
    old = desk.pair()
    assert asked.running(), f"early keys after a wrong pair: {asked.output().text}"
    assert old != letters, "wrong pair: it is still the same pair"
    desk.vm.show(1)
    desk.sit_at()
    again = desk.pair()
    assert again != old, "switch away and back: it is still the same pair"
    time.sleep(DWELL_SECONDS)
    desk.vm.type(old, vt=8)
    time.sleep(DWELL_SECONDS)
    assert asked.running(), f"pair from before the switch: {asked.output().text}"
    desk.allow()
    assert asked.finish().out == "well-typed"


@check(
    "2: of two requests only the drawn one is decided; a new one moves nothing",
    seconds=300,
    every_change=True,
)
def two_requests(desk: Desk) -> None:
    desk.unlocked()
    desk.stored("first-value", service="one.example")
    desk.stored("second-value", service="two.example")
    first = desk.lookup("one.example")
    desk.asked("Read a secret", "one.example")
    letters = desk.pair()
    second = desk.lookup("two.example")
    desk.vm.shows(8, "2 waiting")
    seen = desk.vm.screen(8)
    assert desk.pair() == letters, f"the new request changed the pair:\n{seen}"
    time.sleep(DWELL_SECONDS)
    desk.vm.type(letters, vt=8)
    assert first.finish().out == "first-value"
    assert second.running(), "the request that was not drawn was decided too"
    desk.asked("Read a secret", "two.example")
    desk.deny()
    assert second.finish().out == ""
