"""Session agreement and encryption, against vectors made by a second implementation."""

import hashlib
import hmac
import itertools

import pytest
from hypothesis import given, settings, strategies as st

from privyseal.errors import LimitError, UnsupportedError, UsageError
from privyseal.model.value import MAX_SECRET
from privyseal.wire.sessioncrypto import PRIME, AesCipher, PlainCipher, agree, derive


def _hkdf(shared: bytes) -> bytes:
    """Derive as RFC 5869 says, with the standard library alone."""
    extracted = hmac.new(bytes(32), shared, hashlib.sha256).digest()
    return hmac.new(extracted, b"\x01", hashlib.sha256).digest()[:16]


def _fixed(seed: int):
    """Return a source of bytes that is the same in every run."""
    counter = itertools.count(seed)

    def random(length: int) -> bytes:
        blocks = (hashlib.sha256(b"%d" % next(counter)).digest() for _ in range(length // 32 + 1))
        return b"".join(blocks)[:length]

    return random


def _peer(exponent: int) -> bytes:
    return pow(2, exponent, PRIME).to_bytes(128, "big")


def test_the_prime_is_the_second_oakley_group() -> None:
    # RFC 2409, 6.2: 2^1024 - 2^960 - 1 + 2^64 * { [2^894 pi] + 129093 }.
    assert PRIME.bit_length() == 1024
    assert PRIME >> 960 == 2**64 - 1
    assert PRIME % 2**64 == 2**64 - 1
    digest = hashlib.sha256(PRIME.to_bytes(128, "big")).hexdigest()
    assert pow(2, PRIME - 1, PRIME) == 1
    assert pow(2, (PRIME - 1) // 2, PRIME) == 1
    assert len(digest) == 64


@given(exponent=st.integers(2, PRIME - 3))
@settings(max_examples=25, deadline=None)
def test_both_ends_agree_on_the_key(exponent: int) -> None:
    cipher, public = agree(_peer(exponent), _fixed(1))
    shared = pow(int.from_bytes(public, "big"), exponent, PRIME).to_bytes(128, "big")
    parameters, value = cipher.seal(b"secret", _fixed(2))

    assert len(public) == 128
    assert AesCipher(_hkdf(shared)).unseal(parameters, value) == b"secret"


def test_a_shared_secret_keeps_its_leading_zeros() -> None:
    # About one pair in 256 gives such a secret; an implementation that strips the zeros fails
    # with exactly those.
    random = _fixed(3)
    exponent_of_ours = int.from_bytes(random(128), "big") % (PRIME - 3) + 2
    ours = pow(2, exponent_of_ours, PRIME)
    exponent = next(e for e in itertools.count(2) if pow(ours, e, PRIME) >> 1016 == 0)
    cipher, public = agree(_peer(exponent), _fixed(3))
    shared = pow(ours, exponent, PRIME).to_bytes(128, "big")
    parameters, value = cipher.seal(b"secret", _fixed(4))

    assert shared[0] == 0
    assert int.from_bytes(public, "big") == ours
    assert AesCipher(_hkdf(shared)).unseal(parameters, value) == b"secret"
    with pytest.raises(UsageError):
        AesCipher(_hkdf(shared.lstrip(b"\0"))).unseal(parameters, value)


def test_a_public_key_may_lack_its_leading_zeros() -> None:
    short = next(_peer(e) for e in itertools.count(1030) if _peer(e)[0] == 0)
    padded, _ = agree(short, _fixed(5))
    stripped, _ = agree(short.lstrip(b"\0"), _fixed(5))
    parameters, value = padded.seal(b"secret", _fixed(6))

    assert stripped.unseal(parameters, value) == b"secret"


def test_derivation_is_hkdf_without_salt() -> None:
    shared = bytes(range(128))
    assert derive(shared) == _hkdf(shared)


@pytest.mark.parametrize("number", [0, 1, PRIME - 1, PRIME, PRIME + 1, 2**1024 - 1])
def test_a_degenerate_public_key_is_refused(number: int) -> None:
    with pytest.raises(UnsupportedError):
        agree(number.to_bytes(128, "big"), _fixed(7))


@pytest.mark.parametrize("public", [b"", b"\0" * 128, b"\1" * 129, b"\xff" * 100_000])
def test_a_public_key_of_impossible_length_is_refused(public: bytes) -> None:
    with pytest.raises(UnsupportedError):
        agree(public, _fixed(8))


def test_each_secret_gets_its_own_vector() -> None:
    cipher = AesCipher(b"k" * 16)
    random = _fixed(9)
    first, second = cipher.seal(b"same", random), cipher.seal(b"same", random)
    assert first[0] != second[0]
    assert first[1] != second[1]


@given(value=st.binary(max_size=100))
def test_any_value_survives_the_session(value: bytes) -> None:
    for cipher in (PlainCipher(), AesCipher(b"k" * 16)):
        assert cipher.unseal(*cipher.seal(value, _fixed(10))) == value


def test_every_fault_in_an_encrypted_secret_looks_the_same() -> None:
    cipher = AesCipher(b"k" * 16)
    vector, value = cipher.seal(b"x" * 20, _fixed(11))
    flipped_padding = bytes([*value[:15], value[15] ^ 1, *value[16:]])
    faults = [
        (vector, flipped_padding),
        (vector, value[:-1]),
        (vector, value[:-16]),
        (vector, b""),
        (b"", value),
        (vector[:-1], value),
        (vector * 2, value),
    ]
    messages = set()
    for parameters, broken in faults:
        with pytest.raises(UsageError) as refusal:
            cipher.unseal(parameters, broken)
        messages.add((type(refusal.value), str(refusal.value), refusal.value.hint))
        assert refusal.value.__cause__ is None
    assert len(messages) == 1


def test_a_secret_may_fill_the_limit_and_not_exceed_it() -> None:
    cipher = AesCipher(b"k" * 16)
    assert len(cipher.unseal(*cipher.seal(b"x" * MAX_SECRET, _fixed(12)))) == MAX_SECRET
    with pytest.raises(LimitError):
        cipher.unseal(*cipher.seal(b"x" * (MAX_SECRET + 1), _fixed(12)))
    with pytest.raises(LimitError):
        PlainCipher().unseal(b"", b"x" * (MAX_SECRET + 1))
