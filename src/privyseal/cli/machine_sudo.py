"""What sudo and doas let a user do: enough of sudoers(5) and doas.conf(5) to find what matters."""

import re
import shlex
from collections.abc import Iterator
from typing import Final, NamedTuple

from privyseal.cli.machine_host import Finding, Host, is_number

_MAX_DEPTH: Final = 8
_ALIAS: Final = re.compile(r"(User|Runas|Host|Cmnd|Cmd)_Alias\s+(.*)")
_INCLUDE: Final = re.compile(r"[@#](includedir|include)\s+(\S+)")
_TAG: Final = re.compile(r"([A-Z_]+)\s*:\s*(.*)")
_RUNAS: Final = re.compile(r"\(([^)]*)\)\s*(.*)")
_OPTION: Final = re.compile(r"(?:ROLE|TYPE|TIMEOUT|CWD|CHROOT|NOTBEFORE|NOTAFTER)\s*=\s*\S+\s*")
_NO_AUTHENTICATION: Final = re.compile(r"(?:^|[\s,])!authenticate\b")

_HARMLESS_WHEN_WHOLE: Final = frozenset({"poweroff", "reboot", "halt", "shutdown", "suspend"})
"""Programs that give nobody root, whatever follows them."""


class Grant(NamedTuple):
    """One command that a user may run as somebody else."""

    command: str
    runas: str
    password: bool


