"""What the engine needs from outside: a place for keys, and a person to talk with.

Everything here blocks: the AWS library does, and an order has a thread or a process of its own.
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from privyseal.model.secret import Secret


class Item(NamedTuple):
    """One entry of a store of keys, in aws-vault's terms.

    `value` is the payload itself (JSON of a key, a session or a token). `notes` may be known
    without the value: text only, no secret; stores that cannot keep notes drop them.
    """

    key: str
    value: Secret
    label: str = ""
    description: str = ""
    notes: Mapping[str, str] = {}


Entries = Mapping[str, Mapping[str, str]]
"""The key of every entry of a store with its notes."""


class KeyStore(Protocol):
    """A store of keys, sessions and tokens by name."""

    @property
    def description(self) -> str:
        """Name the store in a person's words."""
        ...

    def entries(self) -> Entries:
        """Return the key of every entry with its notes; reads no value where that can be helped.

        Raises:
            LockedError: The store is locked and nobody opens it.
            UnreachableError: The store does not answer.
        """
        ...

    def read(self, key: str) -> Item:
        """Return one entry.

        Raises:
            NotFoundError: There is none under this key.
            CorruptError: There is one, but it is not an entry of this kind.
        """
        ...

    def write(self, item: Item) -> None:
        """Keep an entry, in place of the one with the same key; returns when it is durable."""
        ...

    def remove(self, key: str) -> None:
        """Forget an entry.

        Raises:
            NotFoundError: There is none under this key.
        """
        ...


class Talk(Protocol):
    """The person at the command that asked; every method raises DeniedError when she gives up."""

    def code(self, serial: str, again: str = "") -> str:
        """Return a code of the MFA device; `again` says what was wrong with the last one."""
        ...

    def redirect(self) -> str:
        """Return a URI on loopback that takes a redirect from now on, "" when that cannot be."""
        ...

    def page(self, url: str, *, code: str = "", redirect: bool = False) -> str:
        """Show a page; with `redirect` return the query string that comes back to the URI."""
        ...

    def tell(self, text: str) -> None:
        """Say a line."""
        ...

    def wait(self, seconds: float) -> None:
        """Let seconds pass, none if below 0, while she does something elsewhere; or she gives up."""
        ...
