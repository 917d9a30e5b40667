"""Every method of the keeper with wrong types, hostile JSON, foreign descriptors and other peers' names."""

import asyncio
import json
import os
import socket
import subprocess
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from dbus_fast import Variant
from dbus_fast.signature import SignatureTree, SignatureType
from hypothesis import HealthCheck, Phase, given, settings, strategies as st
from tests.integration.rig import PASSPHRASE, House, house
from tests.soak import times
from tests.waiting import PATIENCE, eventually

from privyseal.errors import PrivysealError
from privyseal.model.ask import Create, Read
from privyseal.model.keyring import ItemRef
from privyseal.model.secret import Secret
from privyseal.runtime.audit import log_files, log_lines
from privyseal.runtime.bus import Connection
from privyseal.runtime.memfd import seal
from privyseal.runtime.requestlink import RequestLink
from privyseal.wire.auditcheck import Verifier
from privyseal.wire.keeper import BUS_NAME, DECISION, PATH, REQUEST, MadeItem

CALLS: Final = times(400, soak=100_000)
AT_ONCE: Final = 8
BATCHES_OF_ONE_PEER: Final = 12
MEMORY: Final = 384 * 1024
"""By how many KiB the keeper may grow, whatever it is sent: its book and history, also encoded."""

METHODS: Final = {
    (REQUEST, "Register"): "hs",
    (REQUEST, "Forget"): "s",
    (REQUEST, "Look"): "ss",
    (REQUEST, "Submit"): "ssah",
    (REQUEST, "Collect"): "s",
    (REQUEST, "Cancel"): "s",
    (REQUEST, "Subscribe"): "",
    (DECISION, "Pending"): "",
    (DECISION, "Show"): "s",
    (DECISION, "Decide"): "s",
    (DECISION, "History"): "u",
    (DECISION, "Leases"): "",
    (DECISION, "Revoke"): "s",
    (DECISION, "Lock"): "",
    (DECISION, "Unlock"): "h",
    (DECISION, "Status"): "",
    (DECISION, "Watch"): "",
}

# Words that stand for what is known only while the keeper runs; `Peer.fill` puts that in.
MINE, ITS, SHOWN, DIGEST, VICTIMS, VICTIMS_REQUEST, HOME, ITEM = (
    "@token@", "@request@", "@shown@", "@digest@", "@victim@", "@theirs@", "@home@", "@item@",
)  # fmt: skip

strange = st.sampled_from(
    [
        *(
            "",
            "\0",
            "\ud800",
            "\udfff\ud800",
            "a\0b",
            "\u202e\x1b[2J\n",
            "'); drop",
            "../..",
            "%s{}",
        ),
        *(
            "x" * 255,
            "x" * 256,
            "x" * 16_384,
            "x" * 70_000,
            "\U0001f511" * 300,
            "\u017f\u0307" * 50,
        ),
    ]
) | st.text(st.characters(), max_size=12)
names = st.sampled_from([*[HOME] * 6, "session", "default", "login", ITEM, "none"]) | strange
refs = st.fixed_dictionaries({"collection": names, "item": names}) | st.sampled_from(
    [{"collection": HOME, "item": ITEM}] * 3
)
attributes = st.dictionaries(names, strange, max_size=5) | st.just(
    {str(number): "x" * 9000 for number in range(64)}
)
odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    strange,
    st.recursive(st.just([]), lambda inner: st.lists(inner, max_size=2), max_leaves=4),
    st.just(json.loads("[" * 900 + "]" * 900)),
)


def tagged(field_: str, tag: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries({field_: st.just(tag), **fields})


asks = st.one_of(
    tagged("kind", "read", items=st.lists(refs, min_size=1, max_size=3), deliver=st.booleans()),
    tagged("kind", "read", items=st.just([{"collection": HOME, "item": ITEM}] * 256)),
    tagged("kind", "search", attributes=attributes, collection=names),
    tagged(
        "kind",
        "create",
        collection=names,
        label=strange,
        attributes=attributes,
        content_type=strange,
        replace=st.booleans(),
    ),
    tagged("kind", "write", item=refs, content_type=strange),
    tagged("kind", "delete", item=refs),
    tagged("kind", "change", item=refs, label=strange | st.none(), attributes=attributes),
    tagged("kind", "create-collection", label=strange, alias=names),
    tagged("kind", "change-collection", collection=names, label=strange),
    tagged("kind", "delete-collection", collection=names),
    tagged("kind", "alias", alias=names, collection=names),
    tagged("kind", "lock", collections=st.lists(names, min_size=1, max_size=3)),
    tagged("kind", "unlock", collections=st.lists(names, min_size=1, max_size=3)),
)
questions = st.one_of(
    tagged("look", "collections"),
    tagged("look", "items", collection=names),
    tagged("look", "item", item=refs),
)
scopes = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["once", "uses", "minutes", "until-lock", "until-exit", "ever"]),
        "amount": st.sampled_from([0, 1, 5, -1, 2**31, 2**63, 10**30]),
    }
)
decisions = st.fixed_dictionaries(
    {
        "request": st.sampled_from([SHOWN, SHOWN, VICTIMS_REQUEST, "0" * 16]),
        "digest": st.sampled_from([DIGEST, DIGEST, DIGEST, "0" * 64]),
        "allow": st.booleans(),
    },
    optional={
        "scope": scopes,
        "items": st.lists(refs, max_size=2),
        "screen": st.lists(strange, max_size=3) | st.just(["x" * 16_000] * 200),
        "face": st.sampled_from(["cli", "console", "none"]),
    },
)
facts = st.lists(
    st.fixed_dictionaries(
        {"grade": st.sampled_from(["verified", "reported", "x"]), "name": strange, "value": strange}
    ),
    max_size=3,
) | st.just([{"grade": "verified", "name": "n", "value": "v"}] * 33)


