"""The AWS configuration file as lines that can be edited: comments, order and line ends survive.

The dialect is the AWS tools' own: a key may hold a block of indented `name = value` lines, `#` and
`;` begin a comment within a line only after a space, a section given twice is one section.
ConfigUpdater was weighed and left: it takes a block for plain text, loads `configparser` on the
path of every command, turns CRLF into LF, and refuses a section that is given twice.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from privyseal.errors import CorruptError, LimitError, UsageError

MAX_FILE: Final = 4 * 1024 * 1024
"""Longest text that is read, in characters; thousands of profiles take a tenth of it."""

_BLANK: Final = " \t\r\n\f\v"
_COMMENT: Final = ("#", ";")
_CONTROL: Final = frozenset(map(chr, [*range(32), 127])) - frozenset(_BLANK)


class Line(NamedTuple):
    """One line, with its end.

    A "section" line is the head of one, an "entry" gives `key` its `value`, an "inner" line adds
    to the value of the key above it, "other" is a comment or blank. `section` and `key` say where
    a line belongs.
    """

    raw: str
    kind: str
    section: str = ""
    key: str = ""
    value: str = ""


class Repeat(NamedTuple):
    """A section, or with a key a value, that stands a second time; `line` counts from 1."""

    line: int
    section: str
    key: str


class IniFile:
    """A parsed file; it never changes, an edit gives a new one."""

    __slots__ = ("_lines", "_sections")

    def __init__(self, lines: Iterable[Line]) -> None:
        self._lines = tuple(lines)
        self._sections = _collected(self._lines)

    def sections(self) -> Mapping[str, Mapping[str, str]]:
        r"""Return the values of every section, both in the order of the file.

        Keys are in lower case, names of sections as written but for spaces and quotes around their
        second word. A block follows its key's own value line by line, each after a line feed:
        `"\nendpoint_url = http://127.0.0.1"`, which `block` takes apart.
        """
        return self._sections

    def text(self) -> str:
        """Return the file; of what was parsed, exactly what was read."""
        return "".join(line.raw for line in self._lines)

    def places(self) -> Mapping[tuple[str, str], int]:
        """Return the line, from 1, of each section's first head (its key is ""), and of its keys."""
        found: dict[tuple[str, str], int] = {}
        for number, line in enumerate(self._lines, 1):
            if line.kind == "entry":
                found[line.section, line.key] = number
            elif line.kind == "section":
                found.setdefault((line.section, ""), number)
        return found

    def repeats(self) -> Iterator[Repeat]:
        """Yield what stands a second time: sections become one, of values the last holds."""
        seen: set[tuple[str, str]] = set()
        for number, line in enumerate(self._lines, 1):
            if line.kind in {"section", "entry"}:
                if (line.section, line.key) in seen:
                    yield Repeat(number, line.section, line.key)
                seen.add((line.section, line.key))

    def indented(self) -> Iterator[Repeat]:
        """Yield the entries that are indented below another one, which not every tool accepts."""
        above = None
        for number, line in enumerate(self._lines, 1):
            if line.kind == "section":
                above = None
            elif line.kind == "entry":
                indent = _indent(line.raw)
                if above is not None and indent > above:
                    yield Repeat(number, line.section, line.key)
                above = indent

    def with_values(self, section: str, values: Mapping[str, str | None]) -> "IniFile":
        """Return the file with some keys of a section set, or taken out where the value is None.

        A key that is there keeps its place, its spelling and the comment behind it. A new one
        comes at the end of its section, a new section at the end of the file.

        Raises:
            UsageError: A name or a value cannot stand in such a file.
        """
        return self.with_sections({section: values})

    def with_sections(self, changes: Mapping[str, Mapping[str, str | None]]) -> "IniFile":
        """Return the file with keys of many sections set or taken out, as `with_values` does it.

        Raises:
            UsageError: A name or a value cannot stand in such a file.
        """
        lines = list(self._lines)
        end = "\r\n" if lines and lines[0].raw.endswith("\r\n") else "\n"
        for section, values in changes.items():
            wanted = {key.lower(): value for key, value in values.items()}
            _check(section, wanted)
            if section not in self._sections:
                lines += _new(section, wanted, lines, end)
            elif any(self._sections[section].get(key) != value for key, value in wanted.items()):
                lines = _changed(lines, section, wanted, end)
        changed = IniFile(lines)
        if parse(changed.text()).sections() != changed.sections():
            # A head that is indented would become part of the value that comes to stand above it.
            raise UsageError(
                "the file cannot be edited: the head of a section is indented",
                hint="take out the spaces before each [",
            )
        return changed

    def without(self, section: str) -> "IniFile":
        """Return the file without a section; a comment that stands apart below it stays."""
        out: list[Line] = []
        body: list[Line] = []
        for line in self._lines:
            if line.section == section:
                body.append(line)
                continue
            out += _apart(body, out)
            body = []
            out.append(line)
        rest = _apart(body, out)
        while body and not rest and out and not out[-1].raw.strip(_BLANK):
            out.pop()
        return IniFile(out + rest)


