"""The list of checks: what each is called, what it proves, and the order they run in."""

from collections.abc import Callable
from typing import Final, NamedTuple

from tests.vm.desk import Desk

USUAL_SECONDS: Final = 180


class Check(NamedTuple):
    """One line of the table."""

    name: str
    proves: str
    run: Callable[[Desk], None]
    seconds: float
    every_change: bool


CHECKS: Final[list[Check]] = []


def check(
    proves: str, *, seconds: float = USUAL_SECONDS, every_change: bool = False
) -> Callable[[Callable[[Desk], None]], Callable[[Desk], None]]:
    """Register a function as a check, named after it.

    Checks run in the order in which they are written, on one machine. Each brings about what it
    needs itself (`desk.provisioned()`, `desk.logged_in()`, `desk.unlocked()`: these do nothing when
    it is so already), so that `-k` can pick any of them, and takes back what it changed.

    Args:
        proves: What is shown to hold, in one line.
        seconds: After these the check has failed.
        every_change: True for what CI runs at each change: the first day and the plain attacks.
    """

    def register(function: Callable[[Desk], None]) -> Callable[[Desk], None]:
        name = function.__name__.replace("_", "-")
        CHECKS.append(Check(name, proves, function, seconds, every_change))
        return function

    return register
