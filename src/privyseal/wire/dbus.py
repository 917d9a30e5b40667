"""D-Bus messages, as far as commands that must start at once need them.

Calls go out; replies, errors and signals come in (D-Bus specification, "Message Protocol"). Of the
types there are those of our own interfaces and of the bus itself: numbers, texts, descriptors, and
arrays of these. Of the libraries that know all types one takes 4 ms to load and the other 60.
"""

from __future__ import annotations

from privyseal.errors import PrivysealError, UnreachableError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Final, Literal

ERROR: Final = 3
SIGNAL: Final = 4

MAX_MESSAGE: Final = 128 * 1024 * 1024
"""The longest message, in bytes, by the specification."""

_MAX_LINE: Final = 512
_HEAD: Final = 16
_WELCOME: Final = (b"OK ", b"AGREE_UNIX_FD")

_PATH, _INTERFACE, _MEMBER, _ERROR_NAME, _REPLY_SERIAL, _DESTINATION, _SENDER, _SIGNATURE, _FDS = (
    range(1, 10)
)
_FIELDS: Final = dict(enumerate("osssussgu", 1))
"""The type of each field of a header."""

_NUMBERS: Final = {"y": 1, "n": 2, "q": 2, "b": 4, "i": 4, "u": 4, "h": 4, "x": 8, "t": 8}
"""How many bytes a number of each type takes."""


def greeting(uid: int) -> bytes:
    """Return what opens a connection: who we are, and that descriptors may be passed."""
    return (
        b"\0AUTH EXTERNAL %s\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n" % str(uid).encode().hex().encode()
    )


def socket_path(address: str) -> str:
    """Return the path of the first socket in a bus address; an abstract one begins with NUL.

    Raises:
        ValueError: It names no socket.
    """
    for entry in address.split(";"):
        transport, _, rest = entry.partition(":")
        pairs = dict(pair.split("=", 1) for pair in rest.split(",") if "=" in pair)
        if transport == "unix" and "path" in pairs:
            return _unescaped(pairs["path"])
        if transport == "unix" and "abstract" in pairs:
            return "\0" + _unescaped(pairs["abstract"])
    raise ValueError("no socket is named")


def call(
    serial: int,
    destination: str,
    path: str,
    interface: str,
    member: str,
    signature: str = "",
    body: Sequence[object] = (),
) -> tuple[bytes, list[int]]:
    """Return a method call as bytes, and the descriptors that go beside it.

    Raises:
        UsageError: A text holds what no bus carries.
    """
    content = _Writer()
    for kind, value in zip(_kinds(signature), body, strict=True):
        content.value(kind, value)
    fields: dict[int, object] = {
        _PATH: path,
        _INTERFACE: interface,
        _MEMBER: member,
        _DESTINATION: destination,
    }
    if signature:
        fields[_SIGNATURE] = signature
    if content.fds:
        fields[_FDS] = len(content.fds)
    head = _Writer(b"l\1\0\1")  # little-endian, a method call, no flags, protocol 1
    head.number(len(content.data))
    head.number(serial)
    head.number(0)  # the length of the fields, once they are there
    for code, value in fields.items():
        head.align(8)
        head.data.append(code)
        head.value("g", _FIELDS[code])
        head.value(_FIELDS[code], value)
    head.data[12:_HEAD] = (len(head.data) - _HEAD).to_bytes(4, "little")
    head.align(8)
    return bytes(head.data + content.data), content.fds


class Descriptor(int):
    """A descriptor that came with a message; whoever takes it closes it."""


class Message:
    """What came in; its `fds` are open."""

    def __init__(self, data: bytes) -> None:
        self._content = content = _Reader(data, 12)
        end = _HEAD + content.number()
        texts: dict[int, str] = {}
        numbers: dict[int, int] = {}
        while content.position < end:
            content.align(8)
            code, kind = content.number(1), content.text(1)
            if kind == "u":
                numbers[code] = content.number()
            elif kind in {"s", "o", "g"}:
                texts[code] = content.text(1 if kind == "g" else 4)
            else:
                raise _malformed()
        content.align(8)
        self.kind = data[1]
        self.reply_serial = numbers.get(_REPLY_SERIAL, 0)
        self.sender = texts.get(_SENDER, "")
        self.interface = texts.get(_INTERFACE, "")
        self.member = texts.get(_MEMBER, "")
        self.error_name = texts.get(_ERROR_NAME, "")
        self.fds: list[int] = []
        self.fds_announced = numbers.get(_FDS, 0)
        self._signature = texts.get(_SIGNATURE, "")

    def values(self) -> tuple[object, ...]:
        """Return the arguments; asked for once, and of a message that nobody reads never.

        Raises:
            PrivysealError: They have other types than our interfaces use, or are malformed.
        """
        self._content.fds = self.fds
        return tuple(self._content.value(kind) for kind in _kinds(self._signature))