def parse(text: str) -> IniFile:
    """Return the file that `text` is.

    Raises:
        CorruptError: A line is neither a head, a comment nor a value; it is named.
        LimitError: The text is longer than `MAX_FILE`.
    """
    if len(text) > MAX_FILE:
        raise LimitError(f"the file is longer than {MAX_FILE // 1024 // 1024} MiB")
    *whole, rest = text.split("\n")
    raws = [f"{line}\n" for line in whole]
    return IniFile(_lines([*raws, rest] if rest else raws))


def block(value: str) -> dict[str, str]:
    """Return the keys and values of a block, keys in lower case; lines of other form are left out.

    A value without a block gives nothing.
    """
    found: dict[str, str] = {}
    for line in value.split("\n")[1:]:
        key, delimiter, inner = line.partition("=")
        if delimiter:
            found[key.strip().lower()] = inner.strip()
    return found


def _lines(raws: Iterable[str]) -> Iterator[Line]:
    section = key = value = ""
    above = 0
    for number, raw in enumerate(raws, 1):
        text = raw.removeprefix("\ufeff") if number == 1 else raw
        bare = text.strip(_BLANK)
        if not bare.isprintable() and _CONTROL.intersection(bare):
            raise CorruptError(f"line {number}: a control character")
        indent = _indent(text)
        if not bare or bare.startswith(_COMMENT):
            yield Line(raw, "other", section)
        elif key and indent > above and not (value and _is_entry(bare)):
            yield Line(raw, "inner", section, key, _uncommented(bare))
        elif bare.startswith("["):
            section, key = _section(bare, number), ""
            yield Line(raw, "section", section)
        else:
            key, value = _entry(bare, section, number)
            above = indent
            yield Line(raw, "entry", section, key, value)


def _indent(raw: str) -> int:
    return len(raw) - len(raw.lstrip(" \t"))


def _section(bare: str, number: int) -> str:
    name, bracket, _ = bare[1:].partition("]")
    kind, _, rest = name.replace("\t", " ").strip().partition(" ")
    rest = rest.strip()
    if len(rest) > 1 and rest[0] == rest[-1] and rest[0] in "'\"":
        rest = rest[1:-1]
    if not bracket or not kind or not (kind + rest).isprintable():
        raise CorruptError(f"line {number}: the head of a section is not whole: {bare[:80]!r}")
    return f"{kind} {rest}" if rest else kind


def _entry(bare: str, section: str, number: int) -> tuple[str, str]:
    at = _delimiter(bare)
    key = bare[: max(at, 0)].strip().lower()
    if not key:
        raise CorruptError(
            f"line {number}: neither a section, a comment nor `key = value`: {bare[:80]!r}"
        )
    if not section:
        raise CorruptError(f"line {number}: {key!r} stands before any section")
    return key, _uncommented(bare[at + 1 :])


def _delimiter(bare: str) -> int:
    places = [at for at in (bare.find("="), bare.find(":")) if at >= 0]
    return min(places, default=-1)


def _is_entry(bare: str) -> bool:
    key, delimiter, _ = bare.partition("=")
    return bool(delimiter) and key.strip().isidentifier()


