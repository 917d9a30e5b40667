"""Names and payloads of entries, as aws-vault writes and reads them."""

import json

import pytest
from hypothesis import given, strategies as st

from privyseal.aws.items import (
    SessionKey,
    classify,
    client_key,
    decode_access_key,
    decode_item,
    decode_session,
    encode_access_key,
    encode_item,
    encode_session,
    journal_key,
    journal_name,
    key_item,
    parse_session,
    session_item,
    session_key,
    token_key,
    token_url,
)
from privyseal.aws.ports import Item
from privyseal.errors import CorruptError
from privyseal.model.aws import AccessKey, Credentials
from privyseal.model.secret import Secret

SERIAL = "arn:aws:iam::1:mfa/j"
KEY = AccessKey(access_key_id="AKIAEXAMPLE", secret_access_key="s3cret-of-the-key")


def test_session_of_aws_vault_without_mfa_has_its_name():
    assert (
        session_key("sts.GetSessionToken", "jon", "", "", 1700000000)
        == "sts.GetSessionToken,am9u,,1700000000"
    )


def test_session_of_aws_vault_with_mfa_has_its_name():
    key = session_key("sts.GetSessionToken", "jon", SERIAL, "", 1700000000.9)
    assert key == "sts.GetSessionToken,am9u,YXJuOmF3czppYW06OjE6bWZhL2o,1700000000"


@given(
    profile=st.text(min_size=1).filter(lambda text: text.isprintable()),
    serial=st.text(alphabet="abc:/0123", max_size=40),
    digest=st.text(alphabet="0123456789abcdef", max_size=64),
    expiry=st.integers(0, 2**40),
)
def test_name_of_a_session_gives_its_parts_back(profile, serial, digest, expiry):
    key = session_key("sts.AssumeRole", profile, serial, digest, expiry)
    assert parse_session(key) == SessionKey("sts.AssumeRole", profile, serial, digest, expiry)
    assert classify(key) == "session"


def test_session_of_a_portal_whose_address_has_a_fragment_keeps_it():
    for url in ("https://x.awsapps.com/start#/", "https://x.awsapps.com/start#"):
        for digest in ("", "ab12"):
            key = session_key("sso.GetRoleCredentials", "jon", url, digest, 5)
            assert parse_session(key) == SessionKey("sso.GetRoleCredentials", "jon", url, digest, 5)


def test_session_with_a_digest_is_none_that_aws_vault_would_take_for_its_own():
    theirs = session_key("sts.AssumeRole", "jon", SERIAL, "", 5)
    ours = session_key("sts.AssumeRole", "jon", SERIAL, "ab12", 5)
    assert not ours.startswith(theirs.rpartition(",")[0] + ",")


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("jon", "credential"),
        ("a,b,c,d", "credential"),
        ("a,b,c,5", "credential"),
        ("x,!!!!,,17", "credential"),
        ("sts.AssumeRole,am9u,,1700000000", "session"),
        ("session,am9u,,1700000000", "old-session"),
        ("session:jon:arn:aws:iam::1:mfa/j:1700000000", "old-session"),
        ("jon session (1700000000)", "old-session"),
        ("oidc:https://x.awsapps.com/start", "token"),
        (client_key("https://x.awsapps.com/start", "eu-west-1"), "client"),
        (journal_key("jon"), "journal"),
        ("totp:arn:aws:iam::1:mfa/jon", "seed"),
    ],
)
def test_the_name_says_what_an_entry_is(key, kind):
    assert classify(key) == kind


def test_names_of_tokens_and_journals_give_back_whose_they_are():
    assert token_url(token_key("https://x/start")) == "https://x/start"
    assert journal_name(journal_key("jon")) == "jon"


def test_key_comes_back_from_its_payload():
    key = AccessKey(
        access_key_id="AKIA1", secret_access_key="s", account="123456789012", mfa=SERIAL
    )
    assert decode_access_key(encode_access_key(key)) == key


