"""A keychain of macOS, through security(1): what has a secret in it goes to `security -i` on stdin.

Written from the manual page security(1), and tested against a stand-in for that program only.
"""

import re
import sys
from collections.abc import Mapping
from typing import Final

from privyseal.aws.choice import Settings
from privyseal.aws.items import classify
from privyseal.aws.ports import Item
from privyseal.aws.stores.notes import NotedStore, NoteFile
from privyseal.aws.stores.tool import ProgramError, run
from privyseal.errors import (
    CorruptError,
    LimitError,
    LockedError,
    NotFoundError,
    UnsupportedError,
    UsageError,
)
from privyseal.model.secret import Secret

_SERVICE: Final = "aws-vault"
_MISSING: Final = "this store is for macOS"
_ABSENT: Final = ("could not be found", "does not exist")
_REFUSED: Final = ("User interaction is not allowed", "passphrase you entered", "canceled")
_ATTRIBUTE: Final = re.compile(r'^\s*"(?P<name>acct|svce)"<blob>=(?P<value>.*)$', re.MULTILINE)
_ITEM: Final = re.compile(r"^keychain: ", re.MULTILINE)
_MAX_LINE: Final = 4095
"""Longest line that `security -i` reads, in bytes."""

_HEX: Final = re.compile(r"0x((?:[0-9A-F]{2})+)")
_OCTAL: Final = re.compile(r"\\([0-7]{3})")


class KeychainStore:
    """Entries as generic passwords of the service `aws-vault`, the account being their name.

    What aws-vault asks of the access lists is kept: a long-lived key trusts no program, so that
    macOS asks at every read; a session trusts `security`.
    """

    def __init__(self, keychain: str, environment: Mapping[str, str]) -> None:
        self._keychain = f"{keychain}.keychain"
        self._environment = environment

    @property
    def description(self) -> str:
        """Name the keychain."""
        return f"the macOS keychain {self._keychain!r}"

    def entries(self) -> Mapping[str, Mapping[str, str]]:
        """Return every entry; reads no value and causes no prompt."""
        try:
            text = self._security("dump-keychain", self._keychain).decode(errors="replace")
        except NotFoundError:
            return {}
        found = [dict(_ATTRIBUTE.findall(part)) for part in _ITEM.split(text)]
        ours = [each for each in found if _plain(each.get("svce", "")) == _SERVICE]
        return {_plain(each["acct"]): {} for each in ours if "acct" in each}

    def read(self, key: str) -> Item:
        """Return one entry."""
        text = self._find(key, "-w")
        return Item(key, Secret(_value(text.removesuffix(b"\n"), key)))

    def write(self, item: Item) -> None:
        """Keep an entry; the keychain is made when it is missing, which macOS asks about.

        Raises:
            LimitError: It is longer than a line that `security` reads.
        """
        try:
            self._security("show-keychain-info", self._keychain)
        except NotFoundError:
            self._security("create-keychain", "-P", self._keychain)
        words = ["add-generic-password", "-U", "-s", _SERVICE, "-a", item.key]
        words += ["-l", item.label or item.key]
        words += ["-D", item.description] if item.description else []
        words += ["-T", ""] if classify(item.key) == "credential" else []
        words += [*_secret(item.value), self._keychain]
        line = (" ".join(map(_quoted, words)) + "\n").encode()
        if len(line) > _MAX_LINE:
            raise LimitError(f"{item.key!r} is longer than `security` takes: {_MAX_LINE} bytes")
        self._security("-i", given=line)
        self._find(item.key)

    def remove(self, key: str) -> None:
        """Delete one entry."""
        self._security("delete-generic-password", "-s", _SERVICE, "-a", key, self._keychain)

    def _find(self, key: str, *more: str) -> bytes:
        return self._security(
            "find-generic-password", "-s", _SERVICE, "-a", key, *more, self._keychain
        )

    def _security(self, *words: str, given: bytes = b"") -> bytes:
        argv = ["security", *words]
        try:
            return run(argv, self._environment, given=given, missing=_MISSING)
        except ProgramError as error:
            if any(text in error.complaint for text in _ABSENT):
                raise NotFoundError(f"{self.description} holds nothing of that name") from None
            if any(text in error.complaint for text in _REFUSED):
                raise LockedError(f"{self.description} is locked, or was not opened") from None
            raise


def open_store(settings: Settings) -> NotedStore:
    """Return the store in a keychain."""
    if settings.options.biometrics:
        raise UnsupportedError(
            "no finger is asked for here: macOS asks for the keychain's password",
            hint="leave out `--biometrics`",
        )
    name = settings.options.keychain
    return NotedStore(KeychainStore(name, settings.environment), NoteFile(settings.notes(name)))


def absent(settings: Settings) -> str:
    """Return why it will not do: another system."""
    del settings
    return "" if sys.platform == "darwin" else "this is not macOS"


def _secret(value: Secret) -> list[str]:
    """Return the words that give a secret: as it is when it is text, else in hex."""
    text = value.expose()
    if text[:1] == b"{" and all(b" " <= bytes([each]) <= b"~" for each in text):
        return ["-w", text.decode("ascii")]
    return ["-X", text.hex()]


def _quoted(word: str) -> str:
    if any(letter < " " or letter == "\x7f" for letter in word):
        raise UsageError(f"{word!r} has a control character, which `security -i` cannot take")
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _plain(value: str) -> str:
    """Return an attribute as it was given: in quotes, or in hex when it is not plain ASCII."""
    found = _HEX.match(value)
    if found:
        return bytes.fromhex(found[1]).decode(errors="replace")
    inner = value.removeprefix('"').removesuffix('"')
    return _OCTAL.sub(lambda octal: chr(int(octal[1], 8)), inner)


def _value(text: bytes, key: str) -> bytes:
    # What is not printable comes in hex; our payloads are JSON, which never looks like that.
    if text[:1] == b"{":
        return text
    try:
        return bytes.fromhex(text.decode("ascii"))
    except ValueError:
        raise CorruptError(f"{key!r} in the keychain is not an entry") from None
