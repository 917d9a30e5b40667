"""`privy service`: make Privyseal permanent for this user, take it back, say how it stands."""

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from privyseal.cli.deployment import KEYRING_UNIT, UNITS, Places, wanted
from privyseal.cli.journal import Change, Journal, difference, look
from privyseal.cli.reach import no_companion, way_in
from privyseal.errors import PrivysealError
from privyseal.runtime.bus import DBUS, DBUS_PATH, Connection
from privyseal.runtime.names import SECRETS, Names
from privyseal.runtime.paths import data_home, state_home
from privyseal.wire.keeper import BUS_NAME

_SECONDS: Final = 30
_LATER: Final = "no systemd user manager runs here: this takes effect at the next login"


@click.group(name="service")
def command() -> None:
    """Make Privyseal permanent for this user, or take it back."""


@command.command()
@click.option(
    "--backend",
    type=click.Choice(["embedded", "gnome-keyring"]),
    default="embedded",
    show_default=True,
    help="Where secrets lie.",
)
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@click.option("--start/--no-start", default=True, help="Start it at once.", show_default=True)
@click.option("--companion", is_flag=True, hidden=True, help="As `privy provision` wants it.")
def install(*, backend: str, dry_run: bool, start: bool, companion: bool) -> int:
    """Start keeper and agent with every login, in place of another Secret Service."""
    if not companion:
        no_companion("nothing to install here")
    journal = Journal(_journal_path())
    if companion and _units(journal.read().changes):
        if dry_run:
            print("would first take back the installation in own-session mode")
            _show_change_of_mode(journal.read().changes)
            return 0
        _take_back(journal)
    options = ("--backend", backend) if backend != "embedded" else ()
    record = journal.plan(wanted(Places.of_this_user(), options, companion=companion))
    pending = [change for change in record.changes if look(Path(change.path)) != change.after]
    commands = []
    if start:
        commands = _reloading() if companion else _starting(anew=bool(pending))
    if dry_run:
        for change in pending:
            print(difference(change.path, look(Path(change.path)), change.after))
        _would_run(commands)
        return 0
    journal.apply(record)
    for change in pending:
        print(f"wrote {change.path}")
    if not pending:
        print("installed already")
    _run_all(commands)
    return 0


@command.command()
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
def uninstall(*, dry_run: bool) -> int:
    """Put every file back as it was before the install."""
    journal = Journal(_journal_path())
    changes = journal.read().changes
    if not changes:
        print("not installed")
        return 0
    if dry_run:
        _show_undo(changes)
        _would_run([*_stopping(_units(changes)), *_reloading()])
        return 0
    kept = _take_back(journal)
    for folder in (data_home(), state_home()):
        if folder.exists():
            print(f"what was stored and recorded stays in {folder}")
    return 1 if kept else 0


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, in the schema of the guide.")
def status(*, as_json: bool) -> int:
    """Say what runs, who owns the names, and what is not as it should be."""
    changes = Journal(_journal_path()).read().changes
    problems = [f"{c.path} is not as installed" for c in changes if _differs(c)]
    problems += [] if changes else _leftovers()
    owners = asyncio.run(_owners())
    units = {unit: _unit_state(unit) for unit in (_units(changes) if changes else UNITS)}
    if changes and _manager_runs():
        problems += [f"{unit} is {state}" for unit, state in units.items() if state != "active"]
    report: dict[str, Any] = {
        "installed": bool(changes),
        "units": units,
        "owners": owners,
        "problems": problems,
    }
    if as_json:
        print(json.dumps(report))
    else:
        _print_report(report)
        companion = way_in()
        if companion is not None:
            print(f"companion  {companion.account}: see `privy status` and `privy doctor`")
    return 1 if problems else 0


def _print_report(report: dict[str, Any]) -> None:
    print(f"installed  {'yes' if report['installed'] else 'no'}")
    for unit, state in report["units"].items():
        print(f"unit       {unit}: {state}")
    for name, owner in report["owners"].items():
        print(f"name       {name}: {owner}")
    for problem in report["problems"]:
        print(f"problem    {problem}")


def _show_undo(changes: Sequence[Change]) -> None:
    for change in reversed(changes):
        now = look(Path(change.path))
        if now == change.after:
            print(difference(change.path, now, change.before))


