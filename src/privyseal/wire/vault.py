"""The sealed form of the embedded store: its header, its cells and its search tokens.

docs/store-format.md describes every byte and says why. In short: the passphrase, through scrypt,
unwraps a random data key; each cell of a row is sealed under its own key derived from the data key
and from the cell's place; each attribute pair leaves a keyed hash, so that a search needs only the
index key and no data key.
"""

import hashlib
import hmac
import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Final, Literal, TypeAlias, final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from privyseal.errors import CorruptError, DeniedError, LimitError, UsageError
from privyseal.model.secret import Secret
from privyseal.model.value import Attributes, Text, Value, decode, encode

Random: TypeAlias = Callable[[int], bytes]
"""Returns so many unpredictable bytes, as `os.urandom` does."""

Column: TypeAlias = Literal["collection.about", "item.about", "item.value", "alias.name", "index"]

KEY: Final = 32
TOKEN: Final = 16
_NONCE: Final = 12
_TAG: Final = 16
_BLOCK: Final = 64
_LOG2_N: Final = range(10, 21)
_MAX_WORK: Final = 2**30

# magic, version, log2 N, r, p, store id, salt, nonce, wrapped data key; then the CRC of all that.
_HEADER: Final = struct.Struct(">4sBBHH16s32s12s48s")
_BOUND: Final = _HEADER.size - KEY - _TAG
_CRC: Final = struct.Struct(">I")
_MAGIC: Final = b"PSVT"
# magic, version, store id, key.
_INDEX: Final = struct.Struct(">4sB16s32s")
_INDEX_MAGIC: Final = b"PSVI"
_VERSION: Final = 1


class Cost(Value, frozen=True):
    """What one guess at a passphrase costs (scrypt, RFC 7914); the default takes 128 MiB."""

    log2_n: int = 17
    r: int = 8
    p: int = 1


class About(Value, frozen=True):
    """What is sealed of an item or a collection beside its value."""

    label: Text = ""
    attributes: Attributes = msgspec.field(default_factory=dict)
    content_type: Text = ""


@final
class Sealer:
    """Seals and opens cells under one key; it never prints, and who drops it forgets the key."""

    __slots__ = ("_key", "store")

    def __init__(self, store: bytes, key: bytes) -> None:
        self.store = store
        self._key = key

    def seal(self, column: Column, row: tuple[str, ...], plain: bytes, random: Random) -> bytes:
        """Return `plain` sealed to this place: nonce, ciphertext, tag.

        The length shows only in steps of 64 bytes.
        """
        context = self._context(column, row)
        nonce = random(_NONCE)
        padded = plain + b"\x80" + bytes(-(len(plain) + 1) % _BLOCK)
        return nonce + self._cipher(context).encrypt(nonce, padded, context)

    def open(self, column: Column, row: tuple[str, ...], sealed: bytes) -> bytes:
        """Return what was sealed to this place.

        Raises:
            CorruptError: It was altered, cut, sealed to another place or under another key.
        """
        context = self._context(column, row)
        try:
            padded = self._cipher(context).decrypt(sealed[:_NONCE], sealed[_NONCE:], context)
        except (InvalidTag, ValueError, TypeError) as error:  # a damaged file may hold a number
            place = f"{column} of {'/'.join(row)}" if row else column
            raise CorruptError(f"{place!r} is not what was written there") from error
        return padded.rstrip(b"\0")[:-1]

    def wrap(self, passphrase: Secret, cost: Cost, random: Random) -> bytes:
        """Return a header from which `unwrap` gets this sealer back.

        Raises:
            UsageError: The passphrase is empty, or `cost` is out of bounds.
        """
        if not passphrase:
            raise UsageError("the passphrase is empty")
        if not _affordable(cost):
            raise UsageError(
                f"scrypt parameters {cost.log2_n}, {cost.r}, {cost.p} are out of bounds"
            )
        salt, nonce = random(32), random(_NONCE)
        bound = _HEADER.pack(
            _MAGIC, _VERSION, cost.log2_n, cost.r, cost.p, self.store, salt, nonce, b""
        )[:_BOUND]
        key = _stretch(passphrase, salt, cost)
        header = bound + ChaCha20Poly1305(key).encrypt(nonce, self._key, bound)
        return header + _CRC.pack(zlib.crc32(header))

    def _context(self, column: Column, row: tuple[str, ...]) -> bytes:
        return _framed(b"privyseal cell", self.store, column.encode(), *map(str.encode, row))

    def _cipher(self, context: bytes) -> ChaCha20Poly1305:
        # A key for each place: random nonces then only have to differ among the writes of one cell,
        # and the bound on messages under one key (2**32) is out of sight for any store.
        return ChaCha20Poly1305(hmac.digest(self._key, context, "sha256"))


