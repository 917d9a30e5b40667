"""Styled text in cells: what a frame is made of before a terminal draws it."""

from collections.abc import Iterable
from typing import Final, Literal

from privyseal.wire.sanitise import fit, width

Style = Literal["plain", "strong", "faint", "frame", "foreign", "good", "bad", "warn", "bar"]
Span = tuple[str, Style]
Line = tuple[Span, ...]

GUTTER: Final = "│ "
"""To the right of it stands foreign text and nothing else; foreign text can't contain it."""


def plain(line: Line) -> str:
    """Return the text of a line without its styles."""
    return "".join(text for text, _ in line)


def line(*parts: str | Span) -> Line:
    """Return a line of spans; a bare string is in the plain style."""
    return tuple((part, "plain") if isinstance(part, str) else part for part in parts)


def pad(row: Line, cells: int, style: Style = "plain") -> Line:
    """Return the line exactly `cells` wide: filled with spaces, or its last spans cut off."""
    out: list[Span] = []
    for text, kind in row:
        room = cells - sum(width(done) for done, _ in out)
        out.append((_cut(text, room), kind))
    room = cells - sum(width(done) for done, _ in out)
    return (*out, (" " * room, style))


def spread(left: Line, right: Line, cells: int, style: Style = "plain") -> Line:
    """Return one line with `left` at its start and `right` at its end; `left` gives way."""
    return (*pad(left, cells - width(plain(right)), style), *right)


def rule(title: Line, cells: int, start: str, end: str, right: Line = ()) -> Line:
    """Return a horizontal line of a frame, `cells` wide, with a title in it."""
    used = sum(map(width, (start, plain(title), plain(right), end)))
    fill = "─" * max(cells - used, 0)
    return ((start, "frame"), *title, (fill, "frame"), *right, (end, "frame"))


def foreign(text: str, cells: int, *, console: bool) -> Line:
    """Return foreign text behind its gutter, exactly `cells` wide in all."""
    shown = fit(text, cells - len(GUTTER), console=console)
    return pad(((GUTTER, "frame"), (shown, "foreign")), cells)


def column(rows: Iterable[Line], height: int, cells: int) -> list[Line]:
    """Return exactly `height` lines of exactly `cells` cells."""
    out = [pad(row, cells) for row in rows][:height]
    return out + [pad((), cells)] * (height - len(out))


def _cut(text: str, cells: int) -> str:
    while width(text) > max(cells, 0):
        text = text[:-1]
    return text
