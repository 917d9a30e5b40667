"""A whole keeper without a bus: real store, real audit log, made-up processes and time."""

import asyncio
import contextlib
import errno
import os
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.fakes import FakeAudience, FakeClock, FakeWitness
from tests.waiting import PATIENCE

from privyseal.errors import PrivysealError
from privyseal.keeper.asking import Answered, Asking
from privyseal.keeper.audit import AuditLog
from privyseal.keeper.awsitems import AwsItems
from privyseal.keeper.broker import Broker
from privyseal.keeper.core import Core, Ports
from privyseal.keeper.deciding import Deciding
from privyseal.keeper.pins import Pins
from privyseal.keeper.receipts import Signer
from privyseal.keeper.requests import Requester
from privyseal.model.approval import Approval
from privyseal.model.ask import Ask, Read
from privyseal.model.decision import Decision, Scope
from privyseal.model.evidence import Evidence
from privyseal.model.keyring import ItemRef
from privyseal.model.policy import Policy
from privyseal.model.receipt import Entry
from privyseal.model.secret import Secret
from privyseal.model.value import decode
from privyseal.runtime.embedded import EmbeddedBackend
from privyseal.wire.vault import Cost

PASSPHRASE = Secret(b"correct horse battery staple")
PERSON = Evidence(summary="privy approve")


class Disk:
    """Syncs like the real one until a test breaks it or holds it up."""

    broken = False

    def __init__(self) -> None:
        self._free = threading.Event()
        self._free.set()

    @contextlib.contextmanager
    def held_up(self) -> Iterator[None]:
        """Let nothing become durable before the block ends."""
        self._free.clear()
        try:
            yield
        finally:
            self._free.set()

    def __call__(self, fd: int) -> None:
        assert self._free.wait(PATIENCE)
        if self.broken:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fdatasync(fd)


@dataclass
class Bench:
    """Everything a test of the pipeline touches."""

    folder: Path
    core: Core
    asking: Asking
    deciding: Deciding
    clock: FakeClock
    witness: FakeWitness
    audience: FakeAudience
    audit: AuditLog
    backend: EmbeddedBackend
    disk: Disk
    _next: int = 100

    def process(
        self, name: str = "secret-tool", *, pid: int = 0, trusted: bool = True
    ) -> Requester:
        """Register a new process that runs the program `name`."""
        self._next += 1
        evidence = self.witness.add(self._next, name, pid=pid, trusted=trusted)
        return Requester(token=f"t{self._next}", face=":1.1", pidfd=self._next, evidence=evidence)

    async def item(self, value: bytes = b"hunter2", **attributes: str) -> ItemRef:
        """Store an item behind the pipeline's back."""
        home = (await self.backend.aliases())["default"]
        return await self.backend.create(
            home, "GitHub token", attributes or {"service": "demo"}, Secret(value), replace=False
        )

    async def ask(self, requester: Requester, ask: Ask, value: bytes | None = None) -> Answered:
        return await self.asking.submit(
            requester, ask, Secret(value) if value is not None else None
        )

    async def read(self, requester: Requester, *items: ItemRef, deliver: bool = True) -> Answered:
        return await self.ask(requester, Read(items=items, deliver=deliver))

    async def decide(
        self, request: str, scope: str = "once", *items: ItemRef, allow: bool = True
    ) -> Approval:
        shown = self.deciding.show(request)
        decision = Decision(
            request=request,
            digest=shown.digest,
            allow=allow,
            scope=Scope.parse(scope),
            items=items,
            screen=("as drawn",),
        )
        return await self.deciding.decide(decision, PERSON)

    async def entries(self) -> list[Entry]:
        """Return what the audit log holds on disk."""
        await self.audit.flush()
        files = sorted((self.folder / "audit").glob("*.jsonl"))
        lines = b"".join(file.read_bytes() for file in files).splitlines()
        return [decode(line, Entry, what="an entry") for line in lines]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    clock, disk = FakeClock(), Disk()
    backend = EmbeddedBackend(tmp_path / "store", clock=clock, cost=Cost(log2_n=10))
    await backend.unlock(PASSPHRASE)
    audit = AuditLog.open(tmp_path / "audit", clock, sync=disk)
    witness, audience = FakeWitness(), FakeAudience()
    broker = Broker(AwsItems(backend), Pins(lambda: None), tmp_path / "broker", companion=False)
    async with asyncio.TaskGroup() as group:
        signer = Signer.open(tmp_path / "key")
        core = Core(
            Ports(backend, witness, audit, signer, clock, audience, broker, group), Policy()
        )
        await core.recover()
        made = Bench(
            folder=tmp_path,
            core=core,
            asking=Asking(core),
            deciding=Deciding(core),
            clock=clock,
            witness=witness,
            audience=audience,
            audit=audit,
            backend=backend,
            disk=disk,
        )
        yield made
    with contextlib.suppress(PrivysealError):  # of a test that broke the disk
        await made.audit.close()
    await backend.close()
