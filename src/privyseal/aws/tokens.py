"""What is kept of a portal: its token, in aws-vault's form, and our registration as its client."""

from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple, TypeVar

import msgspec

from privyseal.aws import items
from privyseal.aws.ports import Item, KeyStore
from privyseal.errors import CorruptError, NotFoundError
from privyseal.model.aws import Portal
from privyseal.model.secret import Secret

Flow = Literal["redirect", "device"]
"""How a client signs in: by a redirect to loopback (PKCE), or by a code on another device."""

_DESCRIPTION: Final = "aws-vault oidc token"


class Token(NamedTuple):
    """A portal's token; `expires` is seconds since 1970.

    With a `refresh` token it is renewed without a person, by the `client` that got it.
    """

    access: str
    expires: float
    refresh: str = ""
    client: str = ""

    def __repr__(self) -> str:
        return f"Token(expires={self.expires:.0f}, refreshable={bool(self.refresh)})"


class Registration(NamedTuple):
    """What makes us a client of the token service, until `expires` (seconds since 1970).

    `endpoint` is where that service was reached if not at AWS: it is no client anywhere else.
    """

    client: str
    secret: str
    expires: float
    scopes: tuple[str, ...] = ()
    authorize: str = ""
    endpoint: str = ""

    def __repr__(self) -> str:
        return f"Registration({self.client!r}, expires={self.expires:.0f})"


class _Answer(msgspec.Struct, rename="pascal"):
    """The answer of CreateToken as aws-vault keeps it."""

    access_token: str
    expires_in: int = 0
    id_token: str | None = None
    refresh_token: str | None = None
    token_type: str | None = None
    result_metadata: dict[str, str] = {}

    def __repr__(self) -> str:
        return "_Answer()"


class _Kept(msgspec.Struct, rename="pascal"):
    """A token's payload; `client_id` is ours, aws-vault does not look at it."""

    token: _Answer
    expiration: datetime
    client_id: str = ""


class _Client(msgspec.Struct, rename="camel"):
    client_id: str
    client_secret: str
    expires_at: float
    scopes: tuple[str, ...] = ()
    authorization_endpoint: str = ""
    endpoint: str = ""

    def __repr__(self) -> str:
        return "_Client()"


def token_item(portal: Portal, token: Token, *, now: float) -> Item:
    """Return the entry for a token; `now` is seconds since 1970."""
    ends = datetime.fromtimestamp(int(token.expires), UTC)
    payload = _Kept(
        token=_Answer(
            access_token=token.access,
            expires_in=max(0, int(token.expires - now)),
            refresh_token=token.refresh or None,
            token_type="Bearer",  # noqa: S106 - of RFC 6750
        ),
        expiration=ends,
        client_id=token.client,
    )
    label = f"{_DESCRIPTION} for {portal.start_url} (expires {ends:%Y-%m-%dT%H:%M:%SZ})"
    notes = {
        "session": portal.session,
        "expires": str(int(token.expires)),
        "refreshable": "yes" if token.refresh else "",
    }
    key = items.token_key(portal.start_url)
    return Item(key, Secret(msgspec.json.encode(payload)), label, _DESCRIPTION, notes)


def read_token(store: KeyStore, portal: Portal) -> Token | None:
    """Return the token that the store keeps of a portal, None when there is none to be read."""
    kept = _read(store, items.token_key(portal.start_url), _Kept)
    if kept is None or not kept.token.access_token or kept.expiration.tzinfo is None:
        return None
    return Token(
        kept.token.access_token,
        kept.expiration.timestamp(),
        kept.token.refresh_token or "",
        kept.client_id,
    )


def registration_item(portal: Portal, flow: Flow, ours: Registration) -> Item:
    """Return the entry for a registration."""
    payload = _Client(
        client_id=ours.client,
        client_secret=ours.secret,
        expires_at=ours.expires,
        scopes=ours.scopes,
        authorization_endpoint=ours.authorize,
        endpoint=ours.endpoint,
    )
    return Item(
        registration_key(portal, flow),
        Secret(msgspec.json.encode(payload)),
        f"privy client of {portal.start_url} ({flow})",
        "privy oidc client",
    )


def registration_key(portal: Portal, flow: Flow) -> str:
    """Return the name of the entry; each flow has its own client, as each registers otherwise."""
    return items.client_key(portal.start_url, f"{portal.region}:{flow}")


def read_registration(store: KeyStore, portal: Portal, flow: Flow) -> Registration | None:
    """Return the registration that the store keeps, None when there is none to be read."""
    kept = _read(store, registration_key(portal, flow), _Client)
    if kept is None:
        return None
    return Registration(
        kept.client_id,
        kept.client_secret,
        kept.expires_at,
        kept.scopes,
        kept.authorization_endpoint,
        kept.endpoint,
    )


_T = TypeVar("_T")


def _read(store: KeyStore, key: str, kind: type[_T]) -> _T | None:
    # Both can be had anew: what cannot be read is as good as gone, and will be written over.
    try:
        return msgspec.json.decode(store.read(key).value.expose(), type=kind)
    except (
        NotFoundError,
        CorruptError,
        msgspec.DecodeError,
        UnicodeDecodeError,
        RecursionError,
    ):
        return None
