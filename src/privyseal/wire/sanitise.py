"""The one sanitiser: every foreign text passes here before a person sees it.

What comes out is one line that holds no control, format, invisible or unassigned character, none
of the glyphs that frames are drawn with, and no letter that pretends to be another one: each such
character is replaced by a marker that names it, as ‹U+202E› (Unicode Technical Report 36 and
Technical Standard 39 describe the tricks). Text is cut in the middle, never silently: its length is
said. Nothing here interprets markup; a face that needs escaping does it afterwards.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final

MAX_MARKS: Final = 2
"""Combining marks kept on one letter; more would grow into the lines above and below."""

_SAID: Final = 24
"""From this many cells on there is room to say how long a cut text is."""

_INVISIBLE: Final = frozenset("\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\U0001d159")
_PUNCTUATION: Final = frozenset(
    "\u01c0\u01c3\u02d0\u0589\u05c3\u05f4\u2010\u2011\u2043\u2044\u2215\u2216\u2223\u2236\u29f8\u29f9\ua4fd\ua789\u0251\u0261\u3033"
)
"""Signs and letters that pass for a slash, colon, dot, hyphen, bar, a or g and are nothing else."""

_CYRILLIC: Final = (
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455\u04bb\u0501\u051b\u051d\u0432"
    "\u043a\u043c\u043d\u0442\u044c\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422"
    "\u0423\u0425\u0406\u0408\u0405\u04ba\u050c\u051a\u051c\u04ae"
)
_GREEK: Final = (
    "\u03bf\u03bd\u03b1\u03b9\u03ba\u03c1\u03c4\u03c5\u03c7\u03b5\u0391\u0392\u0395\u0396\u0397"
    "\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7"
)
_ARMENIAN: Final = "\u0585\u0578\u057d\u0570\u0581\u0563\u0575\u0555\u054d"
_LOOKALIKE: Final = frozenset(_CYRILLIC + _GREEK + _ARMENIAN)
_NEAR_LATIN: Final = frozenset({"CYRILLIC", "GREEK", "ARMENIAN"})
_WHOLLY_LOOKALIKE: Final = frozenset({"CHEROKEE", "COPTIC", "DESERET", "LISU", "OSAGE", "TIFINAGH"})

_LATIN_1: Final = frozenset(map(chr, range(256)))

# The kernel's built-in font draws these; what it lacks would all appear as the same block.
_CONSOLE: Final = frozenset(
    {chr(code) for code in range(0x20, 0x7F)}
    | {chr(code) for code in range(0xC0, 0x100) if code not in {0xDE, 0xFE}}  # no thorn there
    | set("\u00a1\u00a3\u00a5\u00a7\u00ab\u00b0\u00b1\u00b5\u00b7\u00bb\u00bf\u2022")
)


def width(text: str) -> int:
    """Return how many terminal cells `text` takes (Unicode Standard Annex 11, ambiguous = 1)."""
    if text.isascii():
        return len(text)
    return sum(_cells(char) for char in text)


def clean(text: str, *, console: bool = False) -> str:
    """Return `text` as one line without tricks; `console` keeps to the kernel font's glyphs."""
    return "".join(_tokens(text, console=console))


def fit(text: str, cells: int, *, console: bool = False) -> str:
    """Return `text` cleaned and at most `cells` wide, cut in the middle with its length said."""
    return "".join(_fitted(text, cells, console=console))


