"""Transcripts of the commands that show and decide requests."""

import asyncio
import json
import os

import msgspec
from tests.fake_decider import FakeDecider, ended, item
from tests.integration.cli.conftest import PRIVY, Shell, Transcript, terminal

from privyseal.model.approval import Lease
from privyseal.model.ask import Create, Delete, Read, Search
from privyseal.model.evidence import Evidence, Fact
from privyseal.runtime.bus import Connection
from privyseal.runtime.clock import SystemClock
from privyseal.wire.keeper import Notice

TOKEN = item("login", "17", "GitHub token", service="github.com", user="alice")
OTHER = item("login", "18", "Mail")

TOKEN_LINES = """\
READ  Read a secret
  1  GitHub token  in login/17
       service = github.com
       user = alice
asked by node agent.js
  =  program: /usr/bin/node
  ?  says it wants to: push the release branch
  !  coding agent: rule set: ask every time
"""


def read(keeper: FakeDecider, name: str = "3f9a11aa") -> None:
    keeper.wait_for_decision(name, Read(items=(TOKEN.ref,)), [TOKEN])


async def test_list_shows_what_waits_as_a_table(shell: Shell, keeper: FakeDecider) -> None:
    read(keeper)

    assert await shell.privy("list") == Transcript(
        0,
        "ID    WHAT               WHO              LEFT\n"
        "3f9a  read GitHub token  ! node agent.js  4:12\n",
        "",
    )


async def test_list_prints_nothing_when_nothing_waits(shell: Shell, keeper: FakeDecider) -> None:
    assert await shell.privy("list") == Transcript(0, "", "")
    async with terminal(shell, "list") as tty:
        assert await tty.line() == b"nothing waits\r\n"


async def test_list_shows_prefixes_long_enough_to_tell_requests_apart(
    shell: Shell, keeper: FakeDecider
) -> None:
    for name in ("3f9a11aa", "3f9a11bb", "b07c0000"):
        read(keeper, name)

    run = await shell.privy("list")

    assert [line.split()[0] for line in run.out.splitlines()[1:]] == ["3f9a11a", "3f9a11b", "b07c"]


async def test_hostile_labels_disturb_neither_list_nor_show(
    shell: Shell, keeper: FakeDecider
) -> None:
    evil = "\x1b[2J\u202eevil\n" + "x" * 10_000
    label = item("login", "1", evil, **{"a\tb\x9b": "\x1b]0;pwned\x07"})
    evidence = Evidence(summary=evil, facts=(Fact(grade="reported", name="says", value=evil),))
    keeper.wait_for_decision("3f9a11aa", Read(items=(label.ref,)), [label], evidence)
    read(keeper, "b07c0000")

    listed = await shell.privy("list")
    shown = await shell.privy("show", "3f9a")

    for out in (listed.out, shown.out):
        assert all(c.isprintable() or c == "\n" for c in out)
        assert "\u202e" not in out
    assert len(listed.out.splitlines()) == 3
    assert max(map(len, listed.out.splitlines())) < 120
    assert len({line.rindex("4:1") for line in listed.out.splitlines()[1:]}) == 1


async def test_list_json_has_the_documented_fields(shell: Shell, keeper: FakeDecider) -> None:
    read(keeper)

    [request] = json.loads((await shell.privy("list", "--json")).out)

    assert request["id"] == "3f9a11aa"
    assert request["kind"] == "read"
    assert request["state"] == "pending"
    assert request["requester"] == "node agent.js"
    assert request["items"] == [
        {
            "collection": "login",
            "item": "17",
            "label": "GitHub token",
            "attributes": {"service": "github.com", "user": "alice"},
            "locked": False,
        }
    ]
    assert request["evidence"][2] == {
        "grade": "warning",
        "name": "coding agent",
        "value": "rule set: ask every time",
    }


async def test_show_prints_what_is_put_before_a_person(shell: Shell, keeper: FakeDecider) -> None:
    read(keeper)

    assert await shell.privy("show", "3f") == Transcript(
        0, TOKEN_LINES + "request 3f9a11aa: waits, 4:12 left\n", ""
    )


async def test_show_tells_how_a_past_request_ended(shell: Shell, keeper: FakeDecider) -> None:
    read(keeper)
    past = ended(keeper.waiting.pop(), "denied", SystemClock().wall() - 125)
    keeper.ended = [msgspec.structs.replace(past, reason="not now")]

    run = await shell.privy("show", "3f")

    assert run.out.endswith("request 3f9a11aa: denied by privy 2 min ago: not now\n")


