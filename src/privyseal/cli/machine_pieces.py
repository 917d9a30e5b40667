"""Whether the pieces of a companion work: units, terminal, sockets, bus policy, agent. All of it tried."""

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Final

from privyseal.cli.machine_host import Finding, Host
from privyseal.cli.machine_probe import SYSTEM_BUS
from privyseal.cli.units import is_in_unit, unit_names
from privyseal.model.value import encode
from privyseal.runtime.companion import Companion
from privyseal.wire.procfs import parse_cgroup, parse_stat

_SECONDS: Final = 90
_NOBODY: Final = 65534
_TTY_MAJOR: Final = 4
_PRIVATE: Final = 0o600
_PROPERTIES: Final = (
    "Id,LoadState,ActiveState,SubState,UnitFileState,WantedBy,MainPID,ExecMainStatus"
)
_LOGGED_OUT: Final = "75"
_EITHER: Final = frozenset({"active", "inactive"})

Units = Mapping[str, Mapping[str, str]]
Outcomes = Mapping[str, tuple[str, str]]


def pieces(host: Host, companion: Companion) -> Iterator[Finding]:
    """Check the running machine; one that cannot be asked says so as its finding."""
    units = _show(companion)
    if not units:
        yield Finding("systemd", "unknown", "does not answer", "systemctl status")
        return
    yield from judge_units(units, companion)
    yield from _core_limits(host, companion, units)
    owner = host.account(companion.account)
    if owner is not None:
        yield from _terminal(host, companion, owner.uid, units)
        yield from _sockets(host, companion, owner.uid)
    yield from _trials(companion, units)


def systemd_version() -> int:
    """Return the version of systemd, 0 if it cannot be asked."""
    match = re.match(r"systemd (\d+)", _output(["systemctl", "--version"]))
    return int(match[1]) if match else 0


def parse_units(text: str) -> dict[str, dict[str, str]]:
    """Return the properties of each unit in what `systemctl show` prints."""
    units = {}
    for block in re.split(r"\n\s*\n", text):
        properties = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if "Id" in properties:
            units[properties["Id"]] = properties
    return units


def judge_units(units: Units, companion: Companion) -> Iterator[Finding]:
    """Judge the units by their properties."""
    logged_in, away = _logged_in(units, companion), _logged_out(units, companion)
    for unit, when in unit_names(companion.uid).items():
        wanted = when == "boot" or logged_in
        resting = away and when == "login" and "-agent@" not in unit
        states = _EITHER if resting else frozenset({"active"}) if wanted else _EITHER - {"active"}
        yield _judge_unit(unit, units.get(unit, {}), states, boot=when == "boot")
    if away:
        yield Finding("session", "unknown", "the companion is logged out until somebody asks")
    elif not logged_in:
        text = f"{companion.user} is not logged in, so the pieces of the session were not tried"
        yield Finding("session", "unknown", text, f"log in as {companion.user} and check again")


def _logged_in(units: Units, companion: Companion) -> bool:
    return units.get(f"user@{companion.uid}.service", {}).get("ActiveState") == "active"


def _logged_out(units: Units, companion: Companion) -> bool:
    keeper = units.get(f"privyseal-keeper@{companion.uid}.service", {})
    return keeper.get("ActiveState") != "active" and keeper.get("ExecMainStatus") == _LOGGED_OUT


def _judge_unit(
    unit: str, found: Mapping[str, str], states: frozenset[str], *, boot: bool
) -> Finding:
    load, active = found.get("LoadState", "not-found"), found.get("ActiveState", "inactive")
    if load != "loaded":
        return Finding(unit, "broken", f"is not there: {load}", "privy provision")
    if boot and not (found.get("WantedBy") or found.get("UnitFileState") == "enabled"):
        return Finding(
            unit, "broken", "does not start with the machine", f"systemctl enable {unit}"
        )
    if active not in states:
        text = "runs though nobody is logged in" if active == "active" else f"is {active}"
        return Finding(unit, "broken", text, f"systemctl status {unit}")
    return Finding(unit, "ok", f"is {active}")


def _core_limits(host: Host, companion: Companion, units: Units) -> Iterator[Finding]:
    for unit in unit_names(companion.uid):
        pid = units.get(unit, {}).get("MainPID", "0")
        limits = host.text(f"proc/{pid}/limits")
        line = re.search(r"(?m)^Max core file size\s+(\S+)\s+(\S+)", limits)
        if line is not None and line.groups() != ("0", "0"):
            text = f"may leave an image of its memory: limit {line[1]}, at most {line[2]}"
            yield Finding(unit, "broken", text, f"systemctl restart {unit}")


