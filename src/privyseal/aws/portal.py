"""Identity Center (SSO): one sign-in at a portal, and the credentials of all its roles by it.

A token is renewed by its refresh token for as long as that lasts; then a person signs in. One
flight for each portal: however many programs want a token at once, one page is opened.
"""

import hmac
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from typing import Any, Final, TypeVar, assert_never

import msgspec

from privyseal.aws import answers, calls, items, tokens
from privyseal.aws.answers import Answer, Milliseconds, Text, Word
from privyseal.aws.means import Means
from privyseal.aws.oidc import TokenService
from privyseal.aws.refusals import ExpectedError
from privyseal.aws.tokens import Token
from privyseal.errors import (
    DeniedError,
    LimitError,
    NotFoundError,
    PrivysealError,
    UnreachableError,
)
from privyseal.model.aws import (
    Credentials,
    Network,
    OfferedRole,
    Portal,
    Roles,
    SignIn,
    SignOut,
)

_EARLY: Final = 5 * 60
"""A token that can be renewed is, so many seconds before its end; others serve to the last."""

_SPARE: Final = 10
_AT_ONCE: Final = 8
_MAX_PAGES: Final = 1000
_UNAUTHORIZED: Final = "UnauthorizedException"


class _RoleCredentials(Answer, frozen=True, rename="camel"):
    access_key_id: Word
    secret_access_key: Word
    session_token: Word
    expiration: Milliseconds


class _Given(Answer, frozen=True, rename="camel"):
    role_credentials: _RoleCredentials


class _Account(Answer, frozen=True, rename="camel"):
    account_id: Word
    account_name: Text = ""
    email_address: Text = ""


class _Role(Answer, frozen=True, rename="camel"):
    role_name: Word


class _Page(Answer, frozen=True, rename="camel", kw_only=True):
    next_token: Text = ""


class _Accounts(_Page, frozen=True, rename="camel"):
    account_list: tuple[_Account, ...] = ()


class _AccountRoles(_Page, frozen=True, rename="camel"):
    role_list: tuple[_Role, ...] = ()


_PageT = TypeVar("_PageT", bound=_Page)


def carry_out(
    order: Roles | SignIn | SignOut, means: Means
) -> list[OfferedRole] | dict[str, list[str]]:
    """Carry out an order that a portal takes; return the roles, or `lines` for the person.

    Raises:
        PrivysealError: As for the methods of `PortalAccess`.
    """
    access = PortalAccess(order.portal, order.network, means)
    match order:
        case Roles():
            return access.roles()
        case SignIn():
            return {"lines": access.sign_in()}
        case SignOut():
            return {"lines": access.sign_out()}
        case _:
            assert_never(order)


