"""The checks of `privy doctor` for a user who has a companion."""

import pwd
import shutil
import subprocess
from pathlib import Path
from typing import Final

from privyseal.cli.checkup import SECRETS, Checks, Finding, Machine, program_of
from privyseal.cli.machine_host import Host
from privyseal.cli.machine_secrets import keyrings
from privyseal.cli.units import is_in_unit, unit_names
from privyseal.errors import PrivysealError
from privyseal.runtime.blocking import Json
from privyseal.runtime.blockingbus import Bus
from privyseal.runtime.companionkeeper import CompanionKeeper
from privyseal.runtime.config import SYSTEM_FILE
from privyseal.runtime.wayin import LoggedOutError, WayIn, keeper_uid, system_bus

_SECONDS: Final = 10
_AGAIN: Final = "run `privy provision` again, as root"


class ProvisionedMachine(Machine):
    """A machine on which a companion keeps this user's secrets."""

    def __init__(self, way_in: WayIn) -> None:
        super().__init__()
        self._way_in = way_in
        self._status: Json | None = None
        self._out: LoggedOutError | None = None

    def _checks(self) -> Checks:
        return (
            ("companion", self._companion),
            ("configuration", self._configuration),
            ("system bus", self._system_bus),
            ("keeper", self._keeper),
            ("store", self._store),
            ("witness", self._witness),
            ("troubles", self._troubles),
            ("units", self._units),
            ("session bus", self._session_bus),
            ("agent", self._agent),
            ("activation", self._masked),
            ("notifications", self._notifications),
            ("leftovers", self._leftovers),
            ("ptrace", self._ptrace),
            ("clock", self._clock),
        )

    def _configuration(self, name: str) -> Finding:
        finding = super()._configuration(name)
        files = f"{SYSTEM_FILE} and {self._way_in.config}"
        text = f"{finding.text}, for your agent and commands alone; the keeper reads {files}"
        return finding._replace(text=text)

    def _companion(self, name: str) -> Finding:
        found = self._way_in
        try:
            uid = keeper_uid(found.account)
        except PrivysealError as error:
            return Finding(name, "FAIL", str(error), _AGAIN)
        text = f"{found.account}, UID {uid}, of {found.user}; console: {found.keys}"
        return Finding(name, "ok", text)

    def _system_bus(self, name: str) -> Finding:
        bus = Bus.open(system_bus())
        try:
            owner = bus.owner(self._way_in.bus_name)
            if not owner:
                text = f"nobody owns {self._way_in.bus_name}"
                return Finding(name, "warn", text, "the next request starts the keeper")
            uid = int(bus.ask_bus("GetConnectionUnixUser", owner))
        finally:
            bus.close()
        text = f"{self._way_in.bus_name} is owned by UID {uid}"
        if uid != keeper_uid(self._way_in.account):
            hint = f"it should be {self._way_in.account}'s: {_AGAIN}"
            return Finding(name, "FAIL", text, hint)
        return Finding(name, "ok", text)

    def _keeper(self, name: str) -> Finding:
        try:
            with CompanionKeeper.reach(self._way_in, wake=False) as keeper:
                self._status = keeper.status()
        except LoggedOutError as error:
            self._out = error
            raise
        return self._answers(name, self._status)

    def _store(self, name: str) -> Finding:
        status, hint = self._known(), f"on the console: {self._way_in.keys}"
        if not status["initialised"]:
            return Finding(name, "warn", "there is none yet", f"make it {hint}")
        if status["locked"]:
            return Finding(name, "warn", "is locked", f"unlock it {hint}")
        return Finding(name, "ok", f"unlocked: {status['backend']}")

    def _witness(self, name: str) -> Finding:
        if self._known()["witness"]:
            return Finding(name, "ok", "answers the keeper")
        text = "does not answer: no fact about a requester is verified"
        return Finding(name, "FAIL", text, f"systemctl status privyseal-witness@{self._uid}.socket")

    def _troubles(self, name: str) -> Finding:
        troubles = self._known()["troubles"]
        if troubles:
            return Finding(name, "FAIL", "; ".join(troubles), "stop that program, or its service")
        return Finding(name, "ok", "the keeper knows of none")

    def _units(self, name: str) -> Finding:
        systemctl = shutil.which("systemctl")
        if systemctl is None:
            return Finding(name, "warn", "there is no systemctl to ask")
        # The target only starts the others; they may run without it, once they were asked for.
        units = [unit for unit in unit_names(self._uid) if not unit.endswith(".target")]
        done = subprocess.run(
            [systemctl, "is-active", *units],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        states = done.stdout.split("\n")[: len(units)]
        off = [f"{u} is {s}" for u, s in zip(units, states, strict=False) if s != "active"]
        if len(states) < len(units):
            return Finding(name, "warn", "systemd does not run here")
        if off and self._out is not None and all(line.endswith(" is inactive") for line in off):
            raise self._out
        if off:
            return Finding(name, "FAIL", ", ".join(off), f"systemctl status {off[0].split()[0]}")
        return Finding(name, "ok", f"{len(units)} are active")

    def _agent(self, name: str) -> Finding:
        pid = self._pid(SECRETS)
        unit = f"privyseal-agent@{self._uid}.service"
        if not pid:
            return Finding(name, "FAIL", f"nobody serves {SECRETS}", f"systemctl status {unit}")
        if not is_in_unit(Path(f"/proc/{pid}/cgroup").read_bytes(), unit):
            exe, _ = program_of(pid)
            hint = "stop it: it answers programs in Privyseal's place"
            return Finding(name, "FAIL", f"{SECRETS} is served by {exe}, pid {pid}", hint)
        return Finding(name, "ok", f"{unit}, pid {pid}, serves {SECRETS}")

    def _masked(self, name: str) -> Finding:
        finding = self._activation(name)
        return finding if finding.state == "ok" else finding._replace(hint=_AGAIN)

    def _leftovers(self, name: str) -> Finding:
        host = Host(Path("/"), self._way_in.uid, self._way_in.user)
        home = pwd.getpwuid(self._way_in.uid).pw_dir
        found = [finding for finding in keyrings(host, home) if finding.state != "ok"]
        if found:
            text = "; ".join(finding.text for finding in found)
            return Finding(name, "warn", text, found[0].hint)
        return Finding(name, "ok", "no secrets are left in your home")

    def _known(self) -> Json:
        if self._out is not None:
            raise self._out
        if self._status is None:
            raise PrivysealError("cannot be checked without the keeper")
        return self._status

    @property
    def _uid(self) -> int:
        return self._way_in.uid
