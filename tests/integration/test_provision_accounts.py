"""`privy provision` with the real account tools, on a copy of this machine's /etc."""

import json
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.root

# Everything that provisioning writes to is this mount namespace's own; nothing of it outlives it.
_ENTER = """
set -e
cp -a /etc "$1/etc"; mount --bind "$1/etc" /etc
mkdir "$1/lib" "$1/share"
mount --bind "$1/lib" /var/lib; mount --bind "$1/share" /usr/local/share
mount -t tmpfs none /run; mkdir -p /run/systemd/system /run/dbus; touch /run/dbus/system_bus_socket
mount -t tmpfs none /dev; mknod -m 666 /dev/null c 1 3; mknod -m 600 /dev/tty0 c 4 0
mkdir -p "$1/home"
echo "privytest:x:54123:54123::$1/home:/bin/sh" >>/etc/passwd
exec "$2" -c "$3"
"""
_DRIVE = """
import hashlib, json, os, sys
from pathlib import Path
from click.testing import CliRunner
from privyseal.cli.provision import command
from privyseal.cli.provision_host import Heard, Host

class Here(Host):
    def code(self):
        return []

    def hear(self, *words):
        # There is no systemd to answer, and no user to become.
        return super().hear(*words) if words[0] in ("systemd-sysusers", "userdel") else Heard()

def listing():
    found = {}
    for top in ("/etc", "/var/lib", "/usr/local/share"):
        for folder, folders, files in os.walk(top):
            for name in folders + files:
                path = Path(folder, name)
                status = path.lstat()
                content = b"" if path.is_symlink() or not path.is_file() else path.read_bytes()
                found[str(path)] = (
                    status.st_mode, status.st_uid, status.st_gid, hashlib.sha256(content).hexdigest()
                )
    return found

def privy(*words):
    result = CliRunner().invoke(command, ["--user", "privytest", *words], standalone_mode=False, obj=Here())
    if result.exception:
        raise result.exception
    return result.stdout

before = listing()
privy()
home = Path("/var/lib/privyseal/54123")
mine = home.stat()
made = {
    "passwd": [l for l in Path("/etc/passwd").read_text().splitlines() if l.startswith("privyseal-")],
    "shadow": [l for l in Path("/etc/shadow").read_text().splitlines() if l.startswith("privyseal-")],
    "home": [oct(mine.st_mode), mine.st_uid],
}
once = listing()
said = privy()
twice = listing()
privy("--undo")
after = listing()
print(json.dumps({
    **made, "said": said, "same": once == twice,
    "left": sorted(path for path in {*before, *after} if before.get(path) != after.get(path)),
}))
"""


def test_the_real_tools_make_a_locked_account_and_leave_no_trace_of_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *("unshare", "--mount", "--propagation=private", "sh", "-c", _ENTER, "sh"),
            *(str(tmp_path), sys.executable, _DRIVE),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    (line,) = told["passwd"]
    name, _, uid, _, _, home, shell = line.split(":")
    assert (name, home) == ("privyseal-54123", "/var/lib/privyseal/54123")
    assert Path(shell).name == "nologin"
    assert int(uid) < 1000
    assert told["home"] == ["0o40700", int(uid)]
    (shadow,) = told["shadow"]
    assert shadow.split(":")[1].startswith("!")
    assert told["said"] == "privytest has a companion already: nothing changed\n"
    assert told["same"]
    assert told["left"] == []
    assert "privyseal-54123" not in {account.pw_name for account in pwd.getpwall()}
    assert not os.path.ismount(tmp_path / "etc")
