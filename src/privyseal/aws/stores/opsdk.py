"""A vault of 1Password through its own SDK: by service account, or by the desktop application."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final

from privyseal.aws.choice import Settings
from privyseal.aws.stores.notes import NotedStore, NoteFile
from privyseal.aws.stores.onepassword import FIELD, OnePasswordStore, Overview
from privyseal.errors import (
    CorruptError,
    DeniedError,
    PrivysealError,
    UnreachableError,
    UnsupportedError,
)
from privyseal.model.secret import Secret

_NAME: Final = "Privyseal"
_VERSION: Final = "1"
_SHOWN: Final = 300


class SdkVault:
    """A vault reached with the token of a service account, or as `account` by the application.

    The SDK is a binary of 1Password's own and no dependency: who wants it installs it.
    """

    def __init__(
        self, vault: str, *, token: Secret | None = None, account: str = "", timeout: float
    ) -> None:
        self._vault = vault
        self._token = token
        self._account = account
        self._timeout = timeout
        try:
            self._sdk: Any = import_module("onepassword")
        except ImportError as error:
            raise UnsupportedError(
                "the SDK of 1Password is not installed",
                hint="install the Python package onepassword-sdk beside privyseal",
            ) from error

    @property
    def description(self) -> str:
        """Name the vault."""
        how = "the desktop application" if self._account else "a service account"
        return f"the vault {self._vault!r} of 1Password, by {how}"

    def overviews(self, title: str = "") -> Sequence[Overview]:
        """Return the items; the SDK knows no search by title."""
        del title
        found = self._run(lambda client: client.items.list(self._vault))
        return [Overview(item.id, item.title, tuple(item.tags or ())) for item in found]

    def concealed(self, item: str) -> Sequence[str]:
        """Return the values of the concealed fields titled `keyring`."""
        return [field.value for field in self._ours(self._item(item))]

    def create(self, title: str, tag: str, value: str) -> None:
        """Make an item."""
        sdk = self._sdk
        field = sdk.ItemField(
            id=FIELD, title=FIELD, fieldType=sdk.ItemFieldType.CONCEALED, value=value
        )
        wanted = sdk.ItemCreateParams(
            category=sdk.ItemCategory.APICREDENTIALS,
            vaultId=self._vault,
            title=title,
            fields=[field],
            tags=[tag],
        )
        self._run(lambda client: client.items.create(wanted))

    def replace(self, item: str, value: str) -> None:
        """Put another value into an item, which stays as it is otherwise."""
        found = self._item(item)
        fields = self._ours(found)
        if len(fields) != 1:
            raise CorruptError(f"an item of {self.description} has no field {FIELD!r}, or several")
        fields[0].value = value
        self._run(lambda client: client.items.put(found))

    def delete(self, item: str) -> None:
        """Delete an item."""
        self._run(lambda client: client.items.delete(self._vault, item))

    def _item(self, item: str) -> Any:
        return self._run(lambda client: client.items.get(self._vault, item))

    def _ours(self, item: Any) -> list[Any]:
        concealed = self._sdk.ItemFieldType.CONCEALED
        return [f for f in item.fields if f.title == FIELD and f.field_type == concealed]

    def _run(self, call: Callable[[Any], Awaitable[Any]]) -> Any:
        async def work() -> Any:
            async with asyncio.timeout(self._timeout):
                return await call(await self._client())

        with _told(self.description):
            return asyncio.run(work())

    async def _client(self) -> Any:
        token = self._token.expose().decode(errors="replace") if self._token else ""
        auth: Any = self._sdk.DesktopAuth(account_name=self._account) if self._account else token
        try:
            return await self._sdk.Client.authenticate(
                auth=auth, integration_name=_NAME, integration_version=_VERSION
            )
        except Exception as error:  # noqa: BLE001 - the SDK raises nothing more special
            # No item is known yet: what the text could hold of ours is the token alone.
            text = str(error).replace(token or "\0", "…")[:_SHOWN]
            raise DeniedError(f"1Password does not let us in: {text!r}") from None


def open_store(settings: Settings) -> NotedStore:
    """Return the store in a vault that the SDK reaches, in the way that the backend's name says."""
    options = settings.options
    name = settings.needed("op_vault_id")
    if settings.backend == "op-desktop":
        account = settings.needed("op_desktop_account_id")
        vault = SdkVault(name, account=account, timeout=settings.timeout())
    else:
        token = settings.token(
            "AWS_VAULT_OP_SERVICE_ACCOUNT_TOKEN",
            "OP_SERVICE_ACCOUNT_TOKEN",
            prompt="Enter 1Password service account token: ",
        )
        vault = SdkVault(name, token=token, timeout=settings.timeout())
    store = OnePasswordStore(vault, prefix=options.op_item_title_prefix, tag=options.op_item_tag)
    return NotedStore(store, NoteFile(settings.notes(name)))


def absent(settings: Settings) -> str:
    """Return why it will not do unless it is named."""
    return f"it is used only when it is named: `--backend {settings.backend}`"


@contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise UnreachableError(
            f"{what} does not answer in time", hint="give it longer with `--op-timeout`"
        ) from error
    except PrivysealError:
        raise
    except Exception as error:  # noqa: BLE001 - the SDK raises nothing more special
        # Its texts could hold what it was given.
        raise PrivysealError(f"{what} refused: {type(error).__name__}") from None
