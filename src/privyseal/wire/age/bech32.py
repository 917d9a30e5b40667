"""Bech32 (BIP 173) without its length limit: how age writes keys."""

from typing import Final

from privyseal.errors import UsageError

_ALPHABET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES: Final = {letter: value for value, letter in enumerate(_ALPHABET)}
_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKSUM: Final = 6


def encode(prefix: str, data: bytes) -> str:
    """Return `data` in lower case under a lower-case prefix."""
    words = _regroup(data, 8, 5, pad=True)
    polymod = _polymod([*_expand(prefix), *words, *[0] * _CHECKSUM]) ^ 1
    words += [(polymod >> 5 * (_CHECKSUM - 1 - place)) & 31 for place in range(_CHECKSUM)]
    return f"{prefix}1{''.join(_ALPHABET[word] for word in words)}"


def decode(text: str) -> tuple[str, bytes]:
    """Return prefix, in lower case, and data.

    Raises:
        UsageError: A wrong letter, mixed case, a wrong checksum or bits left over. The text, which
            may be a secret, is not repeated.
    """
    if text not in {text.lower(), text.upper()}:
        raise UsageError("a key mixes upper and lower case")
    prefix, one, rest = text.lower().rpartition("1")
    if not one or not prefix or not text.isascii() or not set(rest) <= set(_ALPHABET):
        raise UsageError("a key holds a character that no key has")
    words = [_VALUES[letter] for letter in rest]
    if len(words) < _CHECKSUM or _polymod([*_expand(prefix), *words]) != 1:
        raise UsageError("a key has a wrong checksum", hint="look for a typing error")
    return prefix, bytes(_regroup(words[:-_CHECKSUM], 5, 8, pad=False))


def _regroup(values: bytes | list[int], old: int, new: int, *, pad: bool) -> list[int]:
    """Return the same bits in groups of another size."""
    bits = held = 0
    groups = []
    for value in values:
        held = (held << old | value) & ((1 << (old + new)) - 1)
        bits += old
        while bits >= new:
            bits -= new
            groups.append(held >> bits & ((1 << new) - 1))
    rest = held & ((1 << bits) - 1)
    if pad and bits:
        groups.append(rest << (new - bits))
    elif not pad and (rest or bits >= old):
        raise UsageError("a key does not end where its last byte does")
    return groups


def _expand(prefix: str) -> list[int]:
    codes = prefix.encode()
    return [code >> 5 for code in codes] + [0] + [code & 31 for code in codes]


def _polymod(values: list[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for place, term in enumerate(_GENERATOR):
            check ^= term if top >> place & 1 else 0
    return check
