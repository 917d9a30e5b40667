"""The token service of IAM Identity Center: clients, device codes, PKCE and refresh tokens."""

import base64
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlencode, urlsplit

from tests.fakes_aws.web import Answer, AwsError

from privyseal.model.clock import Clock

DAY = 86_400
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
REFRESH_SCOPE = "sso:account:access"

Verdict = Literal["pending", "allow", "deny"]


@dataclass(eq=False)
class Client:
    """A registered client."""

    grants: frozenset[str]
    redirects: frozenset[str]
    scopes: frozenset[str]
    start_url: str
    expires: float
    client_id: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    client_secret: str = field(default_factory=lambda: secrets.token_urlsafe(60))


@dataclass(eq=False)
class DeviceCode:
    """A device that waits for its person."""

    client: Client
    start_url: str
    expires: float
    interval: float
    polled: float
    verdict: Verdict = "pending"
    device_code: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    user_code: str = field(
        default_factory=lambda: "-".join(
            "".join(secrets.choice("BCDFGHJKLMNPQRSTVWXZ") for _ in range(4)) for _ in range(2)
        )
    )


@dataclass(eq=False)
class AuthCode:
    """An authorization code: good for one exchange, by the client, address and verifier it is for."""

    client: Client
    redirect_uri: str
    challenge: str
    expires: float


@dataclass(eq=False)
class Session:
    """A person's sign-in at a portal: at most one access token and one refresh token live."""

    client: Client
    start_url: str
    ends: float
    access_token: str = ""
    token_expires: float = 0.0
    refresh_token: str = ""


