"""Vaults of 1Password: few requests, and nothing of a token or a value in any error."""

import asyncio
import json
import sys
from collections.abc import Iterator

import pytest
from tests.integration.aws.fake_connect import TOKEN, VAULT, FakeConnect, fake_connect
from tests.integration.aws.fake_opsdk import TOKEN as SDK_TOKEN, Items, Sdk
from tests.waiting import PATIENCE

from privyseal.aws.items import decode_access_key, encode_item, key_item
from privyseal.aws.ports import Item
from privyseal.aws.stores.onepassword import OnePasswordStore
from privyseal.aws.stores.opconnect import ConnectVault
from privyseal.aws.stores.opsdk import SdkVault
from privyseal.errors import (
    ConflictError,
    CorruptError,
    DeniedError,
    NotFoundError,
    PrivysealError,
    UnreachableError,
    UsageError,
)
from privyseal.model.aws import AccessKey
from privyseal.model.secret import Secret

KEY = AccessKey(access_key_id="AKIAEXAMPLE", secret_access_key="secret")


@pytest.fixture
def server() -> Iterator[FakeConnect]:
    with fake_connect() as made:
        yield made


def store(server: FakeConnect, *, token: str = TOKEN, vault: str = VAULT) -> OnePasswordStore:
    made = ConnectVault(server.url, vault, Secret(token.encode()), timeout=PATIENCE)
    return OnePasswordStore(made, prefix="aws-vault", tag="aws-vault")


def put(server: FakeConnect, name: str, title: str, *fields: dict[str, str]) -> None:
    server.items[name] = {
        "id": name,
        "title": title,
        "tags": ["aws-vault"],
        "category": "API_CREDENTIAL",
        "vault": {"id": VAULT},
        "fields": list(fields),
    }


def field(value: str) -> dict[str, str]:
    return {"id": "f1", "label": "keyring", "type": "CONCEALED", "value": value}


def test_item_of_aws_vault_is_read_and_replaced_in_its_place(server):
    note = {"id": "n", "label": "notesPlain", "type": "STRING", "value": "mine"}
    text = encode_item(key_item("jon", KEY, added=1)).decode()
    put(server, "i1", "aws-vault: jon", note, field(text))
    found = store(server)
    assert decode_access_key(found.read("jon").value.expose()) == KEY
    found.write(Item("jon", Secret(b"{}")))
    assert list(server.items) == ["i1"]
    assert server.items["i1"]["fields"][0] == note


def test_new_item_has_the_form_of_aws_vault(server):
    store(server).write(key_item("jon", KEY, added=1))
    (item,) = server.items.values()
    assert (item["title"], item["tags"]) == ("aws-vault: jon", ["aws-vault"])
    (concealed,) = item["fields"]
    assert (concealed["label"], concealed["type"]) == ("keyring", "CONCEALED")
    assert json.loads(concealed["value"])["Key"] == "jon"


def test_listing_is_one_request_however_many_items_there_are(server):
    for number in range(30):
        put(server, f"i{number}", f"aws-vault: p{number}", field("{}"))
    assert len(store(server).entries()) == 30
    assert server.calls == [("GET", f"/v1/vaults/{VAULT}/items")]


def test_items_of_others_are_no_entries(server):
    put(server, "i1", "bank", field("{}"))
    put(server, "i2", "aws-vault: jon", field("{}"))
    server.items["i2"]["tags"] = ["other"]
    assert store(server).entries() == {}
    with pytest.raises(NotFoundError):
        store(server).read("jon")


def test_title_with_quotes_is_found(server):
    name = 'jon "the \\ lion"'
    store(server).write(Item(name, Secret(b"{}")))
    assert store(server).read(name).key == name


def test_entry_that_is_there_twice_is_refused(server):
    for number in range(2):
        put(server, f"i{number}", "aws-vault: jon", field("{}"))
    with pytest.raises(ConflictError, match="2 times"):
        store(server).write(Item("jon", Secret(b"{}")))


