"""Which keys of a US keyboard make a character, in QEMU's words for keys (QKeyCode)."""

from typing import Final

_PLAIN: Final = {
    " ": "spc",
    "\n": "ret",
    "\t": "tab",
    "\x1b": "esc",
    "\x7f": "backspace",
    "-": "minus",
    "=": "equal",
    "[": "bracket_left",
    "]": "bracket_right",
    ";": "semicolon",
    "'": "apostrophe",
    "`": "grave_accent",
    "\\": "backslash",
    ",": "comma",
    ".": "dot",
    "/": "slash",
}
_SHIFTED: Final = dict(zip('!@#$%^&*()_+{}:"~|<>?', "1234567890-=[];'`\\,./", strict=True))


def keys_of(character: str) -> list[str]:
    """Return the keys to press together for one character.

    Raises:
        ValueError: A US keyboard has no such character.
    """
    if character in _SHIFTED:
        return ["shift", *keys_of(_SHIFTED[character])]
    if character in _PLAIN:
        return [_PLAIN[character]]
    if character.isascii() and character.isalnum():
        return ["shift", character.lower()] if character.isupper() else [character]
    raise ValueError(f"no key for {character!r}")
