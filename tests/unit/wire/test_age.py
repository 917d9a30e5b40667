"""The age codec: the public test kit, and what we write ourselves."""

import hashlib
import random
import zlib
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, strategies as st

from privyseal.errors import CorruptError, DeniedError, LimitError, PrivysealError, UsageError
from privyseal.model.secret import Secret
from privyseal.wire.age import bech32
from privyseal.wire.age.codec import Decryptor, Encryptor
from privyseal.wire.age.keys import (
    HybridIdentity,
    Identity,
    ScryptIdentity,
    ScryptRecipient,
    X25519Identity,
    parse_identities,
    parse_recipient,
)

VECTORS = Path(__file__).parents[2] / "vectors" / "age"
SECRET = Secret(b"correct horse")
ALICE = X25519Identity(Secret(b"a" * 32))
BOB = X25519Identity(Secret(b"b" * 32))
CAROL = HybridIdentity(Secret(b"c" * 32))


class Vector(NamedTuple):
    expect: str
    payload: str
    identities: list[Identity]
    file: bytes


def load(name: str) -> Vector:
    head, _, file = (VECTORS / name).read_bytes().partition(b"\n\n")
    fields = [line.split(": ", 1) for line in head.decode().splitlines()]
    single = dict(fields)
    identities: list[Identity] = []
    for key, value in fields:
        if key == "identity":
            identities += parse_identities(Secret(value.encode()))
        if key == "passphrase":
            identities.append(ScryptIdentity(Secret(value.encode())))
    if single.get("compressed") == "zlib":
        file = zlib.decompress(file)
    return Vector(single["expect"], single.get("payload", ""), identities, file)


def open_in_pieces(vector: Vector, size: int) -> tuple[str, bytes]:
    """Return how it ended, in the words of the kit, and the plaintext up to there."""
    decryptor = Decryptor(vector.identities)
    plaintext = b""
    try:
        for start in range(0, len(vector.file), size):
            plaintext += decryptor.feed(vector.file[start : start + size])
        plaintext += decryptor.finish()
    except DeniedError:
        return "no match", plaintext
    except (CorruptError, LimitError) as error:
        return next(
            word for word in ("MAC", "payload", "armor", "header") if word in str(error)
        ), plaintext
    return "success", plaintext


@pytest.mark.parametrize("size", [1_000_000, 7])
@pytest.mark.parametrize("name", sorted(p.name for p in VECTORS.iterdir() if p.suffix != ".md"))
def test_public_vectors_end_as_they_must(name, size):
    vector = load(name)

    ended, plaintext = open_in_pieces(vector, size)

    assert ended == vector.expect.removesuffix(" failure").removeprefix("H")
    if vector.payload:
        assert hashlib.sha256(plaintext).hexdigest() == vector.payload


def encrypt(
    data: bytes, *recipients, seed: int = 1, armored: bool = False, size: int = 50_000
) -> bytes:
    source = random.Random(seed)  # noqa: S311 - a test repeats, it keeps no secret
    encryptor = Encryptor(recipients, source.randbytes, armored=armored)
    pieces = [encryptor.feed(data[start : start + size]) for start in range(0, len(data), size)]
    return b"".join([*pieces, encryptor.finish()])


def decrypt(file: bytes, *identities: Identity, size: int = 70_000) -> bytes:
    decryptor = Decryptor(identities)
    pieces = [decryptor.feed(file[start : start + size]) for start in range(0, len(file), size)]
    return b"".join([*pieces, decryptor.finish()])


@given(
    length=st.one_of(
        st.integers(0, 300),
        st.sampled_from([65_535, 65_536, 65_537, 131_071, 131_072, 131_073, 200_000]),
    ),
    armored=st.booleans(),
    cut=st.sampled_from([1000, 4096, 65_536, 10**9]),
)
def test_what_was_encrypted_can_be_decrypted_in_any_pieces(length, armored, cut):
    data = random.Random(length).randbytes(length)  # noqa: S311 - a test repeats
    file = encrypt(data, ALICE.recipient(), BOB.recipient(), armored=armored, size=cut)

    assert decrypt(file, BOB, size=cut) == data
    assert decrypt(file, ALICE) == data


@pytest.mark.parametrize("length", range(130))
def test_armor_ends_well_at_every_length(length):
    data = b"x" * length
    assert decrypt(encrypt(data, ALICE.recipient(), armored=True), ALICE) == data


