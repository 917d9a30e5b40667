r"""One entry of a tree as pass(1) and gopass keep it: the text behind the encryption.

An entry of ours, with a value of one or several lines:

    hunter2
    privyseal: 1
    created: 2026-11-22T03:00:00Z
    service: imap

Everything above the line `privyseal: 1` is the value; below it stand attributes, each `name: value`,
with `\` escapes for what a line cannot hold; other lines are somebody's notes. A value that is no
plain text stands as gopass writes binary ones: an empty first line, the header
`Content-Transfer-Encoding: Base64`, and the body as the one line that is no header.

An entry without our line is somebody else's: the first line is the value and `name: value` lines
are attributes, unless there are no such lines or it is a PEM text; then all of it is the value.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from privyseal.errors import CorruptError
from privyseal.model.secret import Secret
from privyseal.model.value import MAX_ATTRIBUTES

MARK: Final = "privyseal: 1"

_PLAIN: Final = "text/plain"
_BINARY: Final = "application/octet-stream"
_MAX_NAME: Final = 255
_MAX_TEXT: Final = 16 * 1024
_SEPARATOR: Final = ": "
_ENCODING: Final = "Content-Transfer-Encoding"
_RESERVED: Final = frozenset(
    {
        "privyseal",
        "label",
        "created",
        "notes",
        "content-type",
        "content-transfer-encoding",
        "content-disposition",
    }
)
_STAMP: Final = "%Y-%m-%dT%H:%M:%SZ"
_ESCAPE: Final = re.compile(r"\\(?:(n)|x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|(\\))")
# Lines that mean something to one of the programs, wherever they stand.
_MEANINGFUL: Final = re.compile(r"^(privyseal:|---|GOPASS-SECRET)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What one file says. `label` is None where its name says it; `created` is 0 when unknown."""

    secret: Secret
    label: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    created: int = 0
    notes: tuple[str, ...] = ()
    ours: bool = True


def parse(content: bytes) -> Entry:
    """Return the entry that a decrypted file holds; any bytes are one.

    Raises:
        CorruptError: It says that its body is Base64, and it is not.
    """
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return Entry(secret=Secret(content, _BINARY), ours=False)
    lines = text.removesuffix("\n").split("\n")
    if MARK in lines[1:]:
        at = lines.index(MARK, 1)
        return _ours(lines[:at], lines[at + 1 :])
    return _foreign(content, lines)


def render(entry: Entry) -> bytes:
    """Return the text of an entry of ours, such that `parse` returns the entry."""
    content = entry.secret.expose()
    text = _as_text(content)
    fields = []
    if entry.label is not None:
        fields.append(("label", entry.label))
    if entry.created:
        fields.append(("created", datetime.fromtimestamp(entry.created, UTC).strftime(_STAMP)))
    if entry.secret.content_type != _PLAIN:
        fields.append(("Content-Type", entry.secret.content_type))
    body: Sequence[str] = entry.notes
    if text is None:
        fields.append((_ENCODING, "Base64"))
        if entry.notes:
            fields.append(("notes", "\n".join(entry.notes)))
        body = (base64.b64encode(content).decode(),)
    lines = [text or "", MARK]
    lines += [f"{name}{_SEPARATOR}{_escape(value)}" for name, value in fields]
    lines += [
        f"{_escape_name(name)}{_SEPARATOR}{_escape(value)}"
        for name, value in entry.attributes.items()
    ]
    return "\n".join([*lines, *body, ""]).encode()


def with_value(content: bytes, secret: Secret, fallback: Entry) -> bytes:
    """Return a file's new content with another value, changing nothing else where that is possible.

    `fallback` is the entry as one of ours, for a value that its present form cannot hold.
    """
    entry = parse(content)
    text = _as_text(secret.expose())
    if entry.ours or text is None or "\n" in text or secret.content_type != _PLAIN:
        return render(replace(fallback, secret=secret))
    _first, newline, rest = content.partition(b"\n")
    changed = text.encode() + (newline or b"\n") + rest
    kept = parse(changed) if len(entry.secret) == len(_first) else entry
    if kept.secret == secret and kept.attributes == entry.attributes:
        return changed
    return render(replace(fallback, secret=secret))


