"""Every method of the table with wrong paths, wrong types, huge values and what is another peer's."""

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

import pytest
from dbus_fast import Variant
from dbus_fast.signature import SignatureTree, SignatureType
from hypothesis import HealthCheck, given, settings, strategies as st
from tests.integration.agent.stage import DEFAULT, LOGIN, Stage, call
from tests.soak import times
from tests.waiting import PATIENCE, eventually

from privyseal.errors import PrivysealError
from privyseal.runtime.bus import Connection
from privyseal.wire.introspection import TABLE
from privyseal.wire.secretservice import (
    COLLECTION,
    ITEM,
    NAME,
    PORTAL,
    PORTAL_PATH,
    PROMPT,
    ROOT,
    SERVICE,
    SESSION,
    item_path,
)

CALLS = times(400, soak=100_000)
CALLS_OF_ONE_PEER = 150

# What the victim has, in the names the face gives first; the stranger guesses them easily.
SESSION_OF_ANOTHER = f"{ROOT}/session/s1"
PROMPT_OF_ANOTHER = f"{ROOT}/prompt/p1"

paths = st.sampled_from(
    [
        *("/", "/org", ROOT, PORTAL_PATH, f"{ROOT}/collection", f"{ROOT}/aliases"),
        *(f"{ROOT}/collection/login", f"{ROOT}/collection/none", f"{ROOT}/collection/login/one"),
        *(f"{ROOT}/aliases/default", f"{ROOT}/aliases/session", f"{ROOT}/aliases/default/one"),
        *(SESSION_OF_ANOTHER, PROMPT_OF_ANOTHER, f"{ROOT}/session/s999999", f"{ROOT}/prompt/p9"),
        f"{ROOT}/collection/" + "x" * 5000,
    ]
) | st.from_regex(r"\A(/[A-Za-z0-9_]{1,8}){1,5}\Z").map(lambda tail: ROOT + tail)
ANYWHERE = [ROOT, LOGIN, DEFAULT, f"{LOGIN}/one"]
AT_HOME = {
    SERVICE: [ROOT],
    COLLECTION: [LOGIN, DEFAULT],
    ITEM: [f"{LOGIN}/one", f"{DEFAULT}/one"],
    SESSION: [SESSION_OF_ANOTHER],
    PROMPT: [PROMPT_OF_ANOTHER],
    PORTAL: [PORTAL_PATH],
}
texts = (
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
    | st.sampled_from(["plain", "default", "dh-ietf1024-sha256-aes128-cbc-pkcs7", "x" * 70_000])
    | st.sampled_from([name for shape in TABLE.values() for name in shape.properties])
    | st.sampled_from(list(TABLE))
)
blobs = st.binary(max_size=140) | st.sampled_from([b"x" * 1_048_593, b"\xff" * 129, b"\2"])
signatures = st.sampled_from(
    ["s", "ay", "u", "b", "a{ss}", "a{sv}", "ao", "as", "(oayays)", "v", "t", "aas", "a{so}"]
)
keys = st.sampled_from([f"{ITEM}.Label", f"{ITEM}.Attributes", f"{ITEM}.Type"]) | texts


def values(kind: SignatureType, depth: int = 0) -> st.SearchStrategy[Any]:
    """Return values of one complete D-Bus type."""
    token = kind.token
    if token == "v":
        inner = st.just("s") if depth > 2 else signatures
        return inner.flatmap(
            lambda s: values(SignatureTree(s).types[0], depth + 1).map(lambda v: Variant(s, v))
        )
    if token == "a" and kind.children[0].token == "{":
        key, value = kind.children[0].children
        names = keys if key.token == "s" else values(key)
        return st.dictionaries(names, values(value, depth + 1), max_size=4)
    if token == "a" and kind.children[0].token == "y":
        return blobs
    if token == "a":
        return st.lists(values(kind.children[0], depth + 1), max_size=4)
    if token == "(":
        return st.tuples(*(values(child, depth + 1) for child in kind.children)).map(list)
    return {
        "s": texts,
        "o": paths,
        "b": st.booleans(),
        "y": st.integers(0, 255),
        "u": st.integers(0, 2**32 - 1),
        "t": st.integers(0, 2**64 - 1),
        "h": st.integers(0, 3),
    }[token]


