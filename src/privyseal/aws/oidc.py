"""The token service of Identity Center: how a person or a refresh token gets a portal's token.

By a redirect to loopback with PKCE (RFC 7636, RFC 8252) where the person's browser can come there,
else by a code that she compares on another device (RFC 8628). A token is kept before it is used:
the one that it was renewed by is dead.
"""

import base64
import hashlib
import hmac
import secrets
from contextlib import suppress
from functools import cached_property
from typing import Any, Final
from urllib.parse import parse_qs, urlencode

from privyseal.aws import answers, calls, tokens
from privyseal.aws.answers import Answer, Instant, Seconds, Text, Word
from privyseal.aws.means import Means
from privyseal.aws.refusals import ExpectedError
from privyseal.aws.tokens import Flow, Registration, Token
from privyseal.errors import (
    DeniedError,
    ExpiredError,
    NotFoundError,
    PrivysealError,
    UnreachableError,
    UsageError,
)
from privyseal.model.aws import Network, Portal

_CLIENT_NAME: Final = "Privyseal"
_DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
_REDIRECT: Final = "http://127.0.0.1/oauth/callback"
_INTERVAL: Final = 5
"""Seconds between two questions where AWS names none, and how much slower "slow down" means."""

_LEAST: Final = 3600
"""A client is registered anew so many seconds before its end: no sign-in takes longer."""

_TRIES: Final = 3
_NO_REDIRECTS: Final = frozenset(
    {
        "InvalidClientMetadataException",
        "InvalidRedirectUriException",
        "UnsupportedGrantTypeException",
    }
)
_NEW_CLIENT: Final = frozenset({"InvalidClientException", "UnauthorizedClientException"})
_NEW_SIGN_IN: Final = _NEW_CLIENT | {"InvalidGrantException", "ExpiredTokenException"}
_OF_DEVICES: Final = frozenset(
    {"AuthorizationPendingException", "SlowDownException", "AccessDeniedException"}
)


class _Waiting(Answer, frozen=True, rename="camel", kw_only=True):
    device_code: Word
    user_code: Word
    verification_uri: Text = ""
    verification_uri_complete: Text = ""
    expires_in: Seconds
    interval: Seconds = _INTERVAL


class _Made(Answer, frozen=True, rename="camel"):
    access_token: Word
    expires_in: Seconds = 0
    refresh_token: Word = ""


class _Registered(Answer, frozen=True, rename="camel"):
    client_id: Word
    client_secret: Word
    client_secret_expires_at: Instant
    authorization_endpoint: Text = ""


