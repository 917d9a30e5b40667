"""A keeper without evidence, receipts or screen: a store in memory and a verdict for each kind."""

import asyncio
import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from tests.waiting import PATIENCE

from privyseal.errors import NotFoundError
from privyseal.model.approval import Approval, Content, Status
from privyseal.model.ask import (
    Ask,
    Change,
    ChangeCollection,
    Create,
    CreateCollection,
    Delete,
    DeleteCollection,
    Lock,
    Read,
    Search,
    SetAlias,
    Unlock,
    Write,
    decode_ask,
    kind_of,
    title_of,
)
from privyseal.model.aws import Vaulted
from privyseal.model.evidence import Evidence, Fact
from privyseal.model.keyring import CollectionInfo, ItemInfo, ItemRef
from privyseal.model.lifecycle import GRANTED, State
from privyseal.model.secret import Secret
from privyseal.model.value import MAX_SECRET, decode, encode
from privyseal.runtime.bus import Call, Connection, Method, Reply
from privyseal.runtime.memfd import read_sealed, seal
from privyseal.wire.keeper import (
    BUS_NAME,
    PATH,
    REQUEST,
    Answer,
    Found,
    Granted,
    KnownAws,
    KnownCollections,
    KnownItem,
    KnownItems,
    LookAws,
    LookCollections,
    LookItem,
    MadeCollection,
    MadeItem,
    Result,
    Slice,
    StoreChange,
    Ticket,
    Values,
    decode_question,
)

Verdict = Literal["at-once", "allow", "deny", "expire", "refuse", "wait"]


@dataclass
class StoredItem:
    """One item."""

    label: str
    attributes: dict[str, str]
    value: Secret


@dataclass
class StoredCollection:
    """One collection."""

    label: str
    locked: bool = False
    items: dict[str, StoredItem] = field(default_factory=dict)


@dataclass
class Asked:
    """One request as it came."""

    id: str
    requester: str
    ask: Ask
    value: Secret | None
    sender: str
    state: State = "pending"
    result: Result | None = None
    secrets: list[Secret] = field(default_factory=list)


