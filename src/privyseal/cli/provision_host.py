"""The machine that `privy provision` works on: its accounts, its commands, its terminals."""

import fcntl
import os
import pwd
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from privyseal.cli.machine_account import loaded_from
from privyseal.wire.sanitise import clean

_SECONDS: Final = 60
_VT_GETSTATE: Final = 0x5603  # linux/vt.h: active, signal, and a bit for each open VT below 16
_ENV: Final = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C"}


class Account(NamedTuple):
    """One line of passwd(5)."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str


class Heard(NamedTuple):
    """What a command printed, and the first line that it complained with: "" when it went well."""

    output: str = ""
    complaint: str = ""


class Host:
    """This machine; a test puts another in its place."""

    root = Path("/")

    def code(self) -> list[Path]:
        """Return what this program is loaded from: the interpreter and its folders."""
        return [*loaded_from(), Path(sys.executable).resolve()]

    def accounts(self) -> list[Account]:
        """Return every account that the machine lists."""
        return [_account(entry) for entry in pwd.getpwall()]

    def account(self, name: str) -> Account | None:
        """Return the account of that name, None when there is none."""
        try:
            return _account(pwd.getpwnam(name))
        except (KeyError, ValueError):  # a NUL in the name is a ValueError
            return None

    def run(self, *words: str) -> str:
        """Run a command for its effect; return its complaint, "" when it went well."""
        return self.hear(*words).complaint

    def hear(self, *words: str) -> Heard:
        """Run a command with nothing of our environment."""
        try:
            done = subprocess.run(
                words,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_SECONDS,
                check=False,
                stdin=subprocess.DEVNULL,
                env=_ENV,
                cwd="/",
            )
        except subprocess.TimeoutExpired:
            return Heard(complaint=f"no answer within {_SECONDS} seconds")
        except OSError as error:
            return Heard(complaint=f"cannot be run: {error.strerror}")
        if done.returncode == 0:
            return Heard(done.stdout)
        complaint = done.stderr.strip().partition("\n")[0] or f"status {done.returncode}"
        return Heard(done.stdout, clean(complaint))

    def open_terminals(self) -> set[int]:
        """Return the virtual terminals below 16 that something holds open."""
        with suppress(OSError):
            fd = os.open("/dev/tty0", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
            try:
                state = fcntl.ioctl(fd, _VT_GETSTATE, bytes(6))
            finally:
                os.close(fd)
            mask: int = struct.unpack("HHH", state)[2]
            return {number for number in range(1, 16) if mask >> number & 1}
        return set()


def _account(entry: pwd.struct_passwd) -> Account:
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir, entry.pw_shell)
