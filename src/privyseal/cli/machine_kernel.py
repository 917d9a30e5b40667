"""Settings of the kernel and of logind that decide who can watch, push keys or read memory later."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from privyseal.cli.logind import login_terminals
from privyseal.cli.machine_host import WRITE, Finding, Host, is_number

_SAK: Final = 4
"""The bit of kernel.sysrq that allows Alt+SysRq+K (admin-guide/sysrq.rst)."""

_ATTENTION_SYSTEMD: Final = 257
"""systemd.NEWS: the first release with Ctrl+Alt+Shift+Esc."""

_SELECTION_LINUX: Final = (6, 7)
"""The first release where TIOCL_SETSEL (ioctl_console(2)) wants CAP_SYS_ADMIN."""

_CRYPT: Final = "CRYPT-"
_MAX_DEPTH: Final = 8


def kernel(host: Host) -> Iterator[Finding]:
    """Grade the kernel's settings."""
    yield _tiocsti(host)
    yield _selection(host)
    yield _ptrace(host)
    yield from _core_dumps(host)
    yield _pointers(host)
    yield from _flaws(host)


def _sysctl(host: Host, name: str) -> str:
    return host.text(f"proc/sys/{name.replace('.', '/')}").strip()


def _has(host: Host, name: str) -> bool:
    return host.path(f"proc/sys/{name.replace('.', '/')}").exists()


def _tiocsti(host: Host) -> Finding:
    value = _sysctl(host, "dev.tty.legacy_tiocsti")
    if value == "1":
        text = (
            "programs can push keys into the terminal they run in, and so into a root shell there"
        )
        return Finding("legacy_tiocsti", "weak", text, "sysctl dev.tty.legacy_tiocsti=0")
    if not value and _has(host, "dev.tty.legacy_tiocsti"):
        return Finding("legacy_tiocsti", "unknown", "cannot be read", "run it as root")
    if not value:
        text = "this kernel cannot switch it off (Linux 6.2 can); it does not reach the console"
        return Finding("legacy_tiocsti", "ok", text)
    return Finding("legacy_tiocsti", "ok", "no program can push keys into a terminal")


def _selection(host: Host) -> Finding:
    release = _sysctl(host, "kernel.osrelease")
    numbers = tuple(int(part) for part in re.findall(r"\d+", release)[:2])
    if numbers < _SELECTION_LINUX:
        text = (
            f"Linux {release or '?'} lets a program on a text terminal copy what the console shows, the"
            " three words included: it could draw a better false console"
        )
        return Finding("selection", "weak", text, "log in on a desktop or by ssh, or run Linux 6.7")
    return Finding("selection", "ok", "no program can copy what another terminal shows")


def _ptrace(host: Host) -> Finding:
    value = _sysctl(host, "kernel.yama.ptrace_scope")
    if value in {"", "0"}:
        text = "any program of the user can act as any other one, and ask in its name"
        known = _has(host, "kernel.yama.ptrace_scope")
        hint = "sysctl kernel.yama.ptrace_scope=1" if known else "run a kernel with Yama"
        return Finding("ptrace", "weak", text, hint)
    return Finding("ptrace", "ok", f"kernel.yama.ptrace_scope is {value}")


def _core_dumps(host: Host) -> Iterator[Finding]:
    pattern = _sysctl(host, "kernel.core_pattern")
    match = re.match(r"\|\s*(\S+)", pattern)
    program = match[1] if match is not None else ""
    if program and host.may(host.path(program), WRITE):
        text = f"{program} runs as root at every crash, and {host.user} may write it"
        yield Finding("core dumps", "void", text, f"chown root {program}; chmod go-w {program}")
    elif _sysctl(host, "fs.suid_dumpable") == "1":
        text = "programs that changed their user leave memory images the user can read"
        yield Finding("core dumps", "weak", text, "sysctl fs.suid_dumpable=0")
    else:
        yield Finding("core dumps", "ok", "the pieces of the companion leave none")


def _pointers(host: Host) -> Finding:
    if _sysctl(host, "kernel.kptr_restrict") == "0":
        text = "the kernel tells its addresses to everybody, which helps an attack on it"
        return Finding("kptr_restrict", "weak", text, "sysctl kernel.kptr_restrict=1")
    return Finding("kptr_restrict", "ok", "the kernel keeps its addresses to itself")