class PortalAccess:
    """One portal, as one order sees it."""

    def __init__(self, portal: Portal, network: Network, means: Means) -> None:
        self._portal = portal
        self._network = msgspec.structs.replace(network, region=portal.region)
        self._store = means.store
        self._clock = means.clock
        self._flights = means.flights
        self._held: Token | None = None  # a store may take a second to read
        self._tokens = TokenService(portal, self._network, means)

    def role_credentials(self, account: str, role: str) -> Credentials:
        """Return the credentials of a role; signs in when there is no token for the portal.

        Raises:
            DeniedError: The portal gives no such role, or the person gave up.
            ExpiredError: Nobody signed in in time.
            PrivysealError: AWS cannot be reached, or refuses.
        """
        try:
            answer = self._ask(
                "get_role_credentials",
                expected=("ForbiddenException", "ResourceNotFoundException"),
                accountId=account,
                roleName=role,
            )
        except ExpectedError as error:
            start = self._portal.start_url
            raise DeniedError(
                f"{start} gives you no role {role!r} in account {account} ({error.code})",
                hint="see what it offers with `privy aws sso list`",
            ) from None
        found = answers.read(answer, _Given, "credentials of the role").role_credentials
        return Credentials(
            access_key_id=found.access_key_id,
            secret_access_key=found.secret_access_key,
            session_token=found.session_token,
            expires=found.expiration / 1000,
            account=account,
        )

    def roles(self) -> list[OfferedRole]:
        """Return every role of every account that the portal offers, by account name and role.

        Raises:
            PrivysealError: As for `role_credentials`.
        """
        pages = self._pages("list_accounts", _Accounts)
        accounts = (account for page in pages for account in page.account_list)
        # One call for each account: with hundreds of them a person would wait for a minute.
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            offered = [role for roles in pool.map(self._roles_of, accounts) for role in roles]
        return sorted(offered, key=lambda role: (role.account_name, role.account, role.role))

    def sign_in(self) -> list[str]:
        """Sign in anew, whatever is kept, and keep the token; return lines for the person.

        Raises:
            DeniedError: The person gave up, or refused at the page.
            ExpiredError: Nobody signed in in time.
        """
        with self._flights.one(self._flight):
            token = self._tokens.by_person()
        minutes = (token.expires - self._clock.wall()) / 60
        more = ", renewed without you for as long as the portal allows" if token.refresh else ""
        return [f"signed in at {self._portal.start_url} for {minutes:.0f} minutes{more}"]

    def sign_out(self) -> list[str]:
        """Revoke the token, forget it and what was fetched with it; return lines for the person.

        Raises:
            UnreachableError: It is forgotten here, but AWS could not be told.
        """
        with self._flights.one(self._flight):
            token = tokens.read_token(self._store, self._portal)
            sessions = self._forget()
            if token is None:
                return [f"there is no sign-in at {self._portal.start_url} to end"]
            try:
                self._revoke(token)
            except PrivysealError as error:
                raise UnreachableError(
                    f"the token is forgotten here, but AWS was not told: {error}",
                    hint="it ends by itself; the portal can end the session, too",
                ) from error
        lines = [f"signed out of {self._portal.start_url}"]
        if sessions:
            roles = "role" if sessions == 1 else "roles"
            lines.append(
                f"forgot the credentials of {sessions} {roles}; copies last until they end"
            )
        return lines

    @cached_property
    def _access(self) -> Any:
        return calls.client("sso", self._network, None)

    @property
    def _flight(self) -> str:
        return f"portal {self._portal.start_url}"

    def _ask(
        self, operation: str, *, expected: Collection[str] = (), **inputs: object
    ) -> dict[str, Any]:
        """Make one call of the portal; a token that it rejects is replaced once."""
        rejected = ""
        for _ in range(2):
            token = self._token(rejected)
            try:
                return self._ask_once(token, operation, (*expected, _UNAUTHORIZED), inputs)
            except ExpectedError as error:
                if error.code != _UNAUTHORIZED:
                    raise
            rejected = token.access
        raise DeniedError(
            f"{self._portal.start_url} rejects a token that was issued just now",
            hint="compare sso_start_url and sso_region with what the portal shows",
        )

    def _pages(self, operation: str, kind: type[_PageT], **inputs: Any) -> Iterator[_PageT]:
        """Yield all pages of a list."""
        more: dict[str, Any] = {}
        for _ in range(_MAX_PAGES):
            answer = self._ask(operation, maxResults=100, **inputs, **more)
            page = answers.read(answer, kind, "list")
            yield page
            if not page.next_token:
                return
            more = {"nextToken": page.next_token}
        raise LimitError(f"{self._portal.start_url} offers more than {_MAX_PAGES} pages")

    def _roles_of(self, account: _Account) -> list[OfferedRole]:
        number = account.account_id
        return [
            OfferedRole(
                account=number,
                account_name=account.account_name,
                role=role.role_name,
                email=account.email_address,
            )
            for page in self._pages("list_account_roles", _AccountRoles, accountId=number)
            for role in page.role_list
        ]

    def _ask_once(
        self, token: Token, operation: str, expected: Collection[str], inputs: dict[str, Any]
    ) -> dict[str, Any]:
        return calls.call(
            self._access, operation, expected=expected, accessToken=token.access, **inputs
        )

    def _token(self, rejected: str) -> Token:
        if self._held is None or not self._serves(self._held, rejected):
            self._held = self._kept(rejected) or self._fetched(rejected)
        return self._held

    def _fetched(self, rejected: str) -> Token:
        with self._flights.one(self._flight):
            return self._kept(rejected) or self._renewed(rejected) or self._tokens.by_person()

    def _kept(self, rejected: str) -> Token | None:
        token = tokens.read_token(self._store, self._portal)
        return token if token is not None and self._serves(token, rejected) else None

    def _serves(self, token: Token, rejected: str) -> bool:
        if hmac.compare_digest(token.access.encode(), rejected.encode()):
            return False
        return token.expires - self._clock.wall() > (_EARLY if token.refresh else _SPARE)

    def _renewed(self, rejected: str) -> Token | None:
        token = tokens.read_token(self._store, self._portal)
        if token is None:
            return None
        try:
            return self._tokens.renew(token)
        except PrivysealError:
            if token.access == rejected or token.expires - self._clock.wall() <= _SPARE:
                raise
            return token

    def _revoke(self, token: Token) -> None:
        if token.expires <= self._clock.wall():
            # AWS ends a session only by a live token of it.
            renewed = self._tokens.renew(token)
            if renewed is None:
                return
            token = renewed
            self._drop(items.token_key(self._portal.start_url))
        with suppress(ExpectedError):
            self._ask_once(token, "logout", (_UNAUTHORIZED,), {})

    def _forget(self) -> int:
        """Forget the token and the sessions fetched with it; return how many these were."""
        url, count = self._portal.start_url, 0
        for key in self._store.entries():
            session = items.parse_session(key)
            if session and session.serial == url:
                self._drop(key)
                count += session.kind == "sso.GetRoleCredentials"
        self._drop(items.token_key(url))
        return count

    def _drop(self, key: str) -> None:
        with suppress(NotFoundError):
            self._store.remove(key)
