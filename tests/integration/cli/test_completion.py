"""Completion as the shells ask for it."""

import asyncio

import pytest
from tests.fake_decider import FakeDecider, item
from tests.integration.cli.conftest import PRIVY, Shell

from privyseal.model.ask import Read

TOKEN = item("login", "17", "GitHub\x1b[1m token")


async def complete(shell: Shell, *words: str) -> list[str]:
    """Return what bash would be offered for the last word."""
    run = await shell.privy(
        extra={
            "_PRIVY_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(["privy", *words]),
            "COMP_CWORD": str(len(words)),
        }
    )
    assert run.err == ""
    return [line.partition(",")[2] for line in run.out.splitlines() if line]


async def test_commands_and_options_are_offered(shell: Shell) -> None:
    assert await complete(shell, "appro") == ["approve"]
    assert await complete(shell, "history", "--l") == ["--limit"]
    assert await complete(shell, "approve", "--scope", "until-") == ["until-lock", "until-exit"]
    assert await complete(shell, "completion", "z") == ["zsh"]


async def test_identifiers_of_waiting_requests_are_offered(
    shell: Shell, keeper: FakeDecider
) -> None:
    keeper.wait_for_decision("3f9a11aa", Read(items=(TOKEN.ref,)), [TOKEN])

    assert await complete(shell, "approve", "3") == ["3f9a11aa"]
    assert await complete(shell, "show", "4") == []


async def test_without_a_keeper_nothing_is_offered_and_nothing_said(shell: Shell) -> None:
    assert await complete(shell, "approve", "3") == []


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
async def test_the_script_of_each_shell_calls_back(shell: Shell, name: str) -> None:
    run = await shell.privy("completion", name)

    assert (run.status, run.err) == (0, "")
    assert f"_PRIVY_COMPLETE={name}_complete" in run.out


async def test_bash_completes_with_the_script(shell: Shell) -> None:
    script = (
        'eval "$(privy completion bash)"; COMP_WORDS=(privy lis); COMP_CWORD=1; '
        '_privy_completion privy; echo "${COMPREPLY[@]}"'
    )
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", script),
        env=shell.environment | {"PATH": f"{PRIVY.parent}:{shell.environment['PATH']}"},
        stdout=asyncio.subprocess.PIPE,
    )

    assert (await process.communicate())[0] == b"list\n"


async def test_an_unknown_shell_is_refused(shell: Shell) -> None:
    run = await shell.privy("completion", "tcsh")

    assert (run.status, run.err) == (
        2,
        "privy: no shell 'tcsh'\n  try: use one of bash, zsh, fish\n",
    )
