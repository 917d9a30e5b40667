"""Transcripts of the commands that show and decide requests."""

from privyseal.model.ask import Read
from tests.fake_decider import FakeDecider, item
from tests.integration.cli.conftest import Shell

TOKEN = item("login", "17", "GitHub token", service="github.com", user="alice")


async def test_list_shows_what_waits_as_a_table(shell: Shell, keeper: FakeDecider) -> None:
    keeper.wait_for_decision("3f9a11aa", Read(items=(TOKEN.ref,)), [TOKEN])

    run = await shell.privy("list")

    assert run.err == ""
    assert run.out == (
        "ID    WHAT               WHO              LEFT\n"
        "3f9a  read GitHub token  ! node agent.js  4:12\n"
    )
    assert run.status == 0
