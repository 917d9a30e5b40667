"""Whether a tree can be read just now, and what opens and locks it.

Open is what gpg says: a text of no meaning, encrypted as the entries are, can be decrypted without
asking anybody.
"""

import asyncio
from contextlib import suppress
from typing import Final

from privyseal.errors import CorruptError, LockedError, PrivysealError, UnreachableError
from privyseal.model.clock import Clock
from privyseal.model.secret import Secret
from privyseal.provider.passtree.gpg import Gpg
from privyseal.provider.passtree.tree import Tree

_RECHECK_SECONDS: Final = 2.0
# While gpg's agent asks a person, it lets everybody else wait for up to a minute: those who wait
# for an answer here get one soon, and who only watches may take longer.
_LOOK_SECONDS: Final = 1.5
WATCH_SECONDS: Final = 20.0
_SAMPLE: Final = b"privyseal\n"


class Keyhole:
    """The lock of one tree, as gpg's agent sees it."""

    def __init__(self, tree: Tree, gpg: Gpg, clock: Clock) -> None:
        self._tree = tree
        self._gpg = gpg
        self._clock = clock
        self._open = False
        self._checked: float | None = None
        self._locks = 0
        self._sample: tuple[list[str], bytes] = ([], b"")

    @property
    def was_open(self) -> bool:
        """What the last look said."""
        return self._open

    async def opened(self, *, now: bool = False, seconds: float = _LOOK_SECONDS) -> bool:
        """Return whether gpg can decrypt without asking, as far as it says so within `seconds`.

        What is open stays so until a decryption fails; what is closed is looked at every 2 s, or
        `now`, for a person may have given the agent the passphrase.
        """
        if not self._tree.made:
            return False
        time = self._clock.monotonic()
        due = now or self._checked is None or time > self._checked + _RECHECK_SECONDS
        if not self._open and due:
            self._checked = time
            locks = self._locks
            with suppress(LockedError, CorruptError, UnreachableError):
                await self._gpg.decrypt(await self._sealed(), seconds=seconds)
                self._open = locks == self._locks
        return self._open

    async def need(self) -> None:
        """Go on only if it is open.

        Raises:
            LockedError: It is not.
        """
        if not await self.opened():
            raise LockedError("the store is locked", hint="open it with `privy unlock`")

    async def doubt(self) -> None:
        """Look again: an entry said that it takes a passphrase, which may be its own alone."""
        self._open = False
        await self.opened(now=True)

    async def make(self, passphrase: Secret) -> None:
        """Make the store with a new key under this passphrase."""
        key = await self._gpg.make_key(passphrase)
        try:
            await asyncio.to_thread(self._tree.make, key)
        except OSError as error:
            raise PrivysealError(f"the store cannot be made: {error}") from error

    async def unlock(self, passphrase: Secret) -> None:
        """Give the agent the passphrase, unless it is open.

        Raises:
            DeniedError: It is wrong.
        """
        if not await self.opened(now=True):
            await self._gpg.prepare()
            await self._gpg.unlock(await self._sealed(), passphrase)
            self._open = True

    async def lock(self) -> None:
        """Let the agent forget every passphrase."""
        self._locks += 1
        self._open = False
        await self._gpg.lock()

    async def _sealed(self) -> bytes:
        recipients = self._tree.recipients("sample")
        if self._sample[0] != recipients:
            self._sample = recipients, await self._gpg.encrypt(_SAMPLE, recipients)
        return self._sample[1]