async def test_approve_sends_exactly_what_it_printed(shell: Shell, keeper: FakeDecider) -> None:
    read(keeper)

    run = await shell.privy("approve", "3f")

    assert run == Transcript(0, TOKEN_LINES, "privy: allowed 3f9a11aa\n")
    [decision] = keeper.decisions
    assert decision.allow
    assert decision.face == "cli"
    assert decision.digest == keeper.ended[0].digest
    assert decision.screen == tuple(TOKEN_LINES.splitlines())


async def test_approve_takes_a_scope_and_some_of_the_items(
    shell: Shell, keeper: FakeDecider
) -> None:
    keeper.wait_for_decision("3f9a11aa", Read(items=(TOKEN.ref, OTHER.ref)), [TOKEN, OTHER])

    run = await shell.privy("approve", "--scope", "2h", "3f9a", "--item=2")

    assert run.status == 0
    [decision] = keeper.decisions
    assert (decision.scope.kind, decision.scope.amount) == ("minutes", 120)
    assert decision.items == (OTHER.ref,)


async def test_a_long_list_of_items_reaches_the_receipt_whole(
    shell: Shell, keeper: FakeDecider
) -> None:
    many = [item("login", str(n), f"item {n}", number=str(n)) for n in range(256)]
    keeper.wait_for_decision("3f9a11aa", Read(items=tuple(i.ref for i in many)), many)

    run = await shell.privy("approve", "3f")

    assert run.status == 0
    [decision] = keeper.decisions
    assert "\n".join(decision.screen) + "\n" == run.out


async def test_approve_refuses_when_the_request_changed_meanwhile(
    shell: Shell, keeper: FakeDecider
) -> None:
    read(keeper)
    keeper.changes_before_deciding = True

    assert await shell.privy("approve", "3f") == Transcript(
        1,
        TOKEN_LINES,
        "privy: the request has changed since it was shown\n  try: look again\n",
    )


async def test_an_item_number_past_the_list_is_refused(shell: Shell, keeper: FakeDecider) -> None:
    read(keeper)

    run = await shell.privy("approve", "3f", "--item", "2")

    assert (run.status, run.err) == (2, "privy: --item wants a number from 1 to 1, not '2'\n")
    assert keeper.decisions == []


async def test_an_unknown_scope_is_refused_before_anything_is_asked(
    shell: Shell, keeper: FakeDecider
) -> None:
    read(keeper)

    run = await shell.privy("approve", "3f", "--scope", "forever")

    assert run == Transcript(
        2,
        "",
        "privy: unknown scope 'forever'\n"
        "  try: use once, 5x (uses), 15m, 2h, until-lock or until-exit\n",
    )


async def test_deny_refuses_the_request(shell: Shell, keeper: FakeDecider) -> None:
    keeper.wait_for_decision("3f9a11aa", Delete(item=TOKEN.ref), [TOKEN])

    run = await shell.privy("deny", "3f")

    assert run == Transcript(0, "", "privy: denied 3f9a11aa: delete GitHub token\n")
    assert not keeper.decisions[0].allow


async def test_a_decided_request_cannot_be_decided_again(shell: Shell, keeper: FakeDecider) -> None:
    read(keeper)
    await shell.privy("deny", "3f")

    run = await shell.privy("approve", "3f")

    assert (run.status, run.err) == (1, "privy: the request is denied already: 3f9a11aa\n")


async def test_an_ambiguous_prefix_lists_the_candidates(shell: Shell, keeper: FakeDecider) -> None:
    read(keeper, "3f9a11aa")
    read(keeper, "3f9a11bb")

    run = await shell.privy("approve", "3f")

    assert run == Transcript(2, "", "privy: '3f' names several requests: 3f9a11a, 3f9a11b\n")
    assert keeper.decisions == []


async def test_history_lists_newest_first_up_to_the_limit(
    shell: Shell, keeper: FakeDecider
) -> None:
    for name in ("aaaa1111", "bbbb2222", "cccc3333"):
        read(keeper, name)
        done = ended(keeper.waiting.pop(), "allowed", SystemClock().wall() - 65)
        keeper.ended.insert(0, done)

    run = await shell.privy("history", "--limit", "2")

    assert run.out == (
        "ID    WHAT               WHO              RESULT   WHEN\n"
        "cccc  read GitHub token  ! node agent.js  allowed  1 min ago\n"
        "bbbb  read GitHub token  ! node agent.js  allowed  1 min ago\n"
    )


