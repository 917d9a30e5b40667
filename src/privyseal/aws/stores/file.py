"""A folder with one encrypted file for each entry, as aws-vault's file store has it.

A file is a compact JWE for the passphrase, its name the entry's with `/` as `%2F`. Ours differ in
three ways that aws-vault does not mind: more rounds, a name that is there whole or not at all, and
notes in the header, so that a listing asks for no passphrase.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import unquote

from privyseal.aws.choice import Settings
from privyseal.aws.items import decode_item, encode_item
from privyseal.aws.ports import Item
from privyseal.errors import (
    CorruptError,
    DeniedError,
    LimitError,
    LockedError,
    NotFoundError,
    PrivysealError,
    UsageError,
)
from privyseal.model.clock import Clock
from privyseal.model.secret import Secret
from privyseal.runtime.durable import durable_file, sync_folder
from privyseal.wire import jwe

ROUNDS: Final = 600_000
"""Of PBKDF2-HMAC-SHA256, as OWASP's cheat sheet on storing passwords has it."""

_MAX_FILE: Final = 4 * 1024 * 1024
_VARIABLE: Final = "AWS_VAULT_FILE_PASSPHRASE"
_TRIED: Final = 3
_BEGINNING: Final = b"eyJ"  # of `{"` in base64url, and so of every compact JWE
_REPAIR: Final = (
    "put it back from a backup, or delete it and keep the key anew with `privy aws add`"
)
_NAME_BYTES: Final = 255
_ESCAPED: Final = re.compile(r"%(?=[0-9A-Fa-f]{2})")


class AsksPassphrase(Protocol):
    """Gets a passphrase from a person or her environment."""

    def __call__(self, *, new: bool) -> Secret:
        """Return it; `new` when it is to be chosen now, for an empty store."""
        ...