class Sudoers:
    """The rules of /etc/sudoers and what it includes, as far as they concern one user.

    Not judged: hosts (taken to be this one), netgroups and directory services; `sudo -l` with
    root sees those.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._aliases: dict[str, dict[str, str]] = {"User": {}, "Cmnd": {}}
        self._no_password = False
        self._rules: list[str] = []
        for line in self._lines("etc/sudoers", 0):
            self._take(line)

    def grants(self) -> Iterator[Grant]:
        """Yield what the user may run, in the order of the file."""
        for rule in self._rules:
            yield from self._judge(rule)

    def _lines(self, place: str, depth: int) -> Iterator[str]:
        text = self._host.text(place).replace("\\\n", " ")
        for raw in text.splitlines():
            line = raw.strip()
            include = _INCLUDE.fullmatch(line)
            if include is not None and depth < _MAX_DEPTH:
                yield from self._included(include[1], include[2].strip('"'), depth + 1)
            elif line and not re.match(r"#(?![0-9])", line):
                yield re.sub(r"\s#(?![0-9]).*", "", line)

    def _included(self, how: str, place: str, depth: int) -> Iterator[str]:
        place = place if place.startswith("/") else f"etc/{place}"
        if how == "include":
            yield from self._lines(place, depth)
            return
        folder = self._host.path(place)
        try:
            names = sorted(file.name for file in folder.iterdir())
        except OSError:
            return
        for name in names:
            if "." not in name and not name.endswith("~"):  # sudoers(5), "@includedir"
                yield from self._lines(f"{place}/{name}", depth)

    def _take(self, line: str) -> None:
        alias = _ALIAS.fullmatch(line)
        if alias is not None:
            kind = "Cmnd" if alias[1] in {"Cmnd", "Cmd"} else alias[1]
            for definition in alias[2].split(":"):
                name, _, value = definition.partition("=")
                self._aliases.setdefault(kind, {})[name.strip()] = value.strip()
        elif line.startswith("Defaults"):
            whose, _, settings = line.partition(" ")
            who = whose.removeprefix("Defaults").removeprefix(":")
            if _NO_AUTHENTICATION.search(settings) and (not who or self._is_meant(who)):
                self._no_password = True
        elif "=" in line:
            self._rules.append(line)

    def _judge(self, rule: str) -> Iterator[Grant]:
        left, _, right = rule.partition("=")
        words = re.sub(r"\s*,\s*", ",", left).rsplit(None, 1)
        if not words or not self._is_meant(words[0]):
            return
        runas, password = "root", not self._no_password
        for part in _split(right):
            command = part
            match = _RUNAS.match(command)
            if match is not None:
                runas, command = match[1].strip() or self._host.user, match[2]
            command, password = _without_tags(_OPTION.sub("", command), password=password)
            if command and not command.startswith("!"):
                for meant in self._commands(command, 0):
                    yield Grant(meant, runas, password)

    def _commands(self, command: str, depth: int) -> Iterator[str]:
        value = self._aliases["Cmnd"].get(command)
        if value is None or depth >= _MAX_DEPTH:
            yield command
            return
        for part in _split(value):
            if not part.startswith("!"):
                yield from self._commands(part, depth + 1)

    def _is_meant(self, users: str, depth: int = 0) -> bool:
        meant = False
        for raw in users.split(","):
            word = raw.strip().strip('"')
            refused = word.startswith("!")
            if self._matches(word.lstrip("!").strip(), depth):
                meant = not refused
        return meant

    def _matches(self, word: str, depth: int) -> bool:
        host = self._host
        if word.startswith("%#"):
            return is_number(word[2:]) and int(word[2:]) in host.gids
        if word.startswith("%"):
            return word[1:].replace("\\", "") in host.groups
        if word.startswith("#"):
            return word[1:] == str(host.uid)
        alias = self._aliases["User"].get(word)
        if alias is not None and depth < _MAX_DEPTH:
            return self._is_meant(alias, depth + 1)
        return word in {"ALL", host.user}


def sudo(host: Host) -> Iterator[Finding]:
    """Grade what sudo lets the user do."""
    name = "sudo"
    if not host.path("etc/sudoers").exists():
        yield Finding(name, "ok", "is not set up")
        return
    if not host.readable("etc/sudoers"):
        yield Finding(name, "unknown", "/etc/sudoers can only be read by root", "run it as root")
        return
    seen = set()
    for grant in Sudoers(host).grants():
        if grant not in seen:
            seen.add(grant)
            yield judge("sudo", grant)
    if not seen:
        yield Finding(name, "ok", f"lets {host.user} do nothing")


def parse_listing(text: str) -> Iterator[Grant]:
    """Yield the grants in what `sudo -l -U USER` prints."""
    for line in text.splitlines():
        match = re.fullmatch(r"\s+\(([^)]*)\)\s+(.+)", line)
        if match is None:
            continue
        password = True
        for part in _split(match[2]):
            command, password = _without_tags(part, password=password)
            if command and not command.startswith("!"):
                yield Grant(command, match[1], password)


def doas(host: Host) -> Iterator[Finding]:
    """Grade what doas lets the user do; the last rule that fits a command decides."""
    if not host.path("etc/doas.conf").exists():
        return
    if not host.readable("etc/doas.conf"):
        yield Finding(
            "doas", "unknown", "/etc/doas.conf can only be read by root", "run it as root"
        )
        return
    allowed: dict[str, Grant] = {}
    for line in host.text("etc/doas.conf").splitlines():
        rule = _doas_rule(line, host)
        if rule is None:
            continue
        permits, grant = rule
        if grant.command == "ALL":
            allowed.clear()
        allowed.pop(grant.command, None)
        if permits:
            allowed[grant.command] = grant
    for grant in allowed.values():
        yield judge("doas", grant)


def _doas_rule(line: str, host: Host) -> tuple[bool, Grant] | None:
    try:
        words = shlex.split(re.sub(r"\bsetenv\s*\{[^}]*\}", "", line), comments=True)
    except ValueError:
        return None
    if not words or words[0] not in {"permit", "deny"}:
        return None
    options = [word for word in words[1:] if word in {"nopass", "persist", "keepenv", "nolog"}]
    rest = words[1 + len(options) :]
    if not rest or not _is_doas_identity(rest[0], host):
        return None
    runas = rest[rest.index("as") + 1] if "as" in rest[:-1] else "root"
    command = rest[rest.index("cmd") + 1] if "cmd" in rest[:-1] else "ALL"
    return words[0] == "permit", Grant(command, runas, "nopass" not in options)


def _is_doas_identity(word: str, host: Host) -> bool:
    return word[1:] in host.groups if word.startswith(":") else word in {host.user, str(host.uid)}


def judge(tool: str, grant: Grant) -> Finding:
    """Grade one command that the user may run as somebody else."""
    program = grant.command.split()[0].rpartition("/")[2]
    what = "every command" if grant.command == "ALL" else f"{grant.command!r}"
    whom = grant.runas.partition(":")[0].strip() or "root"
    check = f"{tool}: {grant.command}"
    text = f"{what} as {whom}"
    if grant.password:
        meaning = "with a password, which whatever reads the keyboard of the session can learn"
        hint = "become root on a terminal of its own, as another user, and take this right away"
        return Finding(check, "weak", f"{text}, {meaning}", hint)
    if program in _HARMLESS_WHEN_WHOLE:
        return Finding(check, "weak", f"{text}, without a password", "it can end the machine")
    if whom not in {"ALL", "root", "#0"}:
        meaning = "without a password: what that user may do, every program of this one may"
        return Finding(check, "weak", f"{text}, {meaning}", f"remove it from the rules of {tool}")
    if grant.command == "ALL":
        meaning = "without a password: every program of the user is root"
    else:
        meaning = (
            "without a password: most programs run as root can be made to read or write any file"
        )
    return Finding(check, "void", f"{text}, {meaning}", f"remove it from the rules of {tool}")


def _without_tags(command: str, *, password: bool) -> tuple[str, bool]:
    """Return a command, and whether it takes a password after the tags before it."""
    while (tag := _TAG.match(command)) is not None:
        if tag[1] in {"NOPASSWD", "PASSWD"}:
            password = tag[1] == "PASSWD"
        command = tag[2]
    return command, password


def _split(text: str) -> Iterator[str]:
    """Yield the parts between commas, of which some are escaped or stand in brackets."""
    part, depth, escaped = "", 0, False
    for letter in text:
        if letter == "," and not depth and not escaped:
            yield part.strip()
            part = ""
            continue
        depth += (letter == "(") - (letter == ")")
        escaped = letter == "\\" and not escaped
        part += letter
    if part.strip():
        yield part.strip()
