"""What membership of a group is worth, and what polkit grants without asking for a password."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from privyseal.cli.machine_host import Finding, Host, State


class _Worth(NamedTuple):
    state: State
    text: str


_ROOT_BY_CONTAINER: Final = _Worth(
    "void", "root without a password: a container may mount the disk"
)
_PASSWORD: Final = _Worth(
    "weak", "root with a password, which a keylogger in the session can learn"
)
_GROUPS: Final[dict[str, _Worth]] = {
    "root": _Worth("void", "files of root that the group may write"),
    "docker": _ROOT_BY_CONTAINER,
    "lxd": _ROOT_BY_CONTAINER,
    "lxc": _ROOT_BY_CONTAINER,
    "incus": _ROOT_BY_CONTAINER,
    "incus-admin": _ROOT_BY_CONTAINER,
    "podman": _ROOT_BY_CONTAINER,
    "libvirt": _Worth("void", "root without a password: a virtual machine may get any disk"),
    "libvirtd": _Worth("void", "root without a password: a virtual machine may get any disk"),
    "disk": _Worth("void", "reads and writes every file past its owner"),
    "shadow": _Worth("void", "reads the password hashes, root's too"),
    "kmem": _Worth("void", "reads the memory of every process"),
    "mem": _Worth("void", "reads the memory of every process"),
    "input": _Worth("void", "reads every key, the ones typed on the console too"),
    "uinput": _Worth("void", "types on the console by a keyboard of its own"),
    "staff": _Worth("void", "may replace programs in /usr/local that root runs"),
    "tty": _Worth(
        "weak", "writes on every terminal, and reads the screens where vcs is open to it"
    ),
    "video": _Worth("weak", "reads every screen by the frame buffer"),
    "kvm": _Worth("weak", "widens what can be attacked in the kernel"),
    "wireshark": _Worth("weak", "may capture USB, and so the keys of a USB keyboard"),
    "vboxusers": _Worth("weak", "hands USB devices, the keyboard too, to virtual machines"),
    "adm": _Worth("weak", "reads the system's logs, and in them who asked for what and when"),
    "systemd-journal": _Worth("weak", "reads the journal, and in it who asked for what and when"),
    "sudo": _PASSWORD,
    "wheel": _PASSWORD,
    "admin": _PASSWORD,
}

_ADD_RULE: Final = re.compile(r"polkit\s*\.\s*addRule\s*\(")
_IN_GROUP: Final = re.compile(r"isInGroup\(\s*[\"']([^\"']+)[\"']\s*\)")
_USER: Final = re.compile(r"subject\.user\s*={2,3}\s*[\"']([^\"']+)[\"']")
_ACTION: Final = re.compile(r"[\"']((?:org|com|net|io)\.[\w.-]+)[\"']")
_ROOT_ACTIONS: Final = (
    "org.freedesktop.policykit.exec",
    "org.freedesktop.systemd1.manage-units",
    "org.freedesktop.systemd1.manage-unit-files",
    "org.freedesktop.systemd1.set-environment",
    "org.freedesktop.packagekit.package-install",
    "org.freedesktop.packagekit.package-install-untrusted",
    "org.freedesktop.accounts.user-administration",
    "org.freedesktop.machine1.",
    "org.freedesktop.udisks2.open-device",
    "org.freedesktop.udisks2.modify-device-system",
    "org.libvirt.unix.manage",
)
"""Actions whose grant is root: each starts a program of one's choice as root, or opens a disk."""

_RULES: Final = ("etc/polkit-1/rules.d", "run/polkit-1/rules.d", "usr/share/polkit-1/rules.d")
_LOCAL: Final = ("etc/polkit-1/localauthority", "var/lib/polkit-1/localauthority")


def groups(host: Host) -> Iterator[Finding]:
    """Grade the user's groups."""
    found = 0
    for group in sorted(host.groups):
        worth = _GROUPS.get(group)
        if worth is None and re.fullmatch(r"privyseal-\d+", group):
            worth = _Worth("void", "it is the companion's own")
        if worth is None:
            continue
        found += 1
        hint = f"gpasswd -d {host.user} {group}, then log out and in again"
        text = f"{host.user} is in the group {group}: {worth.text}"
        yield Finding(f"group {group}", worth.state, text, hint)
    if not found:
        yield Finding("groups", "ok", f"{host.user} is in none that leads past the console")


def polkit(host: Host) -> Iterator[Finding]:
    """Grade the rules of polkit that answer yes without a password; a rule is read, not run."""
    found, hidden = 0, False
    for place in _RULES:
        folder = host.path(place)
        try:
            files = sorted(folder.glob("*.rules")) if folder.exists() else []
        except OSError:
            files = []
        hidden = hidden or (folder.exists() and not host.readable(place))
        for file in files:
            shown = f"/{place}/{file.name}"
            text = host.text(f"{place}/{file.name}")
            for granted in granting_actions(text, host.user, host.groups):
                found += 1
                yield _granted(shown, granted)
    for place in _LOCAL:
        for file in sorted(host.path(place).glob("**/*.pkla")):
            for granted in _by_local_authority(host.text(str(file.relative_to(host.root))), host):
                found += 1
                yield _granted(f"/{file.relative_to(host.root)}", granted)
    if hidden:
        yield Finding("polkit", "unknown", "its rules can only be read by root", "run it as root")
    elif not found:
        yield Finding("polkit", "ok", "no rule gives root without a password")


def _granted(shown: str, action: str) -> Finding:
    text = f"{shown} allows {action} without a password: root"
    return Finding(f"polkit {shown}", "void", text, "let it answer polkit.Result.AUTH_ADMIN")


def granting_actions(text: str, user: str, groups: frozenset[str]) -> Iterator[str]:
    """Yield the actions worth root that a rules file (polkit(8)) may grant to this user.

    JavaScript is not run: a rule that names groups or users of which none is the user's is taken
    not to concern it, one that names no action to concern every action.
    """
    bare = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    bare = re.sub(r"(?m)(^|\s)//.*", "", bare)
    for rule in _ADD_RULE.split(bare)[1:]:
        if "Result.YES" not in rule and not re.search(r"return\s*[\"']yes[\"']", rule):
            continue
        names, users = set(_IN_GROUP.findall(rule)), set(_USER.findall(rule))
        if (names or users) and not (names & groups or user in users):
            continue
        actions = set(_ACTION.findall(rule))
        if not actions and "action.id" not in rule:
            yield "every action"
        for action in sorted(actions):
            if _is_root(action):
                yield action


def _is_root(action: str) -> bool:
    # A rule may hold the beginning of an action, for `indexOf` or `startsWith`.
    return any(known.startswith(action) or action.startswith(known) for known in _ROOT_ACTIONS)


def _by_local_authority(text: str, host: Host) -> Iterator[str]:
    # pklocalauthority(8): sections of Identity=, Action= and Result*=.
    for section in re.split(r"(?m)^\[.*\]\s*$", text)[1:]:
        keys = dict(re.findall(r"(?m)^\s*(\w+)\s*=\s*(.*?)\s*$", section))
        who = set(keys.get("Identity", "").split(";"))
        mine = {f"unix-user:{host.user}", "unix-user:*", "unix-group:*"}
        mine |= {f"unix-group:{group}" for group in host.groups}
        says_yes = "yes" in {keys.get(f"Result{which}") for which in ("Any", "Active", "Inactive")}
        if who & mine and says_yes:
            for action in keys.get("Action", "").split(";"):
                if action and _is_root(action.rstrip("*")):
                    yield action
