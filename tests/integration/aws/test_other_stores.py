"""KWallet, the kernel's keyring, passage's files, macOS and Windows: what is theirs alone."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from tests.integration.aws.fake_kwallet import fake_kwallet
from tests.integration.aws.worlds import (
    IDENTITY,
    FakeCredentials,
    keyctl_says,
    security_environment,
)
from tests.private_bus import private_bus

from privyseal.aws.choice import StoreOptions, choose
from privyseal.aws.items import decode_access_key, encode_item, key_item, session_key
from privyseal.aws.ports import Item
from privyseal.aws.stores.agefiles import Passage
from privyseal.aws.stores.keychain import KeychainStore
from privyseal.aws.stores.keyctl import KeyctlStore
from privyseal.aws.stores.kwallet import KWalletStore
from privyseal.aws.stores.wincred import WinCredStore
from privyseal.errors import (
    DeniedError,
    LimitError,
    LockedError,
    NotFoundError,
    UnsupportedError,
    UsageError,
)
from privyseal.model.aws import AccessKey
from privyseal.model.secret import Secret
from privyseal.wire.age import bech32
from privyseal.wire.age.keys import parse_identities

KEY = AccessKey(access_key_id="AKIAEXAMPLE", secret_access_key="secret")
ITEM = key_item("jon", KEY, added=1)


@pytest.mark.parametrize("version", [5, 6])
def test_key_that_aws_vault_put_into_a_wallet_is_read(tmp_path, version):
    with private_bus(tmp_path) as address, fake_kwallet(address, version) as wallet:
        wallet.folders["aws-vault"] = {"jon": encode_item(ITEM)}
        store = KWalletStore(version, address=address)
        assert decode_access_key(store.read("jon").value.expose()) == KEY


def test_wallet_that_is_not_opened_is_locked(tmp_path):
    with private_bus(tmp_path) as address, fake_kwallet(address, 6) as wallet:
        wallet.locked = True
        with pytest.raises(LockedError):
            KWalletStore(6, address=address).entries()


@pytest.mark.parametrize(
    ("version", "disabled", "taken"), [(5, "", True), (6, "", True), (6, "1", False)]
)
def test_kwallet_is_taken_where_it_answers_and_is_not_switched_off(
    tmp_path, version, disabled, taken
):
    with private_bus(tmp_path) as address, fake_kwallet(address, version) as wallet:
        environment = {
            "HOME": str(tmp_path),
            "DBUS_SESSION_BUS_ADDRESS": address,
            "DISABLE_KWALLET": disabled,
        }
        choice = choose(StoreOptions(), environment)
        assert (choice.backend == "kwallet") is taken
        if taken:
            choice.store.write(ITEM)
            assert list(wallet.folders["aws-vault"]) == ["jon"]


def test_kwallet_that_its_person_disabled_is_passed_over(tmp_path):
    with private_bus(tmp_path) as address, fake_kwallet(address, 6) as wallet:
        wallet.enabled = False
        environment = {"HOME": str(tmp_path), "DBUS_SESSION_BUS_ADDRESS": address}
        assert choose(StoreOptions(), environment).backend == "file"


def test_payload_alone_lies_in_the_kernel(tmp_path):
    ring = keyctl_says("newring", f"payload-{tmp_path.name}", "@u")
    try:
        KeyctlStore(os.environ, scope=ring).write(ITEM)
        number = keyctl_says("search", ring, "user", "jon")
        found = subprocess.run(["keyctl", "pipe", number], capture_output=True, check=True).stdout
        assert decode_access_key(found) == KEY
    finally:
        keyctl_says("unlink", ring, "@u")


def test_what_the_kernel_does_not_take_is_refused_before_it_is_tried():
    store = KeyctlStore({"PATH": "/nonexistent"})
    with pytest.raises(LimitError):
        store.write(Item("jon", Secret(bytes(32768))))
    with pytest.raises(UsageError):
        store.write(Item("", Secret(b"1")))


def test_missing_keyctl_is_one_clear_line():
    with pytest.raises(UnsupportedError, match="keyctl") as caught:
        KeyctlStore({"PATH": "/nonexistent"}).entries()
    assert "keyutils" in caught.value.hint


OTHER = bech32.encode("age-secret-key-", bytes(range(32))).upper()


def recipient(identity: str) -> str:
    (parsed,) = parse_identities(Secret(identity.encode()))
    return str(parsed.recipient())  # type: ignore[attr-defined]  # both kinds with a file have one


@pytest.mark.parametrize("how", ["recipients file", "recipients", "in the tree", "identities"])
def test_passage_file_is_for_those_that_passage_would_take(tmp_path, how):
    own, other = tmp_path / "identities", recipient(OTHER)
    own.write_text(f"{IDENTITY}\n")
    environment = {"PASSAGE_IDENTITIES_FILE": str(own)}
    (tmp_path / "store").mkdir()
    listed = tmp_path / "store" / ".age-recipients"
    if how == "recipients file":
        listed = tmp_path / "r"
        environment["PASSAGE_RECIPIENTS_FILE"] = str(listed)
    if how == "recipients":
        environment["PASSAGE_RECIPIENTS"] = f"{other} {recipient(IDENTITY)}"
    elif how != "identities":
        listed.write_text(f"# both of us\n{other}\n{recipient(IDENTITY)}\n")
    files = Passage(tmp_path / "store", environment)
    files.insert("aws-vault/jon", b"text")
    assert files.show("aws-vault/jon") == b"text"
    own.write_text(f"{OTHER}\n")
    if how == "identities":
        with pytest.raises(DeniedError):
            files.show("aws-vault/jon")
    else:
        assert files.show("aws-vault/jon") == b"text"


def test_identity_of_another_kind_points_to_passage(tmp_path):
    (tmp_path / "identities").write_text("AGE-PLUGIN-YUBIKEY-1QQPQGQYVQQQSYQCYQ5RQWZQFPG9SCRGWP\n")
    environment = {"PASSAGE_IDENTITIES_FILE": str(tmp_path / "identities")}
    with pytest.raises(UsageError) as caught:
        Passage(tmp_path / "store", environment).insert("jon", b"text")
    assert "install passage" in caught.value.hint


def test_keychain_asks_for_keys_and_trusts_itself_with_sessions(tmp_path):
    store = KeychainStore("aws-vault", security_environment(tmp_path))
    session = session_key("sts.AssumeRole", "jon", "", "", 1_700_000_000)
    store.write(ITEM)
    store.write(Item(session, Secret(b"{}")))
    kept = json.loads((tmp_path / "keychains.json").read_text())["aws-vault.keychain"]
    assert {name: item["trust"] for name, item in kept.items()} == {
        "jon": "nobody",
        session: "security",
    }


def test_keychain_that_is_missing_is_empty(tmp_path):
    store = KeychainStore("aws-vault", security_environment(tmp_path))
    assert store.entries() == {}
    with pytest.raises(NotFoundError):
        store.read("jon")


def test_entry_longer_than_a_line_of_security_is_refused(tmp_path):
    store = KeychainStore("aws-vault", security_environment(tmp_path))
    with pytest.raises(LimitError):
        store.write(Item("jon", Secret(b"{" + b"x" * 5000 + b"}")))


def test_name_with_a_line_end_cannot_become_a_second_command(tmp_path: Path):
    store = KeychainStore("aws-vault", security_environment(tmp_path))
    with pytest.raises(UsageError, match="control"):
        store.write(Item('jon"\ndelete-keychain "x', Secret(b"{}")))


def test_windows_gets_the_names_of_aws_vault_and_no_more_than_it_takes():
    credentials = FakeCredentials()
    store = WinCredStore(credentials)
    store.write(ITEM)
    assert list(credentials.blobs) == ["aws-vault:aws-vault:jon"]
    with pytest.raises(LimitError):
        store.write(Item("long", Secret(bytes(2561))))


def test_windows_is_not_everywhere(tmp_path):
    with pytest.raises(UnsupportedError):
        choose(StoreOptions(backend="wincred"), {"HOME": str(tmp_path)})