def test_post_quantum_recipients_can_read_and_nobody_else():
    file = encrypt(b"data", CAROL.recipient())

    assert decrypt(file, ALICE, CAROL) == b"data"
    with pytest.raises(DeniedError):
        decrypt(file, ALICE, HybridIdentity(Secret(b"d" * 32)))


def test_a_passphrase_opens_its_file_and_another_does_not():
    file = encrypt(b"data", ScryptRecipient(SECRET, work_factor=4))

    assert decrypt(file, ScryptIdentity(SECRET)) == b"data"
    with pytest.raises(DeniedError):
        decrypt(file, ScryptIdentity(Secret(b"wrong")))


def test_a_file_that_asks_for_too_much_work_is_refused():
    file = encrypt(b"data", ScryptRecipient(SECRET, work_factor=8))
    with pytest.raises(LimitError, match=r"2\^8"):
        decrypt(file, ScryptIdentity(SECRET, max_work_factor=7))


def test_recipients_that_would_weaken_each_other_do_not_share_a_file():
    passphrase = ScryptRecipient(SECRET, work_factor=4)
    for recipients in (
        (passphrase, ALICE.recipient()),
        (passphrase, passphrase),
        (CAROL.recipient(), ALICE.recipient()),
        (),
    ):
        with pytest.raises(UsageError):
            encrypt(b"data", *recipients)


@pytest.mark.parametrize("armored", [False, True])
def test_every_flipped_byte_and_every_cut_is_noticed(armored):
    data = b"a secret of some length"
    file = encrypt(data, ALICE.recipient(), armored=armored)
    for position in range(len(file)):
        flipped = bytearray(file)
        flipped[position] ^= 1
        with pytest.raises((CorruptError, DeniedError)):
            decrypt(bytes(flipped), ALICE)
        if position < len(file) - 1:  # armor may end without a newline
            with pytest.raises(CorruptError):
                decrypt(file[:position], ALICE)


def test_a_header_without_end_is_refused_before_it_is_kept():
    decryptor = Decryptor([ALICE])
    decryptor.feed(b"age-encryption.org/v1\n-> grease\n")
    lines = (b"A" * 64 + b"\n") * 5_000
    with pytest.raises(CorruptError, match="longer than"):
        decryptor.feed(lines)


@given(
    data=st.binary(max_size=200),
    start=st.sampled_from(
        [b"", b"age-encryption.org/v1\n-> ", b"-----BEGIN AGE ENCRYPTED FILE-----\n"]
    ),
)
def test_garbage_ends_in_one_clear_error(data, start):
    with pytest.raises(PrivysealError):
        decrypt(start + data, ALICE, CAROL)


def test_written_recipients_are_read_back():
    for identity in (ALICE, CAROL):
        text = str(identity.recipient())
        again = parse_recipient(text)
        assert str(again) == text
        assert decrypt(encrypt(b"data", again), identity) == b"data"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "age1",
        "age1qqqqqqqqqq",
        "ssh-ed25519 AAAA",
        str(ALICE.recipient()).upper(),
        str(ALICE.recipient())[:-1] + "q",
        str(ALICE.recipient())[:30],
        bech32.encode("age", b"k" * 31),
        bech32.encode("age1pq", b"k" * 31),
        bech32.encode("other", b"k" * 32),
    ],
)
def test_what_is_no_recipient_is_refused(text):
    with pytest.raises(UsageError, match="recipient"):
        parse_recipient(text)


def test_an_identity_file_may_hold_comments_and_several_keys():
    keys = [
        bech32.encode("age-secret-key-", b"a" * 32),
        bech32.encode("age-secret-key-pq-", b"c" * 32),
    ]
    text = "# mine\n\n" + "\r\n".join(key.upper() for key in keys) + "\n"
    identities = parse_identities(Secret(text.encode()))

    assert decrypt(encrypt(b"1", ALICE.recipient()), *identities) == b"1"
    assert decrypt(encrypt(b"2", CAROL.recipient()), *identities) == b"2"


@pytest.mark.parametrize(
    "text", ["", "# nothing", bech32.encode("age-secret-key-", b"a" * 32), "é"]
)
def test_a_bad_identity_file_is_refused_without_repeating_it(text):
    with pytest.raises(UsageError, match="identity file") as caught:
        parse_identities(Secret(text.encode()))
    assert text[-20:] not in str(caught.value) or len(text) < 20


@given(st.binary(max_size=100))
def test_bech32_reads_what_it_wrote(data):
    assert bech32.decode(bech32.encode("age", data)) == ("age", data)
