"""Turns what the witness read of a process into evidence: facts with grades, in a person's words.

Pure: no I/O. A fact is *verified* when the kernel keeps it and the process cannot choose it. Its
command line, the script named there and the unit that the user's own service manager put it in are
the requester's or its session's word, and so are *reported*.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

import msgspec

from privyseal.model.evidence import Evidence, Fact, Grade, ProcessRef, Program
from privyseal.model.value import Name, Text, Value
from privyseal.wire.procfs import GRAMMARS, interpreter

MAX_VALUE: Final = 2000
MAX_REPORTED: Final = 16
MAX_PARENTS: Final = 16
UNAIDED: Final = "~"
"""What the image of evidence starts with that no witness gave; the rest is the process's name."""

_UNSET: Final = 2**32 - 1
_LAST_SECOND: Final = 253_402_300_799  # of the year 9999, where datetime ends
_AGENTS: Final = frozenset({
    "aider", "amp", "claude", "claude-code", "codex", "copilot", "crush", "cursor-agent", "gemini",
    "gemini-cli", "goose", "opencode", "openhands", "qwen",
})  # fmt: skip
_FOR_ONE: Final = {"PYTHON": "python", "NODE": "node", "PERL": "perl", "RUBY": "ruby"}
_CONTAINER: Final = re.compile(
    r"(?:^|/)(docker|libpod|crio|cri-containerd|lxc\.payload|lxc|machine(?=-))[-./]([\w.:-]+)"
)
_UNIT: Final = re.compile(r"[^/]+\.(?:service|scope)")
_LOGIN: Final = re.compile(r"^/user\.slice/user-[0-9]+\.slice/session-[^/]+\.scope$")
_FLATPAK_SCOPE: Final = re.compile(r"/app-flatpak-([^/]+)-[0-9]+\.scope")
_FLATPAK: Final = re.compile(r"^name=(\S+)$", re.MULTILINE)

Writers = tuple[Literal["", "user", "others"], Text | None]


class Relative(Value, frozen=True):
    """A process near the requester; without all but `pid` and `start` it has exited or is hidden."""

    pid: int
    start: int
    comm: Text | None = None
    path: Text | None = None
    genuine: bool = False
    arguments: tuple[Text, ...] = ()
    uid: int | None = None
    session: int | None = None


class Script(Value, frozen=True):
    """The file that an interpreter's command line names; no hash when it is too large."""

    path: Text
    sha256: Name
    modified: int
    writers: Writers | None


class Statement(Value, frozen=True):
    """One answer of the witness; None is what it could not read."""

    id: int
    state: Literal["alive", "unsteady", "gone", "refused"]
    pid: int = 0
    start: int | None = None
    image: Name = ""
    exe: tuple[int, int] | None = None
    mounts: int | None = None
    uids: tuple[int, ...] = ()
    comm: Text | None = None
    arguments: tuple[Text, ...] = ()
    cwd: Text | None = None
    parents: Annotated[tuple[Relative, ...], msgspec.Meta(max_length=MAX_PARENTS)] = ()
    session: Relative | None = None
    tty: int = 0
    cgroup: Text | None = None
    flatpak: Text | None = None
    label: Text | None = None
    tracer: Relative | None = None
    taints: tuple[Name, ...] | None = None
    environment_cut: bool = False
    login: int | None = None
    audit_session: int | None = None
    path: Text | None = None
    ours: bool | None = None
    here: bool = False
    deleted: bool = False
    memory: bool = False
    owner: int = 0
    mode: int = 0
    writers: Writers | None = None
    interpreter: Name = ""
    code: Name = ""
    word: Text | None = None
    script: Script | None = None

    @property
    def genuine(self) -> bool:
        """Whether its path names, for everybody on this system, the very file it runs."""
        return bool(self.path and self.ours and self.here and not self.deleted)


