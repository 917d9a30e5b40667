"""Which store a provider serves: opened with it, closed with it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from privyseal.errors import UnsupportedError
from privyseal.model.clock import Clock
from privyseal.model.secret import Secret
from privyseal.provider.passtree.backend import PassBackend
from privyseal.provider.volatile import WithSession
from privyseal.runtime import vault, vaultcare
from privyseal.runtime.backend import Backend
from privyseal.runtime.embedded import EmbeddedBackend
from privyseal.wire.vault import Cost

Kind: TypeAlias = Literal["embedded", "pass", "gopass"]
KINDS: Final[tuple[Kind, ...]] = ("embedded", "pass", "gopass")


@dataclass(frozen=True, slots=True)
class Store:
    """A backend, and how its passphrase is changed from an old one to a new one."""

    backend: Backend
    change_passphrase: Callable[[Secret, Secret], Awaitable[None]]


@asynccontextmanager
async def open_store(
    kind: Kind,
    folder: Path,
    group: asyncio.TaskGroup,
    clock: Clock,
    cost: Cost | None = None,
    *,
    bus: str = "",
) -> AsyncIterator[Store]:
    """Yield the store of this kind in `folder`; leaving closes it and forgets its keys.

    `cost` is that of the passphrase of an embedded store that is still to be made; `bus` is the
    address of the bus where a pinentry of gpg-agent finds the keeper.
    """
    if kind == "embedded":
        store = _embedded(folder, clock, cost)
    else:
        tree = PassBackend(folder, group, clock, git=kind == "gopass", bus=bus)
        store = Store(WithSession(tree, clock), _unchangeable)
    try:
        yield store
    finally:
        await store.backend.close()


def _embedded(folder: Path, clock: Clock, cost: Cost | None) -> Store:
    async def change(old: Secret, new: Secret) -> None:
        def work() -> None:
            with closing(vault.load(folder, clock=clock)) as stored:
                vaultcare.change_passphrase(stored, old, new, cost)

        await asyncio.to_thread(work)

    return Store(EmbeddedBackend(folder, clock=clock, cost=cost), change)


async def _unchangeable(_old: Secret, _new: Secret) -> None:
    raise UnsupportedError(
        "the passphrase of this store is that of its gpg key",
        hint="change it with `gpg --change-passphrase`",
    )
