"""A pass store with what lives on it: our backend, pass and gopass, each as a person has them."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.integration.gnupg_folder import gnupg_folder
from tests.waiting import PATIENCE

from privyseal.model.keyring import ItemInfo, ItemRef
from privyseal.model.secret import Secret
from privyseal.provider.stores import Kind, open_store
from privyseal.runtime.backend import Backend
from privyseal.runtime.clock import SystemClock

PASSPHRASE = Secret(b"correct horse")

_CONFIG = """\
[mounts]
    path = {store}
[core]
    autosync = false
    autopush = false
    exportkeys = false
    notifications = false
"""


def gopass() -> str:
    """Return gopass; only a stranger's machine may lack it."""
    built = Path(sys.executable).parent / "gopass"
    found = shutil.which("gopass") or (str(built) if built.exists() else "")
    if not found and os.environ.get("CI"):
        pytest.fail(
            "gopass is missing: `scripts/setup.sh dev` builds it where Go 1.24 is installed"
        )
    if not found:
        pytest.skip("NOT TESTED: gopass is missing, see `scripts/setup.sh dev`")
    return found


@dataclass(frozen=True)
class World:
    """One store."""

    folder: Path
    backend: Backend

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder / "person"),
            "GNUPGHOME": str(self.folder / ".gnupg"),
            "PASSWORD_STORE_DIR": str(self.store),
            "GOPASS_HOMEDIR": str(self.folder / "person"),
            "LC_ALL": "C.UTF-8",
        }

    async def run(self, *argv: str, given: bytes | None = None) -> bytes:
        """Run a program to its end; return what it printed. Without `given` nothing is piped in."""

        def work() -> "subprocess.CompletedProcess[bytes]":
            piped = None if given is None else subprocess.PIPE
            with subprocess.Popen(
                argv,
                env=self.environment,
                stdin=piped or subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            ) as process:
                out, said = process.communicate(given, timeout=PATIENCE)
            return subprocess.CompletedProcess(argv, process.returncode, out, said)

        done = await asyncio.to_thread(work)
        assert done.returncode == 0, (argv, done.stderr)
        return bytes(done.stdout)

    async def put(
        self, label: str, value: bytes, /, *, replace: bool = False, **attributes: str
    ) -> ItemRef:
        """Store an item as a program does."""
        return await self.backend.create("login", label, attributes, Secret(value), replace=replace)

    async def look(self, item: str) -> tuple[ItemInfo, bytes]:
        """Return what our side knows of an entry, and its value."""
        ref = ItemRef(collection="login", item=item)
        return await self.backend.describe(ref), (await self.backend.read(ref)).expose()

    async def commits(self) -> list[str]:
        """Return the messages of the history, newest first."""
        log = await self.run("git", "-C", str(self.store), "log", "--format=%s")
        return log.decode().splitlines()


@asynccontextmanager
async def world(kind: Kind = "gopass") -> AsyncIterator[World]:
    """Make a store, open."""
    with gnupg_folder() as folder:
        configuration = folder / "person" / ".config" / "gopass" / "config"
        configuration.parent.mkdir(parents=True)
        configuration.write_text(_CONFIG.format(store=folder / "store"))
        async with (
            asyncio.TaskGroup() as group,
            open_store(kind, folder / "store", group, SystemClock()) as store,
        ):
            await store.backend.unlock(PASSPHRASE)
            yield World(folder, store.backend)
