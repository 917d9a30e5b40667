"""Programs that read or make keys."""

import pytest
from tests.unit.cli.graded import Machine


@pytest.mark.parametrize(
    ("name", "owner", "state"),
    [("keyd", 0, "weak"), ("keyd", 47110, "void"), ("ydotoold", 0, "void"), ("gpm", 0, "weak")],
)
def test_a_running_key_grabber_is_named(
    machine: Machine, name: str, owner: int, state: str
) -> None:
    machine.write("proc/77/comm", f"{name}\n")
    machine.write("proc/77/status", f"Name:\t{name}\nUid:\t{owner}\t{owner}\t{owner}\t{owner}\n")
    machine.folder("proc/77/fd")
    assert (machine.only().check, machine.only().state) == (f"process {name}", state)


def test_an_unknown_program_that_holds_the_keyboard_is_named(machine: Machine) -> None:
    machine.write("proc/78/comm", "quiet\n")
    machine.write("proc/78/status", "Uid:\t0\t0\t0\t0\n")
    machine.folder("proc/78/fd")
    (machine.root / "proc/78/fd/3").symlink_to("/dev/input/event0")
    assert "holds /dev/input/event0 open" in machine.only().text
