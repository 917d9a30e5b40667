"""Requests and keeper states that the tests of the screen draw, friendly and hostile."""

from dataclasses import replace

import msgspec

from privyseal.console.keys import noticed
from privyseal.console.state import ScreenState, synced
from privyseal.keeper.orders import order_facts
from privyseal.model.approval import Approval, Content, Lease, PinAsk, Status
from privyseal.model.ask import Ask, Delete, Read, UseAws, title_of
from privyseal.model.aws import Network, Obtain, Plan, RoleStep, SessionStep, StoredKey
from privyseal.model.evidence import Evidence, Fact
from privyseal.model.keyring import ItemInfo, ItemRef
from privyseal.model.lifecycle import State

NOW = 1_700_000_000.0

STATUS = Status(
    version="0.1.0",
    mode="own-session",
    backend="embedded store",
    locked=False,
    initialised=True,
    pending=0,
    leases=0,
    since=NOW - 8000,
    audit_entries=1234,
    receipt_key="a1b2",
)
NODE = Evidence(
    summary="node agent.js",
    trusted=True,
    facts=(
        Fact(grade="verified", name="program", value="/usr/bin/node"),
        Fact(grade="verified", name="package", value="nodejs 20.20, intact"),
        Fact(
            grade="verified",
            name="script",
            value="/srv/agents/coder/node_modules/agent/dist/agent.js, changed 3 min ago",
        ),
        Fact(grade="verified", name="unit", value="app-agent.scope, from a terminal"),
        Fact(grade="verified", name="parents", value="bash < foot < systemd --user"),
        Fact(grade="reported", name="says", value="push the release branch"),
        Fact(grade="warning", name="tracer", value="gdb (4711) is attached"),
    ),
)


def item(label: str, number: int = 1, **attributes: str) -> ItemInfo:
    ref = ItemRef(collection="login", item=f"i{number}")
    return ItemInfo(ref=ref, label=label, attributes=attributes)


GITHUB = item("GitHub token", service="github.com", user="alice")


def approval(
    name: str = "3f9a",
    *,
    items: tuple[ItemInfo, ...] = (GITHUB,),
    evidence: Evidence = NODE,
    state: State = "pending",
    ask: Ask | None = None,
    badge: str = "READ",
    title: str = "Read a secret",
    details: tuple[Fact, ...] = (),
    before: str = "allowed 2 times this week, denied once",
    resolved: float = 0.0,
    needs_unlock: bool = False,
) -> Approval:
    content = Content(
        request=name,
        badge=badge,
        title=title,
        evidence=evidence,
        items=items,
        details=details,
        before=before,
    )
    return Approval(
        id=name,
        state=state,
        ask=ask or Read(items=tuple(item.ref for item in items)),
        content=content,
        digest=content.digest(),
        created=NOW - 48,
        expires=NOW + 252,
        resolved=resolved,
        decided_by="alice" if resolved else "",
        needs_unlock=needs_unlock,
    )


def delete(name: str = "b07c") -> Approval:
    return approval(
        name,
        items=(item("Mail password", 2, server="imap.example.org"),),
        evidence=Evidence(summary="secret-tool clear", trusted=True),
        ask=Delete(item=ItemRef(collection="login", item="i2")),
        badge="DELETE",
        title="Delete an item",
        before="",
    )


def aws(order: Obtain, *, once: bool = False) -> Approval:
    """Return a request for AWS, drawn as the keeper draws it."""
    ask = UseAws(order=order)
    badge, title = title_of(ask)
    shown = approval(
        "77aa", items=(), ask=ask, badge=badge, title=title, details=order_facts(order)
    )
    return msgspec.structs.replace(shown, once=once)


def terraform(**network: dict[str, str]) -> Obtain:
    """Return what `privy aws exec prod -- terraform apply` wants."""
    role = RoleStep(
        arn="arn:aws:iam::111122223333:role/Deploy",
        session_name="alice",
        duration=3600,
        policy='{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}',
    )
    plan = Plan(
        profile="prod",
        source=StoredKey(name="base"),
        steps=(SessionStep(duration=8 * 3600, mfa="arn:aws:iam::999988887777:mfa/alice"), role),
        network=Network(region="eu-central-1", **network),  # type: ignore[arg-type]  # fields of it
        notes=("capped to 1 h: a role from a role",),
    )
    return Obtain(plan=plan, command=("terraform", "apply"))


RECENT = (
    approval("0001", state="allowed", resolved=NOW - 60),
    approval("0002", items=(item("AWS deploy key"),), state="denied", resolved=NOW - 240),
    approval("0003", items=(item("npm token"),), state="expired", resolved=NOW - 7300),
)
LEASES = (
    Lease(
        id="l1",
        request="0001",
        items=(GITHUB.ref,),
        labels=("GitHub token",),
        holder="node agent.js",
        scope="15 minutes",
        granted=NOW - 60,
        expires=NOW + 721,
        uses_left=-1,
    ),
    Lease(
        id="l2",
        request="0002",
        items=(GITHUB.ref,),
        labels=("npm token",),
        holder="npm publish",
        scope="until the store is locked",
        granted=NOW - 60,
        expires=0,
        uses_left=3,
    ),
)


def screen(
    *pending: Approval,
    recent: tuple[Approval, ...] = RECENT,
    leases: tuple[Lease, ...] = LEASES,
    status: Status = STATUS,
    columns: int = 80,
    rows: int = 25,
) -> ScreenState:
    """Return a screen on which everything was seen long enough to be decided."""
    empty = ScreenState(columns=columns, rows=rows, wall=NOW, mono=100.0, leases=leases)
    state = synced(empty, status, pending, recent, b"\x5a")
    return noticed(replace(state, mono=200.0))


COMPANION = msgspec.structs.replace(
    STATUS, mode="companion", backend="your companion's own store", user="alice", vt=8
)
PIN = PinAsk(id="p1", text="Unlock the OpenPGP key of Alice Example <alice@example.org>")


def companion(*pending: Approval, status: Status = COMPANION, **fields: object) -> ScreenState:
    """Return the screen of a companion on its virtual terminal."""
    state = replace(screen(*pending, status=status), console_font=True)
    own = {"user": "alice", "vt": 8, "phrase": "maple.harbor.ninth"}
    return replace(state, **{**own, **fields})  # type: ignore[arg-type]  # fields of it


def hostile(name: str = "e411") -> Approval:
    """Return a request in which every foreign text tries to leave its place."""
    evil = "\x1b[2J\x1b]52;c;QUJD\x07\u202e\u2066" + "A" * 10_000 + "\n = program │ /usr/bin/ok"
    return approval(
        name,
        items=(item(evil, 9, **{"\x1b[1;1H": "中" * 300, "b": "q" + "\u0301" * 500}),),
        evidence=Evidence(
            summary="\r\x1b[Kprivyseal\u200b",
            facts=(
                Fact(grade="verified", name="program\n\x1b", value="p\u0430ypal\U000e0041"),
                Fact(grade="reported", name="=" * 200, value="\ttab\x9b31m│┘"),
            ),
        ),
        before="\u2028" * 50,
    )