async def test_leases_are_listed_and_revoked_by_prefix(shell: Shell, keeper: FakeDecider) -> None:
    keeper.granted = [
        Lease(
            id="1ea5e000",
            request="3f9a11aa",
            items=(TOKEN.ref,),
            labels=("GitHub token",),
            holder="node agent.js",
            scope="5 times",
            granted=0,
            expires=0,
            uses_left=3,
        )
    ]

    listed = await shell.privy("leases")
    revoked = await shell.privy("leases", "--revoke", "1e")

    assert listed.out == (
        "ID    WHAT          WHO            SCOPE    LEFT\n"
        "1ea5  GitHub token  node agent.js  5 times  3x\n"
    )
    assert revoked == Transcript(0, "", "privy: lease 1ea5e000 has ended\n")
    assert keeper.granted == []


async def test_watch_json_streams_what_happens(shell: Shell, keeper: FakeDecider) -> None:
    read(keeper)
    process = await shell.start("watch", "--json")
    await keeper.watched.wait()
    assert process.stdout is not None

    keeper.notice(Notice(what="asked", approval=keeper.waiting[0]))
    keeper.notice(Notice(what="locked"))
    lines = [json.loads(await process.stdout.readline()) for _ in range(2)]
    process.send_signal(2)
    run = await shell.finish(process)

    assert lines[0]["what"] == "asked"
    assert lines[0]["request"]["id"] == "3f9a11aa"
    assert lines[1] == {"what": "locked", "request": None}
    assert (run.status, run.err) == (130, "")


async def test_watch_without_a_terminal_says_what_to_do(shell: Shell, keeper: FakeDecider) -> None:
    assert await shell.privy("watch") == Transcript(
        2,
        "",
        "privy: the approval screen needs a terminal\n  try: stream with `privy watch --json`\n",
    )


async def test_companion_mode_decides_only_on_the_console(
    shell: Shell, connection: Connection
) -> None:
    await FakeDecider().serve(connection, deciding=False)

    assert await shell.privy("approve", "3f9a") == Transcript(
        4,
        "",
        "privy: 3f9a can only be decided on the console (Ctrl+Alt+F8): this is companion mode.\n",
    )


async def test_a_reader_that_left_is_no_error(shell: Shell, keeper: FakeDecider) -> None:
    read(keeper)
    reader, writer = os.pipe()
    os.close(reader)
    process = await asyncio.create_subprocess_exec(
        PRIVY, "list", env=shell.environment, stdout=writer, stderr=asyncio.subprocess.PIPE
    )
    os.close(writer)

    _, err = await process.communicate()

    assert (process.returncode, err) == (141, b"")


async def test_the_list_says_what_each_kind_is_about(shell: Shell, keeper: FakeDecider) -> None:
    new = Create(collection="login", label="Mail", attributes={"a": "b"})
    keeper.wait_for_decision("aaaa1111", new, [])
    keeper.wait_for_decision("bbbb2222", Search(attributes={"service": "mail"}), [])

    run = await shell.privy("list")

    assert "write Mail " in run.out
    assert "find service=mail " in run.out


async def test_only_a_terminal_gets_colours_and_only_for_what_they_mean(
    shell: Shell, keeper: FakeDecider
) -> None:
    read(keeper)
    async with terminal(shell, "approve", "3f", colours=True) as tty:
        seen = await tty.until(b"3f9a11aa\r\n")
    read(keeper, "b07c0000")
    async with terminal(shell, "deny", "b0", colours=True) as tty:
        seen += await tty.until(b"token\r\n")
    read(keeper, "c0c00000")
    async with terminal(shell, "deny", "c0") as tty:
        plain = await tty.until(b"token\r\n")

    assert b"\x1b[33m  !  coding agent: rule set: ask every time\x1b[0m" in seen
    assert b"\x1b[32mallowed\x1b[0m" in seen
    assert b"\x1b[31mdenied\x1b[0m" in seen
    assert seen.count(b"\x1b[") == 6
    assert b"\x1b" not in plain
