"""Entries as items of a vault of 1Password; how the vault is reached is another module's."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from privyseal.aws.items import decode_item, encode_item
from privyseal.aws.ports import Item
from privyseal.errors import ConflictError, CorruptError, NotFoundError

FIELD = "keyring"
"""Title of the one concealed field, which holds an entry's JSON text."""


class Overview(NamedTuple):
    """An item as a list shows it, without its fields."""

    id: str
    title: str
    tags: Sequence[str]


class Vault(Protocol):
    """One vault of 1Password."""

    @property
    def description(self) -> str:
        """Name the vault in a person's words."""
        ...

    def overviews(self, title: str = "") -> Sequence[Overview]:
        """Return the items, or those of one title, by one request."""
        ...

    def concealed(self, item: str) -> Sequence[str]:
        """Return the values of the concealed fields titled `FIELD` of an item."""
        ...

    def create(self, title: str, tag: str, value: str) -> None:
        """Make an item of the category for API credentials."""
        ...

    def replace(self, item: str, value: str) -> None:
        """Put another value into the field of an item."""
        ...

    def delete(self, item: str) -> None:
        """Delete an item."""
        ...


class OnePasswordStore:
    """Entries in a vault: the title is `<prefix>: <name>`, and they all have one tag.

    A listing is one request, and shows titles only; aws-vault fetches every item for it.
    """

    def __init__(self, vault: Vault, *, prefix: str, tag: str) -> None:
        self._vault = vault
        self._prefix = f"{prefix}: "
        self._tag = tag

    @property
    def description(self) -> str:
        """Name the vault."""
        return self._vault.description

    def entries(self) -> Mapping[str, Mapping[str, str]]:
        """Return every entry; reads no value."""
        return {
            each.title.removeprefix(self._prefix): {}
            for each in self._vault.overviews()
            if self._ours(each)
        }

    def read(self, key: str) -> Item:
        """Return one entry."""
        values = self._vault.concealed(self._one(key))
        if len(values) != 1:
            raise CorruptError(f"{key!r} in {self.description} has no field {FIELD!r}, or several")
        try:
            return decode_item(values[0].encode())._replace(key=key)
        except CorruptError as error:
            raise CorruptError(f"{key!r} in {self.description}: {error}") from None

    def write(self, item: Item) -> None:
        """Keep an entry."""
        text = encode_item(item).decode()
        found = self._all(item.key)
        if found:
            self._vault.replace(self._one(item.key), text)
        else:
            self._vault.create(self._prefix + item.key, self._tag, text)

    def remove(self, key: str) -> None:
        """Delete the item of an entry."""
        self._vault.delete(self._one(key))

    def _one(self, key: str) -> str:
        found = self._all(key)
        if not found:
            raise NotFoundError(f"{self.description} holds no {key!r}")
        if len(found) > 1:
            raise ConflictError(
                f"{self.description} holds {key!r} {len(found)} times",
                hint="delete all but one of them in 1Password",
            )
        return found[0].id

    def _all(self, key: str) -> list[Overview]:
        title = self._prefix + key
        found = self._vault.overviews(title)
        return [each for each in found if each.title == title and self._ours(each)]

    def _ours(self, item: Overview) -> bool:
        return item.title.startswith(self._prefix) and self._tag in item.tags