class Inbox:
    """Cuts what the bus sends into messages, after its answer to our `greeting`."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._fds: list[int] = []
        self._expected = list(_WELCOME)

    def feed(self, data: bytes, fds: Sequence[int] = ()) -> None:
        """Take what was read, and the descriptors that came beside it."""
        self._data += data
        self._fds += fds

    def message(self) -> Message | None:
        """Return the next message, None until there is more to read.

        Raises:
            UnreachableError: The bus does not let us in.
            PrivysealError: It breaks the rules.
        """
        if not self._welcomed() or len(self._data) < _HEAD:
            return None
        head = _Reader(bytes(self._data[:_HEAD]), 4)
        body, _, fields = head.number(), head.number(), head.number()
        size = _HEAD + fields + -fields % 8 + body
        if size > MAX_MESSAGE:
            raise _malformed()
        if len(self._data) < size:
            return None
        message = Message(bytes(self._data[:size]))
        del self._data[:size]
        number = message.fds_announced
        message.fds, self._fds = self._fds[:number], self._fds[number:]
        return message

    def _welcomed(self) -> bool:
        while self._expected:
            line, end, rest = self._data.partition(b"\r\n")
            if not end and len(line) <= _MAX_LINE:
                return False
            if not line.startswith(self._expected.pop(0)):
                raise UnreachableError("the message bus does not let this user in")
            self._data = rest
        return True


class _Writer:
    def __init__(self, data: bytes = b"") -> None:
        self.data = bytearray(data)
        self.fds: list[int] = []

    def align(self, size: int) -> None:
        self.data += bytes(-len(self.data) % size)

    def number(self, value: int) -> None:
        self.align(4)
        self.data += value.to_bytes(4, "little")

    def value(self, kind: str, value: object) -> None:
        """Add a value of one of the types that our calls have: s, o, g, u, h, and arrays of them."""
        match kind[0], value:
            case "a", [*values]:
                self.number(0)
                start = len(self.data)
                for each in values:
                    self.value(kind[1:], each)
                self.data[start - 4 : start] = (len(self.data) - start).to_bytes(4, "little")
            case "h", int(fd):
                self.number(len(self.fds))
                self.fds.append(fd)
            case "u", int(number):
                self.number(number)
            case "s" | "o" | "g", str(text):
                self._text(kind, text)
            case _:
                raise TypeError(f"{value!r} is not of the type {kind!r}")

    def _text(self, kind: str, text: str) -> None:
        try:
            raw = text.encode()
        except UnicodeEncodeError as error:
            raise UsageError("an argument is not valid UTF-8") from error
        if b"\0" in raw:
            raise UsageError("an argument holds the character U+0000")
        if kind == "g":
            self.data.append(len(raw))
        else:
            self.number(len(raw))
        self.data += raw + b"\0"


class _Reader:
    def __init__(self, data: bytes, position: int) -> None:
        if data[:1] not in {b"l", b"B"}:
            raise _malformed()
        self._order: Literal["little", "big"] = "little" if data[:1] == b"l" else "big"
        self._data = data
        self.position = position
        self.fds: Sequence[int] = ()

    def align(self, size: int) -> None:
        self.position += -self.position % size

    def number(self, size: int = 4, *, signed: bool = False) -> int:
        self.align(size)
        return int.from_bytes(self._take(size), self._order, signed=signed)

    def text(self, size: int = 4) -> str:
        raw = self._take(self.number(size))
        self._take(1)
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise _malformed() from error

    def value(self, kind: str) -> object:
        letter = kind[:1]
        if letter == "a":
            return self._array(kind[1:])
        if letter in {"s", "o"}:
            return self.text()
        if letter == "g":
            return self.text(1)
        size = _NUMBERS.get(letter)
        if size is None:
            raise PrivysealError(f"the message bus sent a value of the unknown type {kind!r}")
        number = self.number(size, signed=letter in {"n", "i", "x"})
        if letter == "h":
            if number >= len(self.fds):
                raise _malformed()
            return Descriptor(self.fds[number])
        return number

    def _array(self, kind: str) -> list[object]:
        length = self.number()
        self.align(1 if kind == "g" else _NUMBERS.get(kind[:1], 4))
        end = self.position + length
        found: list[object] = []
        while self.position < end:
            found.append(self.value(kind))
        return found

    def _take(self, size: int) -> bytes:
        start, self.position = self.position, self.position + size
        if self.position > len(self._data):
            raise _malformed()
        return self._data[start : self.position]


def _kinds(signature: str) -> Iterator[str]:
    """Yield each type of a signature: one letter, after the `a` of any arrays."""
    start = 0
    for end, letter in enumerate(signature, 1):
        if letter != "a":
            yield signature[start:end]
            start = end


def _unescaped(text: str) -> str:
    first, *escaped = text.encode().split(b"%")
    raw = first + b"".join(bytes([int(part[:2], 16)]) + part[2:] for part in escaped)
    return raw.decode(errors="surrogateescape")


def _malformed() -> PrivysealError:
    return PrivysealError("the message bus sent a malformed message")
