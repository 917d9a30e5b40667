"""The sealed form of the store: what opens, what never opens, and that the document tells the truth."""

import hashlib
import hmac
import os
import struct
import subprocess
import sys
import zlib
from typing import Any, get_args

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given, settings, strategies as st

from privyseal.errors import CorruptError, DeniedError, UsageError
from privyseal.model.secret import Secret
from privyseal.wire.vault import (
    About,
    Column,
    Cost,
    Index,
    Sealer,
    pack_about,
    unpack_about,
    unpack_index,
    unwrap,
)

STORE = bytes(range(16))
KEY = bytes(range(100, 132))
CHEAP = Cost(log2_n=10)
PASSPHRASE = Secret(b"correct horse")

columns = st.sampled_from(get_args(Column))
places = st.lists(st.text(max_size=20), max_size=3).map(tuple)
plains = st.binary(max_size=300)


def sealer() -> Sealer:
    return Sealer(STORE, KEY)


def header(cost: Cost = CHEAP) -> bytes:
    return sealer().wrap(PASSPHRASE, cost, os.urandom)


def with_sum(body: bytes) -> bytes:
    return body + struct.pack(">I", zlib.crc32(body))


# Cells.


@given(column=columns, row=places, plain=plains)
def test_a_cell_opens_where_it_was_sealed(
    column: Column, row: tuple[str, ...], plain: bytes
) -> None:
    sealed = sealer().seal(column, row, plain, os.urandom)
    assert sealer().open(column, row, sealed) == plain


@given(plain=plains, at=st.integers(0), flip=st.integers(1, 255))
def test_a_cell_with_any_byte_changed_is_corrupt(plain: bytes, at: int, flip: int) -> None:
    sealed = bytearray(sealer().seal("item.value", ("login", "a"), plain, os.urandom))
    sealed[at % len(sealed)] ^= flip
    with pytest.raises(CorruptError):
        sealer().open("item.value", ("login", "a"), bytes(sealed))


@given(plain=plains, keep=st.integers(0))
def test_a_cell_cut_short_is_corrupt(plain: bytes, keep: int) -> None:
    sealed = sealer().seal("item.value", ("login", "a"), plain, os.urandom)
    with pytest.raises(CorruptError):
        sealer().open("item.value", ("login", "a"), sealed[: keep % len(sealed)])


@pytest.mark.parametrize(
    ("column", "row"),
    [
        ("item.about", ("login", "a")),
        ("item.value", ("login", "b")),
        ("item.value", ("work", "a")),
        ("item.value", ("logina",)),
        ("item.value", ("logi", "na")),
        ("item.value", ("a", "login")),
    ],
)
def test_a_cell_does_not_open_elsewhere(column: Column, row: tuple[str, ...]) -> None:
    sealed = sealer().seal("item.value", ("login", "a"), b"hunter2", os.urandom)
    with pytest.raises(CorruptError):
        sealer().open(column, row, sealed)


def test_a_number_in_place_of_a_cell_is_corrupt() -> None:
    damaged: Any = 5  # what SQLite gives for a row whose record was altered
    with pytest.raises(CorruptError):
        sealer().open("item.value", ("login", "1"), damaged)


def test_a_cell_does_not_open_in_another_store_or_under_another_key() -> None:
    sealed = sealer().seal("index", (), b"hunter2", os.urandom)
    for other in (Sealer(bytes(16), KEY), Sealer(STORE, bytes(32))):
        with pytest.raises(CorruptError):
            other.open("index", (), sealed)


def test_a_short_value_does_not_show_its_length() -> None:
    lengths = {len(sealer().seal("item.value", (), bytes(n), os.urandom)) for n in range(64)}
    assert len(lengths) == 1


def test_sealing_twice_gives_different_cells() -> None:
    assert len({sealer().seal("index", (), b"same", os.urandom) for _ in range(10)}) == 10