@st.composite
def texts(draw: st.DrawFn, good: st.SearchStrategy[Any]) -> str:
    """Draw the JSON text of something good, more or less spoilt."""
    value = draw(good)
    spoil = draw(
        st.sampled_from(["no"] * 12 + ["field", "more", "cut", "twice", "other", "nested"])
    )
    if spoil in {"field", "more"} and isinstance(value, dict):
        keys = list(value) if spoil == "field" else ["extra", "kind", "look"]
        value = value | {draw(st.sampled_from(keys)): draw(odd | strange)}
    text = json.dumps(value if spoil != "other" else draw(odd))
    if spoil == "cut":
        return text[: draw(st.integers(0, len(text)))]
    if spoil == "twice" and text.startswith("{") and len(text) > 2:
        return text[:-1] + "," + text[1:]
    if spoil == "nested":
        return "[" * 50_000
    return text


tokens = st.sampled_from([MINE] * 20 + [VICTIMS, VICTIMS_REQUEST, "", "0" * 16, "x" * 70_000])
requests = st.sampled_from([ITS] * 4 + [VICTIMS_REQUEST, VICTIMS, SHOWN, "", "é", "x" * 70_000])
indexes = st.sampled_from([0, 0, 0, 0, 1, 2, 63, 2**31, 2**32 - 1])
bodies: Final[dict[str, st.SearchStrategy[list[Any]]]] = {
    "Register": st.tuples(indexes, texts(facts)).map(list),
    "Forget": tokens.map(lambda token: [token]),
    "Look": st.tuples(tokens, texts(questions)).map(list),
    "Submit": st.tuples(tokens, texts(asks), st.lists(indexes, max_size=2)).map(list),
    "Collect": requests.map(lambda name: [name]),
    "Cancel": requests.map(lambda name: [name]),
    "Show": (requests | st.just("0")).map(lambda name: [name]),
    "Decide": texts(decisions).map(lambda text: [text]),
    "History": st.sampled_from([0, 1, 1000, 2**31, 2**32 - 1]).map(lambda limit: [limit]),
    "Revoke": requests.map(lambda name: [name]),
    "Unlock": indexes.map(lambda index: [index]),
}
# What is worth most tries stands here more often.
# Wrong passphrases cost the most time.
members = st.sampled_from(
    [
        *METHODS,
        *list(METHODS)[:-4],
        *[(REQUEST, "Submit")] * 20,
        *[(REQUEST, "Collect"), (DECISION, "Decide")] * 3,
    ]
)
descriptors = st.lists(
    st.sampled_from(
        ["sealed"] * 6
        + ["own"] * 4
        + ["another", "dead", "unsealed", "huge", "null", "pipe", "socket", "folder"]
    ),
    min_size=1,
    max_size=3,
) | st.just(["sealed"] * 8)  # two such are the most that dbus-daemon lets through at once


def values(kind: SignatureType) -> st.SearchStrategy[Any]:
    """Return values of one complete D-Bus type, for calls with a wrong signature."""
    if kind.token == "a" and kind.children[0].token == "{":
        return st.just({})
    if kind.token == "a" and kind.children[0].token == "y":
        return st.binary(max_size=20)
    if kind.token == "a":
        return st.lists(values(kind.children[0]), max_size=3)
    return {
        "s": st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=9),
        "o": st.just("/"),
        "b": st.booleans(),
        "u": st.integers(0, 2**32 - 1),
        "t": st.integers(0, 2**64 - 1),
        "h": indexes,
        "v": st.just(Variant("s", "x")),
    }[kind.token]


