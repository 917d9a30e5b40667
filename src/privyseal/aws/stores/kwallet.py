"""The folder `aws-vault` of the wallet `aws-vault`: KWallet over D-Bus, of KDE Frameworks 5 or 6."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any, Final, TypeVar

from jeepney import DBusAddress, DBusErrorResponse, new_method_call
from jeepney.io.blocking import DBusConnection, open_dbus_connection

from privyseal.aws.choice import Settings
from privyseal.aws.items import decode_item, encode_item
from privyseal.aws.ports import Item
from privyseal.aws.stores.notes import NotedStore, NoteFile
from privyseal.errors import (
    CorruptError,
    LockedError,
    NotFoundError,
    PrivysealError,
    UnreachableError,
)

_INTERFACE: Final = "org.kde.KWallet"
_WALLET: Final = "aws-vault"
_FOLDER: Final = "aws-vault"
_APPLICATION: Final = "aws-vault"
_VERSIONS: Final = (6, 5)
_PERSON_SECONDS: Final = 600.0
"""How long a person may take to unlock the wallet."""

_T = TypeVar("_T")

_ABSENT: Final = ("ServiceUnknown", "NameHasNoOwner", "UnknownObject", "UnknownMethod")


class KWalletStore:
    """Entries as byte arrays of a wallet; `version` is that of KDE Frameworks."""

    def __init__(self, version: int, *, address: str = "SESSION") -> None:
        self._service = f"kwalletd{version}"
        self._address = address

    @property
    def description(self) -> str:
        """Name the wallet."""
        return f"the wallet {_WALLET!r} of {self._service}"

    def answers(self) -> bool:
        """Return whether KWallet is there, or can be started, and is not switched off."""
        try:
            with closing(open_dbus_connection(self._address)) as bus:
                return self._call(bus, bool, "isEnabled")
        except (DBusErrorResponse, OSError, KeyError, ValueError, PrivysealError):
            return False

    def entries(self) -> Mapping[str, Mapping[str, str]]:
        """Return every entry; reads no value."""
        with self._open() as wallet:
            return {str(key): {} for key in wallet(list, "entryList", "s", _FOLDER)}

    def read(self, key: str) -> Item:
        """Return one entry."""
        with self._open() as wallet:
            text = wallet(bytes, "readEntry", "ss", _FOLDER, key)
        if not text:
            raise NotFoundError(f"{self.description} holds no {key!r}")
        try:
            return decode_item(text)._replace(key=key)
        except CorruptError as error:
            raise CorruptError(f"{key!r} in {self.description}: {error}") from None

    def write(self, item: Item) -> None:
        """Keep an entry; wallet and folder are made when they are missing."""
        text = encode_item(item)
        with self._open() as wallet:
            there = wallet(bool, "hasFolder", "s", _FOLDER)
            if not there and not wallet(bool, "createFolder", "s", _FOLDER):
                raise PrivysealError(f"{self.description} makes no folder")
            if wallet(int, "writeEntry", "ssay", _FOLDER, item.key, text):
                raise PrivysealError(f"{self.description} keeps nothing under {item.key!r}")

    def remove(self, key: str) -> None:
        """Delete one entry."""
        with self._open() as wallet:
            if not wallet(bool, "hasEntry", "ss", _FOLDER, key):
                raise NotFoundError(f"{self.description} holds no {key!r}")
            if wallet(int, "removeEntry", "ss", _FOLDER, key):
                raise PrivysealError(f"{self.description} does not let go of {key!r}")

    @contextmanager
    def _open(self) -> Iterator["_Wallet"]:
        try:
            with closing(open_dbus_connection(self._address)) as bus:
                handle = self._call(bus, int, "open", "sxs", _WALLET, 0, _APPLICATION)
                if handle < 0:
                    raise LockedError(
                        f"{self.description} is locked, or may not be opened",
                        hint="run it again and answer the prompt",
                    )
                yield _Wallet(self, bus, handle)
        except DBusErrorResponse as error:
            if error.name.rpartition(".")[2] in _ABSENT:
                raise UnreachableError(f"{self._service} does not answer") from error
            raise PrivysealError(f"{self._service} refused: {error.name}") from error
        except TimeoutError as error:
            raise LockedError(f"nobody opened {self.description} in time") from error
        except (OSError, KeyError, ValueError) as error:
            raise UnreachableError("no session bus answers") from error

    def _call(
        self, bus: DBusConnection, kind: type[_T], member: str, signature: str = "", *body: Any
    ) -> _T:
        address = DBusAddress(f"/modules/{self._service}", f"org.kde.{self._service}", _INTERFACE)
        message = new_method_call(address, member, signature or None, body)
        reply = bus.send_and_get_reply(message, timeout=_PERSON_SECONDS)
        if reply.header.message_type.name == "error":
            raise DBusErrorResponse(reply)
        answer = reply.body[0] if reply.body else None
        if not isinstance(answer, kind):
            raise CorruptError(f"{self._service} answers {member} with something else than KWallet")
        return answer


def open_store(settings: Settings) -> NotedStore:
    """Return the wallet of the KWallet that answers, the newer one first."""
    found = _answering(settings)
    version = found or _VERSIONS[-1]
    wallet = KWalletStore(version, address=_address(settings))
    return NotedStore(wallet, NoteFile(settings.notes(_WALLET)))


def absent(settings: Settings) -> str:
    """Return why it will not do: switched off, or not there."""
    if settings.environment.get("DISABLE_KWALLET") == "1":
        return "DISABLE_KWALLET is set"
    if not settings.environment.get("DBUS_SESSION_BUS_ADDRESS"):
        return "there is no session bus: DBUS_SESSION_BUS_ADDRESS is not set"
    return "" if _answering(settings) else "no KWallet answers on the session bus"


def _answering(settings: Settings) -> int:
    address = _address(settings)
    return next((v for v in _VERSIONS if KWalletStore(v, address=address).answers()), 0)


def _address(settings: Settings) -> str:
    return settings.environment.get("DBUS_SESSION_BUS_ADDRESS") or "SESSION"


class _Wallet:
    """An open wallet: calls get its handle first, and the name of the application last."""

    def __init__(self, store: KWalletStore, bus: DBusConnection, handle: int) -> None:
        self._store = store
        self._bus = bus
        self._handle = handle

    def __call__(self, kind: type[_T], member: str, signature: str, *body: Any) -> _T:
        return self._store._call(  # noqa: SLF001 - both are the two halves of one connection
            self._bus, kind, member, f"i{signature}s", self._handle, *body, _APPLICATION
        )