def test_a_cell_is_what_the_document_says() -> None:
    parts = (b"privyseal cell", STORE, b"item.value", b"login", b"a")
    context = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    cipher = ChaCha20Poly1305(hmac.digest(KEY, context, "sha256"))
    nonce = bytes(range(12))
    sealed = nonce + cipher.encrypt(nonce, b"hunter2\x80" + bytes(56), context)

    assert (
        sealer().seal("item.value", ("login", "a"), b"hunter2", lambda n: bytes(range(n))) == sealed
    )


# The header.


def test_the_passphrase_gives_the_key_back() -> None:
    sealed = sealer().seal("index", (), b"hunter2", os.urandom)
    opened = unwrap(header(), PASSPHRASE)
    assert opened.store == STORE
    assert opened.open("index", (), sealed) == b"hunter2"


@given(wrong=st.binary(max_size=40))
@settings(max_examples=20)
def test_a_wrong_passphrase_is_denied(wrong: bytes) -> None:
    if wrong != PASSPHRASE.expose():
        with pytest.raises(DeniedError):
            unwrap(header(), Secret(wrong))


def test_a_header_with_any_byte_changed_is_corrupt() -> None:
    whole = header()
    for at in range(len(whole)):
        changed = bytearray(whole)
        changed[at] ^= 1
        with pytest.raises(CorruptError):
            unwrap(bytes(changed), PASSPHRASE)


def test_a_forged_header_with_a_right_sum_opens_nothing() -> None:
    body = header()[:-4]
    for at in range(len(body)):
        changed = bytearray(body)
        changed[at] ^= 1
        with pytest.raises((CorruptError, DeniedError)):
            unwrap(with_sum(bytes(changed)), PASSPHRASE)


@given(content=st.binary(max_size=200))
def test_what_is_no_header_is_corrupt(content: bytes) -> None:
    with pytest.raises(CorruptError):
        unwrap(content, PASSPHRASE)
    with pytest.raises(CorruptError):
        unwrap(with_sum(content), PASSPHRASE)


@given(log2_n=st.integers(0, 255), r=st.integers(0, 65535), p=st.integers(0, 65535))
def test_absurd_work_is_refused_before_it_is_done(log2_n: int, r: int, p: int) -> None:
    if 10 <= log2_n <= 20 and 0 < 128 * r * p << log2_n <= 2**30:
        return
    forged = struct.pack(">4sBBHH", b"PSVT", 1, log2_n, r, p) + bytes(16 + 32 + 12 + 48)
    with pytest.raises(CorruptError):
        unwrap(with_sum(forged), PASSPHRASE)
    with pytest.raises(UsageError):
        header(Cost(log2_n=log2_n, r=r, p=p))