@dataclass(frozen=True)
class Attempt:
    """One call of a stranger."""

    path: str
    interface: str
    member: str
    signature: str
    body: list[Any]


@st.composite
def attempts(draw: st.DrawFn) -> Attempt:
    interface = draw(st.sampled_from(list(TABLE)))
    member, shape = draw(st.sampled_from(list(TABLE[interface].methods.items())))
    signature = shape.signatures()[0]
    if draw(st.integers(0, 4)) == 0:
        signature = draw(signatures)
    types = SignatureTree(signature).types
    body = [draw(values(kind)) for kind in types]
    # A path drawn blindly fits its interface too seldom to get past the door.
    fitting = st.sampled_from(AT_HOME.get(interface, ANYWHERE))
    return Attempt(draw(paths | fitting | fitting), interface, member, signature, body)


class Stranger:
    """Tries one call after the other, as a new peer every now and then."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._bus: Connection | None = None
        self._calls = 0
        self.answered = 0
        self.defects = 0
        self.names: set[str] = set()

    async def attempt(self, attempt: Attempt) -> None:
        if self._bus is None or self._calls % CALLS_OF_ONE_PEER == 0:
            self.leave()
            self._bus = await self._stage.connect()
        self._calls += 1
        self._stage.keeper.put("one", service="demo")
        try:
            async with asyncio.timeout(PATIENCE):
                await self._bus.call(
                    *(NAME, attempt.path, attempt.interface, attempt.member, attempt.signature),
                    attempt.body,
                )
        except PrivysealError as error:
            self.names.add(error.bus_name)
            self.defects += "internal error" in str(error)
        else:
            self.answered += 1
            foreign = {SESSION_OF_ANOTHER, PROMPT_OF_ANOTHER}
            uses = attempt.interface.startswith("org.freedesktop.Secret.")
            assert not (uses and attempt.path in foreign), "it obeyed a stranger"

    def leave(self) -> None:
        if self._bus is not None:
            self._bus.close()


async def test_no_call_breaks_the_face_or_reaches_what_is_another_peers(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    stage.keeper.verdicts |= {
        **dict.fromkeys(("create", "change", "alias", "write"), "at-once"),
        **dict.fromkeys(("read", "delete", "lock"), "deny"),
        **dict.fromkeys(("delete-collection", "create-collection", "unlock"), "refuse"),
    }
    path = item_path(stage.keeper.put("one", service="demo"))
    victim = await stage.connect()
    _, session = await call(victim, "OpenSession", "sv", ["plain", Variant("s", "")])
    _, prompt = await call(victim, "Unlock", "ao", [[path]])
    assert (session, prompt) == (SESSION_OF_ANOTHER, PROMPT_OF_ANOTHER)
    loop = asyncio.get_running_loop()
    stranger = Stranger(stage)

    @settings(
        max_examples=CALLS,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(attempt=attempts())
    def run(attempt: Attempt) -> None:
        asyncio.run_coroutine_threadsafe(stranger.attempt(attempt), loop).result()

    await asyncio.to_thread(run)
    stranger.leave()
    await eventually(lambda: len(stage.face.peers) == 1)

    assert stranger.defects == 0
    assert [record.getMessage() for record in caplog.records] == []

    assert stranger.answered > CALLS / 50
    assert len(stranger.names) > 4
    assert (len(stage.face.sessions), len(stage.face.prompts)) == (1, 1)
    # The victim's session and prompt are as they were, and serve it alone.
    stage.keeper.put("one", service="demo")
    stage.keeper.verdicts["read"] = "allow"
    await call(victim, "Prompt", "s", [""], path=prompt, interface=PROMPT)
    (secret,) = await call(victim, "GetSecret", "o", [session], path=path, interface=ITEM)
    assert secret[2] == b"s3cret"
