"""What lies in stores, caches and folders may be anything; what is read of it is told or refused."""

import hashlib
import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import given, settings, strategies as st
from tests.damage import VALUES, damaged, our_errors_alone
from tests.fakes import FakeClock
from tests.fakes_stores import MemoryStore
from tests.soak import times

from privyseal.aws import items, tokens
from privyseal.aws.flights import AloftError, Flights
from privyseal.aws.journal import Book, Journal
from privyseal.aws.known import known
from privyseal.aws.leaks import scan
from privyseal.aws.ports import Item
from privyseal.aws.sources import from_process
from privyseal.aws.stores.file import FileStore
from privyseal.aws.stores.notes import NotedStore, NoteFile
from privyseal.errors import PrivysealError
from privyseal.model.aws import AccessKey, Credentials, Portal, Process, Vaulted
from privyseal.model.secret import Secret
from privyseal.model.value import decode, encode

SECRET = "hush-hush-hush"
KEY = AccessKey(access_key_id="AKIAEXAMPLE", secret_access_key=SECRET, account="111122223333")
SESSION = Credentials(
    access_key_id="ASIAEXAMPLE", secret_access_key=SECRET, session_token=SECRET, expires=1.7e9
)
PORTAL = Portal(start_url="https://x.awsapps.com/start", region="eu-west-1")
JOURNAL = Journal(
    step="verify", user="jon", old=KEY, before=("AKIAEXAMPLE",), began=1.7e9, new=KEY, until=1.7e9
)
MANY = times(100, soak=4_000)
LINES = st.text(st.characters(exclude_categories=()), max_size=300)


def parts(payload: bytes) -> object:
    found: object = json.loads(payload)
    return found


@settings(max_examples=MANY, deadline=None)
@given(damaged(parts(items.encode_access_key(KEY))))
def test_a_damaged_key_is_a_key_or_an_error(text: bytes) -> None:
    with our_errors_alone():
        items.encode_access_key(items.decode_access_key(text))


@settings(max_examples=MANY, deadline=None)
@given(damaged(parts(items.encode_session(SESSION))))
def test_a_damaged_session_is_a_session_or_an_error(text: bytes) -> None:
    with our_errors_alone():
        found = items.decode_session(text)
        items.encode_session(found)
        encode(found)


@settings(max_examples=MANY, deadline=None)
@given(damaged(parts(items.encode_item(items.key_item("jon", KEY, added=1)))))
def test_a_damaged_entry_is_an_entry_or_an_error(text: bytes) -> None:
    with our_errors_alone():
        items.encode_item(items.decode_item(text))


@settings(max_examples=MANY, deadline=None)
@given(damaged(parts(encode(JOURNAL))))
def test_a_damaged_journal_is_a_journal_or_an_error_that_quotes_nothing(text: bytes) -> None:
    store = MemoryStore()
    store.write(Item(items.journal_key("jon"), Secret(text)))
    with our_errors_alone(SECRET):
        journal = Book(store, "jon").read()
        assert journal is not None
        for instant in (journal.began, journal.until):
            assert datetime.fromtimestamp(int(instant), UTC).year >= 1970


def token_text() -> object:
    item = tokens.token_item(PORTAL, tokens.Token(SECRET, 1.7e9, SECRET, "client"), now=1.6e9)
    return parts(item.value.expose())


def registration_text() -> object:
    ours = tokens.Registration("client", SECRET, 1.7e9, ("scope",), "https://x.example/", "")
    return parts(tokens.registration_item(PORTAL, "device", ours).value.expose())


@settings(max_examples=MANY, deadline=None)
@given(damaged(token_text()), damaged(registration_text()))
def test_a_damaged_token_or_registration_can_be_used_or_is_none(
    token: bytes, registration: bytes
) -> None:
    store = MemoryStore()
    store.write(Item(items.token_key(PORTAL.start_url), Secret(token)))
    store.write(Item(tokens.registration_key(PORTAL, "device"), Secret(registration)))

    if found := tokens.read_token(store, PORTAL):
        assert found.access.encode()
        assert tokens.token_item(PORTAL, found, now=1.6e9)
    if ours := tokens.read_registration(store, PORTAL, "device"):
        assert tokens.registration_item(PORTAL, "device", ours)


