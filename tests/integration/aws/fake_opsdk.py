"""The few names of 1Password's Python SDK that are used, over a vault in memory.

Names and keyword arguments are those of onepassword-sdk 0.4.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from types import ModuleType
from typing import Any

VAULT = "vault1"
TOKEN = "ops_token"


class ItemFieldType(StrEnum):
    CONCEALED = "Concealed"
    TEXT = "Text"


class ItemCategory(StrEnum):
    APICREDENTIALS = "ApiCredentials"


@dataclass
class ItemField:
    id: str
    title: str
    fieldType: ItemFieldType  # noqa: N815 - the SDK's name for it
    value: str

    @property
    def field_type(self) -> ItemFieldType:
        return self.fieldType


@dataclass
class ItemCreateParams:
    category: ItemCategory
    vaultId: str  # noqa: N815 - the SDK's name for it
    title: str
    fields: list[ItemField]
    tags: list[str]


@dataclass
class Item:
    id: str
    title: str
    fields: list[ItemField]
    tags: list[str]


@dataclass
class DesktopAuth:
    account_name: str


class RefusedError(Exception):
    """What the SDK raises is a plain Exception with a text."""


class Items:
    def __init__(self, kept: dict[str, Item]) -> None:
        self._kept = kept

    async def list(self, vault_id: str) -> Any:
        assert vault_id == VAULT
        return list(self._kept.values())

    async def get(self, vault_id: str, item_id: str) -> Item:
        assert vault_id == VAULT
        return self._kept[item_id]

    async def create(self, params: ItemCreateParams) -> Item:
        assert params.vaultId == VAULT
        name = f"item{len(self._kept)}-{params.title}"
        self._kept[name] = Item(name, params.title, params.fields, params.tags)
        return self._kept[name]

    async def put(self, item: Item) -> Item:
        self._kept[item.id] = item
        return item

    async def delete(self, vault_id: str, item_id: str) -> None:
        assert vault_id == VAULT
        del self._kept[item_id]


@dataclass
class Sdk:
    """One vault, and the module through which it is reached."""

    kept: dict[str, Item] = field(default_factory=dict)

    def module(self) -> ModuleType:
        items = Items(self.kept)

        class Client:
            def __init__(self) -> None:
                self.items = items

            @classmethod
            async def authenticate(
                cls, auth: str | DesktopAuth, integration_name: str, integration_version: str
            ) -> "Client":
                assert integration_name
                assert integration_version
                if auth != TOKEN and not isinstance(auth, DesktopAuth):
                    raise RefusedError(f"invalid token {auth}")
                return cls()

        module = ModuleType("onepassword")
        for name, value in {
            "Client": Client,
            "DesktopAuth": DesktopAuth,
            "ItemField": ItemField,
            "ItemFieldType": ItemFieldType,
            "ItemCategory": ItemCategory,
            "ItemCreateParams": ItemCreateParams,
        }.items():
            setattr(module, name, value)
        return module