def test_payload_of_a_key_has_the_fields_of_aws_vault():
    assert json.loads(encode_access_key(KEY)) == {
        "AccessKeyID": "AKIAEXAMPLE",
        "SecretAccessKey": "s3cret-of-the-key",
        "SessionToken": "",
        "Source": "",
        "CanExpire": False,
        "Expires": "0001-01-01T00:00:00Z",
        "AccountID": "",
    }


def test_key_of_an_older_aws_vault_is_read():
    old = b'{"AccessKeyID":"AKIA1","SecretAccessKey":"s","SessionToken":"","ProviderName":"x"}'
    assert decode_access_key(old) == AccessKey(access_key_id="AKIA1", secret_access_key="s")


@pytest.mark.parametrize("ending", ["Z", "+00:00", ".123456789Z"])
def test_session_is_read_with_every_spelling_of_its_end(ending):
    text = f'{{"AccessKeyId":"A","SecretAccessKey":"s","SessionToken":"t","Expiration":"2023-11-14T22:13:20{ending}"}}'
    session = decode_session(text.encode())
    assert int(session.expires) == 1700000000


def test_session_comes_back_from_its_payload():
    session = Credentials(
        access_key_id="ASIA1",
        secret_access_key="s",
        session_token="t",
        expires=1700000000.0,
        account="1",
    )
    assert decode_session(encode_session(session)) == session


def test_credentials_without_an_end_come_back_without_one():
    session = Credentials(access_key_id="ASIA1", secret_access_key="s")
    assert decode_session(encode_session(session)) == session


def test_entry_has_the_fields_of_aws_vault_in_their_order():
    text = encode_item(key_item("jon", KEY, added=7))
    assert list(json.loads(text)) == [
        "Key",
        "Data",
        "Label",
        "Description",
        "KeychainNotTrustApplication",
        "KeychainNotSynchronizable",
    ]
    assert json.loads(text)["Label"] == "aws-vault (jon)"


@given(st.text(min_size=1), st.binary(min_size=1), st.text(), st.text())
def test_entry_comes_back_from_its_text(key, value, label, description):
    item = Item(key, Secret(value), label, description)
    assert decode_item(encode_item(item)) == item


def test_entry_is_read_whatever_the_case_of_its_fields_and_without_the_optional_ones():
    assert decode_item(b'{"KEY":"k","data":"AAA="}') == Item("k", Secret(b"\0\0"))


@pytest.mark.parametrize("decode", [decode_access_key, decode_session, decode_item])
@given(
    text=st.binary()
    | st.sampled_from(
        [b"[]", b"{}", b"1", b"[" * 100000, b'{"Key":"k"}', b'{"Key":"\\ud800","Data":"AAA="}']
    )
)
def test_junk_is_one_clear_error(decode, text):
    with pytest.raises(CorruptError):
        decode(text)


@pytest.mark.parametrize(
    "text",
    [
        b'{"AccessKeyID":"AKIA1","SecretAccessKey":"hush" x}',
        b'{"AccessKeyID":7,"SecretAccessKey":"hush"}',
        b'{"AccessKeyID":"AKIA1","SecretAccessKey":"hush","SessionToken":"t"}',
    ],
)
def test_error_about_a_bad_key_holds_nothing_of_it(text):
    with pytest.raises(CorruptError) as caught:
        decode_access_key(text)
    assert "hush" not in repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_time_without_a_zone_is_refused():
    with pytest.raises(CorruptError):
        decode_session(
            b'{"AccessKeyId":"A","SecretAccessKey":"s","Expiration":"2023-11-14T22:13:20"}'
        )


def test_label_of_a_session_says_whose_it_is_and_until_when():
    session = Credentials(access_key_id="A", secret_access_key="s", expires=1700000000)
    item = session_item(session_key("sts.AssumeRole", "jon", "", "d", 1700000000), session, {})
    assert item.label == "aws-vault session for jon (expires 2023-11-14T22:13:20Z)"
    assert item.description == "aws-vault session"


def test_notes_of_a_key_hold_no_more_than_the_end_of_its_id():
    notes = key_item("jon", KEY, added=7.5).notes
    assert notes["tail"] == "MPLE"
    assert notes["added"] == "7"
    assert not any("AKIAEXAMPLE" in text or "s3cret" in text for text in notes.values())