def test_too_little_memory_is_said() -> None:
    code = """
import resource
from privyseal.errors import LimitError
from privyseal.model.secret import Secret
from privyseal.wire.vault import Cost, Sealer
resource.setrlimit(resource.RLIMIT_AS, (100 * 2**20,) * 2)
try:
    Sealer(bytes(16), bytes(32)).wrap(Secret(b"x"), Cost(), bytes)
except LimitError as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert said.stdout == "trying a passphrase takes 128 MiB, and they are not free\n"


def test_an_empty_passphrase_is_refused() -> None:
    with pytest.raises(UsageError, match="passphrase is empty"):
        sealer().wrap(Secret(b""), CHEAP, os.urandom)


def test_the_header_is_what_the_document_says() -> None:
    salt, nonce = bytes(range(32)), bytes(range(12))
    bound = b"PSVT\x01" + bytes([10, 0, 8, 0, 1]) + STORE + salt + nonce
    key = hashlib.scrypt(b"correct horse", salt=salt, n=1024, r=8, p=1, dklen=32)
    body = bound + ChaCha20Poly1305(key).encrypt(nonce, KEY, bound)

    assert sealer().wrap(PASSPHRASE, CHEAP, lambda n: bytes(range(n))) == with_sum(body)


def test_keys_do_not_print() -> None:
    assert "\\x" not in repr(sealer()) + repr(Index(STORE, KEY))


# Search tokens.


@given(one=st.tuples(st.text(), st.text()), other=st.tuples(st.text(), st.text()))
def test_only_equal_pairs_have_equal_tokens(one: tuple[str, str], other: tuple[str, str]) -> None:
    index = Index(STORE, KEY)
    assert (index.token(*one) == index.token(*other)) == (one == other)
    joined = "".join(one)
    for cut in range(len(joined) + 1):
        moved = joined[:cut], joined[cut:]
        assert (index.token(*one) == index.token(*moved)) == (one == moved)


@given(one=st.dictionaries(st.text(), st.text()), other=st.dictionaries(st.text(), st.text()))
def test_only_equal_sets_have_equal_hashes(one: dict[str, str], other: dict[str, str]) -> None:
    index = Index(STORE, KEY)
    assert index.exact(one) == index.exact(dict(reversed(one.items())))
    assert (index.exact(one) == index.exact(other)) == (one == other)


def test_tokens_need_the_key() -> None:
    assert Index(STORE, KEY).token("a", "b") != Index(STORE, bytes(32)).token("a", "b")


def test_tokens_are_what_the_document_says() -> None:
    def keyed(*parts: bytes) -> bytes:
        framed = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hmac.digest(KEY, framed, "sha256")[:16]

    index = Index(STORE, KEY)
    assert index.token("user", "zoë") == keyed(b"privyseal index", b"pair", b"user", "zoë".encode())
    assert index.exact({"b": "2", "a": "1"}) == keyed(
        b"privyseal index", b"set", b"a", b"1", b"b", b"2"
    )
    assert index.alias("default") == keyed(b"privyseal index", b"alias", b"default")
    assert index.check() == keyed(b"privyseal index", b"check", STORE)
    assert index.pack() == b"PSVI\x01" + STORE + KEY


@given(name=st.text(max_size=50))
def test_an_alias_opens_only_in_its_own_row(name: str) -> None:
    index = Index(STORE, KEY)
    sealed = index.seal_alias(name, os.urandom)
    assert index.open_alias(index.alias(name), sealed) == name
    with pytest.raises(CorruptError):
        index.open_alias(index.alias(name + "x"), sealed)


@given(content=st.binary(max_size=80))
def test_what_is_no_index_key_is_corrupt(content: bytes) -> None:
    with pytest.raises(CorruptError):
        unpack_index(content)


def test_a_packed_index_key_gives_the_same_tokens() -> None:
    index = Index(STORE, KEY)
    assert unpack_index(index.pack()).token("a", "b") == index.token("a", "b")


# Descriptions.


@given(
    label=st.text(max_size=100),
    attributes=st.dictionaries(st.text(max_size=30), st.text(max_size=30), max_size=8),
    content_type=st.text(max_size=30),
)
def test_a_description_survives_packing(
    label: str, attributes: dict[str, str], content_type: str
) -> None:
    about = About(label=label, attributes=attributes, content_type=content_type)
    assert unpack_about(pack_about(about)) == about


@pytest.mark.parametrize(
    "about",
    [
        About(label="x" * 16_385),
        About(attributes={"x" * 256: ""}),
        About(attributes={"x": "x" * 16_385}),
        About(attributes={str(number): "" for number in range(65)}),
        About(label="\ud800"),
        About(attributes={"\udfff": ""}),
    ],
    ids=range(6),
)
def test_a_description_out_of_bounds_is_refused(about: About) -> None:
    with pytest.raises(UsageError, match="label or attributes"):
        pack_about(about)


def test_a_lone_surrogate_cannot_be_searched_for() -> None:
    with pytest.raises(UsageError, match="surrogate"):
        Index(STORE, KEY).token("user", "\ud800")


@given(content=st.binary(max_size=80))
def test_what_is_no_description_is_corrupt(content: bytes) -> None:
    if not content.strip().startswith(b"{"):
        with pytest.raises(CorruptError):
            unpack_about(content)
