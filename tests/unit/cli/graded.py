"""A machine below a folder in which nothing is wrong, until something is planted."""

import os
from pathlib import Path

from privyseal.cli.machine import report
from privyseal.cli.machine_host import Finding
from privyseal.runtime.companion import Companion

ALICE = Companion(uid=47110, user="alice", vt=8)


class Machine:
    """A tree in which nothing is wrong, until something is planted."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write(
            "etc/passwd",
            f"alice:x:47110:47110::/home/alice:/bin/bash\n"
            f"privyseal-47110:x:{os.getuid()}:900::/var/lib/privyseal/47110:/usr/sbin/nologin\n",
        )
        self.write("etc/group", "alice:x:47110:\nprivyseal:x:900:\n")
        self.write("etc/shadow", "alice:$6$x:1::::::\nprivyseal-47110:!*:1::::::\n")
        self.write("etc/sudoers", "root ALL=(ALL:ALL) ALL\n")
        for name, value in {
            "kernel/yama/ptrace_scope": "1",
            "kernel/kptr_restrict": "1",
            "kernel/sysrq": "438",
            "kernel/osrelease": "6.12.5-amd64",
            "kernel/core_pattern": "core",
            "dev/tty/legacy_tiocsti": "0",
        }.items():
            self.write(f"proc/sys/{name}", f"{value}\n")
        self.write("proc/swaps", "Filename Type Size Used Priority\n")
        self.folder("var/lib/privyseal/47110").chmod(0o700)
        self.folder("home/alice")

    def write(self, place: str, text: str, mode: int = 0o644) -> Path:
        path = self.root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path

    def folder(self, place: str) -> Path:
        path = self.root / place
        path.mkdir(parents=True, exist_ok=True)
        return path

    def join(self, group: str) -> None:
        groups = self.root / "etc/group"
        groups.write_text(f"{groups.read_text()}{group}:x:77:bob,alice\n")

    def findings(self) -> list[Finding]:
        return [f for f in report(ALICE, self.root) if f.state != "ok"]

    def only(self) -> Finding:
        [finding] = self.findings()
        return finding
