"""`privy store`: what is exported comes back, and what is damaged changes nothing."""

import json
import os
import random
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.fakes import FakeClock

from privyseal.cli.store import command
from privyseal.errors import (
    ConflictError,
    DeniedError,
    NotFoundError,
    PrivysealError,
    UnsupportedError,
    UsageError,
)
from privyseal.model.secret import Secret
from privyseal.runtime.vault import Vault, create, load
from privyseal.runtime.vaultcare import contents
from privyseal.wire.age import bech32
from privyseal.wire.age.codec import Encryptor
from privyseal.wire.age.keys import HybridIdentity, X25519Identity
from privyseal.wire.vault import Cost

CHEAP = Cost(log2_n=10)
OLD = b"old passphrase"
ALICE = X25519Identity(Secret(b"a" * 32))
CAROL = HybridIdentity(Secret(b"c" * 32))


@contextmanager
def fd_with(text: bytes) -> Iterator[str]:
    reading, writing = os.pipe()
    os.write(writing, text)
    os.close(writing)
    try:
        yield str(reading)
    finally:
        os.close(reading)


def store(*arguments: object, passphrase: bytes = OLD, **others: bytes) -> dict[str, Any]:
    """Run the command with each passphrase on a descriptor; return its counts."""
    words = [str(word) for word in arguments]
    pipes = {"passphrase": passphrase, **others}
    options = {f"--{name.replace('_', '-')}-fd": text for name, text in pipes.items()}
    result = run_with(words, options)
    if result.exception is not None:
        raise result.exception
    counts: dict[str, Any] = json.loads(result.stdout)
    return counts


def run_with(words: list[str], options: dict[str, bytes]):
    if not options:
        return CliRunner().invoke(command, [*words, "--json"], standalone_mode=False)
    (option, text), *rest = options.items()
    with fd_with(text) as fd:
        return run_with([*words, option, fd], dict(rest))


def make(folder: Path, *, filled: bool = True) -> Path:
    with closing(create(folder, Secret(OLD), clock=FakeClock(), cost=CHEAP)) as vault:
        if filled:
            fill(vault)
    return folder


def fill(vault: Vault) -> None:
    work = vault.create_collection("Wörk", "job")
    vault.create_collection("Empty")
    source = random.Random(7)  # noqa: S311 - a test repeats, it keeps no secret
    for number in range(30):
        value = Secret(source.randbytes(number * 50), "application/octet-stream")
        attributes = {"n": str(number), "ключ": "\x1b[2J"}
        vault.create(work if number % 2 else "login", "läbel", attributes, value, replace=False)
    vault.create("login", "twin", {"same": "1"}, Secret(b"twin"), replace=False)
    vault.create("login", "twin", {"same": "1"}, Secret(b"twin"), replace=False)


def content(folder: Path, passphrase: bytes = OLD) -> tuple[list[str], list[str]]:
    """Return everything a store holds, but for the names it gave."""
    with closing(load(folder, clock=FakeClock())) as vault:
        vault.unlock(Secret(passphrase))
        labels = {info.id: info.label for info in vault.collections()}
        aliases = {alias: labels[target] for alias, target in vault.aliases().items()}
        items = [
            repr((labels[one.collection], one.info.label, sorted(one.info.attributes.items()),
                  one.value.content_type, one.info.created, one.value.expose()))
            for one in contents(vault)
        ]  # fmt: skip
        return [*sorted(labels.values()), repr(sorted(aliases.items()))], sorted(items)


def keys(tmp_path: Path, name: str = "alice") -> Path:
    seed = {"alice": ("age-secret-key-", b"a"), "carol": ("age-secret-key-pq-", b"c")}[name]
    path = tmp_path / f"{name}.txt"
    path.write_text(f"# {name}\n{bech32.encode(seed[0], seed[1] * 32).upper()}\n")
    return path


def exported(tmp_path: Path, *options: object) -> Path:
    file = tmp_path / "out.age"
    store(
        "export", file, "--recipient", ALICE.recipient(), "--store", make(tmp_path / "a"), *options
    )
    return file


@pytest.mark.parametrize("options", [(), ("--armor",)])
def test_what_was_exported_comes_back_whole(tmp_path, options):
    file = exported(tmp_path, *options)
    assert file.stat().st_mode & 0o777 == 0o600
    assert b"twin" not in file.read_bytes()

    other = make(tmp_path / "b", filled=False)
    counts = store("import", file, "--identity", keys(tmp_path), "--store", other)

    assert counts == {"added": 32, "skipped": 0}
    assert content(other) == content(tmp_path / "a")