class Oidc:
    """The service. `person` is what the person at a browser does; `interval` is for devices."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.url = ""
        self.person: Verdict = "allow"
        self.interval = 1
        self.token_seconds = 3600
        self.session_seconds = 8 * 3600
        self.client_seconds = 90 * DAY
        self.portals: set[str] = set()
        self.clients: dict[str, Client] = {}
        self.devices: dict[str, DeviceCode] = {}
        self.sessions: list[Session] = []
        self._codes: dict[str, AuthCode] = {}

    def register(self, asked: Mapping[str, Any]) -> dict[str, object]:
        """Carry out RegisterClient."""
        if not asked.get("clientName") or not asked.get("clientType"):
            raise AwsError(400, "InvalidRequestException", "clientName and clientType are required")
        if asked["clientType"] != "public":
            raise AwsError(400, "InvalidClientMetadataException", "only public clients")
        grants = frozenset(asked.get("grantTypes", (DEVICE_GRANT, "refresh_token")))
        if not grants <= {DEVICE_GRANT, "authorization_code", "refresh_token"}:
            raise AwsError(400, "UnsupportedGrantTypeException", "unknown grant type")
        redirects = frozenset(asked.get("redirectUris", ()))
        if "authorization_code" in grants and not (redirects and asked.get("issuerUrl")):
            raise AwsError(
                400, "InvalidRequestException", "redirectUris and issuerUrl are required"
            )
        for uri in redirects:
            _check_redirect(uri)
        client = Client(
            grants,
            redirects,
            frozenset(asked.get("scopes", ())),
            asked.get("issuerUrl", ""),
            self._clock.wall() + self.client_seconds,
        )
        self.clients[client.client_id] = client
        return {
            "clientId": client.client_id,
            "clientSecret": client.client_secret,
            "clientIdIssuedAt": int(self._clock.wall()),
            "clientSecretExpiresAt": int(client.expires),
        }

    def start_device(self, asked: Mapping[str, Any]) -> dict[str, object]:
        """Carry out StartDeviceAuthorization."""
        client = self._client(asked)
        if asked.get("startUrl") not in self.portals:
            raise AwsError(400, "InvalidRequestException", "unknown start URL")
        if DEVICE_GRANT not in client.grants:
            raise AwsError(400, "UnauthorizedClientException", "not a client for devices")
        waiting = DeviceCode(
            client,
            asked["startUrl"],
            self._clock.wall() + 600,
            self.interval,
            self._clock.monotonic(),
        )
        self.devices[waiting.device_code] = waiting
        page = f"{self.url}/device"
        return {
            "deviceCode": waiting.device_code,
            "userCode": waiting.user_code,
            "verificationUri": page,
            "verificationUriComplete": f"{page}?{urlencode({'user_code': waiting.user_code})}",
            "expiresIn": 600,
            "interval": self.interval,
        }

    def decide(self, user_code: str, verdict: Verdict) -> None:
        """Do what the person does at the page of a device."""
        for waiting in self.devices.values():
            if waiting.user_code == user_code:
                waiting.verdict = verdict
                return
        raise AwsError(404, "InvalidRequestException", "no such code")

    def authorize(self, asked: Mapping[str, str]) -> Answer:
        """Show the page that asks for an authorization code; the person answers at once."""
        client = self.clients.get(asked.get("client_id", ""))
        redirect = asked.get("redirect_uri", "")
        if client is None or client.expires <= self._clock.wall():
            return Answer(400, b"unknown client")
        try:
            registered = {_without_port(uri) for uri in client.redirects}
            correct = _without_port(_check_redirect(redirect)) in registered
        except AwsError:
            correct = False
        # RFC 6749 §4.1.2.1: never send anybody to an address that the client did not register.
        if not correct:
            return Answer(400, b"wrong redirect_uri")
        state = {"state": asked["state"]} if "state" in asked else {}
        scopes = frozenset(asked.get("scopes", "").split())
        if (
            asked.get("response_type") != "code"
            or asked.get("code_challenge_method") != "S256"
            or not asked.get("code_challenge")
            or not scopes <= client.scopes
        ):
            return _redirect(redirect, {"error": "invalid_request", **state})
        if self.person == "pending":
            return Answer(200, b"<p>Allow?</p>", {"Content-Type": "text/html"})
        if self.person == "deny":
            return _redirect(redirect, {"error": "access_denied", **state})
        code = secrets.token_urlsafe(32)
        expires = self._clock.wall() + 600
        self._codes[code] = AuthCode(client, redirect, asked["code_challenge"], expires)
        return _redirect(redirect, {"code": code, **state})

    def create_token(self, asked: Mapping[str, Any]) -> dict[str, object]:
        """Carry out CreateToken."""
        client = self._client(asked)
        grant = asked.get("grantType", "")
        if grant not in {DEVICE_GRANT, "authorization_code", "refresh_token"}:
            raise AwsError(400, "UnsupportedGrantTypeException", "unknown grant type")
        if grant not in client.grants:
            raise AwsError(400, "UnauthorizedClientException", "not a grant of this client")
        if grant == DEVICE_GRANT:
            session = self._by_device(client, asked)
        elif grant == "authorization_code":
            session = self._by_code(client, asked)
        else:
            session = self._by_refresh(client, asked)
        return self._issue(session)

    def revoke(self, access_token: str) -> None:
        """End the session of a token."""
        self.sessions.remove(self.session(access_token))

    def session(self, access_token: str) -> Session:
        """Return the session whose access token this is.

        Raises:
            AwsError: There is none, or it has ended.
        """
        now = self._clock.wall()
        for session in self.sessions:
            if session.access_token == access_token and now < session.token_expires:
                return session
        raise AwsError(401, "UnauthorizedException", "Session token not found or invalid")

    def revoke_all(self) -> None:
        """End all sessions, as an administrator can."""
        self.sessions.clear()

    def _client(self, asked: Mapping[str, Any]) -> Client:
        client = self.clients.get(asked.get("clientId", ""))
        if (
            client is None
            or client.client_secret != asked.get("clientSecret")
            or client.expires <= self._clock.wall()
        ):
            raise AwsError(401, "InvalidClientException", "Invalid client provided")
        return client

    def _by_device(self, client: Client, asked: Mapping[str, Any]) -> Session:
        waiting = self.devices.get(asked.get("deviceCode", ""))
        if waiting is None or waiting.client is not client:
            raise AwsError(400, "InvalidGrantException", "Invalid device code provided")
        if waiting.expires <= self._clock.wall():
            raise AwsError(400, "ExpiredTokenException", "Device code is expired")
        polled, waiting.polled = waiting.polled, self._clock.monotonic()
        if waiting.verdict == "deny":
            raise AwsError(400, "AccessDeniedException", "")
        if waiting.polled < polled + waiting.interval:
            waiting.interval += 5  # RFC 8628 §3.5: the interval grows by 5 seconds for good
            raise AwsError(400, "SlowDownException", "")
        if waiting.verdict == "pending":
            raise AwsError(400, "AuthorizationPendingException", "")
        del self.devices[waiting.device_code]
        return self._begin(client, waiting.start_url)

    def _by_code(self, client: Client, asked: Mapping[str, Any]) -> Session:
        code = self._codes.pop(asked.get("code", ""), None)
        verifier = str(asked.get("codeVerifier", ""))
        digest = hashlib.sha256(verifier.encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if (
            code is None
            or code.client is not client
            or code.expires <= self._clock.wall()
            or code.redirect_uri != asked.get("redirectUri")
            or not 43 <= len(verifier) <= 128  # RFC 7636 §4.1
            or code.challenge != challenge
        ):
            raise AwsError(400, "InvalidGrantException", "Invalid grant provided")
        return self._begin(client, client.start_url)

    def _by_refresh(self, client: Client, asked: Mapping[str, Any]) -> Session:
        for session in self.sessions:
            if session.client is client and session.refresh_token == asked.get("refreshToken"):
                if session.ends <= self._clock.wall():
                    break
                return session
        raise AwsError(400, "InvalidGrantException", "Invalid refresh token provided")

    def _begin(self, client: Client, start_url: str) -> Session:
        session = Session(client, start_url, self._clock.wall() + self.session_seconds)
        self.sessions.append(session)
        return session

    def _issue(self, session: Session) -> dict[str, object]:
        now = self._clock.wall()
        seconds = int(min(self.token_seconds, session.ends - now))
        session.access_token = secrets.token_urlsafe(64)
        session.token_expires = now + seconds
        issued: dict[str, object] = {
            "accessToken": session.access_token,
            "tokenType": "Bearer",
            "expiresIn": seconds,
        }
        client = session.client
        if "refresh_token" in client.grants and REFRESH_SCOPE in client.scopes:
            session.refresh_token = secrets.token_urlsafe(64)
            issued["refreshToken"] = session.refresh_token
        return issued


def _check_redirect(uri: str) -> str:
    parts = urlsplit(uri)
    if (parts.scheme, parts.hostname, parts.path) != ("http", "127.0.0.1", "/oauth/callback"):
        raise AwsError(400, "InvalidRedirectUriException", "Invalid redirect URI provided")
    return uri


def _without_port(uri: str) -> str:
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.hostname}{parts.path}"


def _redirect(uri: str, query: Mapping[str, str]) -> Answer:
    return Answer(302, b"", {"Location": f"{uri}?{urlencode(query)}"})
