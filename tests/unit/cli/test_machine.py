"""Grading a machine by its files: each path past the console is planted, and has to be named."""

import json
import os
import struct
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis.strategies import binary, lists, sampled_from, text

from privyseal.cli.machine import grade, report, show, wrong
from privyseal.cli.machine_account import import_path, loaded_from
from privyseal.cli.machine_files import parse_keys
from privyseal.cli.machine_groups import granting_actions
from privyseal.cli.machine_host import Finding, permitted
from privyseal.cli.machine_pieces import (
    judge_agent_group,
    judge_asking,
    judge_refusals,
    judge_stranger,
    judge_units,
    parse_units,
)
from privyseal.cli.machine_sudo import parse_listing
from privyseal.cli.units import unit_names
from privyseal.runtime.companion import Companion

ALICE = Companion(uid=47110, user="alice", vt=8)
KEYBOARD = "fffffffffffffffe"
JOYSTICK = "7cdb000000000000 0 0 0 0"


class Machine:
    """A tree in which nothing is wrong, until something is planted."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write(
            "etc/passwd",
            f"alice:x:47110:47110::/home/alice:/bin/bash\n"
            f"privyseal-47110:x:{os.getuid()}:900::/var/lib/privyseal/47110:/usr/sbin/nologin\n",
        )
        self.write("etc/group", "alice:x:47110:\nprivyseal:x:900:\n")
        self.write("etc/shadow", "alice:$6$x:1::::::\nprivyseal-47110:!*:1::::::\n")
        self.write("etc/sudoers", "root ALL=(ALL:ALL) ALL\n")
        for name, value in {
            "kernel/yama/ptrace_scope": "1",
            "kernel/kptr_restrict": "1",
            "kernel/sysrq": "438",
            "kernel/core_pattern": "core",
            "dev/tty/legacy_tiocsti": "0",
        }.items():
            self.write(f"proc/sys/{name}", f"{value}\n")
        self.write("proc/swaps", "Filename Type Size Used Priority\n")
        self.folder("var/lib/privyseal/47110").chmod(0o700)
        self.folder("home/alice")

    def write(self, place: str, text: str, mode: int = 0o644) -> Path:
        path = self.root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path

    def folder(self, place: str) -> Path:
        path = self.root / place
        path.mkdir(parents=True, exist_ok=True)
        return path

    def join(self, group: str) -> None:
        groups = self.root / "etc/group"
        groups.write_text(f"{groups.read_text()}{group}:x:77:bob,alice\n")

    def findings(self) -> list[Finding]:
        return [f for f in report(ALICE, self.root) if f.state != "ok"]

    def only(self) -> Finding:
        [finding] = self.findings()
        return finding


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


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


def test_json_carries_the_grade_and_every_finding(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.join("wheel")
    assert show(report(ALICE, machine.root), ALICE, as_json=True) == 1
    printed = json.loads(capsys.readouterr().out)
    assert (printed["user"], printed["grade"], printed["works"]) == ("alice", "weak", True)
    assert {"check", "state", "text", "hint"} == set(printed["findings"][0])
    assert "group wheel" in {finding["check"] for finding in printed["findings"]}


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


def test_a_setuid_program_in_the_home_voids_the_machine(machine: Machine) -> None:
    machine.write("home/alice/bin/harmless", "", 0o755)
    assert machine.findings() == []
    machine.write("home/alice/bin/door", "", 0o4755)
    assert machine.only().check == "setuid"


@pytest.mark.parametrize(
    ("place", "text", "check"),
    [
        ("proc/sys/dev/tty/legacy_tiocsti", "1", "legacy_tiocsti"),
        ("proc/sys/kernel/yama/ptrace_scope", "0", "ptrace"),
        ("proc/sys/fs/suid_dumpable", "1", "core dumps"),
        ("proc/sys/kernel/kptr_restrict", "0", "kptr_restrict"),
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


def test_a_provider_that_would_start_in_our_place_is_named(machine: Machine) -> None:
    name = "dbus-1/services/org.freedesktop.secrets.service"
    service = "[D-BUS Service]\nName=org.freedesktop.secrets\n"
    machine.write(f"usr/share/{name}", f"{service}Exec=/usr/bin/gnome-keyring-daemon --start\n")
    assert "when somebody calls org.freedesktop.secrets" in machine.only().text
    machine.write(f"home/alice/.local/share/{name}", f"{service}Exec=/bin/false\n")
    assert machine.findings() == []


def test_an_autostart_that_is_hidden_or_lacks_the_secrets_is_no_finding(machine: Machine) -> None:
    entry = "Exec=/usr/bin/gnome-keyring-daemon --start --components="
    machine.write("etc/xdg/autostart/ssh.desktop", f"{entry}ssh\n")
    machine.write("etc/xdg/autostart/secrets.desktop", f"{entry}secrets\n")
    assert "secrets.desktop" in machine.only().text
    machine.write("home/alice/.config/autostart/secrets.desktop", "Hidden=true\n")
    assert machine.findings() == []


def test_a_keyring_says_how_many_items_are_left(machine: Machine) -> None:
    keyrings = machine.folder("home/alice/.local/share/keyrings")
    head = b"GnomeKeyring\n\r\0\n\0\0\0\0" + struct.pack(">I", 5) + b"Login" + bytes(52)
    (keyrings / "login.keyring").write_bytes(head + struct.pack(">I", 3))
    assert "holds 3 items" in machine.only().text
    (keyrings / "login.keyring").write_bytes(head + struct.pack(">I", 0))
    assert machine.findings() == []


@pytest.mark.parametrize(
    ("place", "old", "new", "check"),
    [
        ("etc/passwd", "privyseal-47110:x", "other:x", "account"),
        ("etc/passwd", "/usr/sbin/nologin", "/bin/bash", "login shell"),
        ("etc/shadow", "privyseal-47110:!*", "privyseal-47110:$6$abc", "password"),
        (
            "etc/group",
            "privyseal:x:900:",
            "privyseal:x:900:\ntty:x:5:privyseal-47110",
            "its groups",
        ),
    ],
)
def test_an_account_that_is_more_than_a_companion_is_broken(
    machine: Machine, place: str, old: str, new: str, check: str
) -> None:
    machine.write(place, (machine.root / place).read_text().replace(old, new))
    assert (machine.only().check, machine.only().state) == (check, "broken")


def test_a_home_that_others_may_enter_is_broken(machine: Machine) -> None:
    (machine.root / "var/lib/privyseal/47110").chmod(0o750)
    assert (machine.only().check, machine.only().state) == ("home", "broken")


def _acl(*entries: tuple[int, int, int]) -> bytes:
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


NOBODY = 0xFFFFFFFF


@pytest.mark.parametrize(
    ("entries", "granted"),
    [
        ([(1, 6, NOBODY), (2, 6, 47110), (4, 0, NOBODY), (16, 6, NOBODY), (32, 0, NOBODY)], 6),
        ([(1, 6, NOBODY), (2, 6, 47110), (4, 0, NOBODY), (16, 4, NOBODY), (32, 0, NOBODY)], 4),
        ([(1, 6, NOBODY), (2, 6, 1001), (4, 0, NOBODY), (16, 6, NOBODY), (32, 0, NOBODY)], 0),
        ([(1, 6, NOBODY), (4, 0, NOBODY), (8, 2, 77), (16, 6, NOBODY), (32, 4, NOBODY)], 2),
    ],
)
def test_an_access_list_decides_before_the_mode(
    tmp_path: Path, entries: Sequence[tuple[int, int, int]], granted: int
) -> None:
    (tmp_path / "node").touch(mode=0o660)
    found = (tmp_path / "node").stat()
    assert permitted(found, _acl(*entries), 47110, frozenset({77})) == granted


def test_key_codes_are_read_from_the_highest_word_down() -> None:
    assert parse_keys("1 0\n") == {64}
    assert parse_keys("nonsense") == frozenset()


@given(text())
def test_no_text_makes_the_parsers_raise(garbage: str) -> None:
    assert isinstance(parse_keys(garbage), frozenset)
    assert isinstance(list(parse_listing(garbage)), list)
    assert isinstance(parse_units(garbage), dict)
    assert isinstance(list(granting_actions(garbage, "alice", frozenset())), list)


def _units(**changed: str) -> Callable[[str, str], str]:
    def show_one(unit: str, when: str) -> str:
        values = {
            "Id": unit,
            "LoadState": "loaded",
            "ActiveState": "active",
            "WantedBy": "a.target",
        }
        return "\n".join(f"{k}={v}" for k, v in {**values, **(changed if when else {})}.items())

    return show_one


def _judged(user: str, **changed: str) -> list[Finding]:
    one = _units(**changed)
    blocks = [one(unit, when) for unit, when in unit_names(ALICE.uid).items()]
    blocks.append(f"Id=user@47110.service\nActiveState={user}")
    units = parse_units("\n\n".join(blocks))
    return [f for f in judge_units(units, ALICE) if f.state != "ok"]


def test_units_are_judged_by_when_they_are_to_run() -> None:
    assert _judged("active") == []
    assert {f.state for f in _judged("active", LoadState="not-found")} == {"broken"}
    assert len(_judged("active", ActiveState="failed")) == len(unit_names(ALICE.uid))
    gone = _judged("inactive", ActiveState="inactive")
    assert [f.check for f in gone if f.state == "broken"] == [
        "privyseal-console@47110.service",
        "privyseal-witness@47110.socket",
    ]
    assert len([f for f in _judged("inactive") if f.state == "broken"]) == 5


def test_a_companion_that_is_logged_out_rests_and_its_agent_does_not() -> None:
    out = _judged("active", ActiveState="inactive", ExecMainStatus="75")
    assert [f.check for f in out] == [
        "privyseal-console@47110.service",
        "privyseal-witness@47110.socket",
        "privyseal-agent@47110.service",
        "session",
    ]
    out = _judged("active", ActiveState="failed", ExecMainStatus="75")
    assert {f.check for f in out} == {*unit_names(ALICE.uid), "session"}


def test_what_the_user_can_do_and_must_not_voids_the_machine() -> None:
    refused = dict.fromkeys(("own", "private bus", "witness", "home"), ("refused", ""))
    refused |= dict.fromkeys(("read terminal", "write terminal"), ("refused", ""))
    assert {f.state for f in judge_refusals(refused, ALICE)} == {"ok"}
    opened = {**refused, "home": ("done", "3")}
    assert [f.check for f in judge_refusals(opened, ALICE) if f.state == "void"] == ["home"]
    assert {f.state for f in judge_refusals({}, ALICE)} == {"broken"}


def test_the_keepers_answer_is_judged() -> None:
    def states(how: str, text: str) -> list[tuple[str, str]]:
        return [(f.check, f.state) for f in judge_asking({"ask": (how, text)}, ALICE)]

    assert states("failed", "x") == [("ask as alice", "broken")]
    assert states("done", "[]") == [("ask as alice", "broken")]
    old = json.dumps({"version": "0.0", "mode": "companion", "witness": False, "troubles": ["T"]})
    assert states("done", old) == [
        ("ask as alice", "ok"),
        ("versions", "broken"),
        ("evidence", "broken"),
        ("trouble", "broken"),
    ]


def test_whoever_else_asks_must_be_refused() -> None:
    assert judge_stranger({"ask": ("refused", "")}, "root").state == "ok"
    assert judge_stranger({"ask": ("done", "{}")}, "root").state == "void"
    assert judge_stranger({}, "root").state == "broken"


def test_the_agent_is_known_by_its_control_group_only() -> None:
    slice_ = b"0::/system.slice/system-privyseal\\x2dagent.slice/privyseal-agent@47110.service"
    assert judge_agent_group(slice_, "9", ALICE).state == "ok"
    feigned = b"0::/user.slice/user-47110.slice/user@47110.service/privyseal-agent@47110.service"
    assert judge_agent_group(feigned, "9", ALICE).state == "broken"
    assert judge_agent_group(b"", "9", ALICE).state == "broken"


def test_the_interpreter_and_our_code_are_among_what_is_looked_at() -> None:
    places = loaded_from()
    for needed in (Path(sys.executable), Path(sys.executable).resolve(), Path(json.__file__)):
        assert any(place == needed or place in needed.parents for place in places)


def test_code_that_others_may_write_is_named(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "module.py").touch()
    (tmp_path / "lib" / "module.py").chmod(0o666)
    finding = import_path([tmp_path / "lib"])
    assert finding.state == "broken"
    assert str(tmp_path) in finding.text


@pytest.mark.root
@pytest.mark.skipif(os.getuid() != 0, reason="needs root, whose files are the sound ones")
def test_code_of_root_is_sound_until_a_folder_above_it_is_not(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "module.py").touch()
    assert import_path([tmp_path / "lib"]).state == "ok"
    tmp_path.chmod(0o777)
    assert import_path([tmp_path / "lib"]).state == "broken"


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