def _uncommented(text: str) -> str:
    for at, char in enumerate(text):
        if char in _COMMENT and at and text[at - 1] in _BLANK:
            text = text[:at]
            break
    return text.strip(_BLANK)


def _collected(lines: Iterable[Line]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for line in lines:
        if line.kind == "section":
            found.setdefault(line.section, {})
        elif line.kind == "entry":
            found[line.section][line.key] = line.value
        elif line.kind == "inner":
            found[line.section][line.key] += f"\n{line.value}"
    return found


def _new(section: str, wanted: Mapping[str, str | None], lines: list[Line], end: str) -> list[Line]:
    head = Line(f"[{_quoted(section)}]{end}", "section", section)
    gap: list[Line] = []
    if lines:
        lines[-1] = _ended(lines[-1], end)
        if lines[-1].raw.strip(_BLANK):
            gap = [Line(end, "other", lines[-1].section)]
    return [*gap, head, *_entries(section, wanted, end)]


def _entries(section: str, wanted: Mapping[str, str | None], end: str) -> list[Line]:
    return [
        Line(f"{key} = {value}".rstrip(_BLANK) + end, "entry", section, key, value)
        for key, value in wanted.items()
        if value is not None
    ]


def _changed(
    lines: list[Line], section: str, wanted: Mapping[str, str | None], end: str
) -> list[Line]:
    last = {
        line.key: at
        for at, line in enumerate(lines)
        if line.kind == "entry" and line.section == section and line.key in wanted
    }
    out: list[Line] = []
    place = 0
    for at, line in enumerate(lines):
        value = wanted.get(line.key)
        if line.section != section or line.key not in last:
            out.append(line)
        elif value is not None and at <= last[line.key]:
            out.append(_revalued(line, value) if at == last[line.key] else line)
        if line.section == section and line.kind != "other":
            place = len(out)
    out[place:place] = _entries(
        section, {key: value for key, value in wanted.items() if key not in last}, end
    )
    out[place - 1] = _ended(out[place - 1], end)
    return out


def _quoted(section: str) -> str:
    kind, _, name = section.partition(" ")
    if not any(char in name for char in " '\"\\"):
        return section
    # botocore takes the words of a head apart as a shell does.
    if "'" not in name:
        return f"{kind} '{name}'"
    if any(char in name for char in '"\\'):
        raise UsageError(f"cannot be written to the file: {section[:80]!r}")
    return f'{kind} "{name}"'


def _ended(line: Line, end: str) -> Line:
    return line if line.raw.endswith("\n") else line._replace(raw=line.raw + end)


def _revalued(line: Line, value: str) -> Line:
    before, delimiter, after = line.raw.partition(line.raw[_delimiter(line.raw)])
    old = after.lstrip(" \t")
    space = after[: len(after) - len(old)] if line.value else " "
    rest = old[len(line.value) :] if line.value else after.rstrip(" \t") or after
    return line._replace(raw=f"{before}{delimiter}{space}{value}{rest}", value=value)


def _apart(body: list[Line], above: list[Line]) -> list[Line]:
    tail = len(body)
    while tail and body[tail - 1].kind == "other":
        tail -= 1
    below = body[tail:]
    blank = [at for at, line in enumerate(below) if not line.raw.strip(_BLANK)]
    if not any(line.raw.strip(_BLANK) for line in below[blank[0] if blank else 0 :]):
        return []
    gap = bool(above) and bool(above[-1].raw.strip(_BLANK))
    return below[blank[0] + (not gap) :] if blank else below


def _check(section: str, wanted: Mapping[str, str | None]) -> None:
    # What is written must be what is read again, whatever a portal calls its accounts.
    for key, value in wanted.items() or {"": None}.items():
        entry = f"{key} = {value or ''}" if key else ""
        try:
            again = parse(f"[{_quoted(section)}]\n{entry}\n").sections()
        except CorruptError:
            again = {}
        if again != {section: {key: value or ""} if key else {}} or (wanted and not key):
            raise UsageError(
                f"cannot be written to the file: [{section[:80]!r}] {key[:80]!r}",
                hint="leave out line ends, brackets, and a # or ; behind a space",
            )
