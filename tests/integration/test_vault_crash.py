"""A store survives kill -9 at any instant: it opens, and no acknowledged write is lost.

The kernel lives on, so this proves nothing about power loss; there we rely on SQLite, which fsyncs
its log at each commit (synchronous=FULL). SOAK=1 kills a thousand times.
"""

import os
import random
import select
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest
from tests.soak import times

from privyseal.model.keyring import ItemRef
from privyseal.model.secret import Secret
from privyseal.runtime import vault
from privyseal.runtime.clock import SystemClock
from privyseal.runtime.vault import Vault
from privyseal.runtime.vaultcare import contents
from privyseal.runtime.vaultfile import store_path
from privyseal.wire.vault import Cost

ROUNDS: Final = times(20, soak=1000)
PASSPHRASE: Final = Secret(b"correct horse")
WRITER: Final = Path(__file__).with_name("vault_writer.py")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "store"
    vault.create(made, PASSPHRASE, clock=SystemClock(), cost=Cost(log2_n=10)).close()
    return made


def acknowledged(folder: Path, seconds: float) -> Iterator[tuple[str, int]]:
    """Run a writer, kill it after `seconds` of writing; yield all that it acknowledged."""
    with subprocess.Popen([sys.executable, WRITER, folder], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        try:
            assert writer.stdout.readline() == b"ready\n"
            # Nobody reads meanwhile: only the deadline, or a full pipe, stops the writer.
            deadline = time.monotonic() + seconds
            while (left := deadline - time.monotonic()) > 0:
                select.select([], [], [], left)
        finally:
            writer.send_signal(signal.SIGKILL)
        for line in writer.stdout.read().splitlines(keepends=True):
            if line.endswith(b"\n"):
                item, number = line.split()
                yield item.decode(), int(number)
    assert writer.returncode == -signal.SIGKILL


def test_no_acknowledged_write_is_lost_when_the_writer_is_killed(folder: Path) -> None:
    instants = random.Random(os.urandom(8))  # noqa: S311 - instants to kill at, no secrets
    written: dict[str, int] = {}
    for _ in range(ROUNDS):
        latest = dict(acknowledged(folder, instants.uniform(0.001, 0.05)))
        with closing(vault.load(folder, clock=SystemClock())) as store:
            store.unlock(PASSPHRASE)
            check(store, latest)
        written |= latest

    assert written
    with closing(vault.load(folder, clock=SystemClock())) as store:
        store.unlock(PASSPHRASE)
        check(store, written)
        # A writer may have died between the commit of one item and its acknowledgement.
        assert len(written) <= len(list(contents(store))) <= len(written) + ROUNDS
    with closing(sqlite3.connect(store_path(folder))) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []


def check(store: Vault, latest: Mapping[str, int]) -> None:
    """Each item holds what was acknowledged last, or what was being written over it."""
    for item, number in latest.items():
        value = store.read(ItemRef(collection="login", item=item))
        assert value.expose() in {b"%d" % maybe * 100 for maybe in (number, number + 1)}
