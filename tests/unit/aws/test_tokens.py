"""Tokens and registrations come back from the store as they went in, and junk is nothing."""

from hypothesis import given, strategies as st
from tests.fakes_stores import MemoryStore

from privyseal.aws import tokens
from privyseal.aws.items import classify, token_key
from privyseal.aws.ports import Item
from privyseal.aws.tokens import Registration, Token
from privyseal.model.aws import Portal
from privyseal.model.secret import Secret

PORTAL = Portal(start_url="https://x.awsapps.com/start#/", region="eu-central-1")
TEXT = st.text(min_size=1, max_size=50)
INSTANT = st.integers(0, 4_000_000_000).map(float)


@given(TEXT, INSTANT, st.text(max_size=50), st.text(max_size=20))
def test_a_token_comes_back(access: str, expires: float, refresh: str, client: str) -> None:
    store, token = MemoryStore(), Token(access, expires, refresh, client)
    item = tokens.token_item(PORTAL, token, now=1_700_000_000)
    store.write(item)
    assert tokens.read_token(store, PORTAL) == token
    assert classify(item.key) == "token"
    assert not any(
        secret and secret in item.label for secret in (access, refresh) if len(secret) > 9
    )


@given(TEXT, TEXT, INSTANT, st.lists(TEXT, max_size=3).map(tuple), st.text(max_size=50))
def test_a_registration_comes_back_for_its_flow_alone(
    client: str, secret: str, expires: float, scopes: tuple[str, ...], authorize: str
) -> None:
    store, ours = MemoryStore(), Registration(client, secret, expires, scopes, authorize)
    item = tokens.registration_item(PORTAL, "redirect", ours)
    store.write(item)
    assert tokens.read_registration(store, PORTAL, "redirect") == ours
    assert tokens.read_registration(store, PORTAL, "device") is None
    assert classify(item.key) == "client"


@given(
    st.one_of(
        st.binary(), st.from_regex(rb'\{"Token":\{.*\},"Expiration":"[^"]*"\}', fullmatch=True)
    )
)
def test_junk_is_no_token(junk: bytes) -> None:
    store = MemoryStore()
    store.write(Item(token_key(PORTAL.start_url), Secret(junk)))
    store.write(Item(tokens.registration_key(PORTAL, "device"), Secret(junk)))
    assert tokens.read_token(store, PORTAL) is None
    assert tokens.read_registration(store, PORTAL, "device") is None