class TokenService:
    """The token service of one portal; `network` is in the portal's region."""

    def __init__(self, portal: Portal, network: Network, means: Means) -> None:
        self._portal = portal
        self._network = network
        self._store = means.store
        self._talk = means.talk
        self._clock = means.clock

    @cached_property
    def _oidc(self) -> Any:
        # Codes and refresh tokens are good once: nothing is sent twice.
        return calls.client("sso-oidc", self._network, None, attempts=1)

    @property
    def _endpoint(self) -> str:
        return calls.endpoint_of("sso-oidc", self._network)

    def renew(self, token: Token) -> Token | None:
        """Return the token that a refresh token gives, None when a person has to sign in.

        Raises:
            PrivysealError: AWS cannot be reached, or is busy.
        """
        ours = self._client_of(token) if token.refresh else None
        if ours is None:
            return None
        try:
            return self._create(ours, "refresh_token", refreshToken=token.refresh)
        except (ExpectedError, DeniedError, UsageError):
            return None

    def _client_of(self, token: Token) -> Registration | None:
        flows: tuple[Flow, Flow] = ("redirect", "device")
        for flow in flows:
            ours = self._kept_registration(flow)
            if ours and ours.client == token.client and ours.expires > self._clock.wall():
                return ours
        return None

    def by_person(self) -> Token:
        """Let the person sign in; return the token.

        Raises:
            DeniedError: She gave up, or refused at the page.
            ExpiredError: Nobody signed in in time.
        """
        uri = self._talk.redirect()
        for _ in range(_TRIES):
            flow: Flow = "redirect" if uri else "device"
            try:
                ours = self._registration(flow)
                return self._by_redirect(ours, uri) if uri else self._by_device(ours)
            except ExpectedError as error:
                if error.code in _NO_REDIRECTS and uri:
                    uri = ""  # a partition of AWS that came to redirects late, or did not yet
                    continue
                if error.code not in _NEW_CLIENT:
                    raise DeniedError(f"the sign-in failed: {error}") from None
                self._unregister(flow)
                uri = self._talk.redirect() if uri else ""
        raise DeniedError("AWS does not know the client that it has just registered")

    def _by_redirect(self, ours: Registration, uri: str) -> Token:
        verifier, state = secrets.token_urlsafe(64), secrets.token_urlsafe(32)
        digest = hashlib.sha256(verifier.encode()).digest()
        query = {
            "response_type": "code",
            "client_id": ours.client,
            "redirect_uri": uri,
            "state": state,
            "code_challenge_method": "S256",
            "scopes": " ".join(ours.scopes),
            "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
        }
        authorize = ours.authorize or f"{self._oidc.meta.endpoint_url.rstrip('/')}/authorize"
        try:
            back = parse_qs(self._talk.page(f"{authorize}?{urlencode(query)}", redirect=True))
        except PrivysealError:
            # To a client that AWS has forgotten, its page says so and sends nobody back.
            self._unregister("redirect")
            raise
        if not hmac.compare_digest("".join(back.get("state", ())).encode(), state.encode()):
            raise DeniedError("what came back from the browser belongs to another sign-in")
        code = "".join(back.get("code", ()))
        if not code:
            raise DeniedError(f"the sign-in was refused: {' '.join(back.get('error', ['?']))!r}")
        return self._create(
            ours, "authorization_code", code=code, codeVerifier=verifier, redirectUri=uri
        )

    def _by_device(self, ours: Registration) -> Token:
        answer = calls.call(
            self._oidc,
            "start_device_authorization",
            expected=_NEW_CLIENT,
            clientId=ours.client,
            clientSecret=ours.secret,
            startUrl=self._portal.start_url,
        )
        waiting = answers.read(answer, _Waiting, "code for the sign-in")
        interval = max(1, waiting.interval)
        until = self._clock.monotonic() + waiting.expires_in
        page = waiting.verification_uri_complete or waiting.verification_uri
        self._talk.page(page, code=waiting.user_code)
        while self._clock.monotonic() < until:
            self._talk.wait(interval)
            try:
                return self._create(ours, _DEVICE_GRANT, deviceCode=waiting.device_code)
            except ExpectedError as error:
                if error.code == "SlowDownException":
                    interval += _INTERVAL
                elif error.code == "AccessDeniedException":
                    raise DeniedError("the sign-in was refused at the page") from None
                elif error.code == "ExpiredTokenException":
                    break
                elif error.code != "AuthorizationPendingException":
                    raise
            except UnreachableError:
                # RFC 8628 §3.5: ask less often when the connection breaks, and go on.
                interval += _INTERVAL
        raise ExpiredError(f"nobody used the code {waiting.user_code} in time")

    def _create(self, ours: Registration, grant: str, **inputs: Any) -> Token:
        """Get a token, and keep it before anybody uses it."""
        answer = calls.call(
            self._oidc,
            "create_token",
            expected=_NEW_SIGN_IN | (_OF_DEVICES if grant == _DEVICE_GRANT else frozenset()),
            clientId=ours.client,
            clientSecret=ours.secret,
            grantType=grant,
            **inputs,
        )
        made = answers.read(answer, _Made, "token")
        now = self._clock.wall()
        refresh = made.refresh_token or inputs.get("refreshToken", "")
        token = Token(made.access_token, now + made.expires_in, refresh, ours.client)
        try:
            self._store.write(tokens.token_item(self._portal, token, now=now))
        except PrivysealError as error:
            self._talk.tell(f"the next command signs in again, the token cannot be kept: {error}")
        return token

    def _kept_registration(self, flow: Flow) -> Registration | None:
        # One from elsewhere names a page of elsewhere, where a person would sign in.
        kept = tokens.read_registration(self._store, self._portal, flow)
        return kept if kept and kept.endpoint == self._endpoint else None

    def _registration(self, flow: Flow) -> Registration:
        kept = self._kept_registration(flow)
        lasting = kept and kept.expires - self._clock.wall() > _LEAST
        if kept and lasting and kept.scopes == self._portal.scopes:
            return kept
        more: dict[str, Any] = {}
        if flow == "redirect":
            more = {
                "grantTypes": ["authorization_code", "refresh_token"],
                "redirectUris": [_REDIRECT],
                "issuerUrl": self._portal.start_url,
            }
        answer = calls.call(
            self._oidc,
            "register_client",
            clientName=_CLIENT_NAME,
            clientType="public",
            expected=_NO_REDIRECTS if flow == "redirect" else (),
            scopes=list(self._portal.scopes),
            **more,
        )
        client = answers.read(answer, _Registered, "registration")
        made = Registration(
            client.client_id,
            client.client_secret,
            float(client.client_secret_expires_at),
            self._portal.scopes,
            client.authorization_endpoint,
            self._endpoint,
        )
        try:
            self._store.write(tokens.registration_item(self._portal, flow, made))
        except PrivysealError as error:
            self._talk.tell(f"the next sign-in registers again: {error}")
        return made

    def _unregister(self, flow: Flow) -> None:
        with suppress(NotFoundError):
            self._store.remove(tokens.registration_key(self._portal, flow))
