"""Keeping, removing and clearing: what is checked, and what goes with a key."""

import pytest
from tests.fakes import FakeClock
from tests.fakes_stores import MemoryStore

from privyseal.aws import items
from privyseal.aws.keys import clear, keep, remove
from privyseal.aws.ports import Item
from privyseal.errors import (
    ConflictError,
    DeniedError,
    NotFoundError,
    PrivysealError,
    UnreachableError,
    UsageError,
)
from privyseal.model.aws import AccessKey, Clear, Credentials, Keep, Network, Portal, Remove
from privyseal.model.secret import Secret
from privyseal.model.value import encode

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
KEY = AccessKey(access_key_id="AKIAIOSFODNN7EXAMPLE", secret_access_key=SECRET, mfa="arn:mfa")
PORTAL = Portal(start_url="https://x.awsapps.com/start", region="eu-west-1")


class Sts:
    """Knows whose keys are whose, and remembers who asked."""

    def __init__(self, error: PrivysealError | None = None) -> None:
        self.asked: list[str] = []
        self._error = error

    def __call__(self, network: Network, credentials: Credentials) -> tuple[str, str]:
        del network
        self.asked.append(credentials.access_key_id)
        if self._error:
            raise self._error
        return "123456789012", "arn:aws:iam::123456789012:user/jon"


def value(key: AccessKey = KEY) -> Secret:
    return Secret(encode(key))


def session(
    store: MemoryStore, profile: str, *, source: str = "", mark: str = "", digest: str = "d"
) -> str:
    key = items.session_key("sts.AssumeRole", profile, "", digest, 1_700_003_600)
    notes = {"source": source, "mark": mark} if source or mark else {}
    store.write(Item(key, Secret(b"{}"), notes=notes))
    return key


def kept(
    store: MemoryStore, key: AccessKey = KEY, *, replace: bool = False, unverified: bool = False
) -> list[str]:
    order = Keep(name="jon", replace=replace, unverified=unverified)
    return keep(order, value(key), store, Sts(), FakeClock())


def test_key_is_kept_with_the_account_that_aws_named():
    store = MemoryStore()
    assert kept(store) == ['Added credentials to profile "jon" in vault']
    assert items.decode_access_key(store.read("jon").value.expose()).account == "123456789012"
    notes = store.entries()["jon"]
    assert (notes["tail"], notes["account"], notes["mfa"]) == ("MPLE", "123456789012", "arn:mfa")


def test_key_that_aws_refuses_is_not_kept():
    store = MemoryStore()
    with pytest.raises(DeniedError):
        keep(Keep(name="jon"), value(), store, Sts(DeniedError("unknown key")), FakeClock())
    assert store.entries() == {}


def test_key_is_not_kept_unseen_unless_that_is_asked_for():
    store, sts = MemoryStore(), Sts(UnreachableError("no route"))
    with pytest.raises(UnreachableError, match="nothing was stored") as caught:
        keep(Keep(name="jon"), value(), store, sts, FakeClock())
    assert "--no-verify" in caught.value.hint
    keep(Keep(name="jon", unverified=True), value(), store, sts, FakeClock())
    assert sts.asked == ["AKIAIOSFODNN7EXAMPLE"]
    assert list(store.entries()) == ["jon"]


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("ASIAIOSFODNN7EXAMPLE", SECRET),
        ("AKIA", SECRET),
        ("akiaiosfodnn7example", SECRET),
        (SECRET, "AKIAIOSFODNN7EXAMPLE"),
        ("AKIAIOSFODNN7EXAMPLE", "hunter2"),
        ("AKIAIOSFODNN7EXAMPLE", f"{SECRET}\n"),
        ("AKIAIOSFODNN7EXAMPLE", ""),
    ],
)
def test_what_is_no_long_lived_key_is_refused_without_repeating_it(name, secret):
    store, sts = MemoryStore(), Sts()
    wrong = AccessKey(access_key_id=name, secret_access_key=secret)
    with pytest.raises(UsageError) as caught:
        keep(Keep(name="jon"), value(wrong), store, sts, FakeClock())
    assert (store.entries(), sts.asked) == ({}, [])
    assert not secret or secret not in str(caught.value)
    assert SECRET not in str(caught.value)
    assert SECRET[:4] not in str(caught.value)


def test_what_is_typed_at_the_console_in_place_of_a_key_is_not_kept():
    store = MemoryStore()
    wrong = AccessKey(access_key_id="correct horse battery", secret_access_key="staple")
    order = Keep(name="type your passphrase", typed=True, unverified=True)
    with pytest.raises(UsageError) as caught:
        keep(order, value(wrong), store, Sts(), FakeClock())
    assert store.entries() == {}
    assert "corr" not in str(caught.value)


