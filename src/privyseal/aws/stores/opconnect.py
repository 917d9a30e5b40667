"""A vault of 1Password through a Connect server: its REST interface, version 1."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

import urllib3
from urllib3.exceptions import HTTPError

from privyseal.aws.choice import Settings
from privyseal.aws.stores.notes import NotedStore, NoteFile
from privyseal.aws.stores.onepassword import FIELD, OnePasswordStore, Overview
from privyseal.errors import (
    CorruptError,
    DeniedError,
    NotFoundError,
    PrivysealError,
    UnreachableError,
    UsageError,
)
from privyseal.model.secret import Secret
from privyseal.wire.aws.addresses import parts_of

_CATEGORY: Final = "API_CREDENTIAL"
_MAX_ANSWER: Final = 16 * 1024 * 1024
_TOKEN: Final = re.compile(rb"[!-~]*")
_DENIED: Final = frozenset({401, 403})
_NOT_FOUND: Final = 404
_FAILED: Final = 300


class ConnectVault:
    """A vault behind the Connect server at `host`; `timeout` is seconds for each request."""

    def __init__(self, host: str, vault: str, token: Secret, *, timeout: float) -> None:
        parts = parts_of(host)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise UsageError(
                f"{host!r} is no address of a 1Password Connect server",
                hint="give one such as https://connect.example.org",
            )
        self._token = Secret(token.expose().strip())
        # The library's complaint about a header that it cannot send quotes it.
        if not _TOKEN.fullmatch(self._token.expose()):
            raise UsageError("the token for the 1Password Connect server has no form of one")
        self._host = host.rstrip("/")
        self._vault = vault
        self._pool = urllib3.PoolManager(
            timeout=urllib3.Timeout(total=timeout), retries=False, maxsize=1
        )

    @property
    def description(self) -> str:
        """Name vault and server."""
        return f"the vault {self._vault!r} of the 1Password Connect server {self._host!r}"

    def overviews(self, title: str = "") -> Sequence[Overview]:
        """Return the items, or those of one title."""
        quoted = title.replace("\\", "\\\\").replace('"', '\\"')
        query = "?" + urlencode({"filter": f'title eq "{quoted}"'}) if title else ""
        found = self._ask("GET", query)
        if not isinstance(found, list):
            raise self._odd()
        return [
            Overview(str(item.get("id", "")), str(item.get("title", "")), _tags(item))
            for item in found
            if isinstance(item, dict)
        ]

    def concealed(self, item: str) -> Sequence[str]:
        """Return the values of the concealed fields titled `keyring`."""
        return [str(field.get("value", "")) for field in _ours(self._item(item))]

    def create(self, title: str, tag: str, value: str) -> None:
        """Make an item."""
        fields = [{"label": FIELD, "type": "CONCEALED", "value": value}]
        self._ask(
            "POST",
            body={
                "title": title,
                "category": _CATEGORY,
                "tags": [tag],
                "vault": {"id": self._vault},
                "fields": fields,
            },
        )

    def replace(self, item: str, value: str) -> None:
        """Put another value into an item, which stays as it is otherwise."""
        found = self._item(item)
        fields = _ours(found)
        if len(fields) != 1:
            raise CorruptError(f"an item of {self.description} has no field {FIELD!r}, or several")
        fields[0]["value"] = value
        self._ask("PUT", f"/{quote(item, safe='')}", body=found)

    def delete(self, item: str) -> None:
        """Delete an item."""
        self._ask("DELETE", f"/{quote(item, safe='')}")

    def _item(self, item: str) -> dict[str, Any]:
        found = self._ask("GET", f"/{quote(item, safe='')}")
        if not isinstance(found, dict):
            raise self._odd()
        return found

    def _ask(self, method: str, path: str = "", *, body: Mapping[str, object] | None = None) -> Any:
        headers = {
            "Authorization": f"Bearer {self._token.expose().decode()}",
            "Content-Type": "application/json",
        }
        url = f"{self._host}/v1/vaults/{quote(self._vault, safe='')}/items{path}"
        data = None if body is None else json.dumps(body).encode()
        try:
            # A redirect would take the token elsewhere.
            answer = self._pool.request(
                method, url, body=data, headers=headers, redirect=False, preload_content=False
            )
            text = answer.read(_MAX_ANSWER + 1)
            answer.release_conn()
        except HTTPError as error:
            raise UnreachableError(
                f"the 1Password Connect server {self._host!r} does not answer: "
                f"{type(error).__name__}"
            ) from None
        self._judge(answer.status)
        return self._parsed(text) if text else None

    def _judge(self, status: int) -> None:
        if status in _DENIED:
            raise DeniedError(
                f"{self.description} refuses the token (HTTP {status})",
                hint="see to its access in 1Password",
            )
        if status == _NOT_FOUND:
            raise NotFoundError(f"{self.description} does not exist (HTTP 404)")
        if status >= _FAILED:
            raise PrivysealError(f"{self.description} answers with HTTP status {status}")

    def _parsed(self, text: bytes) -> Any:
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            raise self._odd() from None

    def _odd(self) -> CorruptError:
        return CorruptError(f"{self.description} answers with something else than items")


def open_store(settings: Settings) -> NotedStore:
    """Return the store in a vault behind a Connect server."""
    options = settings.options
    host, name = settings.needed("op_connect_host"), settings.needed("op_vault_id")
    token = settings.token(
        "AWS_VAULT_OP_CONNECT_TOKEN", "OP_CONNECT_TOKEN", prompt="Enter 1Password Connect token: "
    )
    vault = ConnectVault(host, name, token, timeout=settings.timeout())
    store = OnePasswordStore(vault, prefix=options.op_item_title_prefix, tag=options.op_item_tag)
    return NotedStore(store, NoteFile(settings.notes(f"{host} {name}")))


def absent(settings: Settings) -> str:
    """Return why it will not do unless it is named."""
    del settings
    return "it is used only when it is named: `--backend op-connect`"


def _tags(item: Mapping[str, Any]) -> Sequence[str]:
    tags = item.get("tags")
    return [str(tag) for tag in tags] if isinstance(tags, list) else []


def _ours(item: Mapping[str, Any]) -> list[dict[str, Any]]:
    fields = item.get("fields")
    return [
        field
        for field in (fields if isinstance(fields, list) else [])
        if isinstance(field, dict)
        and (field.get("label"), field.get("type")) == (FIELD, "CONCEALED")
    ]
