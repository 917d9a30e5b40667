"""The texts of /proc/PID (proc(5)): parsers that no content makes raise, and none that guess.

Names and paths in there are bytes that the process chose; they stay bytes until `text`. Standard
library only: the witness loads this.
"""

import hashlib
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

MAX_ARGUMENTS: Final = 64

TAINTS: Final = frozenset(
    b"LD_PRELOAD LD_AUDIT LD_LIBRARY_PATH GCONV_PATH PYTHONPATH PYTHONSTARTUP PYTHONHOME"
    b" NODE_OPTIONS NODE_PATH PERL5OPT PERL5LIB RUBYOPT RUBYLIB BASH_ENV ENV".split()
)


class Grammar(NamedTuple):
    """How an interpreter reads its options: letters that hold code, that take a word, or a rest."""

    code: str = ""
    takes: str = ""
    glued: str = ""
    long_code: tuple[str, ...] = ()
    long_takes: tuple[str, ...] = ()

    def holds_code(self, word: bytes, rest: Iterator[bytes]) -> bool:
        """Return whether an option holds code; if not, take the words that belong to it."""
        option = word.decode("ascii", "replace")
        if option.startswith("--"):
            if option in self.long_takes:
                next(rest, None)
            return option.partition("=")[0] in self.long_code
        for place, letter in enumerate(option[1:], 2):
            if letter in self.code:
                return True
            if letter in self.takes and place == len(option):
                next(rest, None)
            if letter in self.takes + self.glued:
                break
        return False


GRAMMARS: Final = {
    "python": Grammar("cm", "WX", long_takes=("--check-hash-based-pycs",)),
    "node": Grammar(
        "ep",
        "rC",
        long_code=("--eval", "--print"),
        long_takes=("--require", "--import", "--loader", "--experimental-loader", "--conditions"),
    ),
    "sh": Grammar("cs", "oO", long_takes=("--rcfile", "--init-file")),
    "perl": Grammar("eE", "I", "MmiFxDdCl0V"),
    "ruby": Grammar("e", "rICE", "KxWTFi0"),
}
_INTERPRETER: Final = re.compile(
    rb"(?:(?P<python>python|pypy)|(?P<node>node|nodejs)|(?P<sh>sh|bash|dash|zsh|ksh|mksh)"
    rb"|(?P<perl>perl)|(?P<ruby>ruby)|(?P<other>fish|deno|bun|java|php|lua|luajit|tclsh|wish|guile"
    rb"|julia|Rscript|[gm]?awk|gjs|emacs|vim|electron|dotnet|mono|gdb|busybox"
    rb"|ld-[\w.-]+|qemu-[\w-]+))[0-9.]*"
)


class Stat(NamedTuple):
    """What is used of /proc/PID/stat. `image` changes with each execve, or is empty if hidden."""

    comm: bytes
    ppid: int
    session: int
    tty: int
    start: int
    image: str


def parse_stat(raw: bytes) -> Stat | None:
    """Return the fields, or None for what no kernel writes; the name may hold `)` and spaces."""
    head, _, tail = raw.rpartition(b")")
    fields = tail.split()
    try:
        numbers = [int(field) for field in fields[1:26]]
        startcode, startstack = numbers[22], numbers[24]
    except (ValueError, IndexError):
        return None
    # Both are drawn anew at each execve; the kernel says 0 or 1 to those who may not know.
    seed = f"{startcode} {startstack}".encode()
    image = hashlib.sha256(seed).hexdigest()[:16] if startstack else ""
    comm = head.partition(b"(")[2]
    return Stat(comm, numbers[0], numbers[2], numbers[3], numbers[18], image)


def parse_lines(raw: bytes) -> dict[bytes, bytes]:
    """Return the `Key: value` lines of /proc/PID/status or fdinfo; of a repeated key, the first."""
    found: dict[bytes, bytes] = {}
    for line in raw.split(b"\n"):  # not splitlines: the kernel lets a carriage return through
        key, colon, value = line.partition(b":")
        if colon:
            found.setdefault(key, value.strip())
    return found


def parse_numbers(raw: bytes) -> list[int]:
    """Return the decimal numbers of a line, as far as they go."""
    return [int(word) for word in raw.split() if re.fullmatch(rb"-?[0-9]{1,19}", word)]


def parse_cgroup(raw: bytes) -> bytes | None:
    """Return the unified control group, or systemd's own hierarchy where that says nothing."""
    paths: dict[bytes, bytes] = {}
    for line in raw.split(b"\n"):
        parts = line.split(b":", 2)
        if len(parts) == 3:  # noqa: PLR2004  # hierarchy, controllers, path: cgroups(7)
            paths.setdefault(parts[1], parts[2])
    unified, named = paths.get(b""), paths.get(b"name=systemd")
    return named if unified in {None, b"/"} and named is not None else unified


def parse_arguments(raw: bytes) -> list[bytes]:
    """Return the words of /proc/PID/cmdline, at most `MAX_ARGUMENTS`."""
    return raw[:-1].split(b"\0", MAX_ARGUMENTS)[:MAX_ARGUMENTS] if raw else []


def parse_taints(raw: bytes) -> list[str]:
    """Return the names, never the values, of variables that make a program load other code."""
    names = {name for name, _, value in (v.partition(b"=") for v in raw.split(b"\0")) if value}
    return sorted(name.decode() for name in names & TAINTS)


def interpreter(path: bytes) -> str:
    """Return the family of interpreters that an executable belongs to by its name, or ""."""
    match = _INTERPRETER.fullmatch(path.rpartition(b"/")[2])
    return (match.lastgroup or "") if match else ""


def find_script(family: str, words: list[bytes]) -> tuple[str, bytes]:
    """Return what the arguments after the interpreter's own name make it run.

    That is `file` and the script, `code` and the option that holds it, `none` (it reads a terminal
    or a pipe), or `unknown` for a family whose options are not known here.
    """
    grammar = GRAMMARS.get(family)
    if grammar is None:
        return "unknown", b""
    rest = iter(words)
    for word in rest:
        if word == b"--":
            script = next(rest, b"")
            return ("file", script) if script else ("none", b"")
        if word in {b"", b"-"}:
            return "none", b""
        if word[:1] not in b"-+":
            return "file", word
        if grammar.holds_code(word, rest):
            # A module's name says what runs as a script's name does; other code is too long to.
            return "code", word + b" " + next(rest, b"") if word == b"-m" else word
    return "none", b""


def text(raw: bytes | None, limit: int = 2048) -> str | None:
    r"""Return bytes as text that JSON can carry; bytes that are no UTF-8 are shown as `\xNN`."""
    if raw is None:
        return None
    return raw[:limit].decode("utf-8", "backslashreplace") + ("…" if len(raw) > limit else "")