@dataclass(frozen=True)
class Attempt:
    """One call of a stranger."""

    interface: str
    member: str
    signature: str
    body: list[Any]
    descriptors: list[str]


@st.composite
def attempts(draw: st.DrawFn) -> Attempt:
    interface, member = draw(members)
    signature = METHODS[interface, member]
    if draw(st.integers(0, 9)) == 0:
        signature = draw(st.sampled_from(["s", "", "u", "h", "ss", "a{sv}", "ay", "ah", "v", "o"]))
        body = [draw(values(kind)) for kind in SignatureTree(signature).types]
    else:
        body = draw(bodies.get(member, st.just([])))
    carries = "h" in signature
    return Attempt(interface, member, signature, body, draw(descriptors) if carries else [])


@dataclass
class Cast:
    """Who else is there: a victim with a request that waits, and a process that lives on."""

    home: House
    other: int
    token: str
    request: str
    item: ItemRef
    answers: Counter[str] = field(default_factory=Counter)

    def descriptor(self, kind: str) -> int:
        """Return a new descriptor of this kind."""
        if kind in {"own", "another"}:
            return os.pidfd_open(self.other if kind == "another" else os.getpid())
        return _DESCRIPTORS[kind]()


def _dead() -> int:
    with subprocess.Popen(["true"]) as dead:
        return os.pidfd_open(dead.pid)


def _pipe() -> int:
    reading, writing = os.pipe()
    os.close(writing)
    return reading


_DESCRIPTORS: Final[dict[str, Callable[[], int]]] = {
    "sealed": lambda: seal(b"value"),
    "huge": lambda: seal(b"x" * (1024 * 1024 + 1)),
    "unsealed": lambda: os.memfd_create("x"),
    "null": lambda: os.open("/dev/null", os.O_RDONLY),
    "folder": lambda: os.open("/", os.O_RDONLY),
    "pipe": _pipe,
    "socket": lambda: socket.socket(socket.AF_UNIX).detach(),
    "dead": _dead,
}


class Peer:
    """One connection of a stranger, with what it has come to own."""

    def __init__(self, cast: Cast, bus: Connection) -> None:
        self._cast = cast
        self._bus = bus
        self._token = ""
        self._requests: list[str] = []

    async def attempt(self, attempt: Attempt) -> None:
        approval = {"id": "0", "digest": "0"}
        if attempt.member in {"Decide", "Show"}:
            shown, _ = await self._call(DECISION, "Pending", "", [], [])
            mine = [one for one in json.loads(shown[0]) if one["id"] != self._cast.request]
            approval = mine[-1] if mine else approval
        words = {
            MINE: self._token,
            ITS: self._requests[-1] if self._requests else "",
            SHOWN: approval["id"],
            DIGEST: approval["digest"],
            VICTIMS: self._cast.token,
            VICTIMS_REQUEST: self._cast.request,
            HOME: self._cast.item.collection,
            ITEM: self._cast.item.item,
        }
        body = [_filled(part, words) for part in attempt.body]
        fds = [self._cast.descriptor(kind) for kind in attempt.descriptors]
        try:
            answer, received = await self._call(
                attempt.interface, attempt.member, attempt.signature, body, fds
            )
        except PrivysealError as error:
            defect = "internal error" in str(error)
            self._cast.answers["defect" if defect else type(error).__name__] += 1
            return
        finally:
            for fd in fds:
                os.close(fd)
        for fd in received:
            os.close(fd)
        self._cast.answers["answered " + attempt.member] += 1
        if attempt.interface == REQUEST and attempt.body:
            assert body[0] not in {self._cast.token, self._cast.request}, "it obeyed a stranger"
        if attempt.member == "Register":
            self._token = answer[0]
        elif attempt.member == "Submit":
            self._requests.append(json.loads(answer[0])["id"])

    async def settle(self) -> None:
        """Own a requester, and keep the store open: what comes next shall reach deep."""
        with suppress(PrivysealError):
            pidfd = self._cast.descriptor("another")
            try:
                answer, _ = await self._call(REQUEST, "Register", "hs", [0, "[]"], [pidfd])
            finally:
                os.close(pidfd)
            self._token = str(answer[0])
        if (await self._cast.home.person.status()).locked:
            await self._cast.home.person.unlock(PASSPHRASE)

    def leave(self) -> None:
        self._bus.close()

    async def _call(
        self, interface: str, member: str, signature: str, body: list[Any], fds: list[int]
    ) -> tuple[list[Any], list[int]]:
        async with asyncio.timeout(PATIENCE):
            reply = await self._bus.call(
                BUS_NAME, PATH, interface, member, signature, body, fds=fds
            )
        return reply.body, list(reply.unix_fds)


def _filled(part: Any, words: dict[str, str]) -> Any:
    if isinstance(part, str):
        for word, meaning in words.items():
            part = part.replace(word, meaning)
    return part


