"""The export of a store: JSON lines that an age file carries.

    {"line":"store","version":1}
    {"line":"collection","id":...,"label":...,"aliases":[...]}
    {"line":"item","collection":...,"label":...,"attributes":{...},...,"value":"<base64>"}

One `store` line first, then one line for each collection before the items in it.
"""

from collections.abc import Iterator
from typing import Annotated, Final

import msgspec

from privyseal.errors import CorruptError, UnsupportedError, UsageError
from privyseal.model.value import MAX_SECRET, Attributes, Name, Text, Value, decode, encode

VERSION: Final = 1
MAX_LINE: Final = 16 * 1024 * 1024
"""Longest line in bytes; a value of 1 MiB takes 1.4 MB, the longest attributes 7 MB."""

_MAX_ALIASES: Final = 64

Seconds = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Bytes = Annotated[bytes, msgspec.Meta(max_length=MAX_SECRET)]


class StoreLine(Value, frozen=True, tag_field="line", tag="store"):
    """The first line."""

    version: int


class CollectionLine(Value, frozen=True, tag_field="line", tag="collection"):
    """One collection and the aliases that point to it."""

    id: Name
    label: Text
    aliases: Annotated[tuple[Name, ...], msgspec.Meta(max_length=_MAX_ALIASES)] = ()


class ItemLine(Value, frozen=True, tag_field="line", tag="item"):
    """One item with its value; times are seconds since 1970 (UTC)."""

    collection: Name
    label: Text
    attributes: Attributes
    content_type: Text
    created: Seconds
    modified: Seconds
    value: Bytes

    def __repr__(self) -> str:
        return f"ItemLine(<{len(self.value)} bytes>)"


Line = StoreLine | CollectionLine | ItemLine


def line_of(value: Line) -> bytes:
    """Return one line, newline included."""
    return encode(value) + b"\n"


class LineReader:
    """Takes the text of an export piece by piece and yields what its lines say."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._number = 0
        self._collections: set[str] = set()

    def feed(self, text: bytes) -> Iterator[CollectionLine | ItemLine]:
        """Yield the complete lines, without the first.

        Raises:
            CorruptError: A line is not what an export holds; names its number, not its content.
            UnsupportedError: A newer program wrote it.
        """
        self._buffer += text
        *lines, rest = self._buffer.split(b"\n")
        self._buffer = bytearray(rest)
        if len(rest) > MAX_LINE:
            raise CorruptError(f"line {self._number + 1} of the export is too long")
        for line in lines:
            self._number += 1
            found = self._parse(bytes(line))
            if found is not None:
                yield found

    def finish(self) -> None:
        """Check that the text has ended where a line does.

        Raises:
            CorruptError: It has not, or there was no first line.
        """
        if self._buffer or not self._number:
            raise CorruptError("the export is cut off")

    def _parse(self, text: bytes) -> CollectionLine | ItemLine | None:
        try:
            line: Line = decode(text, Line, what="it")  # type: ignore[arg-type]  # a union is no type to mypy; msgspec takes it
        except UsageError as error:
            # Not `from error`: the original could repeat a part of a value.
            raise self._bad(str(error)) from None
        if isinstance(line, StoreLine) != (self._number == 1):
            raise self._bad("an export has one `store` line, its first")
        if isinstance(line, StoreLine):
            if line.version > VERSION:
                raise UnsupportedError(
                    f"a newer privyseal wrote this export (version {line.version})",
                    hint="upgrade privyseal",
                )
            return None
        if isinstance(line, CollectionLine):
            if line.id in self._collections:
                raise self._bad("this collection was there before")
            self._collections.add(line.id)
        elif line.collection not in self._collections:
            raise self._bad("its collection was not named before")
        if any("\0" in text for text in _texts(line)):
            raise self._bad("it holds U+0000, which no message bus carries")
        return line

    def _bad(self, why: str) -> CorruptError:
        return CorruptError(f"line {self._number} of the export is malformed: {why}")


def _texts(line: CollectionLine | ItemLine) -> Iterator[str]:
    yield line.label
    if isinstance(line, ItemLine):
        yield line.content_type
        yield from line.attributes
        yield from line.attributes.values()
