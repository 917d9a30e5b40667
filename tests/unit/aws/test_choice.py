"""Which store is taken, and what is said of those that are not."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from privyseal.aws.asking import hidden
from privyseal.aws.choice import StoreOptions, backends, choose, open_store, settings
from privyseal.aws.ports import Item
from privyseal.errors import DeniedError, LockedError, PrivysealError, UnsupportedError, UsageError
from privyseal.model.secret import Secret


def headless(home: Path, **more: str) -> Mapping[str, str]:
    return {"HOME": str(home), "PATH": str(home / "bin"), **more}


def program(home: Path, name: str) -> None:
    path = home / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("#!/bin/sh\nexit 1\n")
    path.chmod(0o755)


def test_without_a_desktop_it_is_a_file_and_each_other_store_says_why_not(tmp_path):
    choice = choose(StoreOptions(), headless(tmp_path))
    assert choice.backend == "file"
    assert str(tmp_path / ".awsvault" / "keys") in choice.store.description
    assert set(choice.passed) == set(backends()) - {"file"}
    assert all(choice.passed.values())
    assert "next boot" in choice.passed["keyctl"]


def test_the_choice_without_a_desktop_works(tmp_path):
    store = open_store(StoreOptions(), headless(tmp_path, AWS_VAULT_FILE_PASSPHRASE="x"))
    store.write(Item("jon", Secret(b"1")))
    assert list(store.entries()) == ["jon"]


def test_bus_that_does_not_answer_is_a_reason(tmp_path):
    bus = f"unix:path={tmp_path}/gone"
    passed = choose(StoreOptions(), headless(tmp_path, DBUS_SESSION_BUS_ADDRESS=bus)).passed
    assert "bus" in passed["secret-service"]
    assert "KWallet" in passed["kwallet"]


def test_pass_is_taken_once_it_has_a_store(tmp_path):
    program(tmp_path, "pass")
    environment = headless(tmp_path)
    assert "no store" in choose(StoreOptions(), environment).passed["pass"]
    (tmp_path / ".password-store").mkdir()
    (tmp_path / ".password-store" / ".gpg-id").write_text("ada@example.org\n")
    assert choose(StoreOptions(), environment).backend == "pass"


def test_passage_is_taken_once_it_has_a_store_and_an_identity(tmp_path):
    (tmp_path / "tree").mkdir()
    environment = headless(tmp_path, PASSAGE_DIR=str(tmp_path / "tree"))
    assert "identities" in choose(StoreOptions(), environment).passed["passage"]
    (tmp_path / ".passage").mkdir()
    (tmp_path / ".passage" / "identities").touch()
    assert choose(StoreOptions(), environment).backend == "passage"


def test_store_that_is_named_is_taken_without_a_look_at_others(tmp_path):
    choice = choose(StoreOptions(backend="keyctl"), headless(tmp_path))
    assert (choice.backend, choice.passed) == ("keyctl", {})


def test_variable_names_the_store_and_a_flag_overrules_it(tmp_path):
    environment = headless(tmp_path, AWS_VAULT_BACKEND="keyctl")
    assert choose(StoreOptions(), environment).backend == "keyctl"
    assert choose(StoreOptions(backend="file"), environment).backend == "file"


def test_name_that_no_store_has_is_refused_with_those_there_are(tmp_path):
    with pytest.raises(UsageError) as caught:
        open_store(StoreOptions(backend="keyring"), headless(tmp_path))
    assert "secret-service" in caught.value.hint


@pytest.mark.parametrize("backend", ["winhello", "proton-pass"])
def test_store_of_aws_vault_that_is_left_out_says_so(tmp_path, backend):
    with pytest.raises(UnsupportedError, match="export"):
        open_store(StoreOptions(backend=backend), headless(tmp_path))


@pytest.mark.parametrize(
    ("option", "variable"),
    [
        ("backend", "AWS_VAULT_BACKEND"),
        ("keychain", "AWS_VAULT_KEYCHAIN_NAME"),
        ("secret_service_collection", "AWS_VAULT_SECRET_SERVICE_COLLECTION_NAME"),
        ("pass_dir", "AWS_VAULT_PASS_PASSWORD_STORE_DIR"),
        ("pass_cmd", "AWS_VAULT_PASS_CMD"),
        ("pass_prefix", "AWS_VAULT_PASS_PREFIX"),
        ("file_dir", "AWS_VAULT_FILE_DIR"),
        ("op_timeout", "AWS_VAULT_OP_TIMEOUT"),
        ("op_vault_id", "AWS_VAULT_OP_VAULT_ID"),
        ("op_vault_id", "OP_VAULT_ID"),
        ("op_item_title_prefix", "AWS_VAULT_OP_ITEM_TITLE_PREFIX"),
        ("op_item_tag", "AWS_VAULT_OP_ITEM_TAG"),
        ("op_connect_host", "AWS_VAULT_OP_CONNECT_HOST"),
        ("op_connect_host", "OP_CONNECT_HOST"),
        ("op_desktop_account_id", "AWS_VAULT_OP_DESKTOP_ACCOUNT_ID"),
        ("op_desktop_account_id", "OP_DESKTOP_ACCOUNT_ID"),
        ("biometrics", "AWS_VAULT_BIOMETRICS"),
    ],
)
def test_every_option_has_its_variable(option, variable):
    assert StoreOptions().completed({variable: "x"})._asdict()[option] == "x"
    assert StoreOptions(**{option: "y"}).completed({variable: "x"})._asdict()[option] == "y"


def test_what_nobody_says_is_as_in_aws_vault():
    full = StoreOptions().completed({})
    assert full.keychain == "aws-vault"
    assert full.secret_service_collection == "awsvault"
    assert full.file_dir == "~/.awsvault/keys"
    assert (full.op_item_title_prefix, full.op_item_tag) == ("aws-vault", "aws-vault")
    assert settings("op", StoreOptions(), {}).timeout() == 15


def test_folder_may_begin_at_home(tmp_path):
    store = open_store(StoreOptions(backend="file", file_dir="~/keys"), headless(tmp_path))
    assert str(tmp_path / "keys") in store.description


def test_missing_vault_of_1password_is_named_with_its_flag_and_variable(tmp_path):
    options = StoreOptions(backend="op-connect", op_connect_host="https://connect.example.org")
    with pytest.raises(UsageError, match="--op-vault-id") as caught:
        open_store(options, headless(tmp_path))
    assert "AWS_VAULT_OP_VAULT_ID" in caught.value.hint


def test_missing_sdk_of_1password_is_one_clear_line(tmp_path):
    options = StoreOptions(backend="op", op_vault_id="v")
    with pytest.raises(UnsupportedError, match="SDK of 1Password") as caught:
        open_store(options, headless(tmp_path, OP_SERVICE_ACCOUNT_TOKEN="ops_x"))
    assert "onepassword-sdk" in caught.value.hint


def test_passphrase_of_the_file_store_is_asked_for_as_aws_vault_does(tmp_path):
    asked: list[tuple[str, bool]] = []

    def ask(prompt: str, *, new: bool = False) -> Secret:
        asked.append((prompt, new))
        return Secret(b"correct horse")

    options = StoreOptions(backend="file", file_dir=str(tmp_path / "keys"))
    choose(options, headless(tmp_path), ask=ask).store.write(Item("jon", Secret(b"1")))
    choose(options, headless(tmp_path), ask=ask).store.read("jon")
    prompt = f'Enter passphrase to unlock "{tmp_path / "keys"}": '
    assert asked == [(prompt, True), (prompt, False)]


def test_token_in_a_variable_may_be_any_bytes(tmp_path):
    environment = {"HOME": str(tmp_path), "OP_CONNECT_TOKEN": os.fsdecode(b"hush\xff")}
    options = StoreOptions(
        backend="op-connect", op_connect_host="https://connect.example.org", op_vault_id="v"
    )
    with pytest.raises(UsageError, match="has no form of one"):
        choose(options, environment)


def test_empty_passphrase_in_the_variable_counts_as_given(tmp_path):
    options = StoreOptions(backend="file", file_dir=str(tmp_path / "keys"))
    open_store(options, headless(tmp_path, AWS_VAULT_FILE_PASSPHRASE="")).write(
        Item("jon", Secret(b"1"))
    )
    with pytest.raises(DeniedError):
        open_store(options, headless(tmp_path, AWS_VAULT_FILE_PASSPHRASE="x")).read("jon")


def test_fingers_are_not_asked_for_and_that_is_said(tmp_path):
    with pytest.raises(UnsupportedError, match="finger"):
        open_store(StoreOptions(backend="keychain", biometrics="true"), headless(tmp_path))


@pytest.mark.parametrize("backend", ["secret-service", "kwallet"])
def test_named_store_that_is_not_there_says_so_when_it_is_used(tmp_path, backend):
    environment = headless(tmp_path, DBUS_SESSION_BUS_ADDRESS=f"unix:path={tmp_path}/gone")
    store = open_store(StoreOptions(backend=backend), environment)
    with pytest.raises(PrivysealError, match="bus"):
        store.entries()


def test_file_store_without_a_terminal_says_what_it_wanted_to_ask(tmp_path, monkeypatch):
    def no_terminal(*_: object) -> int:
        raise OSError(6, "No such device or address")

    monkeypatch.setattr("os.open", no_terminal)

    with pytest.raises(LockedError, match="Enter passphrase"):
        hidden("Enter passphrase: ")
