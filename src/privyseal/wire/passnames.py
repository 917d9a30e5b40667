r"""Names in a tree as pass(1) keeps it: between labels, file names and identifiers.

A label becomes one component of a path, never several and never one with a meaning of its own
(`..`, `.git`, `-x`): what a path cannot hold stands as `%XX`, a byte of UTF-8 in hexadecimal.
A path becomes an identifier of the D-Bus alphabet: what is no letter or digit stands as `_xx`.
Both ways are undone exactly.
"""

import re
from hashlib import sha256
from typing import Final

MAX_NAME: Final = 180
"""Longest file name in bytes that is made from a label: room for `.gpg`, a number, a temporary
name, and what encrypting file systems take of the 255."""

_MAX_ID: Final = 255
_EMPTY: Final = "%"
_SURROGATES: Final = "surrogateescape"


def escape(label: str) -> str:
    """Return the file name for a label, of any length."""
    if not label:
        return _EMPTY
    return "".join(
        char if _stands(char, first=not at, last=at == len(label) - 1) else _hex(char)
        for at, char in enumerate(label)
    )


def unescape(name: str) -> str:
    """Return the label of a file name; what no label gives, such as `100%`, stays as it is."""
    if name == _EMPTY:
        return ""
    raw = re.sub(
        rb"%([0-9A-F]{2})",
        lambda found: bytes([int(found[1], 16)]),
        name.encode(errors=_SURROGATES),
    )
    try:
        label = raw.decode()
    except UnicodeDecodeError:
        return name.encode(errors=_SURROGATES).decode(errors="replace")
    return label


def fit(label: str) -> str:
    """Return a file name for a label, shortened to `MAX_NAME` bytes."""
    name = escape(label)
    if len(name.encode(errors=_SURROGATES)) <= MAX_NAME:
        return name
    # Cut between characters of the label, so that no escape is torn.
    low = ""
    size = 0
    for at, char in enumerate(label):
        piece = char if _stands(char, first=not at, last=False) else _hex(char)
        size += len(piece.encode(errors=_SURROGATES))
        if size > MAX_NAME:
            break
        low += piece
    return low.rstrip(" ") or _EMPTY


def identifier(path: str) -> str:
    """Return the identifier of an entry by its path below its collection.

    One that would be longer than 255 characters is a hash, which no other path gives.
    """
    raw = path.encode(errors=_SURROGATES)
    name = "".join(
        chr(byte) if chr(byte).isascii() and chr(byte).isalnum() else f"_{byte:02x}" for byte in raw
    )
    return name if len(name) <= _MAX_ID else f"_h{sha256(raw).hexdigest()}"


def _stands(char: str, *, first: bool, last: bool) -> bool:
    if char in "%/\\" or not char.isprintable():
        return False
    if first and char in ".-~ ":
        return False
    return not (last and char == " ")


def _hex(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode(errors=_SURROGATES))
