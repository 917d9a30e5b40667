"""A collection of the desktop's Secret Service: gnome-keyring, KWallet, KeePassXC, our own agent."""

import re
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Final

import secretstorage
from jeepney import DBusErrorResponse
from jeepney.io.blocking import DBusConnection, open_dbus_connection
from secretstorage.collection import Collection
from secretstorage.exceptions import (
    ItemNotFoundException,
    LockedException,
    PromptDismissedException,
    SecretServiceNotAvailableException,
    SecretStorageException,
)
from secretstorage.item import Item as ServiceItem

from privyseal.aws.choice import Settings
from privyseal.aws.items import decode_item, encode_item
from privyseal.aws.ports import Item
from privyseal.errors import (
    ConflictError,
    CorruptError,
    LockedError,
    NotFoundError,
    PrivysealError,
    UnreachableError,
)
from privyseal.wire.broker import PROFILE

_CONTENT_TYPE: Final = "application/json"
_ROOT: Final = "/org/freedesktop/secrets/collection/"
_ESCAPE: Final = re.compile("_([0-9a-f]{2})")
_SCHEMA: Final = "xdg:"


class SecretServiceStore:
    """Entries as items of one collection; `address` is the bus, "SESSION" for the session's.

    As with aws-vault an item has its entry's name as label and as the attribute `profile`, and the
    entry's JSON text as secret. Notes are further attributes, which aws-vault overlooks.
    """

    def __init__(self, collection: str, *, address: str = "SESSION") -> None:
        self._name = collection
        self._address = address

    @property
    def description(self) -> str:
        """Name the collection."""
        return f"the collection {self._name!r} of the Secret Service"

    def entries(self) -> Mapping[str, Mapping[str, str]]:
        """Return every item that has a name, with its notes; reads no secret."""
        with self._reached() as bus:
            collection = self._collection(bus)
            if collection is None:
                return {}
            self._unlock(collection)
            found = [item.get_attributes() for item in collection.get_all_items()]
        return {each[PROFILE]: _notes(each) for each in found if each.get(PROFILE)}

    def read(self, key: str) -> Item:
        """Return one entry.

        Raises:
            LockedError: The person dismissed the prompt.
        """
        with self._reached() as bus:
            item = self._item(self._collection(bus), key)
            text, notes = item.get_secret(), _notes(item.get_attributes())
        try:
            return decode_item(text)._replace(key=key, notes=notes)
        except CorruptError as error:
            raise CorruptError(f"{key!r} in {self.description}: {error}") from None

    def write(self, item: Item) -> None:
        """Keep an entry; the collection is made when it is missing, which asks the person."""
        text = encode_item(item)
        attributes = {name: value for name, value in item.notes.items() if value}
        attributes[PROFILE] = item.key
        with self._reached() as bus:
            collection = self._collection(bus) or secretstorage.create_collection(bus, self._name)
            self._unlock(collection)
            # A new item would replace one with all of its attributes only, not aws-vault's own.
            older = list(collection.search_items({PROFILE: item.key}))
            if older:
                older[0].set_secret(text, _CONTENT_TYPE)
                older[0].set_attributes(attributes)
            else:
                collection.create_item(item.key, attributes, text, content_type=_CONTENT_TYPE)
            for surplus in older[1:]:
                surplus.delete()

    def remove(self, key: str) -> None:
        """Delete the item of an entry."""
        with self._reached() as bus:
            self._item(self._collection(bus), key).delete()

    def _item(self, collection: Collection | None, key: str) -> ServiceItem:
        if collection is not None:
            self._unlock(collection)
            for item in collection.search_items({PROFILE: key}):
                return item
        raise NotFoundError(f"{self.description} holds no {key!r}")

    def _unlock(self, collection: Collection) -> None:
        if collection.is_locked() and collection.unlock():
            raise LockedError(f"{self.description} is locked")

    def _collection(self, bus: DBusConnection) -> Collection | None:
        found = list(secretstorage.get_all_collections(bus))
        for collection in found:
            if _decoded(collection.collection_path) == self._name:
                return collection
        # Providers other than gnome-keyring make paths that say nothing.
        return next((each for each in found if each.get_label() == self._name), None)

    @contextmanager
    def _reached(self) -> Iterator[DBusConnection]:
        try:
            with closing(open_dbus_connection(self._address)) as bus:
                yield bus
        except (LockedException, PromptDismissedException) as error:
            raise LockedError(
                f"{self.description} is locked, and the prompt for it was dismissed",
                hint="run it again and answer the prompt",
            ) from error
        except SecretServiceNotAvailableException as error:
            raise UnreachableError("no Secret Service answers on the session bus") from error
        except ItemNotFoundException as error:
            raise ConflictError(
                f"an item of {self.description} went away meanwhile", hint="run it again"
            ) from error
        except (DBusErrorResponse, SecretStorageException) as error:
            raise PrivysealError(f"the Secret Service refused: {_reason(error)}") from error
        except (OSError, LookupError, TypeError, ValueError) as error:
            raise UnreachableError("no session bus answers") from error


def open_store(settings: Settings) -> SecretServiceStore:
    """Return the store on the session bus."""
    address = settings.environment.get("DBUS_SESSION_BUS_ADDRESS") or "SESSION"
    return SecretServiceStore(settings.options.secret_service_collection, address=address)


def absent(settings: Settings) -> str:
    """Return why it will not do: no session bus, or nobody there who keeps secrets."""
    address = settings.environment.get("DBUS_SESSION_BUS_ADDRESS", "")
    if not address:
        return "there is no session bus: DBUS_SESSION_BUS_ADDRESS is not set"
    try:
        with closing(open_dbus_connection(address)) as bus:
            if secretstorage.check_service_availability(bus):
                return ""
    except (OSError, KeyError, ValueError, RuntimeError):
        return "the session bus does not answer"
    return "no Secret Service answers on the session bus"


def _decoded(path: str) -> str:
    last = path.removeprefix(_ROOT)
    return bytes(_ESCAPE.sub(lambda found: chr(int(found[1], 16)), last), "latin-1").decode(
        errors="replace"
    )


def _notes(attributes: Mapping[str, str]) -> dict[str, str]:
    return {
        name: text
        for name, text in attributes.items()
        if name != PROFILE and not name.startswith(_SCHEMA)
    }


def _reason(error: Exception) -> str:
    name = getattr(error, "name", type(error).__name__)
    return str(name).rpartition(".")[2]
