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

_LIMIT: Final = 64 * 1024 * 1024
_ATTEMPTS: Final = 3
_NO_BLOB: Final = b"0" * 40
# Nothing that a repository brings along runs here: it may come from a desktop that is not trusted.
_CALM: Final = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false")
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
            # A repository may say that objects it lacks come from elsewhere, and by which program.
            "GIT_ALLOW_PROTOCOL": "",
            "GIT_NO_LAZY_FETCH": "1",
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
                if not await self._git("config", "--get", key, fails=True):
                    await self._git("config", key, ours)
            (self._root / ".gitattributes").write_text("*.gpg diff=gpg\n")
            await self.record("Initialise the store.", [".gitattributes", ".gpg-id"])

    async def record(self, message: str, paths: Sequence[str]) -> None:
        """Commit these files, there or gone; the change is made already, so a failure is logged."""
        if not self.kept:
            return
        async with self._busy:
            try:
                for _ in range(_ATTEMPTS):
                    if await self._commit(message, paths):
                        return
                log.warning("a change is not in the history: another program keeps committing")
            except PrivysealError as error:
                log.warning("a change is not in the history: %s", error)

    async def _commit(self, message: str, paths: Sequence[str]) -> bool:
        """Commit by git's plumbing, which runs no filter that the store's own files ask for.

        Return whether the branch is still where it was.
        """
        head = (await self._git("rev-parse", "--verify", "--quiet", "HEAD", fails=True)).strip()
        entries = b"".join([await self._entries(path) for path in paths])
        await self._git("update-index", "-z", "--index-info", given=entries)
        tree = (await self._git("write-tree")).decode().strip()
        author: list[str] = []
        for key, ours in _AUTHOR:
            if not await self._git("config", "--get", key, fails=True):
                author += ["-c", f"{key}={ours}"]
        parent = ["-p", head.decode()] if head else []
        made = await self._git(*author, "commit-tree", *parent, tree, given=f"{message}\n".encode())
        moved = ["update-ref", "-m", "commit", "HEAD", made.decode().strip(), head.decode()]
        outcome = await self._run(moved)
        return not outcome.status

    async def _entries(self, path: str) -> bytes:
        """Return what the index is to say of a file or of a folder that is gone."""
        if (self._root / path).is_file():
            blob = (await self._git("hash-object", "-w", "--no-filters", "--", path)).strip()
            return b"100644 %s\t%s\0" % (blob, os.fsencode(path))
        gone = (await self._git("ls-files", "-z", "--", path)).split(b"\0")
        return b"".join(b"0 %s\t%s\0" % (_NO_BLOB, name) for name in gone if name)

    async def _git(self, *words: str, given: bytes = b"", fails: bool = False) -> bytes:
        outcome = await self._run(words, given)
        if outcome.status and not fails:
            raise PrivysealError(f"git cannot {words[0]}: {outcome.said[-300:]!r}")
        return outcome.out

    async def _run(self, words: Sequence[str], given: bytes = b"") -> Outcome:
        argv = ["git", *_CALM, *words]
        return await run(argv, env=self._env, given=given, folder=self._root, limit=_LIMIT)