def _terminal(host: Host, companion: Companion, uid: int, units: Units) -> Iterator[Finding]:
    node = host.path(f"dev/tty{companion.vt}")
    name = f"/dev/tty{companion.vt}"
    try:
        status = node.stat()
    except OSError as error:
        yield Finding(
            name, "broken", f"cannot be seen: {error.strerror}", "is there a virtual terminal?"
        )
        return
    mode = stat.S_IMODE(status.st_mode)
    if (status.st_uid, mode) != (uid, _PRIVATE):
        text = f"has mode {mode:04o} and belongs to user {status.st_uid}, not 0600 and {uid}"
        yield Finding(name, "broken", text, f"systemctl restart privyseal-console@{companion.uid}")
    else:
        yield Finding(name, "ok", "0600, the companion's")
    pid = units.get(f"privyseal-console@{companion.uid}.service", {}).get("MainPID", "0")
    try:
        found = parse_stat(host.path(f"proc/{pid}/stat").read_bytes())
    except OSError:
        found = None
    if found is None or found.tty != os.makedev(_TTY_MAJOR, companion.vt):
        text = f"does not hold VT {companion.vt}: {companion.way_in} leads elsewhere"
        hint = f"systemctl restart privyseal-console@{companion.uid}"
        yield Finding("console", "broken", text, hint)
    else:
        yield Finding("console", "ok", f"holds VT {companion.vt}, reached by {companion.way_in}")


def _sockets(host: Host, companion: Companion, uid: int) -> Iterator[Finding]:
    sockets = ((companion.witness, _PRIVATE), (companion.broker, _PRIVATE))
    for place, wanted in (*sockets, (Path(f"/run/privyseal/{companion.uid}"), 0o700)):
        try:
            status = host.path(str(place)).lstat()
        except FileNotFoundError:
            continue  # the unit that makes it was judged
        except OSError as error:
            yield Finding(str(place), "unknown", error.strerror or "", "run it as root")
            continue
        mode = stat.S_IMODE(status.st_mode)
        if (status.st_uid, mode) == (uid, wanted):
            yield Finding(str(place), "ok", f"{mode:04o}, the companion's")
        else:
            text = f"has mode {mode:04o} and belongs to user {status.st_uid}"
            yield Finding(str(place), "broken", text, "privy provision")


def _trials(companion: Companion, units: Units) -> Iterator[Finding]:
    outcomes = probe(companion, companion.uid, _TRIED)
    if outcomes is None:
        text = f"what {companion.user} may do can only be tried by root or {companion.user}"
        yield Finding("trials", "unknown", text, "run it as root")
        return
    yield from judge_refusals(outcomes, companion)
    others = probe(companion, _NOBODY, ("own",))
    if others is not None and others.get("own", ("", ""))[0] != "refused":
        text = "another user may own the keeper's name on the system bus"
        yield Finding("own as another user", "void", text, "privy provision")
    if not _logged_in(units, companion):
        return
    yield _judge_agent(probe(companion, companion.uid, ("agent",)) or {}, companion)
    if _logged_out(units, companion):
        return  # asking would start it again
    yield from judge_asking(probe(companion, companion.uid, ("ask",)) or {}, companion)
    for uid, who in ((_NOBODY, "another user"), (0, "root")):
        strangers = probe(companion, uid, ("ask",))
        if strangers is None:
            yield Finding(f"ask as {who}", "unknown", "only root can try", "run it as root")
        else:
            yield judge_stranger(strangers, who)


_TTY: Final = ("read terminal", "write terminal")
_TRIED: Final = ("own", "private bus", "witness", "broker", "home", *_TTY)
_REFUSED: Final = {
    "own": "owning the keeper's name on the system bus",
    "private bus": "reaching the companion's own bus",
    "witness": "reaching the witness",
    "broker": "reaching the AWS broker",
    "home": "reading the companion's home",
    "read terminal": "reading the console's terminal",
    "write terminal": "writing to the console's terminal",
}
_ABSENT: Final = frozenset({"No such file or directory", "Connection refused"})


def judge_refusals(outcomes: Outcomes, companion: Companion) -> Iterator[Finding]:
    """Judge what the user tried and must not be able to do."""
    for trial, what in _REFUSED.items():
        how, text = outcomes.get(trial, ("failed", "was not tried"))
        if how == "refused":
            yield Finding(trial, "ok", f"{what} is refused to {companion.user}")
        elif how == "failed" and text in _ABSENT:
            yield Finding(trial, "unknown", f"{what}: it is not there now")
        elif how == "failed":
            yield Finding(trial, "broken", f"{what}: {text}", "privy provision")
        else:
            yield Finding(trial, "void", f"{what} works for {companion.user}", "privy provision")


