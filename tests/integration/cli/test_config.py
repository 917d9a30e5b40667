"""Transcripts of `privy config`, with a script as the editor."""

import json
from pathlib import Path

import pytest
from tests.integration.cli.conftest import Shell, Transcript

MINE = "# my settings\ntiming:\n  pending: 60  # a minute\n"


@pytest.fixture
def file(shell: Shell) -> Path:
    path = Path(shell.environment["XDG_CONFIG_HOME"]) / "privyseal/config.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(MINE)
    return path


def editor(tmp_path: Path, script: str) -> dict[str, str]:
    path = tmp_path / "an editor"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return {"VISUAL": f"'{path}'"}


async def test_show_says_where_each_setting_comes_from(shell: Shell, file: Path) -> None:
    run = await shell.privy("config", "show", extra={"PRIVYSEAL_TIMING_RETRY": "7"})

    lines = run.out.splitlines()
    assert f"  pending: 60  # {file}:3" in lines
    assert "  retry: 7.0  # environment variable PRIVYSEAL_TIMING_RETRY" in lines
    assert "  intention: 10" in lines
    assert run.err == ""


async def test_what_show_prints_is_a_configuration(
    shell: Shell, file: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.yaml"
    copy.write_text((await shell.privy("config", "show")).out)

    again = await shell.privy("config", "show", "--json", "--config", str(copy))

    line = copy.read_text().splitlines().index(f"  pending: 60  # {file}:3") + 1
    assert json.loads(again.out)["timing.pending"] == {"value": 60, "origin": f"{copy}:{line}"}


async def test_show_defaults_knows_nothing_of_files(shell: Shell, file: Path) -> None:
    run = await shell.privy("config", "show", "--defaults")

    assert "  pending: 300\n" in run.out
    assert "#" not in run.out


async def test_validate_accepts_and_refuses(shell: Shell, file: Path) -> None:
    assert await shell.privy("config", "validate") == Transcript(
        0, "", "privy: the configuration is valid\n"
    )

    file.write_text("timing:\n  pendng: 60\n")

    assert await shell.privy("config", "validate") == Transcript(
        2,
        "",
        f"privy: unknown key `timing.pendng` at {file}:2: did you mean `timing.pending`?\n",
    )


async def test_an_unknown_variable_is_refused(shell: Shell) -> None:
    assert await shell.privy("config", "validate", extra={"PRIVYSEAL_TIMING_PENDNG": "1"}) == (
        Transcript(
            2,
            "",
            "privy: unknown environment variable 'PRIVYSEAL_TIMING_PENDNG': "
            "did you mean `PRIVYSEAL_TIMING_PENDING`?\n"
            "  try: remove it: variables that begin with PRIVYSEAL_ are settings\n",
        )
    )


async def test_edit_replaces_the_file_and_keeps_comments_and_mode(
    shell: Shell, file: Path, tmp_path: Path
) -> None:
    file.chmod(0o640)

    run = await shell.privy("config", "edit", extra=editor(tmp_path, 'sed -i s/60/90/ "$1"'))

    assert run == Transcript(0, "", f"privy: saved: {file}\n")
    assert file.read_text() == MINE.replace("60", "90")
    assert file.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in file.parent.iterdir()] == ["config.yaml"]


async def test_edit_of_a_link_replaces_what_it_points_to(
    shell: Shell, file: Path, tmp_path: Path
) -> None:
    real = tmp_path / "dotfiles.yaml"
    file.rename(real)
    file.symlink_to(real)

    await shell.privy("config", "edit", extra=editor(tmp_path, 'sed -i s/60/90/ "$1"'))

    assert file.is_symlink()
    assert real.read_text() == MINE.replace("60", "90")


@pytest.mark.parametrize(
    ("script", "status", "message"),
    [
        (
            'sed -i s/pending/pendng/ "$1"',
            2,
            (
                "unknown key `timing.pendng` at your draft:3: did you mean `timing.pending`?"
                "; nothing was changed"
            ),
        ),
        ("exit 3", 1, "the editor ended with status 3; nothing was changed"),
        ("true", 0, "nothing was changed"),
    ],
)
async def test_edit_changes_nothing_unless_the_draft_is_valid(
    shell: Shell, file: Path, tmp_path: Path, script: str, status: int, message: str
) -> None:
    run = await shell.privy("config", "edit", extra=editor(tmp_path, script))

    assert run == Transcript(status, "", f"privy: {message}\n")
    assert file.read_text() == MINE
    assert [path.name for path in file.parent.iterdir()] == ["config.yaml"]


async def test_edit_starts_a_new_file_with_every_key_in_a_comment(
    shell: Shell, tmp_path: Path
) -> None:
    run = await shell.privy(
        "config", "edit", extra=editor(tmp_path, 'sed -i "s/^# backend/backend/" "$1"')
    )

    assert run.status == 0
    made = Path(shell.environment["XDG_CONFIG_HOME"]) / "privyseal/config.yaml"
    assert "\nbackend: " in made.read_text()
    assert made.stat().st_mode & 0o777 == 0o600
    assert (await shell.privy("config", "validate")).status == 0


async def test_an_editor_that_is_not_there_is_named(shell: Shell, file: Path) -> None:
    run = await shell.privy("config", "edit", extra={"VISUAL": "no-such-editor -f"})

    assert run == Transcript(
        3, "", "privy: cannot start the editor 'no-such-editor -f'\n  try: set VISUAL\n"
    )