@pytest.mark.parametrize(
    "fields", [(), (field("{}"), field("{}")), ({**field("{}"), "type": "STRING"},), (field("x"),)]
)
def test_item_of_another_form_is_refused(server, fields):
    put(server, "i1", "aws-vault: jon", *fields)
    with pytest.raises(CorruptError):
        store(server).read("jon")


def test_wrong_token_is_denied_and_not_repeated(server):
    with pytest.raises(DeniedError) as caught:
        store(server, token="hush").entries()
    assert "hush" not in repr(caught.value)


@pytest.mark.parametrize("token", ["hu\nsh", "h\N{LATIN SMALL LETTER U WITH DIAERESIS}sh"])
def test_token_that_no_header_carries_is_refused_unquoted(server, token):
    with pytest.raises(UsageError, match="has no form of one") as caught:
        store(server, token=token)
    assert "sh" not in str(caught.value)
    assert server.calls == []


def test_line_end_is_no_part_of_a_token(server):
    assert store(server, token=f"{TOKEN}\n").entries() == {}


def test_vault_that_is_not_there_is_not_found(server):
    with pytest.raises(NotFoundError):
        store(server, vault="other").entries()


@pytest.mark.parametrize("answer", [(200, b"<html>"), (200, b"{}"), (200, b"[" * 99999)])
def test_answer_that_is_no_list_is_refused(server, answer):
    server.forced = answer
    with pytest.raises(CorruptError):
        store(server).entries()


@pytest.mark.parametrize("status", [301, 302, 400, 500])
def test_other_statuses_are_errors_and_no_redirect_gets_the_token(server, status):
    server.forced = (status, b"")
    with pytest.raises(PrivysealError, match=str(status)):
        store(server).entries()


def test_server_that_is_gone_is_unreachable(server):
    server.server_close()
    server.shutdown()
    gone = ConnectVault("http://127.0.0.1:9", VAULT, Secret(b"hush"), timeout=2)
    with pytest.raises(UnreachableError) as caught:
        gone.overviews()
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("host", ["", "connect.example.org", "ftp://x", "http://", "http://["])
def test_address_that_is_none_is_refused(host):
    with pytest.raises(UsageError, match="address"):
        ConnectVault(host, VAULT, Secret(b"x"), timeout=1)


def test_sdk_that_refuses_a_token_is_told_without_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "onepassword", Sdk().module())
    vault = SdkVault(VAULT, token=Secret(b"hush"), timeout=PATIENCE)
    with pytest.raises(DeniedError, match="invalid token …") as caught:
        vault.overviews()
    assert "hush" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_sdk_that_repeats_a_long_token_is_told_without_its_beginning(monkeypatch):
    monkeypatch.setitem(sys.modules, "onepassword", Sdk().module())
    vault = SdkVault(VAULT, token=Secret(b"hush" * 100), timeout=5)
    with pytest.raises(DeniedError, match="invalid token …") as caught:
        vault.overviews()
    assert "hush" not in str(caught.value)


def test_sdk_that_fails_later_is_told_without_its_words(monkeypatch):
    monkeypatch.setitem(sys.modules, "onepassword", Sdk().module())
    vault = SdkVault(VAULT, token=Secret(SDK_TOKEN.encode()), timeout=PATIENCE)
    with pytest.raises(PrivysealError, match="KeyError") as caught:
        vault.concealed("hush")
    assert "hush" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_sdk_that_does_not_answer_is_given_up(monkeypatch):
    async def never(self: Items, vault_id: str) -> None:
        del self, vault_id
        await asyncio.Event().wait()

    monkeypatch.setattr(Items, "list", never)
    monkeypatch.setitem(sys.modules, "onepassword", Sdk().module())
    with pytest.raises(UnreachableError, match="in time"):
        SdkVault(VAULT, account="ada", timeout=0.05).overviews()
