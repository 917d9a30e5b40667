"""What groups and polkit give the user."""

import pytest
from tests.unit.cli.graded import Machine

from privyseal.cli.machine_groups import granting_actions


@pytest.mark.parametrize("group", ["lxd", "libvirt", "disk", "shadow", "input", "uinput"])
def test_a_group_that_is_root_or_the_keyboard_voids_the_machine(
    machine: Machine, group: str
) -> None:
    machine.join(group)
    assert machine.only() == machine.only()._replace(check=f"group {group}", state="void")


@pytest.mark.parametrize(
    "group", ["sudo", "wheel", "tty", "video", "adm", "systemd-journal", "kvm"]
)
def test_a_group_that_lets_watch_weakens_the_machine(machine: Machine, group: str) -> None:
    machine.join(group)
    assert machine.only() == machine.only()._replace(check=f"group {group}", state="weak")


def test_the_primary_group_counts_too(machine: Machine) -> None:
    machine.write("etc/group", "docker:x:47110:\nprivyseal:x:900:\n")
    assert machine.only().check == "group docker"


def test_a_polkit_rule_for_one_of_the_groups_voids_the_machine(machine: Machine) -> None:
    rule = (
        "// isInGroup('nobody')\n"
        "polkit.addRule(function(action, subject) {\n"
        "  if (action.id == 'org.freedesktop.systemd1.manage-units' && subject.isInGroup('crew'))\n"
        "    return polkit.Result.YES;\n});\n"
    )
    machine.write("etc/polkit-1/rules.d/49-crew.rules", rule)
    assert machine.findings() == []
    machine.join("crew")
    assert "allows org.freedesktop.systemd1.manage-units" in machine.only().text
    assert machine.only().state == "void"


def test_a_polkit_rule_that_says_yes_to_everything_is_found() -> None:
    rule = "polkit.addRule(function(a, s) { return polkit.Result.YES; });"
    assert list(granting_actions(rule, "alice", frozenset())) == ["every action"]
    asking = rule.replace("YES", "AUTH_ADMIN")
    assert list(granting_actions(asking, "alice", frozenset())) == []


def test_an_old_local_authority_is_read_too(machine: Machine) -> None:
    text = (
        "[x]\nIdentity=unix-user:alice\nAction=org.freedesktop.policykit.exec\nResultActive=yes\n"
    )
    machine.write("etc/polkit-1/localauthority/50-local.d/x.pkla", text)
    assert machine.only().state == "void"
