"""The files of a passage tree, opened and made by our own age codec where passage is missing."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from privyseal.errors import PrivysealError, UsageError
from privyseal.model.secret import Secret
from privyseal.runtime.durable import durable_file, sync_folder
from privyseal.runtime.wholefile import read_whole
from privyseal.wire.age.codec import Decryptor, Encryptor
from privyseal.wire.age.keys import (
    HybridIdentity,
    Identity,
    Recipient,
    X25519Identity,
    parse_identities,
    parse_recipient,
)

_MAX_FILE: Final = 4 * 1024 * 1024
_INSTALL: Final = "install passage, which knows other kinds of keys"


class Passage:
    """Does what passage does with plain identities; keys behind plugins are for passage itself.

    The recipients of a file are those that passage would take: of its two variables, of the nearest
    `.age-recipients`, or else the identities themselves.
    """

    suffix = ".age"

    def __init__(
        self,
        top: Path,
        environment: Mapping[str, str],
        *,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._identities = identities(environment)
        self._recipients_file = environment.get("PASSAGE_RECIPIENTS_FILE", "")
        self._recipients = environment.get("PASSAGE_RECIPIENTS", "")
        self._top = top
        self._random = random

    def show(self, name: str) -> bytes:
        """Return the text of a file."""
        decryptor = Decryptor(self._own())
        return decryptor.feed(read_whole(self._path(name), _MAX_FILE)) + decryptor.finish()

    def insert(self, name: str, text: bytes) -> None:
        """Write a file for its recipients."""
        path = self._path(name)
        encryptor = Encryptor(self._for(path), self._random)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with durable_file(path) as file:
                file.write(encryptor.feed(text) + encryptor.finish())
        except OSError as error:
            raise PrivysealError(f"cannot write {str(path)!r}: {error.strerror}") from error

    def remove(self, name: str) -> None:
        """Delete a file."""
        path = self._path(name)
        try:
            path.unlink()
            sync_folder(path.parent)
        except OSError as error:
            raise PrivysealError(f"cannot delete {str(path)!r}: {error.strerror}") from error

    def _path(self, name: str) -> Path:
        return self._top / f"{name}{self.suffix}"

    def _own(self) -> list[Identity]:
        try:
            return parse_identities(Secret(read_whole(self._identities, _MAX_FILE)))
        except UsageError as error:
            raise UsageError(
                f"cannot use the identities in {str(self._identities)!r}: {error}", hint=_INSTALL
            ) from None

    def _for(self, path: Path) -> list[Recipient]:
        if self._recipients_file:
            return _listed(Path(self._recipients_file))
        if self._recipients:
            return [parse_recipient(text) for text in self._recipients.split()]
        for folder in path.parents:
            near = folder / ".age-recipients"
            if near.is_file():
                return _listed(near)
            if folder == self._top:
                break
        own = (each for each in self._own() if isinstance(each, X25519Identity | HybridIdentity))
        return [identity.recipient() for identity in own]


def identities(environment: Mapping[str, str]) -> Path:
    """Return where passage looks for identities."""
    home = Path(environment.get("HOME") or Path.home())
    given = environment.get("PASSAGE_IDENTITIES_FILE")
    return Path(given) if given else home / ".passage" / "identities"


def _listed(path: Path) -> list[Recipient]:
    lines = [
        line.strip() for line in read_whole(path, _MAX_FILE).decode(errors="replace").splitlines()
    ]
    try:
        return [parse_recipient(line) for line in lines if line and not line.startswith("#")]
    except UsageError as error:
        raise UsageError(f"cannot use {str(path)!r}: {error}", hint=_INSTALL) from error