def _show_change_of_mode(changes: Sequence[Change]) -> None:
    """Print what taking back an own-session installation changes, then what the companion's does."""
    _show_undo(changes)
    put_back = {change.path: change.before for change in changes if not _differs(change)}
    for path, after in wanted(Places.of_this_user(), companion=True).items():
        old = put_back[str(path)] if str(path) in put_back else look(path)
        if old != after:
            print(difference(str(path), old, after))


def _take_back(journal: Journal) -> list[str]:
    """Undo an installation; return the paths that somebody changed since and that stay."""
    changes = journal.read().changes
    _run_all(_stopping(_units(changes)))
    kept = journal.undo()
    _run_all(_reloading())
    for path in kept:
        print(f"kept, because it was changed since the install: {path}")
    print(f"{len(changes) - len(kept)} files put back")
    return kept


def _units(changes: Sequence[Change]) -> list[str]:
    """Return which of our units an installation holds: none of a user with a companion."""
    names = {Path(change.path).name for change in changes}
    return [unit for unit in UNITS if unit in names]


def _journal_path() -> Path:
    return state_home() / "service.json"


def _differs(change: Change) -> bool:
    try:
        return look(Path(change.path)) != change.after
    except PrivysealError:
        return True


def _leftovers() -> list[str]:
    """Return files that only an install of ours writes, though no journal knows them."""
    places = Places.of_this_user()
    masks = wanted(places, companion=True)
    return [
        f"{path} is left over from an install"
        for path, entry in wanted(places).items()
        if look(path) in {entry, masks.get(path)} - {None}
        or (path.name in UNITS and look(path) is not None)
    ]


def _systemctl(*words: str) -> list[str]:
    return ["systemctl", "--user", *words]


def _reloading() -> list[list[str]]:
    return [_systemctl("daemon-reload"), _systemctl("try-restart", KEYRING_UNIT)]


def _starting(*, anew: bool) -> list[list[str]]:
    # A restart locks the store: it is done only where the units have changed.
    return [*_reloading(), _systemctl("restart" if anew else "start", *UNITS)]


def _stopping(units: list[str]) -> list[list[str]]:
    return [_systemctl("stop", *reversed(units))] if units else []


def _would_run(commands: list[list[str]]) -> None:
    if commands and not _manager_runs():
        print(_LATER)
        return
    for words in commands:
        print(f"would run: {' '.join(words)}")


def _manager_runs() -> bool:
    return shutil.which("systemctl") is not None and _run(_systemctl("show-environment")) == ""


def _run_all(commands: list[list[str]]) -> None:
    if not commands:
        return
    asyncio.run(_reload_bus())
    if not _manager_runs():
        print(_LATER)
        return
    for words in commands:
        if complaint := _run(words):
            print(f"{' '.join(words)}: {complaint}")


def _run(words: list[str]) -> str:
    """Run a command; return "" when it went well, else its last words."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"no answer within {_SECONDS} seconds"
    if done.returncode == 0:
        return ""
    return done.stderr.strip().rpartition("\n")[2] or f"status {done.returncode}"


def _unit_state(unit: str) -> str:
    if shutil.which("systemctl") is None:
        return "unknown (no systemd)"
    done = subprocess.run(
        _systemctl("is-active", unit), capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    return done.stdout.strip() or "unknown (no systemd user manager)"


async def _reload_bus() -> None:
    """Let the session bus read its activation files anew; without a bus there is nothing to do."""
    try:
        async with asyncio.TaskGroup() as group:
            connection = await Connection.open(group)
            await connection.call(DBUS, DBUS_PATH, DBUS, "ReloadConfig")
            connection.close()
    except ExceptionGroup:
        return


async def _owners() -> dict[str, str]:
    owners = dict.fromkeys((BUS_NAME, SECRETS), "no session bus")
    try:
        async with asyncio.TaskGroup() as group:
            connection = await Connection.open(group)
            names = Names(connection)
            for name in owners:
                pid = await names.pid(name)
                owners[name] = f"{_program(pid)} (pid {pid})" if pid else "nobody"
            connection.close()
    except ExceptionGroup:
        return owners
    return owners


def _program(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return "a process that cannot be seen"
    module = words.index(b"-m") + 1 if b"-m" in words[:-1] else 0
    name = os.fsdecode(words[module] if module else Path(os.fsdecode(words[0])).name)
    return "".join(c if c.isprintable() else "?" for c in name)