def absent(why: str) -> Evidence:
    """Return the evidence on a requester of which nothing could be read."""
    return Evidence(
        summary=f"unknown program ({why})",
        facts=(Fact(grade="warning", name="no evidence", value=why),),
    )


def as_reported(facts: Sequence[Fact]) -> tuple[Fact, ...]:
    """Return what a face claims, with the grade that claims have and no longer than facts are."""
    return tuple(
        Fact(grade="reported", name=fact.name, value=_short(fact.value))
        for fact in facts[:MAX_REPORTED]
    )


def evidence(seen: Statement) -> Evidence:
    """Return what the testimony says of a living process."""
    facts = (*_program(seen), *_surroundings(seen), *_warnings(seen))
    program = None
    if seen.exe is not None and seen.mounts is not None and seen.uids:
        program = Program(
            uid=seen.uids[0],
            exe_device=seen.exe[0],
            exe_inode=seen.exe[1],
            mount_namespace=seen.mounts,
            script_sha256=seen.script.sha256 if seen.script else "",
            cgroup=seen.cgroup or "",
            anchor=_anchor(seen),
        )
    warned = any(fact.grade == "warning" for fact in facts)
    return Evidence(
        summary=_short(_summary(seen), 200),
        process=None if seen.start is None else ProcessRef(pid=seen.pid, start_ticks=seen.start),
        program=program,
        image=seen.image,
        trusted=program is not None and not warned,
        facts=facts,
    )


def unaided(seen: Statement) -> Evidence:
    """Return what there is to say of a living process where no witness looked at it.

    User and control group are the kernel's word to everybody. Which program it runs is not known,
    so there is none to trust, and its own name is all that may show that it executed another.
    """
    uid = seen.uids[0] if seen.uids else "unknown"
    return Evidence(
        summary=_short(f"unknown program (calls itself {seen.comm})", 200),
        process=ProcessRef(pid=seen.pid, start_ticks=seen.start or 0),
        image=UNAIDED + (seen.comm or ""),
        facts=(
            _fact("warning", "no witness", "which program asks cannot be verified just now"),
            _fact("reported", "calls itself", seen.comm or ""),
            *_group(seen),
            _fact("verified", "user", f"uid {uid}"),
        ),
    )


def _anchor(seen: Statement) -> ProcessRef | None:
    if seen.session is None:
        return None
    return ProcessRef(pid=seen.session.pid, start_ticks=seen.session.start)


def _fact(grade: Grade, name: str, value: str) -> Fact:
    return Fact(grade=grade, name=name, value=_short(value))


def _short(value: str, limit: int = MAX_VALUE) -> str:
    return value if len(value) <= limit else value[: limit - 1] + "…"


