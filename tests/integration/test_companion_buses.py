"""The bus policies of a companion, on real buses and with real users."""

import pwd
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.system_bus import system_configuration
from tests.waiting import PATIENCE

pytestmark = pytest.mark.root

DEPLOY = Path(__file__).parents[2] / "deploy" / "dbus"
# A bus lets nobody in without an account; these three are there on every system.
ALICE, BOB, COMPANION = (pwd.getpwnam(name).pw_uid for name in ("daemon", "bin", "mail"))
ROOT = 0
NAME = f"org.privyseal.Keeper1.u{ALICE}"

# Imports come first: the user may not be able to read where they lie.
_CONNECT = """
import os, sys
from jeepney import DBusAddress, HeaderFields, MessageType, new_error, new_method_call, new_method_return
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import open_dbus_connection
uid, address, *words = sys.argv[1:]
os.setgroups([]); os.setgid(int(uid)); os.setuid(int(uid))
try:
    connection = open_dbus_connection(address)
except Exception:
    print("no connection"); sys.exit()
"""
_CALL = """
name, interface, member = words
call = new_method_call(DBusAddress("/", bus_name=name, interface=interface or None), member)
reply = connection.send_and_get_reply(call, timeout=10)
failed = reply.header.message_type is MessageType.error
print(reply.header.fields[HeaderFields.error_name] if failed else "answered")
"""
_OWN = """
reply = connection.send_and_get_reply(message_bus.RequestName(words[0], 4), timeout=10)
print("owner" if reply.body == (1,) else "refused", flush=True)
while reply.body == (1,):
    call = connection.receive()
    if call.header.message_type is MessageType.method_call:
        connection.send(new_method_return(call))
"""


def _as(uid: int, address: str, script: str, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-I", "-c", _CONNECT + script, str(uid), address, *words],
        stdout=subprocess.PIPE,
        text=True,
    )


def _call(uid: int, address: str, name: str, interface: str, member: str) -> str:
    with _as(uid, address, _CALL, name, interface, member) as process:
        return process.communicate(timeout=PATIENCE)[0].strip()


@contextmanager
def _owner(uid: int, address: str, name: str) -> Iterator[str]:
    """Yield what became of the wish to own a name; answer every call while it lasts."""
    with _as(uid, address, _OWN, name) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


@contextmanager
def _bus(configuration: Path, address: str, uid: int) -> Iterator[str]:
    with subprocess.Popen(
        [
            *("dbus-daemon", f"--config-file={configuration}", f"--address={address}"),
            *("--nofork", "--print-address"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        user=uid,
        group=uid,
        extra_groups=[],
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


@pytest.fixture
def open_folder(tmp_path: Path) -> Path:
    """A folder that every user of these tests reaches, up from the root."""
    for folder in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        folder.chmod(0o755)
    return tmp_path


@pytest.fixture
def system_bus(open_folder: Path) -> Iterator[str]:
    text = (DEPLOY / "system-policy.conf").read_text()
    # The account does not exist here; the bus takes a number in its place.
    text = text.replace("privyseal-@UID@", str(COMPANION)).replace("@UID@", str(ALICE))
    policy = open_folder / "policy.conf"
    policy.write_text(text)
    socket = open_folder / "system"
    configuration = open_folder / "system.conf"
    configuration.write_text(system_configuration(socket, [policy]))
    with _bus(configuration, f"unix:path={socket}", ROOT) as address:
        yield address


def test_only_the_desktop_user_asks_and_only_by_the_asking_interface(system_bus: str) -> None:
    denied = "org.freedesktop.DBus.Error.AccessDenied"
    with _owner(COMPANION, system_bus, NAME) as became:
        assert became == "owner"
        for interface, outcome in {
            "org.privyseal.Request1": "answered",
            "org.freedesktop.DBus.Introspectable": "answered",
            "org.freedesktop.DBus.Properties": "answered",
            "org.privyseal.Decision1": denied,
            "org.example.Other": denied,
            "": denied,
        }.items():
            assert _call(ALICE, system_bus, NAME, interface, "Status") == outcome
        for uid in (BOB, ROOT):
            assert _call(uid, system_bus, NAME, "org.privyseal.Request1", "Status") == denied


@pytest.mark.parametrize("uid", [ALICE, BOB, ROOT])
def test_nobody_but_the_companion_owns_the_keepers_name(system_bus: str, uid: int) -> None:
    with _owner(uid, system_bus, NAME) as became:
        assert became == "refused"


def test_the_private_bus_takes_nobody_but_the_companion(open_folder: Path) -> None:
    folder = open_folder / "run"
    folder.mkdir()
    folder.chmod(0o777)  # the folder of a real one is 0700; here the bus alone has to refuse
    configuration = open_folder / "private-bus.conf"
    configuration.write_bytes((DEPLOY / "private-bus.conf").read_bytes())
    with (
        _bus(configuration, f"unix:path={folder}/bus", COMPANION) as address,
        _owner(COMPANION, address, "org.privyseal.Keeper1") as became,
    ):
        assert became == "owner"
        for uid, outcome in {
            COMPANION: "answered",
            ALICE: "no connection",
            ROOT: "no connection",
        }.items():
            found = _call(uid, address, "org.privyseal.Keeper1", "org.privyseal.Decision1", "List")
            assert found == outcome
