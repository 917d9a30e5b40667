"""`privy audit` and `privy store` as typed: exact output and status, with no keeper running."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from tests.audit_log import write_log
from tests.fakes import FakeClock
from tests.integration.cli.conftest import Shell, Transcript

from privyseal.model.secret import Secret
from privyseal.runtime.vault import create
from privyseal.wire.vault import Cost

SILENT = Transcript(0, "", "")


@pytest.fixture
async def log(tmp_path: Path) -> Path:
    folder = tmp_path / "state" / "privyseal" / "audit"
    folder.parent.mkdir(parents=True)
    await write_log(folder, requests=2, rotate_bytes=10**6)
    return folder / "audit-000001.jsonl"


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    folder = tmp_path / ".local" / "share" / "privyseal" / "store"
    with closing(
        create(folder, Secret(b"secret"), clock=FakeClock(), cost=Cost(log2_n=10))
    ) as made:
        made.create("login", "Mail", {"service": "mail"}, Secret(b"hunter2"), replace=False)
    return folder


@contextmanager
def fds(*texts: bytes) -> Iterator[list[int]]:
    with ExitStack() as stack:
        found = []
        for text in texts:
            reading, writing = os.pipe()
            stack.callback(os.close, reading)
            os.write(writing, text)
            os.close(writing)
            found.append(reading)
        yield found


async def store(shell: Shell, words: Sequence[str], **passphrases: bytes) -> Transcript:
    with fds(*passphrases.values()) as found:
        options = [
            word
            for name, fd in zip(passphrases, found, strict=True)
            for word in (f"--{name.replace('_', '-')}-fd", str(fd))
        ]
        return await shell.privy("store", *words, *options, fds=found)


async def test_verify_is_silent_and_names_a_flipped_byte(shell: Shell, log: Path) -> None:
    assert await shell.privy("audit", "verify") == SILENT

    data = bytearray(log.read_bytes())
    data[data.index(b'"event":"decided"') + 10] ^= 1
    log.write_bytes(data)
    assert await shell.privy("audit", "verify") == Transcript(
        1,
        "",
        "privy: audit-000001.jsonl, line 3, entry 3: the entry is malformed:"
        " Invalid enum value 'ddcided' - at `$.event`\n",
    )


async def test_show_prints_a_table(shell: Shell, log: Path) -> None:
    run = await shell.privy("audit", "show", "-n", "2")

    assert (run.status, run.err) == (0, "")
    assert [line.split()[0] for line in run.out.splitlines()] == ["N", "6", "7"]


async def test_a_search_without_result_is_status_3(shell: Shell, log: Path) -> None:
    assert await shell.privy("audit", "search", "no such") == Transcript(
        3, "", "privy: no entry of the audit log fits\n"
    )


async def test_without_a_log_it_says_where_it_looked(shell: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "state" / "privyseal" / "audit"
    refused = await shell.privy("audit", "verify")
    assert (refused.status, refused.out) == (3, "")
    first, hint = refused.err.splitlines()
    assert first == f"privy: there is no audit log in '{folder}'"
    assert "--folder PATH" in hint


async def test_an_export_with_a_passphrase_comes_back(
    shell: Shell, vault: Path, tmp_path: Path
) -> None:
    file = str(tmp_path / "out.age")
    wrong = await store(
        shell, ["export", file], passphrase=b"wrong", file_passphrase=b"for the file"
    )
    assert (wrong.status, wrong.out) == (4, "")
    assert not Path(file).exists()

    assert await store(
        shell, ["export", file], passphrase=b"secret", file_passphrase=b"for the file"
    ) == Transcript(0, "", "privy: exported, 1 collection, 1 item\n")
    assert await store(
        shell, ["import", file], passphrase=b"secret", file_passphrase=b"for the file"
    ) == Transcript(0, "", "privy: imported, 0 added, 1 skipped\n")


async def test_without_a_terminal_it_says_which_option_to_use(shell: Shell, vault: Path) -> None:
    assert await shell.privy("store", "export", "x.age") == Transcript(
        2,
        "",
        "privy: there is no terminal to ask for the passphrase of the store\n"
        "  try: use --passphrase-fd\n",
    )
