"""What sudo and doas let the user do."""

import pytest
from tests.unit.cli.graded import Machine

from privyseal.cli.machine import grade
from privyseal.cli.machine_sudo import parse_listing


@pytest.mark.parametrize(
    ("rules", "state"),
    [
        ("alice ALL=(ALL) NOPASSWD: ALL", "void"),
        ("%crew ALL=NOPASSWD:ALL", "void"),
        ("%#78 ALL=NOPASSWD:ALL", "void"),
        ("#47110 ALL = (root) NOPASSWD: /usr/bin/less", "void"),
        ("User_Alias OPS = bob, alice\nOPS ALL = NOPASSWD: ALL", "void"),
        ("Cmnd_Alias A = /bin/sh, /bin/ls\nalice ALL = NOPASSWD: A", "void"),
        ("Defaults !authenticate\nalice ALL = ALL", "void"),
        ("Defaults:alice !authenticate\nalice ALL = ALL", "void"),
        ("alice ALL = \\\n NOPASSWD: ALL", "void"),
        ("alice ALL = (ALL : ALL) ALL", "weak"),
        ("alice ALL = (postgres) NOPASSWD: ALL", "weak"),
        ("alice ALL = NOPASSWD: /usr/sbin/poweroff", "weak"),
        ("alice ALL = NOPASSWD: /bin/true, PASSWD: ALL", "void"),
    ],
)
def test_what_sudo_grants_is_graded(machine: Machine, rules: str, state: str) -> None:
    machine.write("etc/group", "alice:x:47110:\ncrew:x:78:alice\nprivyseal:x:900:\n")
    machine.write("etc/sudoers", f"root ALL=(ALL) ALL\n{rules}\n")
    assert state == grade(machine.findings())
    assert {f.check.partition(":")[0] for f in machine.findings()} == {"sudo"}


@pytest.mark.parametrize(
    "rules",
    [
        "bob ALL=(ALL) NOPASSWD: ALL",
        "ALL, !alice ALL = NOPASSWD: ALL",
        "# alice ALL = NOPASSWD: ALL",
        "Defaults:bob !authenticate",
        "alice ALL = !/bin/sh",
        "%other ALL = NOPASSWD: ALL",
    ],
)
def test_what_sudo_grants_to_others_is_none_of_ours(machine: Machine, rules: str) -> None:
    machine.write("etc/sudoers", f"{rules}\n")
    assert machine.findings() == []


def test_included_sudo_rules_are_read_as_sudo_reads_them(machine: Machine) -> None:
    machine.write("etc/sudoers", "@includedir /etc/sudoers.d\n")
    machine.write("etc/sudoers.d/90-alice", "alice ALL=(ALL) NOPASSWD: ALL\n")
    machine.write("etc/sudoers.d/91.old", "alice ALL=(bob) ALL\n")
    assert machine.only().state == "void"


def test_the_last_rule_of_doas_decides(machine: Machine) -> None:
    machine.write("etc/doas.conf", "permit nopass keepenv alice as root\n")
    assert machine.only().state == "void"
    machine.write("etc/doas.conf", "permit nopass alice\npermit persist :alice\n")
    assert machine.only().state == "weak"
    machine.write("etc/doas.conf", "permit nopass alice\ndeny alice\n")
    assert machine.findings() == []


def test_what_sudo_lists_is_understood() -> None:
    listing = (
        "User alice may run the following commands on box:\n"
        "    (ALL : ALL) ALL\n    (root) NOPASSWD: /bin/a, PASSWD: /bin/b\n"
    )
    assert [(g.command, g.password) for g in parse_listing(listing)] == [
        ("ALL", True),
        ("/bin/a", False),
        ("/bin/b", True),
    ]
