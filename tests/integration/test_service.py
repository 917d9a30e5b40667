"""`privy service` on a home folder of its own: what it writes, shows and takes back."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner

from privyseal.cli.journal import Entry, look
from privyseal.cli.service import command

_KEYRING_UNIT = """[Service]
ExecStart=/usr/bin/gnome-keyring-daemon --foreground --components="pkcs11,secrets,ssh"
"""
_FAKE_SYSTEMCTL = """#!/bin/sh
echo "$@" >>"$SYSTEMCTL_LOG"
[ "$2" != is-active ] || echo active
"""


class Done(NamedTuple):
    status: int
    output: str


def _privy(*words: str) -> Done:
    result = CliRunner().invoke(command, words, standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return Done(int(result.return_value or 0), result.output)


def _tree(root: Path) -> dict[str, Entry | None]:
    return {
        str(path.relative_to(root)): (
            None if path.is_dir() and not path.is_symlink() else look(path)
        )
        for path in sorted(root.rglob("*"))
    }


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder on a machine with gnome-keyring, without systemd and without a bus."""
    root = tmp_path / "home of alice"
    shared = tmp_path / "shared"
    services = shared / "dbus-1" / "services"
    services.mkdir(parents=True)
    for name in ("org.freedesktop.secrets", "org.gnome.keyring"):
        (services / f"{name}.service").write_text(f"[D-BUS Service]\nName={name}\nExec=/bin/x\n")
    (shared / "autostart").mkdir()
    (shared / "autostart" / "gnome-keyring-secrets.desktop").write_text("[Desktop Entry]\n")
    (root / ".config" / "autostart").mkdir(parents=True)
    (root / ".config" / "autostart" / "gnome-keyring-secrets.desktop").write_text("# mine\n")
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("HOME", str(root))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_DATA_DIRS", str(shared))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(shared))
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"unix:path={tmp_path}/no-bus")
    for variable in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    return root


