"""A machine below a folder: accounts in its files, commands that do what the real ones do there."""

from pathlib import Path

from privyseal.cli.provision_host import Account, Heard, Host

_PASSWD = "root:x:0:0:root:/root:/bin/sh\n"


class FakeHost(Host):
    """Stands in for a machine with systemd, a system bus, and the users alice and bob."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.chmod(0o755)
        self.ran: list[tuple[str, ...]] = []
        self.terminals: set[int] = set()
        self.active: set[str] = set()
        self.broken: set[str] = set()
        self.places: list[Path] = []
        self.session = ""  # what the user's own side prints
        for folder in ("etc/pam.d", "run/systemd/system", "run/dbus", "usr/bin", "var/lib", "dev"):
            (root / folder).mkdir(parents=True)
        (root / "etc/systemd").mkdir()
        (root / "etc/passwd").write_text(_PASSWD)
        (root / "etc/passwd-").write_text("root:x:0:0::/:/bin/sh\n")
        (root / "etc/pam.d/common-session").write_text("session required pam_unix.so\n")
        (root / "usr/bin/dbus-daemon").touch()
        (root / "run/dbus/system_bus_socket").touch()
        (root / "dev/tty0").touch()
        self.add("alice", 1000)
        self.add("bob", 1001)

    def add(self, name: str, uid: int, home: str = "", login: str = "/bin/sh") -> None:
        """Add an account, and its home if that is the usual one."""
        passwd = self.root / "etc/passwd"
        line = f"{name}:x:{uid}:{uid}::{home or f'/home/{name}'}:{login}\n"
        if not home:
            (self.root / "home" / name).mkdir(parents=True)
        passwd.write_text(passwd.read_text() + line)

    def code(self) -> list[Path]:
        return self.places

    def accounts(self) -> list[Account]:
        lines = (self.root / "etc/passwd").read_text().splitlines()
        fields = [line.split(":") for line in lines]
        return [Account(f[0], int(f[2]), int(f[3]), f[5], f[6]) for f in fields]

    def account(self, name: str) -> Account | None:
        return next((account for account in self.accounts() if account.name == name), None)

    def hear(self, *words: str) -> Heard:
        self.ran.append(words)
        if words[0] in self.broken:
            return Heard(complaint="it is broken")
        passwd = self.root / "etc/passwd"
        match words:
            case ("systemd-sysusers", entry):
                uid = Path(entry).stem.removeprefix("privyseal-")
                self._aside()
                self.add(f"privyseal-{uid}", int(uid) - 100, f"/var/lib/privyseal/{uid}")
            case ("userdel", name):
                self._aside()
                lines = passwd.read_text().splitlines(keepends=True)
                passwd.write_text("".join(li for li in lines if not li.startswith(f"{name}:")))
            case ("systemctl", "is-active", "--quiet", unit):
                return Heard(complaint="" if unit in self.active else "inactive")
            case ("runuser", *_):
                return Heard(self.session)
            case _:
                pass
        return Heard()

    def open_terminals(self) -> set[int]:
        return self.terminals

    def _aside(self) -> None:
        for name in ("passwd-", "group-"):
            (self.root / "etc" / name).write_bytes((self.root / "etc/passwd").read_bytes())
            (self.root / "etc" / name).chmod(0o600)
