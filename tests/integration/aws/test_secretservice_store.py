"""The real gnome-keyring: what secret-tool and aws-vault see of ours, and we of theirs."""

import json
import os
import subprocess
from collections.abc import Iterator

import pytest
from jeepney.io.blocking import open_dbus_connection
from secretstorage import get_all_collections
from tests.integration.aws.worlds import COLLECTION, gnome_keyring

from privyseal.aws.items import decode_access_key, encode_item, key_item
from privyseal.aws.stores.secretservice import SecretServiceStore
from privyseal.errors import CorruptError, LockedError, NotFoundError, UnreachableError
from privyseal.model.aws import AccessKey

KEY = AccessKey(access_key_id="AKIAEXAMPLE", secret_access_key="secret")


@pytest.fixture
def bus(tmp_path) -> Iterator[str]:
    with gnome_keyring(tmp_path) as address:
        yield address


def put(bus: str, name: str, text: bytes) -> None:
    """Store an item as aws-vault does: its one attribute, its label, its text."""
    with open_dbus_connection(bus) as connection:
        (found,) = [c for c in get_all_collections(connection) if c.get_label() == COLLECTION]
        found.create_item(name, {"profile": name}, text, content_type="application/json")


def secret_tool(bus: str, *words: str) -> bytes:
    environment = {**os.environ, "DBUS_SESSION_BUS_ADDRESS": bus}
    argv = ["secret-tool", *words]
    return subprocess.run(argv, env=environment, capture_output=True, check=True).stdout


def items(bus: str) -> int:
    with open_dbus_connection(bus) as connection:
        found = [c for c in get_all_collections(connection) if c.get_label() == COLLECTION]
        return len(list(found[0].get_all_items()))


def test_key_that_another_program_put_there_is_read(bus):
    put(bus, "jon", encode_item(key_item("jon", KEY, added=1)))
    store = SecretServiceStore(COLLECTION, address=bus)
    assert store.entries() == {"jon": {}}
    assert decode_access_key(store.read("jon").value.expose()) == KEY


def test_another_program_finds_ours_by_the_name_alone(bus):
    SecretServiceStore(COLLECTION, address=bus).write(key_item("jon", KEY, added=1))
    assert json.loads(secret_tool(bus, "lookup", "profile", "jon"))["Label"] == "aws-vault (jon)"


def test_key_of_aws_vault_is_replaced_and_not_doubled(bus):
    put(bus, "jon", encode_item(key_item("jon", KEY, added=1)))
    store = SecretServiceStore(COLLECTION, address=bus)
    new = AccessKey(access_key_id="AKIANEW", secret_access_key="other")
    store.write(key_item("jon", new, added=2))
    assert items(bus) == 1
    assert decode_access_key(store.read("jon").value.expose()) == new
    assert store.entries()["jon"]["tail"] == "ANEW"


def test_collection_whose_name_has_signs_is_found_by_its_path(bus):
    with open_dbus_connection(bus) as connection:
        paths = [c.collection_path for c in get_all_collections(connection)]
    assert f"/org/freedesktop/secrets/collection/{COLLECTION}" in paths
    assert SecretServiceStore("no-such.collection", address=bus).entries() == {}
    with pytest.raises(NotFoundError):
        SecretServiceStore("no-such.collection", address=bus).read("jon")


def test_item_that_is_no_entry_is_refused_without_its_value(bus):
    put(bus, "mail", b"hunter2")
    with pytest.raises(CorruptError) as caught:
        SecretServiceStore(COLLECTION, address=bus).read("mail")
    assert "hunter2" not in str(caught.value)


def test_bus_that_is_not_there_is_one_clear_line(tmp_path):
    store = SecretServiceStore(COLLECTION, address=f"unix:path={tmp_path}/gone")
    with pytest.raises(UnreachableError):
        store.entries()


def test_locked_collection_whose_prompt_is_dismissed_is_told(bus):
    store = SecretServiceStore(COLLECTION, address=bus)
    store.write(key_item("jon", KEY, added=1))
    with open_dbus_connection(bus) as connection:
        (found,) = [c for c in get_all_collections(connection) if c.get_label() == COLLECTION]
        found.lock()
    # Nobody on this bus can show a prompt: it ends like one that a person dismissed.
    for attempt in (store.entries, lambda: store.read("jon"), lambda: store.remove("jon")):
        with pytest.raises(LockedError, match="locked"):
            attempt()
