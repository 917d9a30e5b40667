"""A small audit log as the keeper would write it, for the tests of its writer, checker and command."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.fakes import FakeClock

from privyseal.keeper.audit import AuditLog
from privyseal.keeper.receipts import Signer
from privyseal.model.approval import Content
from privyseal.model.decision import Decision, Scope
from privyseal.model.evidence import Evidence, Fact, ProcessRef
from privyseal.model.keyring import ItemInfo, ItemRef
from privyseal.model.receipt import Receipt

SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(b"k" * 32))


def content(request: str, label: str = "Mail pässword") -> Content:
    """What was shown for `request`: one item, and evidence with a hostile command line."""
    return Content(
        request=request,
        badge="READ",
        title="Read a secret",
        evidence=Evidence(
            summary="secret-tool",
            process=ProcessRef(pid=4711, start_ticks=99),
            facts=(Fact(grade="verified", name="command", value="secret-tool \x1b[2J lookup"),),
        ),
        items=(
            ItemInfo(
                ref=ItemRef(collection="login", item="12"),
                label=label,
                attributes={"service": "mail", "account": "me"},
            ),
        ),
    )


def receipt(request: str, *, allow: bool = True, shown: Content | None = None) -> Receipt:
    """The signed receipt of one decision."""
    shown = shown or content(request)
    digest = shown.digest()
    return SIGNER.sign(
        Receipt(
            request=request,
            at=1_700_000_000.5,
            content=shown,
            digest=digest,
            decision=Decision(
                request=request,
                digest=digest,
                allow=allow,
                scope=Scope(kind="minutes", amount=5),
                screen=("READ a secret", "secret-tool"),
            ),
            decided_by="cli, uid 1000",
            key="",
        )
    )


def ask(log: AuditLog, request: str) -> None:
    """One request begins."""
    log.append(
        "asked",
        request=request,
        kind="read",
        requester="secret-tool",
        items=("login/12 (Mail pässword)",),
        content=content(request),
    )


def resolve(log: AuditLog, request: str, outcome: str = "allowed") -> None:
    """One request ends; a person decided if it was allowed or denied."""
    if outcome in {"allowed", "denied"}:
        decided = receipt(request, allow=outcome == "allowed")
        log.append("decided", request=request, kind="read", outcome=outcome, receipt=decided)
    elif outcome != "leased":
        log.append("resolved", request=request, kind="read", outcome=outcome)
    if outcome in {"allowed", "leased"}:
        log.append(
            "released",
            request=request,
            kind="read",
            outcome=outcome,
            via="lease 7c2f",
            items=("login/12",),
        )


async def write_log(folder: Path, *, requests: int = 3, rotate_bytes: int = 4096) -> None:
    """Write a log of several files in which requests are allowed, denied, leased and expired by turns."""
    clock = FakeClock()
    log = AuditLog.open(folder, clock, rotate_bytes=rotate_bytes)
    log.append("start", detail="0.1.0")
    for number in range(requests):
        clock.advance(60)
        request = f"{number:08x}"
        outcome = ("allowed", "denied", "leased", "expired")[number % 4]
        if outcome != "leased":
            ask(log, request)
        resolve(log, request, outcome)
        await log.flush()
    log.append("stop")
    await log.close()