def judge_asking(outcomes: Outcomes, companion: Companion) -> Iterator[Finding]:
    """Judge whether the user reaches the keeper, and which one."""
    how, text = outcomes.get("ask", ("failed", "was not tried"))
    name = f"ask as {companion.user}"
    if how != "done":
        hint = f"systemctl status privyseal-keeper@{companion.uid}"
        yield Finding(name, "broken", f"the keeper does not answer: {text}", hint)
        return
    try:
        status = json.loads(text)
        theirs, mode = str(status["version"]), str(status["mode"])
    except (ValueError, KeyError, TypeError):
        yield Finding(name, "broken", "the keeper's answer is malformed", "privy provision")
        return
    yield Finding(name, "ok", f"the keeper answers, in {mode} mode")
    ours = version("privyseal")
    if theirs != ours:
        hint = f"systemctl restart privyseal-keeper@{companion.uid}"
        yield Finding("versions", "broken", f"the keeper is {theirs}, this command {ours}", hint)
    else:
        yield Finding("versions", "ok", ours)
    if status.get("witness") is False:
        text = "the keeper has no witness: what it knows of programs is only reported"
        yield Finding(
            "evidence", "broken", text, f"systemctl status privyseal-witness@{companion.uid}"
        )
    for trouble in status.get("troubles") or ():
        yield Finding("trouble", "broken", str(trouble))


def judge_stranger(outcomes: Outcomes, who: str) -> Finding:
    """Judge what somebody else got who asked."""
    how, text = outcomes.get("ask", ("failed", "was not tried"))
    if how == "refused":
        return Finding(f"ask as {who}", "ok", "is refused")
    if how == "done":
        return Finding(f"ask as {who}", "void", "the keeper answers", "privy provision")
    return Finding(
        f"ask as {who}", "broken", f"ends otherwise than refused: {text}", "privy provision"
    )


def _judge_agent(outcomes: Outcomes, companion: Companion) -> Finding:
    how, text = outcomes.get("agent", ("failed", "was not tried"))
    hint = f"systemctl status privyseal-agent@{companion.uid}"
    if how != "done":
        return Finding("agent", "broken", f"the session bus does not answer: {text}", hint)
    if not text:
        return Finding("agent", "broken", "nobody serves org.freedesktop.secrets", hint)
    try:
        cgroup = Path(f"/proc/{text}/cgroup").read_bytes()
    except OSError:
        cgroup = b""
    return judge_agent_group(cgroup, text, companion)


def judge_agent_group(cgroup: bytes, pid: str, companion: Companion) -> Finding:
    """Judge by its /proc/PID/cgroup who serves the secrets."""
    unit = f"privyseal-agent@{companion.uid}.service"
    if is_in_unit(cgroup, unit):
        return Finding("agent", "ok", f"serves org.freedesktop.secrets, pid {pid}, in {unit}")
    group = os.fsdecode(parse_cgroup(cgroup) or b"an unknown group")
    text = f"org.freedesktop.secrets is served by pid {pid} in {group}"
    return Finding("agent", "broken", text, "stop that program: it gives secrets out unasked")


def probe(
    companion: Companion, uid: int, names: tuple[str, ...], *, system_bus: str = SYSTEM_BUS
) -> Outcomes | None:
    """Return how trials end for a user; None when we may not act as that user."""
    if os.geteuid() not in {0, uid}:
        return None
    record = encode(companion).decode()
    module = "privyseal.cli.machine_probe"
    words = [sys.executable, "-I", "-m", module, str(uid), record, system_bus, *names]
    text = _output(words)
    try:
        return {name: (str(how), str(seen)) for name, (how, seen) in json.loads(text).items()}
    except (ValueError, AttributeError, TypeError):
        return {}


def sudo_listing(user: str) -> str:
    """Return what sudo itself says that the user may do, "" when it does not say."""
    return _output(["sudo", "-n", "-l", "-U", user]) if os.geteuid() == 0 else ""


def _show(companion: Companion) -> Units:
    names = [*unit_names(companion.uid), f"user@{companion.uid}.service"]
    return parse_units(_output(["systemctl", "show", f"--property={_PROPERTIES}", *names]))


def _output(words: list[str]) -> str:
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C", "SYSTEMD_PAGER": "", "SYSTEMD_COLORS": "0"},
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace")
