"""Files and device nodes by which a user reaches root, the keyboard or the screen."""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from privyseal.cli.machine_host import READ, WRITE, Finding, Host, State

_ROOT: Final = "whoever writes it is root"
_LOADED: Final = "programs that root runs come from there"
_CONTAINERS: Final = "containers run as root and see the whole disk"
_POLICY: Final = "it could open the keeper's bus name to others"
_PRECIOUS: Final[dict[str, str]] = {
    "etc/passwd": _ROOT,
    "etc/shadow": _ROOT,
    "etc/group": _ROOT,
    "etc/gshadow": _ROOT,
    "etc/sudoers": _ROOT,
    "etc/sudoers.d": _ROOT,
    "etc/doas.conf": _ROOT,
    "etc/polkit-1/rules.d": _ROOT,
    "usr/share/polkit-1/rules.d": _ROOT,
    "etc/pam.d": _ROOT,
    "etc/systemd/system": _ROOT,
    "usr/lib/systemd/system": _ROOT,
    "etc/udev/rules.d": _ROOT,
    "etc/ld.so.preload": _LOADED,
    "etc/ld.so.conf.d": _LOADED,
    "etc/crontab": _ROOT,
    "etc/cron.d": _ROOT,
    "etc/profile.d": _LOADED,
    "etc/modprobe.d": _ROOT,
    "etc/dbus-1/system.d": _POLICY,
    "usr/share/dbus-1/system.d": _POLICY,
    "etc/privyseal": "it says whose companion is whose",
    "usr/local/sbin": _LOADED,
    "usr/local/bin": _LOADED,
    "usr/sbin": _LOADED,
    "usr/bin": _LOADED,
    "usr/lib": _LOADED,
    "boot": "the kernel comes from there",
    "var/run/docker.sock": _CONTAINERS,
    "run/docker.sock": _CONTAINERS,
    "run/podman/podman.sock": _CONTAINERS,
    "run/containerd/containerd.sock": _CONTAINERS,
    "var/lib/lxd/unix.socket": _CONTAINERS,
    "var/lib/incus/unix.socket": _CONTAINERS,
    "run/libvirt/libvirt-sock": "virtual machines run as root and may have any disk",
}

_KEY_ENTER: Final = 28
_KEY_Y: Final = 21
_LONG_BITS: Final = 64
_KEYBOARD_USAGE: Final = b"\x05\x01\x09\x06"
"""HID usage tables: page 1 (generic desktop), usage 6 (keyboard), as a report descriptor says it."""

_SCREENS: Final = ("vcs", "vcsa", "vcsu")
_DISKS: Final = re.compile(r"(?:[shv]d[a-z]+|xvd[a-z]+|nvme\d+n\d+|mmcblk\d+|dm-|md|loop)[p\d]*")
_MAX_FILES: Final = 200_000


def precious(host: Host) -> Iterator[Finding]:
    """Grade the files whose writer is root."""
    found = 0
    for place, meaning in _PRECIOUS.items():
        path = host.path(place)
        if host.may(path, WRITE):
            found += 1
            text = f"{host.user} may write /{place}: {meaning}"
            yield Finding(
                f"file /{place}", "void", text, f"take the permission away: ls -ld /{place}"
            )
    if not found:
        yield Finding("files", "ok", f"{host.user} may write none that makes root")


def devices(host: Host, vt: int) -> Iterator[Finding]:
    """Grade the device nodes that lead to keyboard, screen, memory and disks."""
    found = [*_fixed(host, vt), *_inputs(host), *_hid(host), *_disks(host)]
    yield from found
    if not found:
        yield Finding("devices", "ok", "no node leads past the console")


