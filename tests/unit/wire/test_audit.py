"""The chain: whatever byte of a log is changed, the check names the entry."""

import random
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
from tests.audit_log import SIGNER, content, receipt, write_log
from tests.soak import times

from privyseal.errors import CorruptError
from privyseal.model.receipt import Entry
from privyseal.runtime.audit import log_files
from privyseal.wire.audit import Chain, file_name, file_number
from privyseal.wire.auditcheck import Verifier, check_receipt

BIG_FLIPS = times(300, soak=20_000)


def read(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in log_files(folder)}


def check(files: dict[str, bytes], **options) -> Verifier:
    verifier = Verifier(**options)
    for name, data in files.items():
        for _ in verifier.verify(name, data.splitlines(keepends=True)):
            pass
    return verifier


def lines_of(*entries: Entry) -> bytes:
    chain = Chain()
    return b"".join(
        chain.line(msgspec.structs.replace(entry, n=chain.n + 1, prev=chain.head))
        for entry in entries
    )


def entry(event, **fields) -> Entry:
    return Entry(n=0, at=1.0, event=event, prev="", **fields)


def released(outcome, **fields) -> Entry:
    return entry("released", request="r1", outcome=outcome, items=("login/1",), **fields)


async def test_a_whole_log_passes_and_gives_its_head(tmp_path):
    await write_log(tmp_path, requests=9)
    files = read(tmp_path)

    number, head = check(files).head

    assert len(files) > 2
    last = list(files.values())[-1].splitlines()[-1]
    assert number == sum(data.count(b"\n") for data in files.values())
    assert head.encode() in last


async def test_any_flipped_byte_of_a_small_log_is_found_and_named(tmp_path):
    await write_log(tmp_path, requests=2, rotate_bytes=4000)
    files = read(tmp_path)
    assert len(files) == 2
    for name, data in files.items():
        for position in range(len(data)):
            for flip in (1 << (position % 8), data[position] ^ 0x0A or 0x0B):
                flipped = bytearray(data)
                flipped[position] ^= flip
                assert_named(files, name, bytes(flipped), position)


async def test_random_flips_in_a_big_log_are_found_and_named(tmp_path):
    await write_log(tmp_path, requests=60, rotate_bytes=40_000)
    files = read(tmp_path)
    choice = random.Random(BIG_FLIPS)  # noqa: S311 - a test repeats, it keeps no secret
    for _ in range(BIG_FLIPS):
        name = choice.choice(list(files))
        flipped = bytearray(files[name])
        position = choice.randrange(len(flipped))
        flipped[position] ^= choice.randrange(1, 256)
        assert_named(files, name, bytes(flipped), position)


def assert_named(files: dict[str, bytes], name: str, flipped: bytes, position: int) -> None:
    """The message names this file, and the line and entry that hold the byte."""
    line = files[name].count(b"\n", 0, position) + 1
    before = sum(data.count(b"\n") for other, data in files.items() if other < name)
    with pytest.raises(CorruptError) as caught:
        check({**files, name: flipped})
    assert str(caught.value).startswith(f"{name}, line {line}, entry {before + line}: ")


async def test_a_changed_entry_with_its_hash_made_anew_breaks_the_next_one(tmp_path):
    await write_log(tmp_path, requests=1, rotate_bytes=10**6)
    ((name, data),) = read(tmp_path).items()
    lines = data.splitlines(keepends=True)
    text = lines[0].replace(b"0.1.0", b"0.1.1")
    body = text[:-67] + b'"}'
    lines[0] = body[:-2] + sha256(body).hexdigest().encode() + b'"}\n'

    with pytest.raises(CorruptError, match=r"line 2, entry 2: .* does not follow"):
        check({name: b"".join(lines)})


async def test_removed_swapped_and_repeated_entries_are_found(tmp_path):
    await write_log(tmp_path, requests=2, rotate_bytes=10**6)
    ((name, data),) = read(tmp_path).items()
    lines = data.splitlines(keepends=True)
    for changed in (
        lines[1:],
        lines[:3] + lines[4:],
        [lines[0], lines[2], lines[1], *lines[3:]],
        [lines[0], *lines],
        [lines[0], b"\n", *lines[1:]],
    ):
        with pytest.raises(CorruptError, match=r"audit-000001\.jsonl, line \d+, entry \d+: "):
            check({name: b"".join(changed)})