class Strangers:
    """One peer after the other, each with a few batches of calls at once."""

    def __init__(self, cast: Cast, group: asyncio.TaskGroup) -> None:
        self._cast = cast
        self._group = group
        self._peer: Peer | None = None
        self._batches = 0

    async def batch(self, calls: list[Attempt]) -> None:
        if self._peer is None or self._batches % BATCHES_OF_ONE_PEER == 0:
            self.leave()
            bus = await Connection.open(self._group, self._cast.home.address)
            self._peer = Peer(self._cast, bus)
        self._batches += 1
        await self._peer.settle()
        async with asyncio.TaskGroup() as batch:
            for attempt in calls:
                batch.create_task(self._peer.attempt(attempt))

    def leave(self) -> None:
        if self._peer is not None:
            self._peer.leave()
            self._peer = None


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    settings_ = {
        **dict.fromkeys(("VERDICTS_CREATE", "VERDICTS_CREATE_COLLECTION"), "allow"),
        **dict.fromkeys(
            ("VERDICTS_WRITE", "VERDICTS_CHANGE", "VERDICTS_DELETE", "VERDICTS_DELETE_COLLECTION"),
            "deny",
        ),
        "VERDICTS_SEARCH": "ask",
        "TIMING_PENDING": "7200",
        "TIMING_DENIAL_FIRST": "0",
    }
    environment = {f"PRIVYSEAL_{name}": value for name, value in settings_.items()}
    async with house(tmp_path, environment) as made:
        yield made


@pytest.fixture
def processes() -> Iterator[tuple[int, int]]:
    """Two programs that live on; return their PIDs."""
    with (
        subprocess.Popen(["sleep", "infinity"]) as one,
        subprocess.Popen(["cat"], stdin=PIPE) as two,
    ):
        yield one.pid, two.pid
        one.kill()
        two.kill()


def _open_descriptors(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def _kilobytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))


@pytest.mark.timeout(times(300, soak=7200))
async def test_no_call_breaks_the_keeper_or_reaches_what_is_another_peers(
    home: House, processes: tuple[int, int]
) -> None:
    await home.start_keeper()
    keeper = home.processes["keeper"]
    loop = asyncio.get_running_loop()
    victim = RequestLink(home.connection)
    token = await victim.register(os.pidfd_open(processes[1]))
    create = Create(collection="login", label="l", attributes={"of": "the victim"})
    ticket, _ = await victim.submit(token, create, Secret(b"the victim's"))
    assert isinstance(ticket.result, MadeItem)
    item = ticket.result.item
    await home.person.revoke((await home.person.leases())[0].id)
    pending, _ = await victim.submit(token, Read(items=(item,)))
    cast = Cast(home, processes[0], token, pending.id, item)

    async with asyncio.TaskGroup() as group:
        strangers = Strangers(cast, group)
        # What the keeper keeps for as long as the two processes live is there from now on.
        for kind in ("own", "another"):
            own = Attempt(REQUEST, "Register", "hs", [0, "[]"], [kind])
            await strangers.batch([own, own])
        strangers.leave()
        await eventually(lambda: _open_descriptors(keeper.pid) < 40)
        descriptors_before, memory_before = _open_descriptors(keeper.pid), _kilobytes(keeper.pid)

        calls: list[Attempt] = []

        @settings(
            max_examples=CALLS,
            deadline=None,
            phases=[Phase.generate],  # the keeper has a past: shrinking would not meet it again
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(attempt=attempts())
        def run(attempt: Attempt) -> None:
            calls.append(attempt)
            if len(calls) == AT_ONCE:
                asyncio.run_coroutine_threadsafe(strangers.batch(calls), loop).result()
                calls.clear()

        await asyncio.to_thread(run)
        strangers.leave()

    await eventually(lambda: _open_descriptors(keeper.pid) <= descriptors_before)
    assert _kilobytes(keeper.pid) - memory_before < MEMORY
    assert [approval.id for approval in await home.waiting()] == [pending.id]
    if (await home.person.status()).locked:
        await home.person.unlock(PASSPHRASE)
    await home.decide()
    _, released = await victim.collect(pending.id)
    assert [secret.expose() for secret in released] == [b"the victim's"]
    assert cast.answers["defect"] == 0
    assert cast.answers["answered Submit"] > CALLS / 40
    assert len(cast.answers) > len(METHODS)
    assert await home.stop("keeper") == 0
    log = (home.folder / "keeper.log").read_text()
    assert "internal error" not in log
    assert "Traceback" not in log
    verifier = Verifier()
    for file in log_files(home.folder / "state" / "audit"):
        assert all(entry.n for entry in verifier.verify(file.name, log_lines(file)))