def wrap(text: str, cells: int, lines: int, *, console: bool = False) -> list[str]:
    """Return `text` cleaned, in at most `lines` lines of `cells` cells; cut if that is too little.

    A line breaks after a space or a slash in its second half, otherwise where it is full.
    """
    budget = cells * lines
    while True:
        rows, rest = [""], _fitted(text, budget, console=console)
        while rest and (not rows[0] or len(rows) < lines):
            row = _row(rest, cells)
            rows = [*rows, "".join(row)] if rows[0] else ["".join(row)]
            rest = rest[len(row) :]
        if not rest:
            return rows
        budget -= max(cells // 4, 1)


def _row(tokens: Sequence[str], cells: int) -> Sequence[str]:
    row = _take(tokens, cells) or tokens[:1]
    breaks = [n for n, token in enumerate(row) if token in {" ", "/"} and n > len(row) // 2]
    return row if len(row) == len(tokens) or not breaks else row[: breaks[-1] + 1]


@lru_cache(maxsize=256)  # a screen shows the same few texts again and again
def _fitted(text: str, cells: int, *, console: bool) -> tuple[str, ...]:
    # Only what can be shown is looked at, so that a long text costs no more than a short one.
    reach = 2 * cells + 256
    whole = len(text) <= 2 * reach
    tokens = tuple(_tokens(text if whole else text[:reach] + text[-reach:], console=console))
    if whole and sum(map(width, tokens)) <= cells:
        return tokens
    gap = ".." if console else "…"
    gap = f"{gap}{_marker(f'{len(text)} long', console=console)}{gap}" if cells >= _SAID else gap
    room = cells - width(gap)
    tail = _take(reversed(tokens), room // 2)
    return (*_take(tokens, room - room // 2), gap, *reversed(tail)) if room >= 0 else ()


def _take(tokens: Iterable[str], cells: int) -> list[str]:
    taken: list[str] = []
    for token in tokens:
        cells -= width(token)
        if cells < 0:
            break
        taken.append(token)
    return taken


def _tokens(text: str, *, console: bool) -> list[str]:
    """Return the text in pieces that are not to be torn: a letter with its marks, or a marker.

    Beside Latin letters in one word, letters of the scripts nearest to Latin are marked. Elsewhere
    they are marked only in a text that is made of nothing but lookalikes.
    """
    if text.isascii() and text.isprintable():
        return list(text)
    text = unicodedata.normalize("NFC", text)
    if console:
        text = text.replace("…", "...")  # ours too: the kernel's own font lacks it
    posing = all(_script(char) not in _NEAR_LATIN or char in _LOOKALIKE for char in text)
    tokens: list[str] = []
    for word in re.split("( )", text):
        marked = _NEAR_LATIN if posing or any(_script(c) == "LATIN" for c in word) else frozenset()
        for base, marks in _clusters(word):
            fine = not (_bad(base) or _is_mark(base) or _script(base) in marked)
            fine = fine and (not console or base in _CONSOLE)
            tokens.append(base if fine else _marker(_name(base), console=console))
            bears = fine and not console and base.isalpha() and not any(map(_bad, marks))
            tokens[-1] += marks[:MAX_MARKS] if bears else ""
            over = marks[MAX_MARKS:] if bears else marks
            if over:
                said = _name(over) if len(over) == 1 else f"+{len(over)} marks"
                tokens.append(_marker(said, console=console))
    return tokens


def _clusters(word: str) -> Iterator[tuple[str, str]]:
    """Yield each character with the combining marks on it; a mark without a base is one itself."""
    start = 0
    for end in range(1, len(word) + 1):
        if end == len(word) or not _is_mark(word[end]):
            yield word[start], word[start + 1 : end]
            start = end


def _is_mark(char: str) -> bool:
    return unicodedata.category(char)[0] == "M"


def _name(char: str) -> str:
    return f"U+{ord(char):04X}"


def _marker(said: str, *, console: bool) -> str:
    return f"«{said}»" if console else f"‹{said}›"


@lru_cache(maxsize=4096)
def _bad(char: str) -> bool:
    if char.isascii():
        return not char.isprintable()
    category = unicodedata.category(char)
    return (
        category[0] in "CZ"
        or category == "Me"
        or char in _INVISIBLE
        or char in _PUNCTUATION
        or "\u2500" <= char <= "\u259f"  # frames and blocks are ours alone
        or "\u1160"
        <= char
        <= "\u11ff"  # conjoining Hangul left over by NFC has no width of its own
        or "\ufe00" <= char <= "\ufe0f"  # variation selectors change the width of what is before
        or "\U000e0100" <= char <= "\U000e01ef"
        or _script(char) in _WHOLLY_LOOKALIKE
        or _poses_as_ascii(char)
    )


def _poses_as_ascii(char: str) -> bool:
    folded = unicodedata.normalize("NFKC", char)
    return char not in _LATIN_1 and len(folded) == 1 and folded.isascii()


@lru_cache(maxsize=4096)
def _script(char: str) -> str:
    # The first word of a letter's name is its script; the standard library has no script table.
    return unicodedata.name(char, "").partition(" ")[0] if char.isalpha() else ""


@lru_cache(maxsize=4096)
def _cells(char: str) -> int:
    if unicodedata.category(char) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