def unwrap(header: bytes, passphrase: Secret) -> Sealer:
    """Return the sealer of the store that begins with `header`; takes scrypt's time and memory.

    Raises:
        CorruptError: Not a header, a damaged one, or one that asks for absurd work.
        DeniedError: The passphrase is wrong.
        LimitError: Not enough memory.
    """
    body, crc = header[: _HEADER.size], header[_HEADER.size :]
    # The sum tells damage from a mistyped passphrase. It is no protection and need not be one:
    # whatever is forged here fails to unwrap.
    if len(body) < _HEADER.size or crc != _CRC.pack(zlib.crc32(body)):
        raise CorruptError("the header is damaged")
    magic, version, log2_n, r, p, store, salt, nonce, wrapped = _HEADER.unpack(body)
    cost = Cost(log2_n=log2_n, r=r, p=p)
    if magic != _MAGIC or version != _VERSION or not _affordable(cost):
        raise CorruptError("the header asks for what this program does not do")
    try:
        cipher = ChaCha20Poly1305(_stretch(passphrase, salt, cost))
        return Sealer(store, cipher.decrypt(nonce, wrapped, body[:_BOUND]))
    except InvalidTag as error:
        raise DeniedError("the passphrase is wrong") from error


@final
class Index:
    """Keyed hashes of attributes, and the names of aliases: what a locked store can still use."""

    __slots__ = ("_key", "_names", "store")

    def __init__(self, store: bytes, key: bytes) -> None:
        self.store = store
        self._key = key
        self._names = Sealer(store, self._hash(b"names", size=KEY))

    def token(self, name: str, value: str) -> bytes:
        """Return the keyed hash of one attribute pair."""
        return self._hash(b"pair", _utf8(name), _utf8(value))

    def exact(self, attributes: Mapping[str, str]) -> bytes:
        """Return the keyed hash of a whole set of attributes, whatever its order."""
        pairs = sorted((_utf8(name), _utf8(value)) for name, value in attributes.items())
        return self._hash(b"set", *(part for pair in pairs for part in pair))

    def alias(self, name: str) -> bytes:
        """Return the keyed hash of an alias."""
        return self._hash(b"alias", _utf8(name))

    def seal_alias(self, name: str, random: Random) -> bytes:
        """Return an alias sealed to the row of its own hash."""
        return self._names.seal("alias.name", (self.alias(name).hex(),), _utf8(name), random)

    def open_alias(self, token: bytes, sealed: bytes) -> str:
        """Return the alias of the row with this hash."""
        return self._names.open("alias.name", (token.hex(),), sealed).decode()

    def check(self) -> bytes:
        """Return a value by which a store knows the key that belongs to it."""
        return self._hash(b"check", self.store)

    def pack(self) -> bytes:
        """Return the content of the index key's file."""
        return _INDEX.pack(_INDEX_MAGIC, _VERSION, self.store, self._key)

    def _hash(self, *parts: bytes, size: int = TOKEN) -> bytes:
        return hmac.digest(self._key, _framed(b"privyseal index", *parts), "sha256")[:size]


def unpack_index(content: bytes) -> Index:
    """Return the index whose `pack` gave `content`.

    Raises:
        CorruptError: It is no index key.
    """
    try:
        magic, version, store, key = _INDEX.unpack(content)
    except struct.error as error:
        raise CorruptError("not an index key") from error
    if magic != _INDEX_MAGIC or version != _VERSION:
        raise CorruptError("not an index key of this program")
    return Index(store, key)


def pack_about(about: About) -> bytes:
    """Return `about` as bytes to seal.

    Raises:
        UsageError: A text is too long or no text, or there are too many attributes.
    """
    try:
        packed = encode(about)
    except UnicodeEncodeError as error:
        raise UsageError("label or attributes hold a lone surrogate") from error
    decode(packed, About, what="label or attributes")
    return packed


def unpack_about(packed: bytes) -> About:
    """Return the value that `pack_about` packed.

    Raises:
        CorruptError: It did not.
    """
    try:
        return decode(packed, About, what="a description")
    except UsageError as error:
        raise CorruptError(str(error)) from error


def _affordable(cost: Cost) -> bool:
    # 128 * N * r bytes is scrypt's memory, p its repetitions; a factor of zero makes no sense.
    work = 128 * cost.r * cost.p << cost.log2_n if cost.log2_n in _LOG2_N else 0
    return 0 < work <= _MAX_WORK


def _stretch(passphrase: Secret, salt: bytes, cost: Cost) -> bytes:
    try:
        return hashlib.scrypt(
            passphrase.expose(),
            salt=salt,
            n=1 << cost.log2_n,
            r=cost.r,
            p=cost.p,
            maxmem=_MAX_WORK + 2**24,
            dklen=KEY,
        )
    except (MemoryError, ValueError) as error:
        size = 128 * cost.r << cost.log2_n >> 20
        raise LimitError(f"trying a passphrase takes {size} MiB, and they are not free") from error


def _framed(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise UsageError("an attribute holds a lone surrogate") from error
