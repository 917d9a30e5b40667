"""Device nodes and files that lead past the console."""

import pytest
from tests.unit.cli.graded import Machine

from privyseal.cli.machine_files import parse_keys

KEYBOARD = "fffffffffffffffe"
JOYSTICK = "7cdb000000000000 0 0 0 0"


@pytest.mark.parametrize(
    ("node", "mode", "state"),
    [
        ("dev/uinput", 0o622, "void"),
        ("dev/uhid", 0o622, "void"),
        ("dev/mem", 0o644, "void"),
        ("dev/tty8", 0o604, "void"),
        ("dev/tty8", 0o602, "weak"),
        ("dev/vcs8", 0o604, "weak"),
        ("dev/vcsu8", 0o604, "weak"),
        ("dev/fb0", 0o604, "weak"),
        ("dev/kvm", 0o666, "weak"),
        ("dev/sda1", 0o604, "void"),
        ("dev/nvme0n1", 0o606, "void"),
        ("dev/input/event3", 0o604, "void"),
    ],
)
def test_a_device_node_that_leads_past_the_console_is_named(
    machine: Machine, node: str, mode: int, state: str
) -> None:
    machine.write(node, "", mode)
    assert machine.only().check == f"/{node}"
    assert machine.only().state == state


def test_a_device_node_that_is_closed_is_no_finding(machine: Machine) -> None:
    for node in ("uinput", "tty8", "vcs8", "sda", "input/event0", "mem"):
        machine.write(f"dev/{node}", "", 0o600)
    assert machine.findings() == []


def test_a_joystick_is_no_keyboard(machine: Machine) -> None:
    machine.write("dev/input/event3", "", 0o604)
    machine.write("sys/class/input/event3/device/capabilities/key", JOYSTICK)
    assert machine.findings() == []
    machine.write("sys/class/input/event3/device/capabilities/key", KEYBOARD)
    assert machine.only().state == "void"


def test_a_writable_file_of_root_voids_the_machine(machine: Machine) -> None:
    machine.write("etc/polkit-1/rules.d/50-x.rules", "")
    (machine.root / "etc/polkit-1/rules.d").chmod(0o777)
    machine.write("etc/passwd", (machine.root / "etc/passwd").read_text(), 0o666)
    assert {(f.check, f.state) for f in machine.findings()} == {
        ("file /etc/passwd", "void"),
        ("file /etc/polkit-1/rules.d", "void"),
    }


def test_a_container_socket_open_to_all_voids_the_machine(machine: Machine) -> None:
    machine.write("run/docker.sock", "", 0o666)
    assert machine.only().check == "file /run/docker.sock"


def test_a_setuid_program_in_the_home_voids_the_machine(machine: Machine) -> None:
    machine.write("home/alice/bin/harmless", "", 0o755)
    assert machine.findings() == []
    machine.write("home/alice/bin/door", "", 0o4755)
    assert machine.only().check == "setuid"


def test_key_codes_are_read_from_the_highest_word_down() -> None:
    assert parse_keys("1 0\n") == {64}
    assert parse_keys("nonsense") == frozenset()
