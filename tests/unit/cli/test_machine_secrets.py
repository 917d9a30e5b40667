"""Secrets that are left within reach."""

import struct

from tests.unit.cli.graded import Machine


def test_a_provider_that_would_start_in_our_place_is_named(machine: Machine) -> None:
    name = "dbus-1/services/org.freedesktop.secrets.service"
    service = "[D-BUS Service]\nName=org.freedesktop.secrets\n"
    machine.write(f"usr/share/{name}", f"{service}Exec=/usr/bin/gnome-keyring-daemon --start\n")
    assert "when somebody calls org.freedesktop.secrets" in machine.only().text
    machine.write(f"home/alice/.local/share/{name}", f"{service}Exec=/bin/false\n")
    assert machine.findings() == []
    machine.write(f"home/alice/.local/share/{name}", f"{service}Exec=/usr/bin/sleep 20\n")
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
