"""How far a rotation has come, kept in the store so that no crash loses a key."""

from contextlib import suppress
from typing import Annotated, Literal

import msgspec

from privyseal.aws import items
from privyseal.aws.ports import Item, KeyStore
from privyseal.errors import CorruptError, NotFoundError, UsageError
from privyseal.model.aws import AccessKey
from privyseal.model.secret import Secret
from privyseal.model.value import Name, Value, decode, encode

Instant = Annotated[float, msgspec.Meta(ge=0, le=253_402_300_799)]
"""Seconds since 1970, in a year that a calendar has."""

Step = Literal["create", "verify", "deactivate", "delete"]
"""What comes next, and may have been begun."""


class Journal(Value, frozen=True):
    """One rotation; `before` are the ids of the user's keys when it began.

    Both keys are in it while there are two; `until` is when the grace of the old one is over.
    """

    step: Step
    user: Name
    old: AccessKey
    before: tuple[Name, ...]
    began: Instant
    grace: int = 0
    new: AccessKey | None = None
    until: Instant = 0.0

    def advanced(
        self, step: Step, *, new: AccessKey | None = None, until: float = 0.0
    ) -> "Journal":
        """Return the same rotation, one step on."""
        return msgspec.structs.replace(self, step=step, new=new or self.new, until=until)


class Book:
    """The place in a store for the journal of one stored key."""

    def __init__(self, store: KeyStore, name: str) -> None:
        self._store = store
        self._name = name

    def read(self) -> Journal | None:
        """Return the journal of a rotation that is unfinished, None when there is none.

        Raises:
            CorruptError: There is one that nobody can read.
        """
        try:
            found = self._store.read(items.journal_key(self._name))
        except NotFoundError:
            return None
        try:
            return decode(found.value.expose(), Journal, what="the journal")
        except UsageError:
            # The decoder's message quotes what it read.
            raise CorruptError(
                f"the journal of the rotation of {self._name!r} cannot be read"
            ) from None

    def write(self, journal: Journal) -> None:
        """Keep the journal; returns when it is durable."""
        key, label = items.journal_key(self._name), f"unfinished rotation of {self._name}"
        self._store.write(Item(key, Secret(encode(journal)), label, "privy rotation"))

    def forget(self) -> None:
        """End the rotation."""
        with suppress(NotFoundError):
            self._store.remove(items.journal_key(self._name))
