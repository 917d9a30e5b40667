"""A KWallet daemon with one wallet in memory, after the interface org.kde.KWallet."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jeepney import (
    HeaderFields,
    Message,
    MessageType,
    new_error,
    new_method_return,
)
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import DBusConnection, open_dbus_connection

_HANDLE = 42


class FakeKWallet:
    """Answers calls; `locked` makes the person dismiss the prompt for the wallet."""

    def __init__(self) -> None:
        self.locked = False
        self.enabled = True
        self.folders: dict[str, dict[str, bytes]] = {}

    def is_enabled(self) -> tuple[str, Any]:
        return "b", self.enabled

    def open(self, wallet: str, window: int, application: str) -> tuple[str, Any]:
        assert (wallet, window, application) == ("aws-vault", 0, "aws-vault")
        return "i", -1 if self.locked else _HANDLE

    def has_folder(self, handle: int, folder: str, _application: str) -> tuple[str, Any]:
        return "b", handle == _HANDLE and folder in self.folders

    def create_folder(self, handle: int, folder: str, _application: str) -> tuple[str, Any]:
        assert handle == _HANDLE
        self.folders[folder] = {}
        return "b", True

    def entry_list(self, handle: int, folder: str, _application: str) -> tuple[str, Any]:
        assert handle == _HANDLE
        return "as", list(self.folders.get(folder, {}))

    def has_entry(self, _handle: int, folder: str, key: str, _application: str) -> tuple[str, Any]:
        return "b", key in self.folders.get(folder, {})

    def read_entry(self, _handle: int, folder: str, key: str, _app: str) -> tuple[str, Any]:
        return "ay", self.folders.get(folder, {}).get(key, b"")

    def write_entry(
        self, _handle: int, folder: str, key: str, value: bytes, _application: str
    ) -> tuple[str, Any]:
        if folder not in self.folders:
            return "i", -1
        self.folders[folder][key] = bytes(value)
        return "i", 0

    def remove_entry(self, _handle: int, folder: str, key: str, _app: str) -> tuple[str, Any]:
        return "i", 0 if self.folders.get(folder, {}).pop(key, None) is not None else -1


_METHODS = {
    "isEnabled": "is_enabled",
    "open": "open",
    "hasFolder": "has_folder",
    "createFolder": "create_folder",
    "entryList": "entry_list",
    "hasEntry": "has_entry",
    "readEntry": "read_entry",
    "writeEntry": "write_entry",
    "removeEntry": "remove_entry",
}


@contextmanager
def fake_kwallet(address: str, version: int) -> Iterator[FakeKWallet]:
    """Serve `kwalletd5` or `kwalletd6` on the bus at an address until the block ends."""
    wallet = FakeKWallet()
    service = f"kwalletd{version}"
    stop = threading.Event()
    with open_dbus_connection(address) as bus:
        bus.send_and_get_reply(message_bus.RequestName(f"org.kde.{service}"))
        thread = threading.Thread(target=_serve, args=(bus, wallet, f"/modules/{service}", stop))
        thread.start()
        try:
            yield wallet
        finally:
            stop.set()
            thread.join()


def _serve(bus: DBusConnection, wallet: FakeKWallet, path: str, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            message = bus.receive(timeout=0.05)
        except TimeoutError:
            continue
        if message.header.message_type is MessageType.method_call:
            bus.send(_answer(message, wallet, path))


def _answer(message: Message, wallet: FakeKWallet, path: str) -> Message:
    fields = message.header.fields
    known = (fields[HeaderFields.path], fields[HeaderFields.interface])
    name = _METHODS.get(fields[HeaderFields.member])
    if known != (path, "org.kde.KWallet") or name is None:
        return new_error(message, "org.freedesktop.DBus.Error.UnknownMethod")
    signature, value = getattr(wallet, name)(*message.body)
    return new_method_return(message, signature, (value,))
