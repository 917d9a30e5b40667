"""Programs that read or make keys for the whole machine while they run."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from privyseal.cli.machine_host import Finding, Host

_READS: Final = "reads every key, the ones typed on the console too"
_TYPES: Final = "types for whoever asks it, on the console too"
_GRABBERS: Final[dict[str, str]] = {
    "keyd": _READS,
    "kanata": _READS,
    "kmonad": _READS,
    "evremap": _READS,
    "xremap": _READS,
    "logkeys": _READS,
    "udevmon": _READS,
    "intercept": _READS,
    "interception": _READS,
    "input-remapper": _READS,
    "xbindkeys": "reads the keys of the desktop session",
    "ydotoold": _TYPES,
    "dotoold": _TYPES,
    "gpm": "pastes text that was selected on one terminal into another",
}
_EXPECTED: Final = frozenset(
    {"systemd", "systemd-logind", "elogind", "seatd", "Xorg", "acpid", "upowerd", "thermald"}
)
_NODES: Final = re.compile(r"/dev/(?:input/(?:event\d+|mice|mouse\d+)|uinput|uhid)")
_COMM: Final = 15
"""The kernel cuts a process's name after so many characters (proc(5))."""


def grabbers(host: Host) -> Iterator[Finding]:
    """Grade running programs: by name for everybody, by what they hold open for root."""
    found, hidden = 0, 0
    for folder in sorted(host.path("proc").glob("[0-9]*"), key=lambda path: path.name):
        name = host.text(f"proc/{folder.name}/comm").strip()
        owner = _owner(host, folder)
        if owner < 0:
            continue
        meaning = next((m for known, m in _GRABBERS.items() if name.startswith(known[:_COMM])), "")
        held, seen = _held(folder)
        hidden += not seen
        if not meaning and held and name not in _EXPECTED and owner != host.uid:
            meaning = f"holds {', '.join(held[:3])} open, and so may read or make every key"
        if (
            not meaning
            and owner == host.uid
            and any(node.endswith(("uinput", "uhid")) for node in held)
        ):
            meaning = "holds a keyboard of its own making open"
        if meaning:
            found += 1
            void = owner == host.uid or meaning == _TYPES
            text = f"{name} (pid {folder.name}, user {owner}) {meaning}"
            yield Finding(
                f"process {name}", "void" if void else "weak", text, "stop and disable it"
            )
    if not found:
        rest = "what they hold open is seen as root" if hidden else "none holds it open"
        yield Finding("key grabbers", "ok", f"no program known to take the keyboard runs; {rest}")


def _owner(host: Host, folder: Path) -> int:
    match = re.search(r"(?m)^Uid:\s*(\d+)", host.text(f"proc/{folder.name}/status"))
    return int(match[1]) if match else -1


def _held(folder: Path) -> tuple[list[str], bool]:
    """Return the input nodes that a process holds open, and whether that could be seen."""
    held = set()
    try:
        for fd in (folder / "fd").iterdir():
            try:
                target = str(fd.readlink())
            except OSError:
                continue
            if _NODES.fullmatch(target):
                held.add(target)
    except FileNotFoundError:
        return [], True
    except OSError:
        return [], False
    return sorted(held), True
