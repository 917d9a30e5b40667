"""The header of an age file: its stanzas, one a recipient, and the MAC over them.

    age-encryption.org/v1
    -> TYPE ARGUMENT...
    BODY, in unpadded base64, 64 columns a line, the last line shorter
    --- MAC

Every other way to write the same is refused, as the specification demands.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from privyseal.errors import CorruptError

VERSION: Final = b"age-encryption.org/v1\n"
FILE_KEY_BYTES: Final = 16
MAX_HEADER: Final = 256 * 1024
"""Longest header in bytes that is read; a hundred post-quantum recipients need 150 kB."""

_COLUMNS: Final = 64
_INTRO: Final = re.compile(rb"->( [!-~]+)+")
_BODY: Final = re.compile(rb"[A-Za-z0-9+/]{0,64}")
_FOOTER: Final = re.compile(rb"--- ([A-Za-z0-9+/]{43})")


class Stanza(NamedTuple):
    """One wrapping of the file key: `kind` and `arguments` are printable ASCII."""

    kind: str
    arguments: tuple[str, ...]
    body: bytes


class Header(NamedTuple):
    """A parsed header: `signed` are the bytes that the MAC covers."""

    stanzas: tuple[Stanza, ...]
    signed: bytes
    mac: bytes

    def check(self, file_key: bytes) -> None:
        """Check the MAC.

        Raises:
            CorruptError: The header was changed after it was written.
        """
        mac = _mac(file_key, self.signed)
        try:
            mac.verify(self.mac)
        except InvalidSignature as error:
            raise CorruptError("the age header's MAC does not fit: it was changed") from error


def encode64(data: bytes) -> str:
    """Return unpadded base64."""
    return b64encode(data).rstrip(b"=").decode()


def decode64(text: str | bytes) -> bytes:
    """Return what unpadded base64 holds.

    Raises:
        CorruptError: It is padded, or not the one encoding of its value.
    """
    plain = text.encode() if isinstance(text, str) else text
    try:
        data = b64decode(plain + b"=" * (-len(plain) % 4), validate=True)
    except Base64Error as error:
        raise CorruptError("the age header holds malformed base64") from error
    if b64encode(data).rstrip(b"=") != plain:
        raise CorruptError("the age header holds base64 that is not canonical")
    return data


def write(stanzas: list[Stanza], file_key: bytes) -> bytes:
    """Return the header with these stanzas."""
    lines = [VERSION]
    for stanza in stanzas:
        lines.append(" ".join(("->", stanza.kind, *stanza.arguments)).encode() + b"\n")
        body = encode64(stanza.body).encode()
        # A body that fills its last line is followed by an empty one.
        lines += [
            body[start : start + _COLUMNS] + b"\n" for start in range(0, len(body) + 1, _COLUMNS)
        ]
    signed = b"".join(lines) + b"---"
    return signed + b" " + encode64(_mac(file_key, signed).finalize()).encode() + b"\n"


def end_of(data: bytes | bytearray) -> int:
    """Return the length of the header at the start of `data`, 0 while it is not all there.

    Raises:
        CorruptError: No age file begins like this, or its header is too long.
    """
    if not VERSION.startswith(data[: len(VERSION)]):
        raise CorruptError("the age header is missing: this is no age file of version 1")
    footer = data.find(b"\n---")
    end = data.find(b"\n", footer + 1) + 1 if footer >= 0 else 0
    if max(end, 0 if end else len(data)) > MAX_HEADER:
        raise CorruptError(f"the age header is longer than {MAX_HEADER} bytes")
    return end


def parse(data: bytes) -> Header:
    """Return the header that `data`, up to and with its last newline, holds.

    Raises:
        CorruptError: It is not written as the specification demands.
    """
    lines = data.removesuffix(b"\n").split(b"\n")
    footer = _FOOTER.fullmatch(lines[-1])
    if footer is None or not data.startswith(VERSION):
        raise CorruptError("the age header has no valid first or last line")
    stanzas = []
    rest = lines[1:-1]
    while rest:
        stanza, rest = _stanza(rest)
        stanzas.append(stanza)
    if not stanzas:
        raise CorruptError("the age header names no recipient")
    signed = data[: len(data) - len(lines[-1]) - 1] + b"---"
    return Header(tuple(stanzas), signed, decode64(footer[1]))


def derive(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """Return 32 bytes by HKDF-SHA-256 (RFC 5869)."""
    return HKDF(SHA256(), 32, salt, info).derive(secret)


def _stanza(lines: list[bytes]) -> tuple[Stanza, list[bytes]]:
    if not _INTRO.fullmatch(lines[0]):
        raise CorruptError("the age header has a malformed recipient line")
    kind, *arguments = lines[0].decode().split(" ")[1:]
    for count, line in enumerate(lines[1:], 1):
        if not _BODY.fullmatch(line):
            break
        if len(line) < _COLUMNS:
            body = decode64(b"".join(lines[1 : count + 1]))
            return Stanza(kind, tuple(arguments), body), lines[count + 1 :]
    raise CorruptError("the age header has a recipient whose body does not end")


def _mac(file_key: bytes, signed: bytes) -> HMAC:
    mac = HMAC(derive(file_key, b"", b"header"), SHA256())
    mac.update(signed)
    return mac
