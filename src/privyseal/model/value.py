"""The base of every value that crosses a process boundary, and the limits they share.

Decoding validates, constructing does not: values from outside come only through
`decode` below or msgspec's own decoders.
"""

from typing import Annotated, Final, TypeVar

import msgspec

from privyseal.errors import UsageError

MAX_SECRET: Final = 1024 * 1024
MAX_ITEMS: Final = 256
MAX_ATTRIBUTES: Final = 64

Name = Annotated[str, msgspec.Meta(max_length=255)]
Text = Annotated[str, msgspec.Meta(max_length=16 * 1024)]
Attributes = Annotated[dict[Name, Text], msgspec.Meta(max_length=MAX_ATTRIBUTES)]


class Value(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Immutable, and strict about what it accepts. Subclasses repeat `frozen=True`."""


_T = TypeVar("_T")


def decode(text: bytes | str, kind: type[_T], *, what: str) -> _T:
    """Return the value of type `kind` that the JSON `text` holds.

    Raises:
        UsageError: The text is not such a value; the message names `what` and the field.
    """
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{what} is malformed: {error}") from error


def encode(value: object) -> bytes:
    """Return `value` as canonical JSON: equal values give equal bytes, fit to be hashed."""
    return msgspec.json.encode(value, order="deterministic")