def _flaws(host: Host) -> Iterator[Finding]:
    folder = "sys/devices/system/cpu/vulnerabilities"
    files = sorted(host.path(folder).glob("*"))
    open_ = [f.name for f in files if host.text(f"{folder}/{f.name}").startswith("Vulnerable")]
    if open_:
        text = f"other users' memory can leak through the processor: {', '.join(open_)}"
        hint = (
            "install its microcode (intel-microcode or amd64-microcode); a guest needs its host's"
        )
        if "mitigations=off" in host.text("proc/cmdline").split():
            hint = "take mitigations=off from the kernel's command line, and boot again"
        yield Finding("processor", "weak", text, hint)
    elif files:
        yield Finding("processor", "ok", "the kernel covers its known flaws")


def attention(host: Host, systemd: int) -> Finding:
    """Grade the way in that no program can fake; `systemd` is its version, 0 if unknown."""
    value = _sysctl(host, "kernel.sysrq")
    allowed = is_number(value) and (value == "1" or int(value) & _SAK)
    keys = ["Alt+SysRq+K"] * bool(allowed) + ["Ctrl+Alt+Shift+Esc"] * (
        systemd >= _ATTENTION_SYSTEMD
    )
    if keys:
        return Finding(
            "secure attention", "ok", f"no program can fake what {' or '.join(keys)} does"
        )
    text = "no key ends a console that a program imitates"
    if not _has(host, "kernel.sysrq"):
        hint = "systemd 257 has Ctrl+Alt+Shift+Esc"
        return Finding("secure attention", "weak", f"{text}: this kernel has no SysRq", hint)
    text = f"{text}: kernel.sysrq is {value or 'unknown'}"
    return Finding("secure attention", "weak", text, "sysctl kernel.sysrq=4, or add 4 to it")


def memory_on_disk(host: Host) -> Iterator[Finding]:
    """Grade swap and hibernation: what was in memory lies on a disk afterwards."""
    lines = host.text("proc/swaps").splitlines()[1:]
    areas = [line.split()[0].replace("\\040", " ") for line in lines if line.split()]
    plain = [area for area in areas if not _is_covered(host, area)]
    if plain:
        # The companion's units forbid swapping (MemorySwapMax=0); who got a secret does not.
        text = f"what programs were given goes to a disk unencrypted: {', '.join(plain)}"
        yield Finding("swap", "weak", text, "encrypt it (crypttab(5), option swap), or use zram")
    else:
        yield Finding("swap", "ok", "is encrypted or in memory" if areas else "there is none")
    modes = host.text("sys/power/disk").split()
    able = "disk" in host.text("sys/power/state").split() and "[disabled]" not in modes
    if able and plain:
        text = "hibernation writes all memory to a disk unencrypted"
        yield Finding("hibernation", "weak", text, "systemctl mask hibernate.target")
    else:
        yield Finding("hibernation", "ok", "writes nothing in plain")


def _is_covered(host: Host, area: str) -> bool:
    name = PurePosixPath(area).name
    if name.startswith("zram"):
        return True
    if not area.startswith("/dev/"):
        return False  # a file: what lies under its file system is not looked at
    node = host.path(area)
    name = node.resolve().name if node.is_symlink() else name
    return _is_encrypted(host, name, 0)


def _is_encrypted(host: Host, name: str, depth: int) -> bool:
    if host.text(f"sys/block/{name}/dm/uuid").startswith(_CRYPT):
        return True
    under = sorted(host.path(f"sys/block/{name}/slaves").glob("*"))
    return (
        bool(under)
        and depth < _MAX_DEPTH
        and all(_is_encrypted(host, slave.name, depth + 1) for slave in under)
    )


def logind(host: Host, vt: int) -> Iterator[Finding]:
    """Grade what may put a login prompt on the console's terminal, and lingering."""
    logins = login_terminals(host.root)
    wanted = host.path(f"etc/systemd/system/getty.target.wants/getty@tty{vt}.service")
    if vt in logins or wanted.is_symlink():
        settings = f"NAutoVTs={logins.automatic}, ReserveVT={logins.reserved}"
        text = f"a login prompt may start on VT {vt}: {settings}"
        yield Finding("VT", "weak", text, f"set both below {vt} in /etc/systemd/logind.conf")
    else:
        yield Finding("VT", "ok", f"no login prompt starts on VT {vt}")
    if host.path(f"var/lib/systemd/linger/{host.user}").exists():
        text = f"{host.user} lingers: the companion runs on, unlocked, after the last logout"
        yield Finding("linger", "weak", text, f"loginctl disable-linger {host.user}")
    else:
        yield Finding("linger", "ok", "the companion ends with the last session")
