"""The tree of the real pass: what aws-vault and pass itself put there, and what they see of ours."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.aws.worlds import PassWorld, pass_store, pass_world

from privyseal.aws.items import decode_access_key, encode_item, key_item, session_key
from privyseal.aws.ports import Item
from privyseal.aws.stores.notes import NoteFile
from privyseal.aws.stores.passtool import Pass
from privyseal.aws.stores.tree import TreeStore
from privyseal.errors import CorruptError, NotFoundError, PrivysealError, UnsupportedError
from privyseal.model.aws import AccessKey
from privyseal.model.secret import Secret

KEY = AccessKey(access_key_id="AKIAEXAMPLE", secret_access_key="secret")
TOKEN = "oidc:https://x.awsapps.com/start"


@pytest.fixture
def world() -> Iterator[PassWorld]:
    with pass_world() as made:
        yield made


def broken(world: PassWorld, folder: Path, prefix: str) -> TreeStore:
    """The same tree, where nothing can be opened."""
    cipher = Pass("false", world.top, world.environment)
    return TreeStore(world.top, prefix, cipher, NoteFile(folder / "verdicts.json"))


def test_key_that_aws_vault_put_there_is_read(world, tmp_path):
    world.run(
        "insert",
        "-m",
        "-f",
        "aws-vault/team/jon",
        given=encode_item(key_item("team/jon", KEY, added=1)),
    )
    store = pass_store(world, tmp_path, "aws-vault")
    assert list(store.entries()) == ["team/jon"]
    assert decode_access_key(store.read("team/jon").value.expose()) == KEY


def test_pass_shows_what_we_put_there_where_aws_vault_looks_for_it(world, tmp_path):
    pass_store(world, tmp_path, "aws-vault").write(key_item("team/jon", KEY, added=1))
    assert json.loads(world.run("show", "aws-vault/team/jon"))["Key"] == "team/jon"


def test_token_that_aws_vault_stored_under_one_slash_is_listed_read_and_removed(world, tmp_path):
    text = encode_item(Item(TOKEN, Secret(b"{}")))
    world.run("insert", "-m", "-f", f"aws-vault/{TOKEN}", given=text)
    store = pass_store(world, tmp_path, "aws-vault")
    assert list(store.entries()) == [TOKEN]
    assert store.read(TOKEN).key == TOKEN
    store.remove(TOKEN)
    assert store.entries() == {}


def test_token_that_is_written_again_is_there_once(world, tmp_path):
    world.run("insert", "-m", "-f", TOKEN, given=encode_item(Item(TOKEN, Secret(b"old"))))
    store = pass_store(world, tmp_path, "")
    store.write(Item(TOKEN, Secret(b"new")))
    assert list(store.entries()) == [TOKEN]
    assert store.read(TOKEN).value == Secret(b"new")


def test_passwords_beside_the_keys_are_no_keys(world, tmp_path):
    world.run("insert", "-m", "-f", "mail", given=b"hunter2\n")
    world.run("insert", "-m", "-f", "web/bank", given=b"hunter3\n")
    world.run("insert", "-m", "-f", "jon", given=encode_item(key_item("jon", KEY, added=1)))
    store = pass_store(world, tmp_path, "")
    assert list(store.entries()) == ["jon"]
    with pytest.raises(CorruptError) as caught:
        store.read("mail")
    assert "hunter2" not in str(caught.value)


def test_each_file_among_passwords_is_opened_once(world, tmp_path):
    world.run("insert", "-m", "-f", "mail", given=b"hunter2\n")
    pass_store(world, tmp_path, "").write(key_item("jon", KEY, added=1))
    assert list(pass_store(world, tmp_path, "").entries()) == ["jon"]
    assert list(broken(world, tmp_path, "").entries()) == ["jon"]


def test_listing_below_a_prefix_opens_nothing(world, tmp_path):
    pass_store(world, tmp_path, "aws-vault").write(key_item("jon", KEY, added=1))
    assert list(broken(world, tmp_path, "aws-vault").entries()) == ["jon"]


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a/../../b", ".gpg-id", "-rf"])
def test_name_never_climbs_out_of_the_folder(world, tmp_path, name):
    store = pass_store(world, tmp_path, "aws-vault")
    store.write(Item(name, Secret(b"{}")))
    assert list(store.entries()) == [name]
    files = [path.relative_to(world.top) for path in world.top.rglob("*.gpg")]
    assert [path.parts[0] for path in files] == ["aws-vault"]
    assert len(files[0].parts) == 2


def test_name_that_is_longer_than_any_file_s_is_one_clear_line(world, tmp_path):
    store = pass_store(world, tmp_path, "aws-vault")
    store.write(key_item("jon", KEY, added=1))
    with pytest.raises(PrivysealError, match="File name too long"):
        store.read("x" * 300)


def test_session_lies_where_aws_vault_looks_for_it(world, tmp_path):
    key = session_key("sts.GetSessionToken", "jon", "", "", 1_700_000_000)
    pass_store(world, tmp_path, "aws-vault").write(Item(key, Secret(b"{}")))
    assert (world.top / "aws-vault" / f"{key}.gpg").is_file()


def test_failure_of_pass_is_told_in_its_own_words_without_a_value(world, tmp_path):
    store = pass_store(world, tmp_path, "aws-vault")
    store.write(key_item("jon", KEY, added=1))
    (world.top / "aws-vault" / "jon.gpg").write_bytes(b"junk")
    with pytest.raises(PrivysealError, match="pass ended with status"):
        store.read("jon")


def test_missing_program_is_one_clear_line(world, tmp_path):
    cipher = Pass("no-such-pass", world.top, world.environment)
    store = TreeStore(world.top, "aws-vault", cipher, NoteFile(tmp_path / "v.json"))
    with pytest.raises(UnsupportedError, match="no-such-pass"):
        store.write(Item("jon", Secret(b"{}")))
    with pytest.raises(NotFoundError):
        store.read("jon")
