"""The port between the keeper and the place where secrets lie.

One contract test runs against every implementation. All methods may be called concurrently; a
method that changes something returns only when the change is durable. Nothing here asks a person:
by the time a backend is called, the decision has been made.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from privyseal.model.keyring import CollectionInfo, ItemInfo, ItemRef
from privyseal.model.secret import Secret
from privyseal.wire.keeper import StoreChange

ChangeCallback = Callable[[StoreChange], None]


class Backend(Protocol):
    """A store of collections of items.

    Every method raises `NotFoundError` for an item or collection that is not there, `LockedError`
    when the answer needs a key that is not in memory, and `UnreachableError` when the store itself
    does not answer.
    """

    @property
    def description(self) -> str:
        """Name the store in a person's words, for `privy status`."""
        ...

    async def initialised(self) -> bool:
        """Return whether the store exists; the first `unlock` creates it."""
        ...

    async def locked(self) -> bool:
        """Return whether any collection needs a passphrase before it can be read."""
        ...

    async def unlock(self, passphrase: Secret, collections: Sequence[str] = ()) -> None:
        """Open the named collections, or all of them.

        Raises:
            DeniedError: The passphrase is wrong.
        """
        ...

    async def lock(self, collections: Sequence[str] = ()) -> None:
        """Forget the keys of the named collections, or of all."""
        ...

    async def collections(self) -> tuple[CollectionInfo, ...]:
        """Return every collection, in order of creation."""
        ...

    async def aliases(self) -> Mapping[str, str]:
        """Return what each alias points to."""
        ...

    async def items(self, collection: str) -> tuple[str, ...]:
        """Return the identifiers of the items of one collection, in order of creation."""
        ...

    async def describe(self, item: ItemRef) -> ItemInfo:
        """Return what is known of an item; works while locked, then with `locked` set."""
        ...

    async def search(
        self, attributes: Mapping[str, str], collection: str = ""
    ) -> tuple[ItemRef, ...]:
        """Return the items that have all these attributes; works while locked.

        An empty mapping matches every item.
        """
        ...

    async def read(self, item: ItemRef) -> Secret:
        """Return the value of an item."""
        ...

    async def create(
        self,
        collection: str,
        label: str,
        attributes: Mapping[str, str],
        value: Secret,
        *,
        replace: bool,
    ) -> ItemRef:
        """Store a new item; with `replace`, overwrite the one with exactly these attributes."""
        ...

    async def write(self, item: ItemRef, value: Secret) -> None:
        """Overwrite the value of an item."""
        ...

    async def change(
        self, item: ItemRef, *, label: str | None, attributes: Mapping[str, str] | None
    ) -> None:
        """Change label or attributes of an item; None leaves them as they are."""
        ...

    async def delete(self, item: ItemRef) -> None:
        """Delete an item."""
        ...

    async def create_collection(self, label: str, alias: str) -> str:
        """Create a collection, or return the one that `alias` means already."""
        ...

    async def change_collection(self, collection: str, label: str) -> None:
        """Change the label of a collection."""
        ...

    async def delete_collection(self, collection: str) -> None:
        """Delete a collection, all its items and the aliases that point to it."""
        ...

    async def set_alias(self, alias: str, collection: str) -> None:
        """Let an alias point to a collection; the empty name removes it."""
        ...

    def listen(self, callback: ChangeCallback) -> None:
        """Call `callback` after every change, whoever made it."""
        ...

    async def close(self) -> None:
        """Release files and connections; keys are forgotten."""
        ...
