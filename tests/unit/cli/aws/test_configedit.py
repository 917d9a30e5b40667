"""Edits of the configuration file: shown first, put in place whole, never over another's edit."""

from pathlib import Path

import pytest

from privyseal.cli.aws.configedit import Change, print_diff, propose
from privyseal.errors import ConflictError, CorruptError, PrivysealError, UsageError
from privyseal.wire.aws.inifile import IniFile


def add_dev(file: IniFile) -> IniFile:
    return file.with_values("profile dev", {"region": "eu-west-1"})


def test_an_edit_is_shown_as_a_diff_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config"
    path.write_text("# mine\n[default]\n")
    change = propose(path, add_dev)
    print_diff(change)
    assert capsys.readouterr().out.splitlines()[2:] == [
        "@@ -1,2 +1,5 @@",
        " # mine",
        " [default]",
        "+",
        "+[profile dev]",
        "+region = eu-west-1",
    ]
    assert path.read_text() == "# mine\n[default]\n"


def test_a_file_keeps_its_mode_its_link_and_its_line_ends(tmp_path: Path) -> None:
    real = tmp_path / "dotfiles"
    real.write_bytes(b"[default]\r\nregion = x\r\n")
    real.chmod(0o644)
    link = tmp_path / "config"
    link.symlink_to(real)
    propose(link, add_dev).write()
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o644
    assert real.read_bytes() == (
        b"[default]\r\nregion = x\r\n\r\n[profile dev]\r\nregion = eu-west-1\r\n"
    )


def test_a_new_file_and_its_folder_are_for_their_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / ".aws" / "config"
    propose(path, add_dev).write()
    assert path.read_text() == "[profile dev]\nregion = eu-west-1\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_an_edit_that_changes_nothing_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "config"
    change = propose(path, lambda file: file)
    assert change.diff() == []
    change.write()
    assert not path.exists()


def test_another_edit_in_between_is_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "config"
    change = propose(path, add_dev)
    path.write_text("[profile other]\n")
    with pytest.raises(ConflictError, match="changed meanwhile"):
        change.write()
    assert path.read_text() == "[profile other]\n"
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_read_or_written_is_told_with_its_path(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_bytes(b"nonsense\n")
    with pytest.raises(CorruptError, match=r"config', line 1: "):
        propose(path, add_dev)
    path.write_bytes(b"\xff")
    with pytest.raises(UsageError, match="no text"):
        propose(path, add_dev)
    with pytest.raises(PrivysealError, match="cannot read"):
        propose(tmp_path, add_dev)
    with pytest.raises(PrivysealError, match="cannot write"):
        Change(path / "below", "", "x").write()


def test_a_line_of_the_file_cannot_trick_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config"
    path.write_text("# \u202egnp\n[default]\n")
    print_diff(propose(path, add_dev))
    assert "\u202e" not in capsys.readouterr().out