def test_temporary_key_is_refused_even_unverified():
    wrong = AccessKey(access_key_id="ASIAIOSFODNN7EXAMPLE", secret_access_key=SECRET)
    with pytest.raises(UsageError, match="temporary"):
        kept(MemoryStore(), wrong, unverified=True)


@pytest.mark.parametrize(
    "name",
    [
        "",
        " jon",
        "jo\nn",
        "oidc:https://x",
        "sts.AssumeRole,am9u,,17",
        "jon session (17)",
        "privy-rotation:jon",
        "totp:arn:aws:iam::1:mfa/jon",
    ],
)
def test_name_that_would_be_read_as_something_else_is_refused(name):
    with pytest.raises(UsageError, match="cannot be the name"):
        keep(Keep(name=name), value(), MemoryStore(), Sts(), FakeClock())


def test_key_that_is_there_is_replaced_only_when_asked():
    store = MemoryStore()
    kept(store)
    with pytest.raises(ConflictError):
        kept(store)
    assert kept(store, replace=True) == ['Added credentials to profile "jon" in vault']


def test_sessions_made_from_a_replaced_key_go_whatever_their_profile():
    store = MemoryStore()
    kept(store)
    mark = items.mark(KEY.access_key_id)
    session(store, "jon")
    session(store, "admin", source="jon", mark=mark)
    session(store, "copy", source="other name", mark=mark)
    stays = session(store, "ada", source="ada", mark="another")
    lines = kept(store, replace=True)
    assert lines[1] == "Deleted 3 existing sessions."
    assert set(store.entries()) == {"jon", stays}


def test_sessions_whose_origin_only_aws_vault_knows_go_with_a_replaced_key():
    store = MemoryStore()
    theirs = session(store, "admin", digest="")
    kept(store)
    assert theirs in store.entries()
    kept(store, replace=True)
    assert theirs not in store.entries()


def test_key_without_notes_is_known_by_what_it_is():
    store = MemoryStore(keeps_notes=False)
    kept(store)
    noted = MemoryStore()
    noted.write(store.read("jon"))
    session(noted, "admin", source="", mark=items.mark(KEY.access_key_id))
    other = AccessKey(access_key_id="AKIAI44QH8DHBEXAMPLE", secret_access_key=SECRET)
    assert "Deleted 1 existing sessions." in kept(noted, other, replace=True)


def test_malformed_value_is_refused_without_repeating_it():
    text = b'{"access_key_id":"AKIAIOSFODNN7EXAMPLE","secret_access_key":["hush"]}'
    with pytest.raises(UsageError) as caught:
        keep(Keep(name="jon"), Secret(text), MemoryStore(), Sts(), FakeClock())
    assert "hush" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_removed_key_takes_its_sessions_with_it():
    store = MemoryStore()
    kept(store)
    session(store, "admin", source="jon")
    stays = session(store, "ada", source="ada")
    assert remove(Remove(name="jon"), store) == ["Deleted credentials.", "Deleted 1 sessions."]
    assert list(store.entries()) == [stays]


@pytest.mark.parametrize("name", ["ada", "oidc:https://x"])
def test_what_is_no_key_is_not_removed(name):
    store = MemoryStore()
    store.write(Item("oidc:https://x", Secret(b"{}")))
    with pytest.raises(NotFoundError):
        remove(Remove(name=name), store)
    assert list(store.entries()) == ["oidc:https://x"]


def test_key_in_the_middle_of_a_rotation_is_not_removed():
    store = MemoryStore()
    kept(store)
    store.write(Item(items.journal_key("jon"), Secret(b"{}")))
    with pytest.raises(ConflictError, match="unfinished"):
        remove(Remove(name="jon"), store)
    assert "jon" in store.entries()


def filled() -> MemoryStore:
    store = MemoryStore()
    kept(store)
    session(store, "jon")
    session(store, "ada")
    for key in (
        "ada session (17)",
        items.token_key(PORTAL.start_url),
        items.token_key("https://other"),
        items.client_key(PORTAL.start_url, "eu-west-1"),
        items.journal_key("jon"),
    ):
        store.write(Item(key, Secret(b"{}")))
    return store


def test_everything_is_cleared_but_keys_and_journals():
    store = filled()
    assert clear(Clear(), store) == ["Cleared 5 sessions."]
    assert set(store.entries()) == {"jon", items.journal_key("jon")}


def test_one_profile_is_cleared_with_the_token_of_its_portal():
    store = filled()
    assert clear(Clear(name="jon", portal=PORTAL), store) == ["Cleared 2 sessions."]
    assert items.token_key("https://other") in store.entries()


def test_changing_orders_read_no_value_but_that_of_an_unnoted_key():
    store = filled()
    store.reads.clear()
    clear(Clear(), store)
    kept(store, replace=True)
    clear(Clear(name="jon"), store)
    assert store.reads == []
