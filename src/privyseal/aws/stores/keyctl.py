"""The kernel's keyring `aws-vault`, through keyctl(1): gone at the next boot."""

import re
from collections.abc import Mapping
from typing import Final

from privyseal.aws.choice import Settings
from privyseal.aws.ports import Item
from privyseal.aws.stores.notes import NotedStore, NoteFile
from privyseal.aws.stores.tool import ProgramError, run
from privyseal.errors import LimitError, NotFoundError, UsageError
from privyseal.model.secret import Secret

_KEYRING: Final = "aws-vault"
_MISSING: Final = "install keyutils"
_LONGEST: Final = 32767
"""Longest payload of a key of type `user`, in bytes (keyrings(7))."""

_LONGEST_NAME: Final = 4095
_PARTS: Final = 5
_NUMBER: Final = re.compile(r"-?[0-9]+")
_ABSENT: Final = ("Required key not available", "No such", "expired", "revoked")


class KeyctlStore:
    """Entries as keys of type `user`; `scope` is the keyring that holds ours, `@u` for the user's."""

    def __init__(self, environment: Mapping[str, str], *, scope: str = "@u") -> None:
        self._environment = {**environment, "LC_ALL": "C"}
        self._scope = scope

    @property
    def description(self) -> str:
        """Name the keyring."""
        return f"the kernel's keyring {_KEYRING!r}, until the next boot"

    def entries(self) -> Mapping[str, Mapping[str, str]]:
        """Return every key of the keyring; reads no payload."""
        keyring = self._keyring()
        if keyring is None:
            return {}
        found = (self._described(number) for number in self._numbers(keyring))
        return {name: {} for kind, name in found if kind == "user"}

    def read(self, key: str) -> Item:
        """Return one entry."""
        value = self._keyctl("pipe", self._number(key))
        return Item(key, Secret(value))

    def write(self, item: Item) -> None:
        """Keep an entry, its value on keyctl's stdin."""
        _checked(item.key)
        if len(item.value) > _LONGEST:
            raise LimitError(f"{item.key!r} has {len(item.value)} bytes; a kernel key takes 32767")
        keyring = self._keyring() or self._new()
        self._keyctl("padd", "user", item.key, keyring, given=item.value.expose())

    def remove(self, key: str) -> None:
        """Take an entry out of the keyring."""
        self._keyctl("unlink", self._number(key), self._keyring() or self._scope)

    def _new(self) -> str:
        return self._keyctl("newring", _KEYRING, self._scope).decode(errors="replace").strip()

    def _keyring(self) -> str | None:
        return self._search(self._scope, "keyring", _KEYRING)

    def _number(self, key: str) -> str:
        _checked(key)
        keyring = self._keyring()
        number = self._search(keyring, "user", key) if keyring else None
        if number is None:
            raise NotFoundError(f"{self.description} holds no {key!r}")
        return number

    def _numbers(self, keyring: str) -> list[str]:
        return _NUMBER.findall(self._keyctl("rlist", keyring).decode(errors="replace"))

    def _described(self, number: str) -> tuple[str, str]:
        """Return type and description of a key, both "" when it is gone by now."""
        # type;uid;gid;permissions;description
        parts = (self._said("rdescribe", number) or "").split(";", 4)
        return (parts[0], parts[-1]) if len(parts) == _PARTS else ("", "")

    def _search(self, keyring: str, kind: str, name: str) -> str | None:
        return self._said("search", keyring, kind, name)

    def _said(self, *words: str) -> str | None:
        """Return what keyctl says, None where it says that there is no such key."""
        try:
            return self._keyctl(*words).decode(errors="replace").rstrip("\n")
        except ProgramError as error:
            if any(text in error.complaint for text in _ABSENT):
                return None
            raise

    def _keyctl(self, *words: str, given: bytes = b"") -> bytes:
        return run(["keyctl", *words], self._environment, given=given, missing=_MISSING)


def open_store(settings: Settings) -> NotedStore:
    """Return the user's keyring."""
    return NotedStore(KeyctlStore(settings.environment), NoteFile(settings.notes(_KEYRING)))


def absent(settings: Settings) -> str:
    """Return why it will not do unless it is named."""
    del settings
    return "it forgets everything at the next boot: name it with `--backend keyctl`"


def _checked(key: str) -> None:
    if not key or "\0" in key or len(key.encode(errors="replace")) > _LONGEST_NAME:
        raise UsageError(f"{key[:40]!r} cannot be the name of a kernel key")