class FakeKeeper:
    """Serves `org.privyseal.Request1`.

    A verdict says what becomes of a kind of request: granted in the very answer (`at-once`),
    decided right after it (`allow`, `deny`, `expire`), denied in the answer (`refuse`), or left to
    the test (`wait`, then `resolve`).
    """

    def __init__(self) -> None:
        self.collections = {"login": StoredCollection("Login")}
        self.aliases = {"default": "login", "login": "login"}
        self.verdicts: dict[str, Verdict] = {"search": "at-once"}
        self.asked: list[Asked] = []
        self.arrived = asyncio.Event()
        self.reported: dict[str, list[Fact]] = {}
        self.requesters: set[str] = set()
        self.readable: set[tuple[str, ItemRef]] = set()
        self.narrowed: set[ItemRef] = set()
        self.since = 1_700_000_000.0
        self.locked = False
        self.initialised = True
        self.reviews = 0
        self.reports: list[str] = []
        self._numbers = itertools.count(1)
        self._subscribers: set[str] = set()
        self._connection: Connection | None = None

    async def serve(self, connection: Connection, name: str = BUS_NAME) -> None:
        """Take the keeper's name on a bus."""
        self._connection = connection
        connection.serve(
            {
                (REQUEST, "Register"): Method("hs", "s", self._register),
                (REQUEST, "Forget"): Method("s", "", self._forget),
                (REQUEST, "Look"): Method("ss", "s", self._look),
                (REQUEST, "Submit"): Method("ssah", "sah", self._submit),
                (REQUEST, "Collect"): Method("s", "sah", self._collect),
                (REQUEST, "Cancel"): Method("s", "", self._cancel),
                (REQUEST, "Subscribe"): Method("", "", self._subscribe),
                (REQUEST, "Status"): Method("", "s", self._status),
                (REQUEST, "Waiting"): Method("", "s", self._waiting),
                (REQUEST, "Review"): Method("", "", self._review),
                (REQUEST, "Report"): Method("s", "", self._report),
            }
        )
        await connection.claim(name)

    def put(
        self, name: str, value: bytes = b"s3cret", *, collection: str = "login", **attributes: str
    ) -> ItemRef:
        """Store an item without asking anybody."""
        self.collections[collection].items[name] = StoredItem(
            name.title(), attributes, Secret(value)
        )
        return ItemRef(collection=collection, item=name)

    def kinds(self) -> list[str]:
        """Return what was asked, but for searches."""
        return [kind_of(a.ask) for a in self.asked if not isinstance(a.ask, Search)]

    def subscribed(self) -> int:
        """Return how many connections hear of changes."""
        return len(self._subscribers)

    async def waiting(self, kind: str) -> Asked:
        """Return the first request of a kind that waits, as soon as there is one."""
        async with asyncio.timeout(PATIENCE):
            while True:
                self.arrived.clear()
                for asked in self.asked:
                    if kind_of(asked.ask) == kind and asked.state == "pending":
                        return asked
                await self.arrived.wait()

    def resolve(self, asked: Asked, state: State) -> None:
        """End a request, and tell whoever asked."""
        asked.state = state
        if state in GRANTED:
            asked.result, asked.secrets = self._perform(asked)
        self._emit(asked.sender, "Resolved", asked.id, state)

    def announce(self, change: StoreChange) -> None:
        """Tell every subscriber of a change."""
        for name in self._subscribers:
            self._emit(name, "Changed", encode(change).decode())

    def _emit(self, name: str, member: str, *body: str) -> None:
        assert self._connection is not None
        self._connection.emit(PATH, REQUEST, member, "s" * len(body), body, to=name)

    async def _register(self, call: Call) -> Reply:
        os.close(call.take_fd(call.body[0]))
        token = f"requester{next(self._numbers)}"
        self.requesters.add(token)
        self.reported[token] = decode(call.body[1], list[Fact], what="facts")
        return Reply([token])

    async def _forget(self, call: Call) -> Reply:
        self.requesters.discard(call.body[0])
        for asked in self.asked:
            if asked.requester == call.body[0] and asked.state == "pending":
                asked.state = "cancelled"
        return Reply()

    async def _look(self, call: Call) -> Reply:
        requester, question = call.body[0], decode_question(call.body[1])
        answer: Answer
        if isinstance(question, LookCollections):
            infos = (
                CollectionInfo(id=name, label=c.label, created=1, modified=2, locked=c.locked)
                for name, c in self.collections.items()
            )
            answer = KnownCollections(collections=tuple(infos), aliases=self.aliases)
        elif isinstance(question, LookItem):
            ref, item = question.item, self._item(question.item)
            info = ItemInfo(
                ref=ref,
                label=item.label,
                attributes=item.attributes,
                created=3,
                modified=4,
                locked=self.collections[ref.collection].locked,
            )
            answer = KnownItem(
                item=info, open=not info.locked and (requester, ref) in self.readable
            )
        elif isinstance(question, LookAws):
            answer = KnownAws(vaulted=Vaulted())
        else:
            answer = KnownItems(items=tuple(self._collection(question.collection).items))
        return Reply([encode(answer).decode()])

    async def _submit(self, call: Call) -> Reply:
        requester, ask = call.body[0], decode_ask(call.body[1])
        value = None
        if call.body[2]:
            fd = call.take_fd(call.body[2][0])
            value = Secret(read_sealed(fd, limit=MAX_SECRET))
            os.close(fd)
        self._check(ask)
        asked = Asked(f"request{next(self._numbers)}", requester, ask, value, call.sender)
        self.asked.append(asked)
        self.arrived.set()
        verdict = self.verdicts.get(kind_of(ask), "allow")
        if isinstance(ask, Read) and all((requester, i) in self.readable for i in ask.items):
            verdict = "at-once"
        loop = asyncio.get_running_loop()
        ends: dict[Verdict, State] = {"allow": "allowed", "deny": "denied", "expire": "expired"}
        if verdict == "at-once":
            asked.state = "ruled"
            asked.result, asked.secrets = self._perform(asked)
        elif verdict == "refuse":
            asked.state = "denied"
        elif verdict != "wait":
            loop.call_soon(self.resolve, asked, ends[verdict])
        return self._answer(asked)

    async def _collect(self, call: Call) -> Reply:
        return self._answer(self._asked(call.body[0]))

    async def _cancel(self, call: Call) -> Reply:
        asked = self._asked(call.body[0])
        if asked.state == "pending":
            self.resolve(asked, "cancelled")
        return Reply()

    async def _subscribe(self, call: Call) -> Reply:
        self._subscribers.add(call.sender)
        return Reply()

    async def _status(self, _call: Call) -> Reply:
        status = Status(
            version="0.1.0",
            mode="companion",
            backend="fake",
            locked=self.locked,
            initialised=self.initialised,
            pending=sum(asked.state == "pending" for asked in self.asked),
            leases=0,
            since=self.since,
            audit_entries=0,
            receipt_key="ab" * 32,
            user="alice",
            vt=8,
        )
        return Reply([encode(status).decode()])

    async def _waiting(self, _call: Call) -> Reply:
        waiting = [_approval(asked) for asked in self.asked if asked.state == "pending"]
        return Reply([encode(waiting).decode()])

    async def _review(self, _call: Call) -> Reply:
        self.reviews += 1
        return Reply()

    async def _report(self, call: Call) -> Reply:
        self.reports.append(call.body[0])
        return Reply()

    def _answer(self, asked: Asked) -> Reply:
        reason = "you said no" if asked.state == "denied" else ""
        ticket = Ticket(id=asked.id, state=asked.state, reason=reason, result=asked.result)
        fds = []
        if isinstance(asked.result, Values):
            fds = [seal(b"".join(secret.expose() for secret in asked.secrets))]
        return Reply([encode(ticket).decode(), list(range(len(fds)))], fds)

    def _asked(self, number: str) -> Asked:
        for asked in self.asked:
            if asked.id == number:
                return asked
        raise NotFoundError(f"no request {number!r}")

    def _collection(self, name: str) -> StoredCollection:
        if name not in self.collections:
            raise NotFoundError(f"no collection {name!r}")
        return self.collections[name]

    def _item(self, ref: ItemRef) -> StoredItem:
        items = self._collection(ref.collection).items
        if ref.item not in items:
            raise NotFoundError(f"no item {ref.item!r}")
        return items[ref.item]

    def _check(self, ask: Ask) -> None:
        match ask:
            case Read(items=items):
                for item in items:
                    self._item(item)
            case Write(item=item) | Delete(item=item) | Change(item=item):
                self._item(item)
            case Create(collection=name) | DeleteCollection(collection=name):
                self._collection(name)
            case _:
                pass

    def _perform(self, asked: Asked) -> tuple[Result, list[Secret]]:
        ask, value = asked.ask, asked.value or Secret(b"")
        match ask:
            case Read():
                return self._read(asked, ask)
            case Search():
                return self._search(asked, ask), []
            case Create():
                return MadeItem(item=self._create(ask, value)), []
            case CreateCollection(label=label, alias=alias):
                name = f"made{next(self._numbers)}"
                self.collections[name] = StoredCollection(label)
                if alias:
                    self.aliases[alias] = name
                self.announce(StoreChange(what="created", collection=name))
                return MadeCollection(collection=name), []
            case _:
                self._change(ask, value)
                return Granted(), []

    def _read(self, asked: Asked, ask: Read) -> tuple[Result, list[Secret]]:
        items = tuple(item for item in ask.items if item not in self.narrowed)
        if not ask.deliver:
            self.readable |= {(asked.requester, item) for item in items}
            return Granted(items=items), []
        values = [self._item(item).value for item in items]
        slices, offset = [], 0
        for item, value in zip(items, values, strict=True):
            slices.append(Slice(item=item, offset=offset, length=len(value)))
            offset += len(value)
        return Values(slices=tuple(slices)), values

    def _search(self, asked: Asked, ask: Search) -> Found:
        open_: list[ItemRef] = []
        closed: list[ItemRef] = []
        for name in [ask.collection] if ask.collection else list(self.collections):
            collection = self._collection(name)
            for item, stored in collection.items.items():
                if ask.attributes.items() <= stored.attributes.items():
                    ref = ItemRef(collection=name, item=item)
                    readable = (asked.requester, ref) in self.readable and not collection.locked
                    (open_ if readable else closed).append(ref)
        return Found(open=tuple(open_), closed=tuple(closed))

    def _create(self, ask: Create, value: Secret) -> ItemRef:
        items = self._collection(ask.collection).items
        same = [name for name, item in items.items() if item.attributes == ask.attributes]
        name = same[0] if same and ask.replace else f"i{next(self._numbers)}"
        change: Literal["created", "changed"] = "changed" if name in items else "created"
        items[name] = StoredItem(ask.label, ask.attributes, value)
        self.announce(StoreChange(what=change, collection=ask.collection, item=name))
        return ItemRef(collection=ask.collection, item=name)

    def _change(self, ask: Ask, value: Secret) -> None:
        match ask:
            case Write(item=ref):
                self._item(ref).value = value
                self._announce_item("changed", ref)
            case Delete(item=ref):
                del self._collection(ref.collection).items[ref.item]
                self._announce_item("deleted", ref)
            case Change(item=ref, label=label, attributes=attributes):
                item = self._item(ref)
                item.label = item.label if label is None else label
                item.attributes = item.attributes if attributes is None else attributes
                self._announce_item("changed", ref)
            case ChangeCollection(collection=name, label=label):
                self._collection(name).label = label
                self.announce(StoreChange(what="changed", collection=name))
            case DeleteCollection(collection=name):
                del self.collections[name]
                self.announce(StoreChange(what="deleted", collection=name))
            case SetAlias(alias=alias, collection=name):
                self.aliases[alias] = name
                if not name:
                    del self.aliases[alias]
            case Lock(collections=names):
                self._lock(names, locked=True)
            case Unlock(collections=names):
                self._lock(names, locked=False)
            case _:
                raise AssertionError(ask)

    def _lock(self, names: Sequence[str], *, locked: bool) -> None:
        for name in names:
            self._collection(name).locked = locked
            self.announce(StoreChange(what="changed", collection=name))

    def _announce_item(self, what: Literal["changed", "deleted"], ref: ItemRef) -> None:
        self.announce(StoreChange(what=what, collection=ref.collection, item=ref.item))


def _approval(asked: Asked) -> Approval:
    badge, title = title_of(asked.ask)
    items = asked.ask.items if isinstance(asked.ask, Read) else ()
    content = Content(
        request=asked.id,
        badge=badge,
        title=title,
        evidence=Evidence(summary="node agent.js", trusted=True),
        items=tuple(ItemInfo(ref=ref, label=ref.item) for ref in items),
    )
    return Approval(
        id=asked.id,
        state=asked.state,
        ask=asked.ask,
        content=content,
        digest=content.digest(),
        created=1.0,
        expires=2.0,
    )