class FileStore:
    """Entries in the files of one folder; the passphrase is asked for at most once."""

    def __init__(
        self,
        folder: Path,
        passphrase: AsksPassphrase,
        clock: Clock,
        *,
        rounds: int = ROUNDS,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._folder = folder
        self._ask = passphrase
        self._clock = clock
        self._rounds = rounds
        self._random = random
        self._passphrase: Secret | None = None
        self._keks: dict[tuple[bytes, int], bytes] = {}
        self._proven: set[tuple[bytes, int]] = set()

    @property
    def description(self) -> str:
        """Name the folder."""
        return f"the encrypted files in {str(self._folder)!r}"

    def entries(self) -> Mapping[str, Mapping[str, str]]:
        """Return every file's entry, damaged ones too; asks for no passphrase and decrypts nothing."""
        found = {}
        for path in self._files():
            try:
                text = _read(path)
            except (PrivysealError, OSError):
                continue  # a stray file is not an entry; reading it by name says what is wrong
            try:
                found[unquote(path.name)] = _notes(jwe.parse(text).header)
            except PrivysealError:
                if _was_entry(text):
                    found[unquote(path.name)] = {}
        return found

    def read(self, key: str) -> Item:
        """Return one entry.

        Raises:
            DeniedError: The passphrase does not open it.
        """
        path = self._path(key)
        try:
            sealed = jwe.parse(_whole(_read(path)))
            item = decode_item(self._open(sealed))
        except FileNotFoundError:
            raise NotFoundError(f"{self.description} hold no {key!r}") from None
        except DeniedError:
            raise DeniedError(
                f"the passphrase does not open {str(path)!r}",
                hint="give the passphrase that it was stored with",
            ) from None
        except OSError as error:
            raise PrivysealError(f"cannot read {str(path)!r}: {error.strerror}") from error
        except CorruptError as error:
            raise CorruptError(f"{str(path)!r} is damaged: {error}", hint=_REPAIR) from None
        except PrivysealError as error:
            raise type(error)(f"cannot read {str(path)!r}: {error}", hint=error.hint) from None
        return item._replace(key=key, notes=_notes(sealed.header))

    def write(self, item: Item) -> None:
        """Keep an entry, once the passphrase has opened a file that was there.

        Raises:
            DeniedError: It opens none: the folder would hold files with different passphrases.
        """
        path = self._path(item.key)
        salt, rounds = self._verified(path)
        moment = datetime.fromtimestamp(int(self._clock.wall()), UTC)
        text = jwe.seal(
            encode_item(item),
            kek=self._kek(salt, rounds),
            salt=salt,
            rounds=rounds,
            more={
                "created": f"{moment:%Y-%m-%d %H:%M:%S} +0000 UTC",
                "notes": {name: text for name, text in item.notes.items() if text},
            },
            random=self._random,
        )
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with durable_file(path) as file:
                file.write(text)
        except OSError as error:
            raise PrivysealError(f"cannot write {str(path)!r}: {error.strerror}") from error

    def remove(self, key: str) -> None:
        """Delete the file of one entry."""
        path = self._path(key)
        try:
            path.unlink()
            sync_folder(self._folder)
        except FileNotFoundError:
            raise NotFoundError(f"{self.description} hold no {key!r}") from None
        except OSError as error:
            raise PrivysealError(f"cannot delete {str(path)!r}: {error.strerror}") from error

    def _files(self) -> Iterator[Path]:
        try:
            paths = sorted(self._folder.iterdir())
        except FileNotFoundError:
            return
        except OSError as error:
            raise PrivysealError(f"cannot list {str(self._folder)!r}: {error.strerror}") from error
        # A name with a leading dot is of a file that is being written, or never was to its end.
        yield from (path for path in paths if not path.name.startswith("."))

    def _path(self, key: str) -> Path:
        # aws-vault escapes the slash alone and decodes every escape, so a name with a percent sign
        # before two digits would come back as another one.
        name = _ESCAPED.sub("%25", key).replace("/", "%2F")
        name = f"%2E{name[1:]}" if name.startswith(".") else name
        if not name or "\0" in name:
            raise UsageError(f"{key!r} cannot be the name of an entry")
        if len(name.encode(errors="surrogateescape")) > _NAME_BYTES:
            raise LimitError(f"{key!r} is too long for the name of a file")
        return self._folder / name

    def _verified(self, path: Path) -> tuple[bytes, int]:
        """Return salt and rounds to write with, after a file that is there has proven them."""
        fit = [each for each in self._proven if each[1] >= self._rounds]
        if self._proven:
            return fit[0] if fit else self._fresh()
        there = sorted(self._files(), key=lambda each: each != path)
        tried = 0
        for each in there:
            try:
                sealed = jwe.parse(_read(each))
                self._open(sealed)
            except DeniedError:
                tried += 1
                if tried == _TRIED or each == path:
                    break
            except (PrivysealError, OSError):
                continue
            else:
                return self._verified(path)
        if tried:
            raise DeniedError(
                f"the passphrase does not open the files that are in {str(self._folder)!r}; "
                "nothing was stored",
                hint="give the passphrase of this store",
            )
        if self._passphrase is None:
            self._passphrase = self._ask(new=True)
        return self._fresh()

    def _fresh(self) -> tuple[bytes, int]:
        pair = (self._random(jwe.SALT_BYTES), self._rounds)
        self._proven.add(pair)
        return pair

    def _open(self, sealed: jwe.Sealed) -> bytes:
        payload = jwe.unseal(sealed, self._kek(sealed.salt, sealed.rounds))
        self._proven.add((sealed.salt, sealed.rounds))
        return payload

    def _kek(self, salt: bytes, rounds: int) -> bytes:
        if (salt, rounds) not in self._keks:
            if self._passphrase is None:
                self._passphrase = self._ask(new=False)
            self._keks[salt, rounds] = jwe.derive(self._passphrase, salt, rounds)
        return self._keks[salt, rounds]


def open_store(settings: Settings) -> FileStore:
    """Return the store; the passphrase comes from AWS_VAULT_FILE_PASSPHRASE or the person."""
    folder = settings.path(settings.options.file_dir)

    def passphrase(*, new: bool) -> Secret:
        # A variable that is set and empty is a passphrase too, as it is to aws-vault.
        given = settings.environment.get(_VARIABLE)
        if given is not None:
            return Secret(given.encode(errors="surrogateescape"))
        try:
            return settings.ask(f'Enter passphrase to unlock "{folder}": ', new=new)
        except LockedError as error:
            hint = f"run it from a terminal, or set {_VARIABLE}"
            raise LockedError(str(error), hint=hint) from error

    return FileStore(folder, passphrase, settings.clock)


def absent(settings: Settings) -> str:
    """Return "": there can always be a file."""
    del settings
    return ""


def _read(path: Path) -> bytes:
    # A pipe has no other end to wait for, and a folder leaves no descriptor behind.
    with open(path, "rb", opener=_at_once) as file:
        text = file.read(_MAX_FILE + 1)
    if len(text) > _MAX_FILE:
        raise CorruptError("it is longer than any entry")
    return text


def _whole(text: bytes) -> bytes:
    if not text.strip(b"\0"):
        raise CorruptError("it is empty")
    return text


def _was_entry(text: bytes) -> bool:
    # What a full disk or a crash leaves of a file: nothing, zeros, or a part of a JWE.
    return not text.strip(b"\0") or text.startswith(_BEGINNING)


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _notes(header: Mapping[str, object]) -> dict[str, str]:
    notes = header.get("notes")
    if not isinstance(notes, dict):
        return {}
    return {name: text for name, text in notes.items() if isinstance(text, str)}
