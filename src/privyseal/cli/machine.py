"""`privy provision --check`: do the pieces of a companion work, and what is the machine worth.

The grading reads files below a root folder; the pieces are tried on the machine that runs. Nothing
is changed. Root sees more: each finding that wants root says so.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, Literal

from privyseal.cli.machine_account import account, import_path, loaded_from
from privyseal.cli.machine_files import devices, precious, setuid
from privyseal.cli.machine_groups import groups, polkit
from privyseal.cli.machine_host import Finding, Host, State
from privyseal.cli.machine_kernel import attention, kernel, logind, memory_on_disk
from privyseal.cli.machine_pieces import pieces, sudo_listing, systemd_version
from privyseal.cli.machine_running import grabbers
from privyseal.cli.machine_secrets import keyrings
from privyseal.cli.machine_sudo import doas, judge, parse_listing, sudo
from privyseal.cli.report import AMBER, GREEN, RED, paint, print_json
from privyseal.errors import PrivysealError
from privyseal.runtime.companion import Companion
from privyseal.wire.sanitise import fit

Grade = Literal["sound", "weak", "void"]

_MEANING: Final[dict[Grade, str]] = {
    "sound": "no program of {user} can read, decide or watch on the console",
    "weak": "a program of {user} can watch, disturb or prepare, not decide",
    "void": "a program of {user} can decide or read: the second user protects nothing until that ends",
}
_WORDS: Final[dict[State, tuple[str, str]]] = {
    "ok": ("ok", GREEN),
    "weak": ("weak", AMBER),
    "void": ("VOID", RED),
    "broken": ("FAIL", RED),
    "unknown": ("?", AMBER),
}
_WRONG: Final = frozenset({"weak", "void", "broken"})
_WIDE: Final = 300

Check = Callable[[], Iterator[Finding]]


def report(companion: Companion, root: Path = Path("/")) -> list[Finding]:
    """Return everything that was found about a companion and the machine it lives on.

    Below another root than `/` only files are read: nothing is started, asked or tried.
    """
    host = Host(root, companion.uid, companion.user)
    live = root == Path("/")
    checks: list[tuple[str, Check]] = [("account", lambda: account(host, companion))]
    if live:
        checks += [
            ("pieces", lambda: pieces(host, companion)),
            ("import path", lambda: iter([import_path(loaded_from())])),
        ]
    checks += _grading(host, companion, live=live)
    return [finding for name, check in checks for finding in _tried(name, check)]


def grade(findings: Sequence[Finding]) -> Grade:
    """Return the worst that was found about the machine; a broken piece does not count here."""
    states = {finding.state for finding in findings}
    return "void" if "void" in states else "weak" if "weak" in states else "sound"


def wrong(findings: Sequence[Finding]) -> bool:
    """Return whether anything is not as it should be; what could not be seen does not count."""
    return any(finding.state in _WRONG for finding in findings)


def show(
    findings: Sequence[Finding], companion: Companion, *, as_json: bool, verbose: bool = False
) -> int:
    """Print what is wrong, or with `verbose` every finding, and the grade.

    Returns the exit status: 1 when anything is wrong.
    """
    status = int(wrong(findings))
    reached = grade(findings)
    works = not any(finding.state == "broken" for finding in findings)
    if as_json:
        print_json(
            {
                "user": companion.user,
                "grade": reached,
                "works": works,
                "findings": [finding._asdict() for finding in findings],
            }
        )
        return status
    for finding in findings:
        if verbose or finding.state in _WRONG:
            _line(finding.state, f"{finding.check}: {finding.text}", finding.hint)
    if not verbose:
        _sum_up(findings)
    print(f"{companion.user}: {reached}: {_MEANING[reached].format(user=companion.user)}")
    if not works:
        print(f"{companion.user}: pieces marked FAIL do not work")
    return status


def _sum_up(findings: Sequence[Finding]) -> None:
    hidden = [finding for finding in findings if finding.state == "unknown"]
    fine = sum(finding.state == "ok" for finding in findings)
    if hidden:
        names = ", ".join(dict.fromkeys(finding.check for finding in hidden))
        hint = "" if os.getuid() == 0 else "run it as root"
        _line("unknown", f"{len(hidden)} could not be seen: {names}", hint)
    _line("ok", f"{fine} checks found what they should; --verbose lists them")


def _line(state: State, text: str, hint: str = "") -> None:
    word, colour = _WORDS[state]
    print(f"{paint(f'{word:4}', colour, sys.stdout)}  {fit(text, _WIDE)}")
    if hint and state != "ok":
        print(f"      try: {fit(hint, _WIDE)}")


def _grading(host: Host, companion: Companion, *, live: bool) -> list[tuple[str, Check]]:
    user = host.account(companion.user)
    checks: list[tuple[str, Check]] = []
    if user is None:
        text = f"there is no user {companion.user} in /etc/passwd; only some checks are possible"
        checks.append(("user", lambda: iter([Finding("user", "unknown", text)])))
    elif user.uid != companion.uid:
        text = f"{companion.user} is user {user.uid}, the companion is of {companion.uid}"
        again = Finding("user", "broken", text, "privy provision")
        checks.append(("user", lambda: iter([again])))
    checks += [
        ("sudo", lambda: sudo(host)),
        ("doas", lambda: doas(host)),
        ("groups", lambda: groups(host)),
        ("polkit", lambda: polkit(host)),
        ("files", lambda: precious(host)),
        ("devices", lambda: devices(host, companion.vt)),
        ("kernel", lambda: kernel(host)),
        ("attention", lambda: iter([attention(host, systemd_version() if live else 0)])),
        ("memory", lambda: memory_on_disk(host)),
        ("logind", lambda: logind(host, companion.vt)),
        ("key grabbers", lambda: grabbers(host)),
    ]
    if user is not None:
        home = user.home
        checks.append(("setuid", lambda: setuid(host, host.path(str(home)))))
        checks.append(("leftovers", lambda: keyrings(host, str(home))))
    if live:
        checks.append(("sudo -l", lambda: _listed(host)))
    return checks


def _listed(host: Host) -> Iterator[Finding]:
    known = {finding.check for finding in sudo(host)}
    for grant in parse_listing(sudo_listing(host.user)):
        finding = judge("sudo", grant)
        if finding.check not in known:
            yield finding


def _tried(name: str, check: Check) -> Iterator[Finding]:
    try:
        yield from check()
    except PrivysealError as error:
        yield Finding(name, "unknown", str(error), error.hint)
    except OSError as error:
        yield Finding(name, "unknown", f"cannot be checked: {error.strerror}", "run it as root")
