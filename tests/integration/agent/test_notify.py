"""Notifications on a real bus: a fake notification server, a fake keeper, and a forger."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from tests.integration.rig import ended, house
from tests.unit.console.sample import approval, hostile, item
from tests.waiting import eventually

from privyseal.agent.board import SERVER, SERVER_PATH
from privyseal.agent.notify import Notifier
from privyseal.model.approval import Approval
from privyseal.model.decision import Decision
from privyseal.model.value import decode, encode
from privyseal.runtime.bus import Call, Connection, Method, Reply
from privyseal.runtime.keeper import DecisionLink
from privyseal.wire.keeper import BUS_NAME, DECISION, PATH, Notice


@dataclass
class FakeServer:
    """A notification server that keeps what it shows and presses buttons when told to."""

    connection: Connection
    shown: dict[int, list[Any]] = field(default_factory=dict)
    last: int = 0
    at_once: str = ""

    async def start(self) -> None:
        self.connection.serve(
            {
                (SERVER, "Notify"): Method("susssasa{sv}i", "u", self._notify),
                (SERVER, "CloseNotification"): Method("u", "", self._close),
                (SERVER, "GetCapabilities"): Method("", "as", self._capabilities),
            }
        )
        await self.connection.claim(SERVER)

    async def _notify(self, call: Call) -> Reply:
        number = call.body[1]
        if number not in self.shown:
            self.last += 1
            number = self.last
        self.shown[number] = call.body
        if self.at_once:
            self.press(self.at_once, number)
        return Reply([number])

    async def _close(self, call: Call) -> Reply:
        self.shown.pop(call.body[0], None)
        return Reply()

    async def _capabilities(self, _call: Call) -> Reply:
        return Reply([["actions", "body", "body-markup"]])

    def texts(self) -> list[str]:
        return [f"{body[3]}\n{body[4]}" for body in self.shown.values()]

    def key(self, label: str, number: int = 0) -> str:
        actions: list[str] = self.shown[number or max(self.shown)][5]
        return actions[actions.index(label) - 1]

    def press(self, label: str, number: int = 0) -> None:
        number = number or max(self.shown)
        invoke(self.connection, number, self.key(label, number))


def invoke(connection: Connection, number: int, key: str) -> None:
    connection.emit(SERVER_PATH, SERVER, "ActionInvoked", "us", [number, key])


@dataclass
class FakeKeeper:
    """A keeper that has approvals and notes decisions."""

    connection: Connection
    pending: dict[str, Approval] = field(default_factory=dict)
    decisions: list[Decision] = field(default_factory=list)
    watcher: str = ""

    async def start(self) -> None:
        self.connection.serve(
            {
                (DECISION, "Watch"): Method("", "", self._watch),
                (DECISION, "Pending"): Method("", "s", self._pending),
                (DECISION, "Decide"): Method("s", "s", self._decide),
            }
        )
        await self.connection.claim(BUS_NAME)

    async def _watch(self, call: Call) -> Reply:
        self.watcher = call.sender
        return Reply()

    async def _pending(self, _call: Call) -> Reply:
        return Reply([encode(list(self.pending.values())).decode()])

    async def _decide(self, call: Call) -> Reply:
        decision = decode(call.body[0], Decision, what="a decision")
        self.decisions.append(decision)
        state = "allowed" if decision.allow else "denied"
        ended = msgspec.structs.replace(self.pending.pop(decision.request), state=state)
        self.tell(Notice(what="resolved", approval=ended))
        return Reply([encode(ended).decode()])

    def ask(self, *approvals: Approval) -> None:
        for asked in approvals:
            self.pending[asked.id] = asked
            self.tell(Notice(what="asked", approval=asked))

    def tell(self, notice: Notice) -> None:
        self.connection.emit(
            PATH, DECISION, "Event", "s", [encode(notice).decode()], to=self.watcher
        )


@dataclass
class Desk:
    """Everything on the bus of one test."""

    server: FakeServer
    keeper: FakeKeeper
    forger: Connection

    async def shows(self, number: int) -> None:
        await eventually(lambda: len(self.server.shown) == number)

    async def answered(self) -> None:
        """Return when everything sent so far has been looked at: a later request is on show."""
        self.keeper.ask(approval("marker", evidence=msgspec.structs.replace(
            approval().content.evidence, summary="marker")))  # fmt: skip
        await eventually(lambda: any("marker" in text for text in self.server.texts()))


@asynccontextmanager
async def running(path: Any, *, buttons: bool = True, server: bool = True) -> AsyncIterator[Desk]:
    async with house(path) as home, asyncio.TaskGroup() as group:
        links = [await Connection.open(group, home.address) for _ in range(4)]
        desk = Desk(FakeServer(links[0]), FakeKeeper(links[1]), links[2])
        await desk.keeper.start()
        if server:
            await desk.server.start()
        notifier = Notifier(links[3], DecisionLink(links[3]), buttons=buttons)
        task = group.create_task(notifier.run())
        await eventually(lambda: bool(desk.keeper.watcher))
        try:
            yield desk
        finally:
            task.cancel()
            await asyncio.wait({task})
            for link in links:
                link.close()


@pytest.fixture
async def desk(tmp_path: Any) -> AsyncIterator[Desk]:
    async with running(tmp_path) as made:
        yield made


async def test_the_approve_button_approves_what_was_shown(desk: Desk) -> None:
    desk.keeper.ask(approval())
    await desk.shows(1)
    (text,) = desk.server.texts()
    desk.server.press("Approve")
    await desk.shows(0)
    (decision,) = desk.keeper.decisions
    assert (decision.request, decision.allow, decision.face) == ("3f9a", True, "notification")
    assert decision.digest == approval().digest
    assert "\n".join(decision.screen) == text
    assert "GitHub token" in text


async def test_a_button_counts_that_was_pressed_before_the_server_has_answered(desk: Desk) -> None:
    desk.server.at_once = "Approve"
    desk.keeper.ask(approval())
    await eventually(lambda: bool(desk.keeper.decisions))
    assert desk.keeper.decisions[0].allow
    await desk.shows(0)


async def test_the_deny_button_denies(desk: Desk) -> None:
    desk.keeper.ask(approval())
    await desk.shows(1)
    desk.server.press("Deny")
    await desk.shows(0)
    assert [decision.allow for decision in desk.keeper.decisions] == [False]


async def test_a_forged_answer_approves_nothing(desk: Desk) -> None:
    desk.keeper.ask(approval())
    await desk.shows(1)
    # Even with the right identifier and the right key: the sender is not the server.
    invoke(desk.forger, max(desk.server.shown), desk.server.key("Approve"))
    desk.forger.emit(SERVER_PATH, SERVER, "NotificationClosed", "uu", [1, 2])
    await desk.answered()
    assert desk.keeper.decisions == []


@pytest.mark.parametrize("key", ["approve", "default", "0", ""])
async def test_a_guessed_key_approves_nothing(desk: Desk, key: str) -> None:
    desk.keeper.ask(approval())
    await desk.shows(1)
    invoke(desk.server.connection, max(desk.server.shown), key)
    await desk.answered()
    assert desk.keeper.decisions == []


async def test_a_button_counts_once(desk: Desk) -> None:
    desk.keeper.ask(approval())
    await desk.shows(1)
    key = desk.server.key("Approve")
    for _ in range(3):
        invoke(desk.server.connection, 1, key)
    await desk.answered()
    assert len(desk.keeper.decisions) == 1


async def test_changed_content_needs_a_new_look(desk: Desk) -> None:
    desk.keeper.ask(approval())
    await desk.shows(1)
    key = desk.server.key("Approve")
    changed = approval(items=(item("Bank token"),))
    desk.keeper.ask(changed)
    await eventually(lambda: any("Bank token" in text for text in desk.server.texts()))
    invoke(desk.server.connection, 1, key)
    await desk.answered()
    assert desk.keeper.decisions == []


async def test_a_notification_closes_when_its_request_ends(desk: Desk) -> None:
    desk.keeper.ask(approval())
    await desk.shows(1)
    ended = msgspec.structs.replace(approval(), state="expired")
    desk.keeper.tell(Notice(what="resolved", approval=ended))
    await desk.shows(0)


async def test_a_flood_of_one_requester_shares_one_notification(desk: Desk) -> None:
    desk.keeper.ask(*(approval(f"{n:04}") for n in range(30)))
    await eventually(lambda: any("30 requests wait" in text for text in desk.server.texts()))
    assert len(desk.server.shown) == 1
    assert all(body[5] == [] for body in desk.server.shown.values())


async def test_what_does_not_fit_cannot_be_approved_unseen(desk: Desk) -> None:
    desk.keeper.ask(approval(items=tuple(item(f"Token {n}") for n in range(4))))
    await desk.shows(1)
    (body,) = desk.server.shown.values()
    assert body[5][1::2] == ["Deny"]
    assert "and 1 more" in body[4]
    assert "Decide in privy watch" in body[4]


@pytest.mark.parametrize(("gives", "answer"), [("s", ["many"]), ("", []), ("ab", [[True]])])
async def test_a_server_that_breaks_the_rules_does_not_end_the_notifier(
    tmp_path: Any, gives: str, answer: list[Any]
) -> None:
    asked: list[str] = []

    async def notify(call: Call) -> Reply:
        asked.append(call.member)
        return Reply(answer)

    async with running(tmp_path, server=False) as desk:
        liar = desk.forger
        liar.serve({(SERVER, "Notify"): Method("susssasa{sv}i", gives, notify)})
        await liar.claim(SERVER)
        liar.emit(SERVER_PATH, SERVER, "ActionInvoked", "s", ["x"])
        liar.emit(SERVER_PATH, SERVER, "NotificationClosed", "", [])
        desk.keeper.ask(approval())
        await eventually(lambda: bool(asked))
        await liar.release(SERVER)
        await desk.server.start()
        await desk.shows(1)


async def test_hostile_text_stays_text(desk: Desk) -> None:
    evil = item('<a href="x">&amp;</a>\nAsked by: you\u202e\x1b')
    desk.keeper.ask(approval(items=(evil,)), hostile())
    await desk.shows(2)
    for text in desk.server.texts():
        assert text.isprintable() or set(text) - {"\n"} == {c for c in text if c.isprintable()}
        assert "<" not in text
        assert len(text) < 1000
    first = desk.server.texts()[0].splitlines()
    assert first[1].startswith("What: &lt;a href=&quot;x&quot;&gt;&amp;amp;")
    assert first[2].startswith("Asked by: node")


async def test_a_dismissed_notification_does_not_come_back(desk: Desk) -> None:
    desk.keeper.ask(approval())
    await desk.shows(1)
    desk.server.shown.clear()
    desk.server.connection.emit(SERVER_PATH, SERVER, "NotificationClosed", "uu", [1, 2])
    await desk.answered()
    assert len(desk.server.shown) == 1


async def test_another_server_is_followed(desk: Desk) -> None:
    desk.keeper.ask(approval())
    await desk.shows(1)
    await desk.server.connection.release(SERVER)
    other = FakeServer(desk.forger)
    await other.start()
    await eventually(lambda: len(other.shown) == 1)
    invoke(desk.server.connection, 1, other.key("Approve"))
    other.press("Deny")
    await eventually(lambda: bool(desk.keeper.decisions))
    assert [decision.allow for decision in desk.keeper.decisions] == [False]


async def test_without_buttons_a_notification_only_informs(tmp_path: Any) -> None:
    async with running(tmp_path, buttons=False) as desk:
        desk.keeper.ask(approval())
        await desk.shows(1)
        (body,) = desk.server.shown.values()
        assert body[5] == []
        assert "Decide on the console" in body[4]


async def test_without_a_server_it_stays_quiet_and_says_so_once(
    tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with running(tmp_path, server=False) as desk:
        desk.keeper.ask(approval())
        await eventually(lambda: "no notification server" in caplog.text)
        desk.keeper.ask(approval("b07c"))
        await desk.server.start()
        await desk.shows(2)
    assert caplog.text.count("no notification server") == 1


async def test_requests_that_waited_before_are_shown_and_all_go_with_the_notifier(
    tmp_path: Any,
) -> None:
    async with running(tmp_path, server=False) as desk:
        desk.keeper.ask(approval())
        await desk.server.start()
        await desk.shows(1)
        server = desk.server
    assert server.shown == {}


async def test_a_real_client_gets_its_secret_stored_by_the_button(tmp_path: Any) -> None:
    async with house(tmp_path) as home, asyncio.TaskGroup() as group:
        connection = await Connection.open(group, home.address)
        server = FakeServer(connection)
        await server.start()
        await home.start_keeper()
        await home.start_agent()
        client = await home.client(
            "secret-tool", "store", "--label=mail", "service", "mail", value=b"s3cr3t"
        )
        await eventually(lambda: any("What: mail" in text for text in server.texts()))
        assert not any("s3cr3t" in text for text in server.texts())
        server.press("Approve")
        assert (await ended(client)).status == 0
        await eventually(lambda: server.shown == {})
        connection.close()