def test_importing_again_adds_nothing(tmp_path):
    file = exported(tmp_path)
    other = make(tmp_path / "b", filled=False)
    store("import", file, "--identity", keys(tmp_path), "--store", other)
    before = content(other)

    counts = store("import", file, "--identity", keys(tmp_path), "--store", other)

    assert counts == {"added": 0, "skipped": 32}
    assert content(other) == before


def test_an_item_that_differs_in_its_value_is_added_beside(tmp_path):
    file = exported(tmp_path)
    with closing(load(tmp_path / "a", clock=FakeClock())) as vault:
        vault.unlock(Secret(OLD))
        (ref,) = vault.search({"n": "4"})
        vault.write(ref, Secret(b"changed"))

    counts = store("import", file, "--identity", keys(tmp_path), "--store", tmp_path / "a")

    assert counts == {"added": 1, "skipped": 31}
    assert "b'changed'" in "".join(content(tmp_path / "a")[1])


def test_an_export_under_a_passphrase_opens_with_it_alone(tmp_path):
    file = tmp_path / "out.age"
    store("export", file, "--store", make(tmp_path / "a"), file_passphrase=b"for the file\n")
    other = make(tmp_path / "b", filled=False)
    before = content(other)

    with pytest.raises(DeniedError):
        store("import", file, "--store", other, file_passphrase=OLD)
    assert content(other) == before
    assert store("import", file, "--store", other, file_passphrase=b"for the file")["added"] == 32


def test_a_post_quantum_export_opens_with_its_key_alone(tmp_path):
    file = tmp_path / "out.age"
    store("export", file, "--recipient", CAROL.recipient(), "--store", make(tmp_path / "a"))
    other = make(tmp_path / "b", filled=False)

    with pytest.raises(DeniedError):
        store("import", file, "--identity", keys(tmp_path), "--store", other)
    counts = store("import", file, "--identity", keys(tmp_path, "carol"), "--store", other)
    assert counts["added"] == 32


@pytest.mark.parametrize("cut", [0, 10, 200, 300, 5000, -17, -1])
def test_a_file_that_is_cut_off_changes_nothing(tmp_path, cut):
    file = exported(tmp_path)
    file.write_bytes(file.read_bytes()[:cut])
    other = make(tmp_path / "b", filled=False)
    before = content(other)

    with pytest.raises(PrivysealError, match=r"cannot import '.*out.age': ") as caught:
        store("import", file, "--identity", keys(tmp_path), "--store", other)

    assert caught.value.exit_status == 1
    assert content(other) == before


def test_a_file_with_one_flipped_byte_changes_nothing(tmp_path):
    file = exported(tmp_path)
    whole = file.read_bytes()
    other = make(tmp_path / "b", filled=False)
    before = content(other)
    for position in range(0, len(whole), len(whole) // 15):
        flipped = bytearray(whole)
        flipped[position] ^= 4
        file.write_bytes(flipped)
        with pytest.raises(PrivysealError):
            store("import", file, "--identity", keys(tmp_path), "--store", other)
    assert content(other) == before


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b"", "cut off"),
        (b"no json\n", "line 1 .* malformed"),
        (b'{"line":"collection","id":"a","label":"A"}\n', "line 1 .* `store` line"),
        (b'{"line":"store","version":2}\n', "newer privyseal"),
        (b'{"line":"store","version":1}\n{"line":"store","version":1}\n', "line 2 .* `store` line"),
        (b'{"line":"store","version":1}\n\n', "line 2 .* malformed"),
        (b'{"line":"store","version":1}', "cut off"),
        (
            (
                b'{"line":"store","version":1}\n'
                b'{"line":"collection","id":"login","label":"a\\u0000b"}\n'
            ),
            "line 2 .* no message bus carries",
        ),
        (
            (
                b'{"line":"store","version":1}\n'
                b'{"line":"item","collection":"x","label":"","attributes":{},"content_type":"",'
                b'"created":0,"modified":0,"value":"aHVudGVyMg=="}\n'
            ),
            "line 2 .* collection was not named",
        ),
        (
            (
                b'{"line":"store","version":1}\n{"line":"collection","id":"login","label":"L"}\n'
                b'{"line":"item","collection":"login","label":"good","attributes":{},'
                b'"content_type":"","created":0,"modified":0,"value":"aHVudGVyMg=="}\n'
                b'{"line":"item","collection":"login","label":"bad","attributes":{},'
                b'"content_type":"","created":-1,"modified":0,"value":"aHVudGVyMg=="}\n'
            ),
            "line 4 .* malformed",
        ),
    ],
)
def test_an_export_with_a_malformed_line_changes_nothing(tmp_path, text, error):
    encryptor = Encryptor([ALICE.recipient()], os.urandom)
    (tmp_path / "bad.age").write_bytes(encryptor.feed(text) + encryptor.finish())
    other = make(tmp_path / "b", filled=False)
    before = content(other)

    with pytest.raises((PrivysealError, UnsupportedError), match=error) as caught:
        store("import", tmp_path / "bad.age", "--identity", keys(tmp_path), "--store", other)

    assert "hunter" not in str(caught.value)
    assert "aHVu" not in str(caught.value)
    assert content(other) == before


