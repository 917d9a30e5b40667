"""Grading a machine by its files: each path past the console is planted, and has to be named."""

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis.strategies import binary, lists, sampled_from, text
from tests.unit.cli.graded import ALICE, Machine

from privyseal.cli.machine import grade, report, show, wrong
from privyseal.cli.machine_host import Finding


def test_a_sound_machine_is_called_sound(machine: Machine) -> None:
    findings = report(ALICE, machine.root)
    assert [f for f in findings if f.state != "ok"] == []
    assert grade(findings) == "sound"
    assert not wrong(findings)


def test_a_planted_docker_membership_is_named_and_voids_the_machine(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.join("docker")
    findings = report(ALICE, machine.root)
    assert machine.only().check == "group docker"
    assert show(findings, ALICE, as_json=False) == 1
    printed = capsys.readouterr().out
    assert "VOID  group docker: alice is in the group docker: root without a password" in printed
    assert "try: gpasswd -d alice docker" in printed
    assert "alice: void: a program of alice can decide or read" in printed


def test_what_is_as_it_should_be_is_one_line_unless_all_is_wanted(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.join("docker")
    findings = [
        *report(ALICE, machine.root),
        Finding("doas", "unknown", "no permission", "as root"),
    ]
    fine = sum(finding.state == "ok" for finding in findings)
    assert show(findings, ALICE, as_json=False) == 1
    short = capsys.readouterr().out.splitlines()
    assert [line[:4].strip() for line in short if not line.startswith(" ")][:3] == [
        "VOID",
        "?",
        "ok",
    ]
    assert f"ok    {fine} checks found what they should; --verbose lists them" in short
    assert "?     1 could not be seen: doas" in short
    assert show(findings, ALICE, as_json=False, verbose=True) == 1
    long = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("ok ") for line in long) == fine
    assert "?     doas: no permission" in long
    assert short[-1] == long[-1]


def test_json_carries_the_grade_and_every_finding(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.join("wheel")
    assert show(report(ALICE, machine.root), ALICE, as_json=True) == 1
    printed = json.loads(capsys.readouterr().out)
    assert (printed["user"], printed["grade"], printed["works"]) == ("alice", "weak", True)
    assert {"check", "state", "text", "hint"} == set(printed["findings"][0])
    assert "group wheel" in {finding["check"] for finding in printed["findings"]}


CONFIGURED = [
    "etc/passwd",
    "etc/group",
    "etc/shadow",
    "etc/sudoers",
    "etc/sudoers.d/x",
    "etc/doas.conf",
    "etc/systemd/logind.conf",
    "etc/polkit-1/rules.d/x.rules",
    "etc/polkit-1/localauthority/x.pkla",
    "proc/swaps",
    "proc/1/comm",
    "proc/1/status",
    "proc/sys/kernel/core_pattern",
    "proc/sys/kernel/sysrq",
    "home/alice/.local/share/keyrings/x.keyring",
    "home/alice/.config/autostart/x.desktop",
    "dev/input/event0",
    "sys/class/input/event0/device/capabilities/key",
]
WORDS = sampled_from(
    [
        "alice",
        "ALL",
        "=",
        "NOPASSWD:",
        "(",
        ")",
        ",",
        "!",
        "%",
        "#",
        "%#",
        "@include",
        "/etc/sudoers.d",
        "User_Alias",
        "Cmnd_Alias",
        "Defaults",
        "!authenticate",
        "permit",
        "nopass",
        "as",
        "cmd",
        "setenv",
        "{",
        "}",
        "polkit.addRule(",
        "polkit.Result.YES",
        "isInGroup(",
        "'",
        '"',
        "[x]",
        "Identity=",
        "Action=;",
        "|",
        "\\",
        "\x00",
        ":",
        "alice:x:1:1::/:/",
        "99999999999999999999",
        "\n",
        "GnomeKeyring",
    ]
)


@settings(deadline=None)  # a tree is built for each
@given(sampled_from(CONFIGURED), lists(WORDS | text(max_size=5), max_size=30), binary(max_size=40))
def test_no_file_of_the_machine_makes_the_report_raise(
    place: str, words: list[str], tail: bytes
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(Path(folder))
        path = machine.write(place, "")
        path.write_bytes(" ".join(words).encode(errors="replace") + tail)
        assert "account" in {finding.check for finding in report(ALICE, machine.root)}
