"""What an import and its couriers say to each other, over pipes that only they hold."""

import struct
from collections.abc import Mapping
from typing import IO, Final, Literal

import msgspec

from privyseal.errors import CorruptError, LimitError, PrivysealError, UnreachableError, from_bus
from privyseal.model.value import Value, decode, encode
from privyseal.wire.secretservice import CONTENT_TYPE

Side = Literal["old", "new"]
Deed = Literal[
    "collections", "unlock", "items", "look", "read", "create", "write", "delete", "collect"
]

PLAIN: Final = "text/plain"
_NO_SCHEMA: Final = ("xdg:schema", "org.freedesktop.Secret.Generic")
_HEAD: Final = struct.Struct(">I")
_MAX_FRAME: Final = 32 * 1024 * 1024


class Entry(Value, frozen=True):
    """One item; `value` is None where only its description was asked for. Times in seconds."""

    path: str = ""
    label: str = ""
    attributes: dict[str, str] = msgspec.field(default_factory=dict)
    content_type: str = PLAIN
    created: int = 0
    modified: int = 0
    value: bytes | None = None

    def __repr__(self) -> str:
        return f"Entry({self.path!r})"

    @property
    def known_by(self) -> frozenset[tuple[str, str]]:
        """Its attributes, without the schema that gnome-keyring gives to items that have none."""
        return frozenset(self.attributes.items()) - {_NO_SCHEMA}

    def same(self, other: "Entry") -> bool:
        """Return whether everything that a program can read of both is the same."""
        return self.value is not None and (
            self.label,
            self.known_by,
            self.content_type,
            self.value,
        ) == (other.label, other.known_by, other.content_type, other.value)


class Shelf(Value, frozen=True):
    """One collection."""

    path: str
    label: str = ""
    aliases: tuple[str, ...] = ()
    locked: bool = False

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.rpartition("/")[2]

    @property
    def title(self) -> str:
        """What a person knows it by."""
        return self.label or self.name


class Order(Value, frozen=True):
    """What a courier is to do."""

    deed: Deed
    path: str = ""
    label: str = ""
    entry: Entry | None = None
    passphrase: bytes = b""

    def __repr__(self) -> str:
        return f"Order({self.deed!r}, {self.path!r})"


class Answer(Value, frozen=True):
    """What came of it, or the error by its name on the bus."""

    shelves: tuple[Shelf, ...] = ()
    paths: tuple[str, ...] = ()
    entry: Entry | None = None
    provider: str = ""
    error: str = ""
    text: str = ""
    hint: str = ""

    def __repr__(self) -> str:
        return f"Answer({self.error!r})"

    def raised(self) -> PrivysealError:
        """Return the error that it tells of."""
        error = from_bus(self.error, self.text)
        found = type(error)(self.text)
        found.hint = self.hint
        return found


def write_frame(pipe: IO[bytes], value: Value) -> None:
    """Write one value, with its length before it.

    Raises:
        LimitError: It is too long for the other side.
        UnreachableError: The other side is gone.
    """
    data = encode(value)
    if len(data) > _MAX_FRAME:
        raise LimitError("the item is too large to be moved")
    try:
        pipe.write(_HEAD.pack(len(data)) + data)
        pipe.flush()
    except OSError as error:
        raise UnreachableError("the other side of the import ended") from error


def read_order(pipe: IO[bytes]) -> Order | None:
    """Return the next order, None at the end."""
    data = _read(pipe)
    return None if data is None else decode(data, Order, what="the order")


def read_answer(pipe: IO[bytes]) -> Answer:
    """Return the answer to the last order.

    Raises:
        UnreachableError: The courier ended.
    """
    data = _read(pipe)
    if data is None:
        raise UnreachableError("the other side of the import ended")
    return decode(data, Answer, what="the answer")


def _read(pipe: IO[bytes]) -> bytes | None:
    head = pipe.read(_HEAD.size)
    if not head:
        return None
    length = _HEAD.unpack(head)[0] if len(head) == _HEAD.size else _MAX_FRAME + 1
    if length > _MAX_FRAME:
        raise CorruptError("the other side of the import writes nonsense")
    data = pipe.read(length)
    if len(data) != length:
        raise UnreachableError("the other side of the import ended")
    return data


def with_type(attributes: Mapping[str, str], content_type: str) -> dict[str, str]:
    """Return attributes that carry the type of the value as well."""
    return {**attributes, CONTENT_TYPE: content_type}


def without_type(attributes: Mapping[str, str], given: str) -> tuple[dict[str, str], str]:
    """Return attributes and type of an item as programs see them through the keeper."""
    bare = dict(attributes)
    kept = bare.pop(CONTENT_TYPE, "")
    return bare, kept if kept and given in {"", PLAIN} else given or PLAIN