def _fixed(host: Host, vt: int) -> Iterator[Finding]:
    nodes: tuple[tuple[str, int, State, str], ...] = (
        ("uinput", WRITE, "void", "a keyboard can be made that types decisions on the console"),
        ("uhid", WRITE, "void", "a keyboard can be made that types decisions on the console"),
        (f"tty{vt}", READ, "void", "what is typed on the console can be read"),
        (f"tty{vt}", WRITE, "weak", "the console can be painted over until it paints itself"),
        ("console", WRITE, "weak", "the console can be painted over until it paints itself"),
        ("tty0", WRITE, "weak", "the console can be painted over until it paints itself"),
        *((f"{name}{vt}", READ, "weak", "the console's screen can be read") for name in _SCREENS),
        *((f"{name}{vt}", WRITE, "weak", "the screen can be painted over") for name in _SCREENS),
        ("vcs", READ, "weak", "the screen in front can be read"),
        ("vcsa", READ, "weak", "the screen in front can be read"),
        ("vcsu", READ, "weak", "the screen in front can be read"),
        ("fb0", READ, "weak", "every screen can be read"),
        ("mem", READ, "void", "all memory can be read"),
        ("kmem", READ, "void", "all memory can be read"),
        ("port", WRITE, "void", "the hardware can be driven"),
        ("kvm", WRITE, "weak", "virtual machines widen what can be attacked in the kernel"),
    )
    for node, wanted, state, meaning in nodes:
        path = host.path(f"dev/{node}")
        if host.may(path, wanted):
            how = "read" if wanted == READ else "write"
            hint = f"look who grants it: getfacl /dev/{node}; ls -l /dev/{node}"
            yield Finding(f"/dev/{node}", state, f"{host.user} may {how} it: {meaning}", hint)


def _inputs(host: Host) -> Iterator[Finding]:
    for path in sorted(host.path("dev/input").glob("event*")):
        if host.may(path, READ | WRITE) and _is_keyboard(host, path.name):
            text = f"{host.user} may open it: all that is typed can be read, on the console too"
            hint = f"take the user out of the group input; getfacl /dev/input/{path.name}"
            yield Finding(f"/dev/input/{path.name}", "void", text, hint)


def _is_keyboard(host: Host, node: str) -> bool:
    keys = host.text(f"sys/class/input/{node}/device/capabilities/key")
    return not keys or parse_keys(keys) >= {_KEY_ENTER, _KEY_Y}


def parse_keys(text: str) -> frozenset[int]:
    """Return the key codes of a `capabilities/key` file: words of 64 bits, the highest first."""
    codes = set()
    for place, word in enumerate(reversed(text.split())):
        if re.fullmatch(r"[0-9a-f]{1,16}", word):
            bits = int(word, 16)
            codes |= {place * _LONG_BITS + bit for bit in range(_LONG_BITS) if bits >> bit & 1}
    return frozenset(codes)


def _hid(host: Host) -> Iterator[Finding]:
    for path in sorted(host.path("dev").glob("hidraw*")):
        place = host.path(f"sys/class/hidraw/{path.name}/device/report_descriptor")
        try:
            keyboard = _KEYBOARD_USAGE in place.read_bytes()
        except OSError:
            keyboard = False
        if keyboard and host.may(path, READ):
            text = f"{host.user} may read it: it is a keyboard, and all that is typed on it"
            yield Finding(f"/dev/{path.name}", "void", text, f"getfacl /dev/{path.name}")


def _disks(host: Host) -> Iterator[Finding]:
    for path in sorted(host.path("dev").glob("*")):
        if _DISKS.fullmatch(path.name) and host.may(path, READ | WRITE):
            text = f"{host.user} may open it: every file on it, whoever owns it"
            yield Finding(f"/dev/{path.name}", "void", text, "take the user out of the group disk")


def setuid(host: Host, home: Path) -> Iterator[Finding]:
    """Grade programs in the user's home that run as somebody else."""
    name = "setuid"
    seen, hidden, found = 0, 0, 0
    for folder, folders, files in os.walk(home, onerror=None):
        hidden += sum(not os.access(Path(folder) / sub, os.R_OK | os.X_OK) for sub in folders)
        for file in files:
            seen += 1
            path = Path(folder) / file
            try:
                status = path.lstat()
            except OSError:
                continue
            if stat.S_ISREG(status.st_mode) and _changes_user(status, host):
                found += 1
                text = f"{path} runs as user {status.st_uid}: a way past every check"
                yield Finding(name, "void", text, "ask where it comes from, then remove it")
        if seen > _MAX_FILES:
            text = f"only the first {_MAX_FILES} files below {home} were looked at"
            yield Finding(name, "unknown", text)
            return
    if hidden or not os.access(home, os.R_OK | os.X_OK):
        yield Finding(name, "unknown", f"not all of {home} can be seen", "run it as root")
    elif not found:
        yield Finding(name, "ok", f"no program in {home} runs as another user")


def _changes_user(status: os.stat_result, host: Host) -> bool:
    mode = status.st_mode
    other_user = bool(mode & stat.S_ISUID) and status.st_uid != host.uid
    other_group = (
        bool(mode & stat.S_ISGID and mode & stat.S_IXGRP) and status.st_gid not in host.gids
    )
    return other_user or other_group
