"""On which virtual terminals logind starts logins, by its configuration files (logind.conf(5))."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_FOLDERS: Final = ("usr/lib", "usr/local/lib", "run", "etc")
_SETTING: Final = re.compile(r"(?m)^\s*(NAutoVTs|ReserveVT)\s*=\s*(\d{1,3})\s*$")
_LIMIT: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class LoginTerminals:
    """The settings: up to which terminal one is started on demand, and which one always has one."""

    automatic: int
    reserved: int

    def __contains__(self, vt: int) -> bool:
        return vt <= self.automatic or vt == self.reserved


def login_terminals(root: Path) -> LoginTerminals:
    """Return what the files below `root` say; what cannot be read says nothing."""
    folders = [root / folder / "systemd" for folder in _FOLDERS]
    mains = [text for folder in folders if (text := _read(folder / "logind.conf"))]
    # A drop-in of one name in a later folder stands in for the earlier one, and all are read in
    # the order of their names, after the main file.
    drop_ins = {
        file.name: file for folder in folders for file in folder.glob("logind.conf.d/*.conf")
    }
    texts = [*mains[-1:], *(_read(drop_ins[name]) for name in sorted(drop_ins))]
    found = dict(_SETTING.findall("\n".join(texts)))
    return LoginTerminals(int(found.get("NAutoVTs", 6)), int(found.get("ReserveVT", 6)))


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_LIMIT).decode(errors="replace")
    except OSError:
        return ""