def _ours(value: Sequence[str], tail: Iterable[str]) -> Entry:
    fields, attributes, notes = {}, {}, []
    for line in tail:
        name, separator, held = line.partition(_SEPARATOR)
        if not separator and line.endswith(":"):  # an editor took the blank of an empty value
            name, separator = line[:-1], _SEPARATOR
        if not separator:
            notes.append(line)
        elif name.lower() in _RESERVED:
            fields[name.lower()] = _unescape(held)
        else:
            attributes[_unescape(name)] = _unescape(held)
    content = "\n".join(value).encode()
    if fields.get(_ENCODING.lower(), "").lower() == "base64":
        content = _from_base64("".join(notes))
        notes = fields["notes"].split("\n") if "notes" in fields else []
    return Entry(
        secret=Secret(content, fields.get("content-type", _PLAIN)),
        label=fields.get("label"),
        attributes=_bounded(attributes),
        created=_seconds(fields.get("created", "")),
        notes=tuple(notes),
    )


def _foreign(content: bytes, lines: Sequence[str]) -> Entry:
    pairs: dict[str, str] = {}
    notes = []
    for line in lines[1:]:
        name, separator, held = line.partition(_SEPARATOR)
        if separator and name.strip():
            pairs.setdefault(name.strip(), held)
        else:
            notes.append(line)
    headers = {name.lower(): value for name, value in pairs.items()}
    attributes = _bounded({n: v for n, v in pairs.items() if n.lower() not in _RESERVED})
    if headers.get(_ENCODING.lower(), "").strip().lower() == "base64":
        value, kind = _from_base64("".join(notes)), headers.get("content-type", _BINARY)
        return Entry(secret=Secret(value, kind), attributes=attributes, ours=False)
    if len(lines) > 1 and (not pairs or lines[0].startswith("-----BEGIN ")):
        return Entry(secret=Secret(content), ours=False)
    secret = Secret(lines[0].encode())
    return Entry(secret=secret, attributes=attributes, notes=tuple(notes), ours=False)


def _bounded(attributes: Mapping[str, str]) -> dict[str, str]:
    fits = [
        (name, value)
        for name, value in attributes.items()
        if len(name) <= _MAX_NAME and len(value) <= _MAX_TEXT
    ]
    return dict(fits[:MAX_ATTRIBUTES])


def _as_text(content: bytes) -> str | None:
    """Return a value that can stand as it is, else None."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    plain = all(char.isprintable() or char in "\n\t" for char in text)
    return text if plain and not _MEANINGFUL.search(text) else None


def _from_base64(body: str) -> bytes:
    try:
        return base64.b64decode("".join(body.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise CorruptError("an entry says that it is Base64, and it is not") from error


def _seconds(stamp: str) -> int:
    try:
        return max(int(datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC).timestamp()), 0)
    except (ValueError, OverflowError):
        return 0


def _escape(text: str) -> str:
    """Return a value that fits on a line and keeps its blanks at both ends."""
    if not text:
        return text
    inner = [char if char.isprintable() and char != "\\" else _code(char) for char in text]
    for end in (0, -1):
        if text[end] == " ":
            inner[end] = _code(" ")
    return "".join(inner)


def _escape_name(text: str) -> str:
    if not text:
        return "\\"  # no other name gives a lone backslash
    escaped = _escape(text).replace(":", _code(":"))
    return _code(text[0]) + escaped[1:] if text.lower() in _RESERVED else escaped


def _code(char: str) -> str:
    if char == "\\":
        return "\\\\"
    if char == "\n":
        return "\\n"
    code = ord(char)
    if code <= 0xFF:  # noqa: PLR2004 - two digits
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 - four digits


def _unescape(text: str) -> str:
    if text == "\\":
        return ""
    return _ESCAPE.sub(_decoded, text)


def _decoded(found: "re.Match[str]") -> str:
    newline, two, four, eight, _backslash = found.groups()
    if newline:
        return "\n"
    digits = two or four or eight
    if not digits:
        return "\\"
    code = int(digits, 16)
    # What is no character of Unicode stays as it is written.
    return chr(code) if code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF else found[0]  # noqa: PLR2004 - the surrogates
