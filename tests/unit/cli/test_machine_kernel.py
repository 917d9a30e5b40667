"""Settings of the kernel and of logind."""

import os
from pathlib import Path

import pytest
from tests.unit.cli.graded import Machine

from privyseal.cli.machine_host import Host


@pytest.mark.parametrize(
    ("place", "text", "check"),
    [
        ("proc/sys/dev/tty/legacy_tiocsti", "1", "legacy_tiocsti"),
        ("proc/sys/kernel/yama/ptrace_scope", "0", "ptrace"),
        ("proc/sys/fs/suid_dumpable", "1", "core dumps"),
        ("proc/sys/kernel/kptr_restrict", "0", "kptr_restrict"),
        ("proc/sys/kernel/osrelease", "6.1.0-56-amd64", "selection"),
        ("proc/sys/kernel/sysrq", "16", "secure attention"),
        ("proc/swaps", "Filename\n/dev/sda2 partition 1 0 -2\n", "swap"),
        ("proc/swaps", "Filename\n/swapfile file 1 0 -2\n", "swap"),
        ("etc/systemd/logind.conf", "[Login]\nNAutoVTs=12\n", "VT"),
        ("etc/systemd/logind.conf.d/9.conf", "[Login]\nReserveVT=8\n", "VT"),
        ("var/lib/systemd/linger/alice", "", "linger"),
        ("sys/devices/system/cpu/vulnerabilities/l1tf", "Vulnerable", "processor"),
        ("home/alice/.local/share/kwalletd/kdewallet.kwl", "", "leftovers"),
        ("home/alice/.password-store/x.gpg", "", "leftovers"),
        ("home/alice/.config/autostart/k.desktop", "Exec=keepassxc\n", "leftovers"),
    ],
)
def test_a_setting_that_lets_watch_weakens_the_machine(
    machine: Machine, place: str, text: str, check: str
) -> None:
    machine.write(place, text)
    assert (machine.only().check, machine.only().state) == (check, "weak")


def test_a_setting_of_the_real_kernel_is_read() -> None:
    assert Host(Path("/"), 0, "root").text("proc/sys/kernel/osrelease") == f"{os.uname().release}\n"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("kernel/sysrq", "systemd 257 has Ctrl+Alt+Shift+Esc"),
        ("kernel/yama/ptrace_scope", "run a kernel with Yama"),
    ],
)
def test_no_setting_is_advised_that_the_kernel_lacks(
    machine: Machine, name: str, hint: str
) -> None:
    (machine.root / "proc/sys" / name).unlink()
    assert (machine.only().state, machine.only().hint) == ("weak", hint)


def test_only_a_kernel_without_the_setting_is_said_to_lack_it(machine: Machine) -> None:
    setting = machine.write("proc/sys/dev/tty/legacy_tiocsti", "")
    assert machine.only().state == "unknown"
    setting.unlink()
    assert machine.findings() == []


def test_a_flaw_of_the_processor_comes_with_the_advice_that_fits(machine: Machine) -> None:
    machine.write("sys/devices/system/cpu/vulnerabilities/l1tf", "Vulnerable")
    assert "microcode" in machine.only().hint
    machine.write("proc/cmdline", "quiet mitigations=off\n")
    assert machine.only().hint.startswith("take mitigations=off from")


def test_what_is_left_over_names_the_command_with_the_user(machine: Machine) -> None:
    machine.write("home/alice/.local/share/kwalletd/kdewallet.kwl", "")
    assert machine.only().hint == "privy provision --import --user alice"


def test_covered_swap_is_no_finding(machine: Machine) -> None:
    machine.write(
        "proc/swaps", "Filename\n/dev/dm-1 partition 1 0 -2\n/dev/zram0 partition 1 0 9\n"
    )
    machine.write("sys/block/dm-1/dm/uuid", "LVM-abc")
    assert machine.only().check == "swap"
    machine.write("sys/block/dm-1/slaves/dm-0/x", "")
    machine.write("sys/block/dm-0/dm/uuid", "CRYPT-LUKS2-abc")
    assert machine.findings() == []


def test_hibernation_to_plain_swap_is_named(machine: Machine) -> None:
    machine.write("sys/power/state", "freeze mem disk")
    machine.write("sys/power/disk", "[platform] shutdown")
    assert machine.findings() == []
    machine.write("proc/swaps", "Filename\n/dev/sda2 partition 1 0 -2\n")
    assert [f.check for f in machine.findings()] == ["swap", "hibernation"]


def test_a_core_pattern_of_the_user_voids_the_machine(machine: Machine) -> None:
    machine.write("proc/sys/kernel/core_pattern", "|/opt/dump %p\n")
    machine.write("opt/dump", "", 0o777)
    assert (machine.only().check, machine.only().state) == ("core dumps", "void")