def test_the_passphrase_of_a_store_can_be_changed(tmp_path):
    folder = make(tmp_path / "a")
    store("passphrase", "--store", folder, new_passphrase=b"new passphrase\n")

    assert content(folder, b"new passphrase")[1]
    with pytest.raises(DeniedError):
        content(folder, OLD)


@pytest.mark.root
def test_root_works_on_the_store_of_another_user_and_leaves_it_theirs(tmp_path):
    folder, file = make(tmp_path / "a"), tmp_path / "x.age"
    for path in [folder, *folder.iterdir()]:
        os.chown(path, 4711, 4711)
    store("export", file, "--store", folder, file_passphrase=b"for the file")
    store("import", file, "--store", folder, file_passphrase=b"for the file")
    store("passphrase", "--store", folder, new_passphrase=b"new passphrase")
    with closing(load(folder, clock=FakeClock())) as vault:
        vault.unlock(Secret(b"new passphrase"))
        vault.create("login", "one more", {}, Secret(b"value"), replace=False)
        # The log and the shared memory of SQLite are there while the store is open.
        assert len(list(folder.iterdir())) > 2
        assert {path.stat().st_uid for path in folder.iterdir()} == {4711}


@pytest.mark.parametrize("verb", ["export", "import", "passphrase"])
def test_a_wrong_passphrase_is_denied_and_leaves_no_file(tmp_path, verb):
    folder = make(tmp_path / "a")
    arguments = [] if verb == "passphrase" else [tmp_path / "x.age"]
    with pytest.raises(DeniedError):
        store(verb, *arguments, "--store", folder, passphrase=b"wrong")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_an_export_never_overwrites_and_a_failed_one_leaves_nothing(tmp_path):
    file = exported(tmp_path)
    before = file.read_bytes()
    with pytest.raises(ConflictError, match="exists already"):
        store("export", file, "--recipient", ALICE.recipient(), "--store", tmp_path / "a")
    assert file.read_bytes() == before
    with pytest.raises(UsageError, match="recipient"):
        store("export", tmp_path / "y", "--recipient", "age1nope", "--store", tmp_path / "a")
    with pytest.raises(PrivysealError, match="cannot write"):
        store(
            "export",
            tmp_path / "no" / "y",
            "--recipient",
            ALICE.recipient(),
            "--store",
            tmp_path / "a",
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "out.age"]


def test_missing_files_are_one_clear_line(tmp_path):
    folder = make(tmp_path / "a")
    with pytest.raises(NotFoundError, match="no store in"):
        store("passphrase", "--store", tmp_path / "none", new_passphrase=b"x")
    with pytest.raises(NotFoundError, match=r"no file '.*none.age'"):
        store("import", tmp_path / "none.age", "--identity", keys(tmp_path), "--store", folder)
    with pytest.raises(NotFoundError, match=r"no file '.*none.txt'"):
        store("import", tmp_path / "x", "--identity", tmp_path / "none.txt", "--store", folder)


@pytest.mark.parametrize("text", [b"", b"\n", b"x" * 5000])
def test_an_empty_or_endless_passphrase_is_refused(tmp_path, text):
    folder = make(tmp_path / "a")
    with pytest.raises(UsageError, match="passphrase is"):
        store("passphrase", "--store", folder, new_passphrase=text)
    assert content(folder)[1]