def _base(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def _summary(seen: Statement) -> str:
    if not seen.genuine:
        return f"unknown program (calls itself {_base(seen.path or '') or seen.comm or 'nothing'})"
    name = _base(seen.path or "")
    if seen.script is not None:
        return f"{name} {_base(seen.script.path)}"
    if seen.interpreter:
        return f"{name} {seen.word}" if seen.word else name
    return " ".join((name, *seen.arguments[1:2]))


def _program(seen: Statement) -> Iterator[Fact]:
    if seen.path is None:
        yield _fact("warning", "program", "cannot be read: no permission, or it is exiting")
    elif seen.genuine:
        yield _fact("verified", "program", seen.path)
    elif seen.memory:
        yield _fact("warning", "program", f"runs from memory, no file of this system: {seen.path}")
    elif seen.deleted:
        yield _fact("warning", "program", f"its file was deleted or replaced: {seen.path}")
    elif not seen.ours:
        here = "is the same file here" if seen.here else "is NOT the file of that name here"
        said = f"sees other files than this system: what it calls {seen.path} {here}"
        yield _fact("warning", "program", said)
    else:
        yield _fact("warning", "program", f"is not the file that {seen.path} names")
    if seen.path is not None:
        yield _fact("verified", "program file", f"owned by uid {seen.owner}, mode {seen.mode:03o}")
        yield from _changeable("program file", seen.writers, user_matters=True)
    yield from _script(seen)
    if seen.arguments:
        yield _fact("reported", "command", " ".join(map(_quoted, seen.arguments)))
    if seen.cwd is not None:
        yield _fact("verified", "folder", seen.cwd)


def _script(seen: Statement) -> Iterator[Fact]:
    if not seen.interpreter:
        return
    if seen.script is not None:
        changed = min(max(seen.script.modified, 0), _LAST_SECOND)  # its user sets it at will
        when = datetime.fromtimestamp(changed, UTC).strftime("%Y-%m-%d %H:%M UTC")
        digest = seen.script.sha256 or "too large to hash"
        yield _fact("reported", "script", f"{seen.script.path}, changed {when}, sha256 {digest}")
        yield from _changeable("script file", seen.script.writers, user_matters=False)
        if not seen.script.sha256:
            yield _fact("warning", "script", "too large to be told from another")
    elif seen.code == "file":
        yield _fact("warning", "script", f"cannot be read: {seen.word}")
    elif seen.code == "code":
        yield _fact("warning", "script", f"code on the command line ({seen.word})")
    else:
        yield _fact("warning", "script", "an interpreter, and what it runs is not known")


def _changeable(name: str, writers: Writers | None, *, user_matters: bool) -> Iterator[Fact]:
    if writers is None:
        return
    who, place = writers
    if who == "others":
        yield _fact("warning", name, f"other users can change it, through {place}")
    elif who == "user":
        grade: Grade = "warning" if user_matters else "verified"
        yield _fact(grade, name, f"its own user can change it, through {place}")


def _surroundings(seen: Statement) -> Iterator[Fact]:
    yield from _group(seen)
    yield from _parents(seen)
    terminal = _terminal(seen.tty) if seen.tty else ""
    if seen.session is not None and seen.session.pid != seen.pid:
        kind, on = ("terminal session", f" on {terminal}") if terminal else ("session", "")
        yield _fact("verified", "started in", f"the {kind} of {_called(seen, seen.session)}{on}")
    elif terminal:
        yield _fact("verified", "terminal", terminal)
    who = [f"uid {seen.uids[0]}"] if seen.uids else []
    if seen.login not in {None, _UNSET}:
        who.append(f"login uid {seen.login}, session {seen.audit_session}")
    if who:
        yield _fact("verified", "user", "; ".join(who))


def _group(seen: Statement) -> Iterator[Fact]:
    group = seen.cgroup or ""
    # Below user@N.service the user's own manager makes groups, with any name it likes.
    grade: Grade = "reported" if "/user@" in group else "verified"
    if units := _UNIT.findall(group):
        yield _fact(grade, "unit", units[-1])
    elif group.strip("/"):
        yield _fact(grade, "control group", group)
    if container := _CONTAINER.search(group):
        yield _fact(grade, "container", f"{container[1]} {container[2]}")
    if name := _FLATPAK.search(seen.flatpak or "") or _FLATPAK_SCOPE.search(group):
        yield _fact("reported", "Flatpak", name[1])
    if seen.label and seen.label.startswith("snap."):
        yield _fact("reported", "Snap", seen.label.split()[0].removeprefix("snap."))


def _called(seen: Statement, relative: Relative) -> str:
    if relative.comm is None:
        return f"process {relative.pid} (exited or hidden)"
    if relative.path is not None and relative.genuine:
        return _quoted(_base(relative.path))
    # Only root names a process whose real user is root; a user's own may call themselves anything.
    known = relative.uid == 0 and 0 not in seen.uids[:1]
    return _quoted(relative.comm) + ("" if known else " (unverified)")


def _parents(seen: Statement) -> Iterator[Fact]:
    session = seen.session.pid if seen.session else None
    user = seen.uids[0] if seen.uids else None
    child = Relative(pid=seen.pid, start=seen.start or 0, session=session, uid=user)
    at_login = _LOGIN.search(seen.cgroup or "") is not None and user
    chain, orphan = "", 0
    for parent in seen.parents:
        adopted = child.session not in {parent.session, child.pid, None}
        # In a login session the first process starts nothing that runs as the user.
        adopted = adopted or bool(at_login and parent.pid == 1 and child.uid == user)
        orphan = orphan or (child.pid if adopted else 0)
        new = child.session == child.pid and parent.session is not None
        steps = ["new session"] * new + ["adopted by"] * adopted
        chain += f" <{', '.join(steps)}< " if steps else " < "
        chain += _called(seen, parent)
        if user is not None and parent.uid not in {user, None}:
            chain += f" (uid {parent.uid})"
        child = parent
    yield _fact("verified", "parents", chain.removeprefix(" < ").strip() or "cannot be read")
    if len(seen.parents) == MAX_PARENTS and seen.parents[-1].pid != 1:
        yield _fact("warning", "parents", f"more than {MAX_PARENTS}; those above are not shown")
    if orphan:
        who = "it" if orphan == seen.pid else f"process {orphan} above it"
        yield _fact("verified", "broken chain", f"the program that started {who} has exited")


def _terminal(number: int) -> str:
    # tty_nr of proc(5): the minor number lies in bits 31-20 and 7-0, the major in 15-8.
    major, minor = number >> 8 & 0xFFF, number & 0xFF | number >> 12 & 0xFFF00
    if 136 <= major <= 143:  # noqa: PLR2004  # Unix98 pseudo-terminals (Linux devices.txt)
        return f"pts/{(major - 136) * 256 + minor}"
    return f"tty{minor}" if major == 4 else f"device {major}:{minor}"  # noqa: PLR2004  # consoles


def _warnings(seen: Statement) -> Iterator[Fact]:
    if seen.state == "unsteady":
        yield _fact("warning", "changing", "it kept executing programs while it was looked at")
    if seen.tracer is not None:
        who = _called(seen, seen.tracer)
        yield _fact("warning", "traced", f"{who} can read and change its memory")
    if len(set(seen.uids)) > 1:
        yield _fact("warning", "user", f"runs with changed rights: uids {seen.uids}")
    if seen.environment_cut:
        yield _fact("warning", "environment", "too large to read")
    if seen.taints is None:
        yield _fact("warning", "environment", "cannot be read")
    elif taints := [name for name in seen.taints if _matters(name, seen.interpreter)]:
        yield _fact("warning", "environment", f"loads other code: {', '.join(taints)}")
    if agent := _agent(seen):
        yield _fact("warning", "coding agent", agent)


def _matters(variable: str, interpreter: str) -> bool:
    if variable in {"BASH_ENV", "ENV"}:
        return interpreter == "sh"
    family = next((f for start, f in _FOR_ONE.items() if variable.startswith(start)), None)
    return family is None or interpreter in {family, "other"}


def _agent(seen: Statement) -> str:
    own = {seen.path or "", seen.comm or "", seen.word or "", *seen.arguments[:1]}
    own |= {seen.script.path} if seen.script else set()
    if name := _known(own):
        return name
    for parent in seen.parents:
        family = interpreter((parent.path or "").encode(errors="replace"))
        words = parent.arguments[: 2 if family in GRAMMARS else 1]
        if name := _known({parent.path or "", parent.comm or "", *words}):
            return f"{name} (process {parent.pid} above it)"
    return ""


def _known(texts: set[str]) -> str:
    for foreign in sorted(texts):
        _, module, inside = foreign.rpartition("/node_modules/")
        parts = inside.split("/")[:2] if module else []
        for part in (*parts, _base(foreign)):
            if (name := re.sub(r"\.(?:[cm]?js|py)$", "", part)) in _AGENTS:
                return name
    return ""


def _quoted(word: str) -> str:
    return word if re.fullmatch(r"[\w./:=@%+,-]+", word) else "'" + word.replace("'", "'\\''") + "'"