NAMES = LINES | st.builds(
    lambda kind, rest: kind + rest,
    st.sampled_from(["oidc:", "totp:", "privy-rotation:", "oidc:client:"]),
    LINES,
)
SESSIONS = st.builds(
    items.session_key,
    st.sampled_from(["sts.AssumeRole", "x" * 300]),
    st.text(max_size=300),
    st.text(),
    st.just("d"),
    st.integers(0, 10**18 - 1),
)
NOTES = st.dictionaries(
    st.sampled_from(["tail", "mark", "account", "mfa", "added", "expires", "session"]),
    LINES | st.sampled_from(["nan", "inf", "-1", "1e999", "x" * 300]),
)


@settings(max_examples=MANY, deadline=None)
@given(st.dictionaries(NAMES | SESSIONS, NOTES, max_size=6))
def test_whatever_a_store_lists_can_be_handed_on(entries: dict[str, dict[str, str]]) -> None:
    found = known(entries)

    assert decode(encode(found), Vaulted, what="the list") == found


@settings(max_examples=MANY, deadline=None)
@given(damaged([1, "org.privyseal.Error.Failed", "message", "hint"]))
def test_a_damaged_failure_of_the_flight_before_is_shared_or_passed_over(text: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        flights = Flights(Path(folder))
        name = hashlib.sha256(b"k").hexdigest()[:32]
        (Path(folder) / f"{name}.lock").write_bytes(text)
        (Path(folder) / f"{name}.note").write_bytes(text)
        try:
            with flights.one("k", wait=False):
                flights.noted("k")
        except AloftError:
            raise
        except PrivysealError:
            return


@settings(max_examples=MANY, deadline=None)
@given(
    damaged({"accessToken": "x", "startUrl": "x", "expiresAt": "2020-01-01T00:00:00Z"}),
    damaged({"Credentials": {"SecretAccessKey": "x", "Expiration": "2020-01-01T00:00:00Z"}}),
    st.binary(max_size=100),
)
def test_whatever_lies_in_the_caches_of_others_is_told_or_passed_over(
    token: bytes, role: bytes, config: bytes
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for place, text in (("sso/cache", token), ("cli/cache", role), ("login/cache", token)):
            (folder / place).mkdir(parents=True)
            (folder / place / "x.json").write_bytes(text)
        (folder / "config").write_bytes(config)
        for leak in scan(folder / "config", folder / "credentials", folder, 1.7e9):
            assert leak.what


@settings(max_examples=MANY, deadline=None)
@given(damaged({"jon": {"tail": "MPLE", "added": "1"}}))
def test_damaged_notes_cost_notes_alone(text: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "notes.json"
        path.write_bytes(text)
        inner = MemoryStore(keeps_notes=False)
        inner.write(Item("jon", Secret(b"1")))
        store = NotedStore(inner, NoteFile(path))
        assert encode(known(store.entries()))
        store.write(Item("ada", Secret(b"2"), notes={"tail": "ADA"}))
        assert store.entries()["ada"] == {"tail": "ADA"}


@settings(max_examples=times(40, soak=2_000), deadline=None)
@given(st.data())
def test_a_damaged_file_of_the_file_store_is_an_entry_or_an_error(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = FileStore(folder, lambda *, new: Secret(b"words"), FakeClock(), rounds=1)
        store.write(items.key_item("jon", KEY, added=1))
        whole = (folder / "jon").read_bytes()
        at = data.draw(st.integers(0, len(whole)))
        junk = data.draw(st.binary(max_size=4))
        cut = data.draw(st.booleans())
        (folder / "jon").write_bytes(whole[:at] + junk + (b"" if cut else whole[at:]))

        known(store.entries())
        with our_errors_alone():
            store.read("jon")


@settings(max_examples=times(40, soak=2_000), deadline=None)
@given(
    damaged(
        {
            "Version": 1,
            "AccessKeyId": "ASIAEXAMPLE",
            "SecretAccessKey": SECRET,
            "SessionToken": SECRET,
            "Expiration": "2030-01-01T00:00:00Z",
            "AccountId": "111122223333",
        }
    )
)
def test_whatever_a_credential_process_prints_can_be_kept_or_is_refused(text: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out"
        path.write_bytes(text)
        with our_errors_alone(SECRET):
            found = from_process(Process(command=f"cat {path}"), "p", {"PATH": "/usr/bin:/bin"})
            key = items.session_key("credential_process", "p", "", "d", max(found.expires, 0))
            assert items.session_item(key, found, {}).value
            assert encode(found)


@settings(max_examples=MANY, deadline=None)
@given(VALUES)
def test_values_of_any_shape_are_no_entries(value: object) -> None:
    text = json.dumps({"Key": value, "Data": value, "Label": value}).encode()
    with our_errors_alone():
        items.encode_item(items.decode_item(text))
