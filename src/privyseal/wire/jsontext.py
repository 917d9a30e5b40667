"""JSON for commands that must start at once: the compiled half of `json` alone.

What its other half adds are complaints with line numbers and a slower way to do the same; for that
it loads `re` and `enum`, 5 ms of the 8 that Python itself takes to start.
"""

from __future__ import annotations

from _json import encode_basestring_ascii, make_encoder, make_scanner


class _Plainly:
    """What a scanner wants to be told: take what stands there, with no hooks."""

    strict = True
    object_hook = object_pairs_hook = array_hook = None
    parse_int, parse_float, parse_constant = int, float, float


def _refuse(value: object) -> object:
    raise TypeError(f"{type(value).__name__} is no JSON value")


_encode = make_encoder(None, _refuse, encode_basestring_ascii, None, ": ", ", ", *3 * (False,))
_scan = make_scanner(_Plainly)  # type: ignore[arg-type]  # it looks at these attributes alone


def read(text: str) -> object:
    """Return the value that a JSON text holds.

    Raises:
        ValueError: It holds none.
    """
    text = text.strip(" \t\r\n")
    try:
        value, end = _scan(text, 0)
    except StopIteration:
        raise ValueError("not a JSON text") from None
    if end != len(text):
        raise ValueError("more than one JSON text")
    return value


def write(value: object) -> str:
    """Return the JSON text of dicts, lists, texts, numbers, booleans and None."""
    return "".join(_encode(value, 0))