@pytest.fixture
def systemctl(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user manager that does what it is told; the log of what that was."""
    del home
    log = tmp_path / "systemctl.log"
    log.touch()
    program = tmp_path / "bin" / "systemctl"
    program.write_text(_FAKE_SYSTEMCTL)
    program.chmod(0o755)
    monkeypatch.setenv("SYSTEMCTL_LOG", str(log))
    return log


def test_uninstall_gives_back_the_same_tree(home: Path) -> None:
    before = _tree(home)
    assert _privy("install").status == 0
    installed = _tree(home)
    assert installed != before

    assert _privy("uninstall").status == 0
    assert _tree(home) == before


def test_a_second_install_changes_nothing(home: Path) -> None:
    _privy("install")
    once = _tree(home)
    again = _privy("install")
    assert again.status == 0
    assert "installed already" in again.output
    assert _tree(home) == once


def test_a_dry_run_shows_exact_differences_and_changes_nothing(home: Path) -> None:
    before = _tree(home)
    shown = _privy("install", "--dry-run").output
    assert _tree(home) == before
    autostart = home / ".config" / "autostart" / "gnome-keyring-secrets.desktop"
    assert f"--- {autostart}\n+++ {autostart}\n" in shown
    assert "\n-# mine\n+[Desktop Entry]\n" in shown
    assert "+BusName=org.privyseal.Keeper1\n" in shown

    _privy("install")
    installed = _tree(home)
    undone = _privy("uninstall", "--dry-run").output
    assert _tree(home) == installed
    assert "\n+# mine\n" in undone


def test_activation_leads_to_the_agent_and_no_longer_to_the_other_keyring(home: Path) -> None:
    _privy("install")
    services = home / ".local" / "share" / "dbus-1" / "services"
    ours = (services / "org.freedesktop.secrets.service").read_text()
    assert "SystemdService=privyseal-agent.service" in ours
    assert "Exec=/bin/false" in (services / "org.gnome.keyring.service").read_text()
    # What the machine does not have needs no mask.
    assert not (services / "org.freedesktop.impl.portal.Secret.service").exists()


def test_without_systemd_it_says_when_it_takes_effect(home: Path) -> None:
    del home
    assert "no systemd user manager runs here" in _privy("install").output


def test_with_systemd_it_starts_both_and_stops_them_again(systemctl: Path) -> None:
    _privy("install")
    assert (
        "--user restart privyseal-keeper.service privyseal-agent.service" in systemctl.read_text()
    )
    status = _privy("status", "--json")
    assert (status.status, json.loads(status.output)["problems"]) == (0, [])
    dry = _privy("uninstall", "--dry-run").output
    assert "would run: systemctl --user stop privyseal-agent.service" in dry
    _privy("uninstall")
    assert "--user stop privyseal-agent.service privyseal-keeper.service" in systemctl.read_text()


def test_a_second_install_leaves_what_runs_alone(systemctl: Path) -> None:
    _privy("install")
    systemctl.write_text("")
    _privy("install")
    assert "start privyseal-keeper.service" in systemctl.read_text()
    assert "restart privyseal-keeper.service" not in systemctl.read_text()


def test_an_install_that_shall_not_start_starts_nothing(systemctl: Path) -> None:
    _privy("install", "--no-start")
    assert systemctl.read_text() == ""


def test_status_names_a_file_that_was_changed_and_fails(home: Path) -> None:
    assert _privy("status").status == 0
    _privy("install")
    unit = home / ".config" / "systemd" / "user" / "privyseal-agent.service"
    unit.write_text("edited\n")
    status = _privy("status")
    assert status.status == 1
    assert f"problem    {unit} is not as installed" in status.output

    removed = _privy("uninstall")
    assert removed.status == 1
    assert f"kept, because it was changed since the install: {unit}" in removed.output
    assert unit.read_text() == "edited\n"


def test_status_names_what_an_install_left_over(home: Path) -> None:
    _privy("install")
    (home / ".local" / "state" / "privyseal" / "service.json").unlink()
    status = _privy("status", "--json")
    assert status.status == 1
    assert any("left over" in problem for problem in json.loads(status.output)["problems"])


def test_uninstall_without_an_install_says_so(home: Path) -> None:
    before = _tree(home)
    done = _privy("uninstall")
    assert (done.status, done.output) == (0, "not installed\n")
    assert _tree(home) == before


def test_the_units_run_this_interpreter_with_the_backend_asked_for(home: Path) -> None:
    _privy("install", "--backend", "gnome-keyring")
    unit = (home / ".config" / "systemd" / "user" / "privyseal-keeper.service").read_text()
    start = re.search(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    assert start is not None
    assert sys.executable in start[1]
    assert start[1].endswith("-I -m privyseal.keeper --backend gnome-keyring")


def test_the_units_are_what_systemd_understands(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _privy("install")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    units = sorted((home / ".config" / "systemd" / "user").glob("*.service"))
    done = subprocess.run(
        ["systemd-analyze", "--user", "verify", *map(os.fspath, units)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "XDG_RUNTIME_DIR": str(home)},
    )
    assert [line for line in done.stderr.splitlines() if "privyseal" in line] == []


def test_for_a_companion_only_other_keyrings_are_kept_away(home: Path) -> None:
    before = _tree(home)

    assert _privy("install", "--companion", "--no-start").status == 0

    new = {name for name, entry in _tree(home).items() if entry and entry != before.get(name)}
    # Whether there is a unit of gnome-keyring to demote depends on the machine.
    assert {name for name in new if not name.endswith("50-privyseal.conf")} == {
        ".config/autostart/gnome-keyring-secrets.desktop",
        ".local/share/dbus-1/services/org.freedesktop.secrets.service",
        ".local/share/dbus-1/services/org.gnome.keyring.service",
        ".local/state/privyseal/service.json",
    }
    services = home / ".local/share/dbus-1/services"
    mask = (services / "org.freedesktop.secrets.service").read_text()
    assert re.fullmatch(
        r"\[D-BUS Service\]\nName=org.freedesktop.secrets\nExec=/\S*/sleep 20\n", mask
    )
    assert "installed already" in _privy("install", "--companion", "--no-start").output
    assert _privy("uninstall").status == 0
    assert _tree(home) == before


def test_a_companion_takes_the_place_of_an_own_session_installation(
    home: Path, systemctl: Path
) -> None:
    before = _tree(home)
    _privy("install")
    systemctl.write_text("")

    assert _privy("install", "--companion").status == 0

    assert not list((home / ".config").rglob("privyseal-*.service"))
    assert "--user stop privyseal-agent.service privyseal-keeper.service" in systemctl.read_text()
    assert "start privyseal" not in systemctl.read_text().replace("stop privyseal", "")
    assert json.loads(_privy("status", "--json").output)["units"] == {}
    assert _privy("uninstall").status == 0
    assert _tree(home) == before


def test_a_dry_run_for_a_companion_shows_what_an_own_session_installation_becomes(
    home: Path,
) -> None:
    _privy("install", "--no-start")
    before = _tree(home)
    shown = _privy("install", "--companion", "--no-start", "--dry-run").output
    assert _tree(home) == before
    removed = [line for line in shown.splitlines() if line.startswith("--- ")]
    assert any(line.endswith("/systemd/user/privyseal-keeper.service") for line in removed)
    added = [line for line in shown.splitlines() if line.startswith("+++ ")]
    assert any(line.endswith("/dbus-1/services/org.freedesktop.secrets.service") for line in added)
    assert not any(line.endswith("/systemd/user/privyseal-keeper.service") for line in added)