async def test_a_missing_file_is_found(tmp_path):
    await write_log(tmp_path, requests=6)
    files = read(tmp_path)
    for name in list(files)[:-1]:
        with pytest.raises(CorruptError, match="must follow"):
            check({other: data for other, data in files.items() if other != name})


async def test_a_cut_at_the_end_shows_only_in_the_head(tmp_path):
    await write_log(tmp_path, requests=1, rotate_bytes=10**6)
    ((name, data),) = read(tmp_path).items()
    shorter = b"".join(data.splitlines(keepends=True)[:-1])

    assert check({name: shorter}).head != check({name: data}).head


def test_other_encodings_of_the_same_value_are_refused():
    data = lines_of(entry("start", detail="é"))
    for changed in (
        data.replace(b'"at":1.0', b'"at":1.00'),
        data.replace(b'"at":1.0', b'"at": 1.0'),
        data.replace("é".encode(), b"\\u00e9"),
        data.replace(b'"kind":"",', b""),
        data[:-1] + b" \n",
        data[:-1] + b"\r\n",
    ):
        assert changed != data
        with pytest.raises(CorruptError, match="canonical"):
            check({"log": changed})


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ((released("denied"),), "not granted"),
        ((released("allowed"),), "without a receipt"),
        ((released("leased"),), "without naming"),
        ((entry("resolved", request="r1", outcome="allowed"),), "without a receipt"),
        ((entry("resolved", request="r1", outcome="ruled"),), "without naming"),
        (
            (entry("resolved", request="r1", outcome="allowed", via="coalesced with r0"),),
            "without a receipt",
        ),
        (
            (
                entry("decided", request="r1", receipt=receipt("r1", allow=False)),
                released("allowed"),
            ),
            "without a receipt",
        ),
        ((entry("decided", request="r2", receipt=receipt("r1")),), "another request"),
    ],
)
def test_a_release_without_a_decision_that_covers_it_is_found(entries, message):
    with pytest.raises(CorruptError, match=message):
        check({"log": lines_of(*entries)})


@pytest.mark.parametrize(
    "entries",
    [
        (
            entry("decided", request="r1", receipt=receipt("r1")),
            released("allowed", via="lease 7c"),
        ),
        (
            entry("decided", request="r0", receipt=receipt("r0")),
            entry("resolved", request="r1", outcome="allowed", via="coalesced with r0"),
            released("allowed"),
        ),
        (released("leased", via="lease 7c"),),
        (entry("resolved", request="r1", outcome="ruled", via="policy"), released("ruled")),
        (entry("released", request="r1", outcome="leased"),),
    ],
)
def test_a_release_with_a_receipt_a_lease_or_a_rule_passes(entries):
    assert check({"log": lines_of(*entries)}).head[0] == len(entries)


@pytest.mark.parametrize(
    "changes",
    [
        {"decided_by": "root"},
        {"at": 2.0},
        {"signature": "00" * 64},
        {"signature": "no hex"},
        {"key": "11" * 32},
        {"key": "11"},
        {"digest": "22" * 32},
        {"content": content("r1", label="something harmless")},
        {"request": "r2"},
    ],
)
def test_a_receipt_with_any_field_changed_is_not_whole(changes):
    with pytest.raises(CorruptError):
        check_receipt(msgspec.structs.replace(receipt("r1"), **changes))


def test_a_decision_on_another_content_is_not_whole_even_when_signed():
    whole = receipt("r1")
    decision = msgspec.structs.replace(whole.decision, digest="33" * 32)
    with pytest.raises(CorruptError, match="another content"):
        check_receipt(SIGNER.sign(msgspec.structs.replace(whole, decision=decision)))


def test_a_receipt_of_another_key_is_refused_when_the_key_is_known():
    data = lines_of(entry("decided", request="r1", receipt=receipt("r1")))

    check({"log": data}, key=SIGNER.public_key)
    with pytest.raises(CorruptError, match="another key"):
        check({"log": data}, key="44" * 32)


@pytest.mark.parametrize("number", [1, 42, 999_999, 1_000_000])
def test_file_names_give_their_number(number):
    assert file_number(file_name(number)) == number


@pytest.mark.parametrize(
    "name",
    ["audit-000000.jsonl", "audit-1.jsonl", "audit-0000001.jsonl", "audit-000001.jsonl~", "x"],
)
def test_other_names_are_no_log_files(name):
    assert file_number(name) == 0
