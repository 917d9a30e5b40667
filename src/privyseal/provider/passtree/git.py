"""The history of a store that is a git repository: one commit for each change, as pass makes them."""

import asyncio
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from privyseal.errors import PrivysealError
from privyseal.provider.passtree.child import Outcome, run

log = logging.getLogger(__name__)

_LIMIT: Final = 64 * 1024
# Nothing that a repository brings along runs here, and nothing may ask.
_CALM: Final = (
    "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "commit.gpgSign=false",
    "-c", "gc.auto=0",
)  # fmt: skip
_AUTHOR: Final = (("user.name", "Privyseal"), ("user.email", "privyseal@localhost"))


class History:
    """Records what changed, where there is a repository; does nothing elsewhere."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._busy = asyncio.Lock()  # git refuses two commits at once
        self._env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(root.parent),
            "LC_ALL": "C.UTF-8",
            "GIT_LITERAL_PATHSPECS": "1",
            "GIT_TERMINAL_PROMPT": "0",
        }

    @property
    def kept(self) -> bool:
        """Whether the store is a repository."""
        return (self._root / ".git").exists()

    async def begin(self) -> None:
        """Make the store a repository with gopass's attributes, if it is none."""
        if not self.kept:
            await self._git("init", "--quiet", "--initial-branch=main")
            for key, ours in _AUTHOR:  # pass and gopass refuse to commit without one
                if (await self._git("config", "--get", key)).status:
                    await self._git("config", key, ours)
            (self._root / ".gitattributes").write_text("*.gpg diff=gpg\n")
            await self.record("Initialise the store.", [".gitattributes", ".gpg-id"])

    async def record(self, message: str, paths: Sequence[str]) -> None:
        """Commit these files, there or gone; the change is made already, so a failure is logged."""
        if not self.kept:
            return
        async with self._busy:
            try:
                added = await self._git("add", "--all", "--", *paths)
                done = added if added.status else await self._commit(message, paths)
            except PrivysealError as error:
                log.warning("a change is not in the history: %s", error)
                return
        if done.status:
            log.warning("a change is not in the history: git says %r", done.said[-300:])

    async def _commit(self, message: str, paths: Sequence[str]) -> Outcome:
        author: list[str] = []
        for key, ours in _AUTHOR:
            if (await self._git("config", "--get", key)).status:
                author += ["-c", f"{key}={ours}"]
        words = ["commit", "--quiet", "--no-verify", "-m", message, "--", *paths]
        return await self._git(*author, *words)

    async def _git(self, *words: str) -> Outcome:
        argv = ["git", *_CALM, *words]
        return await run(argv, env=self._env, folder=self._root, limit=_LIMIT)
