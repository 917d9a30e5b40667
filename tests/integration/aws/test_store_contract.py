"""What every store of keys does, whatever it keeps them in."""

from collections.abc import Iterator

import pytest
from tests.integration.aws.worlds import WORLDS

from privyseal.aws.items import key_item, session_item, session_key, token_key
from privyseal.aws.ports import Item, KeyStore
from privyseal.errors import NotFoundError
from privyseal.model.aws import AccessKey, Credentials
from privyseal.model.secret import Secret

KEY = AccessKey(access_key_id="AKIAEXAMPLE", secret_access_key="s3cret/with+signs=")
SERIAL = "arn:aws:iam::123456789012:mfa/jon"
SESSION = session_key("sts.AssumeRole", "jon", SERIAL, "ab12", 1_700_000_000)
TOKEN = token_key("https://x.awsapps.com/start/#/")
NAMES = ("jon", "team/prod", "with space", "über", SESSION, TOKEN, "100%25", "a.b-c_d@e")


@pytest.fixture(params=WORLDS)
def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KeyStore]:
    with WORLDS[request.param](tmp_path_factory.mktemp("s")) as made:
        yield made


def text(value: str) -> Secret:
    """A payload as ours are: JSON."""
    return Secret(f'{{"value":"{value}"}}'.encode())


def test_entries_come_and_go_as_they_were_kept(store):
    assert store.entries() == {}
    with pytest.raises(NotFoundError):
        store.read("jon")
    with pytest.raises(NotFoundError):
        store.remove("jon")

    credentials = Credentials(
        access_key_id="ASIA1", secret_access_key="s", session_token="t", expires=1_700_000_000
    )
    key = key_item("jon", KEY, added=5)
    store.write(key)
    store.write(session_item(SESSION, credentials, {"source": "jon", "mark": "ab"}))
    for name in NAMES:
        if name not in {"jon", SESSION}:
            store.write(Item(name, text(name), f"label of {name}"))

    assert set(store.entries()) == set(NAMES)
    assert store.entries()["jon"]["tail"] == "MPLE"
    assert store.entries()[SESSION] == {"source": "jon", "mark": "ab"}
    found = store.read("jon")
    assert (found.key, found.value) == ("jon", key.value)
    assert found.notes == {name: value for name, value in key.notes.items() if value}
    assert store.read(TOKEN).value == text(TOKEN)

    store.write(Item("jon", text("new"), notes={"tail": "NEWS"}))
    assert store.read("jon").value == text("new")
    assert store.entries()["jon"] == {"tail": "NEWS"}
    assert set(store.entries()) == set(NAMES)

    for name in NAMES:
        store.remove(name)
    assert store.entries() == {}
    with pytest.raises(NotFoundError):
        store.read(SESSION)


def test_a_store_names_itself(store):
    assert store.description
    assert "\n" not in store.description
