"""Generic credentials of the Windows Credential Manager, target `aws-vault:aws-vault:<name>`.

Written from the documentation of wincred.h, and tested against a stand-in for those calls only.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from privyseal.aws.choice import Settings
from privyseal.aws.ports import Item
from privyseal.aws.stores.notes import NotedStore, NoteFile
from privyseal.errors import LimitError, NotFoundError, UnsupportedError, UsageError
from privyseal.model.secret import Secret

_PREFIX: Final = "aws-vault:aws-vault:"
_MAX_BLOB: Final = 5 * 512
"""CRED_MAX_CREDENTIAL_BLOB_SIZE, in bytes."""

_MAX_TARGET: Final = 32767


class Credentials(Protocol):
    """The calls of advapi32 that are needed; targets are full names."""

    def targets(self, prefix: str) -> Sequence[str]:
        """Return the names that begin with a prefix (CredEnumerateW)."""
        ...

    def read(self, target: str) -> bytes | None:
        """Return a blob, None when there is none (CredReadW)."""
        ...

    def write(self, target: str, blob: bytes) -> None:
        """Keep a blob on this machine (CredWriteW)."""
        ...

    def delete(self, target: str) -> bool:
        """Delete a blob; False when there is none (CredDeleteW)."""
        ...


class WinCredStore:
    """Entries as generic credentials, the payload alone as blob."""

    description = "the Windows Credential Manager"

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def entries(self) -> Mapping[str, Mapping[str, str]]:
        """Return every entry."""
        found = self._credentials.targets(_PREFIX)
        return {target.removeprefix(_PREFIX): {} for target in found}

    def read(self, key: str) -> Item:
        """Return one entry."""
        blob = self._credentials.read(_target(key))
        if blob is None:
            raise self._absent(key)
        return Item(key, Secret(blob))

    def write(self, item: Item) -> None:
        """Keep an entry.

        Raises:
            LimitError: The payload is longer than Windows takes; a long session token can be.
        """
        if len(item.value) > _MAX_BLOB:
            raise LimitError(f"{item.key!r} has {len(item.value)} bytes; Windows takes {_MAX_BLOB}")
        self._credentials.write(_target(item.key), item.value.expose())

    def remove(self, key: str) -> None:
        """Delete one entry."""
        if not self._credentials.delete(_target(key)):
            raise self._absent(key)

    def _absent(self, key: str) -> NotFoundError:
        return NotFoundError(f"{self.description} holds no {key!r}")


def system() -> Credentials:
    """Return the calls of this Windows.

    Raises:
        UnsupportedError: This is none.
    """
    if sys.platform == "win32":
        from privyseal.aws.stores.advapi import Advapi  # noqa: PLC0415 - loads a library of Windows

        return Advapi()
    raise UnsupportedError("the Windows Credential Manager is not on this system")


def open_store(settings: Settings) -> NotedStore:
    """Return the store of this Windows."""
    return NotedStore(WinCredStore(system()), NoteFile(settings.notes(_PREFIX)))


def absent(settings: Settings) -> str:
    """Return why it will not do: another system."""
    del settings
    return "" if sys.platform == "win32" else "this is not Windows"


def _target(key: str) -> str:
    if not key or "\0" in key or len(key) > _MAX_TARGET - len(_PREFIX):
        raise UsageError(f"{key[:40]!r} cannot be the name of a credential")
    return _PREFIX + key
