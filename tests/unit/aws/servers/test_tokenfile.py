"""The token's file: whose, where, and for how long."""

import errno
import os
import stat
import tempfile
from pathlib import Path
from typing import Any

import pytest

from privyseal.aws.servers.tokenfile import token_file
from privyseal.errors import PrivysealError


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path / "privyseal" / "aws"


def test_the_file_is_its_user_s_alone_and_holds_the_token_and_no_line_end(runtime: Path) -> None:
    with token_file("t0ken") as path:
        assert path.parent == runtime
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(runtime.stat().st_mode) == 0o700
        assert path.read_text() == "t0ken"
    assert list(runtime.iterdir()) == []


def test_the_file_is_removed_when_the_server_fails(runtime: Path) -> None:
    with pytest.raises(RuntimeError), token_file("t0ken"):
        raise RuntimeError
    assert list(runtime.iterdir()) == []


def test_what_a_killed_server_left_is_removed_and_a_living_one_s_stays(runtime: Path) -> None:
    with token_file("living") as living:
        left = runtime / "credentials-left"
        left.write_text("old")

        with token_file("new"):
            assert not left.exists()
            assert living.read_text() == "living"


def test_a_file_that_another_server_sweeps_out_before_it_is_locked_is_made_anew(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = tempfile.mkstemp
    swept: list[str] = []

    def hasty(**how: Any) -> tuple[int, str]:
        fd, name = make(**how)
        if not swept:
            swept.append(name)
            Path(name).unlink()
        return fd, name

    monkeypatch.setattr(tempfile, "mkstemp", hasty)
    with token_file("t0ken") as path:
        assert path.read_text() == "t0ken"
        assert str(path) not in swept
    assert list(runtime.iterdir()) == []


def test_a_place_that_takes_nothing_is_named(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int, text: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(PrivysealError, match="No space left"), token_file("t0ken"):
            pytest.fail("there is no token to serve with")
    assert list(runtime.iterdir()) == []


def test_without_a_runtime_folder_the_file_has_a_private_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/proc/nowhere")
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    with token_file("t0ken") as path:
        assert path.read_text() == "t0ken"
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not path.parent.exists()


def test_a_link_in_place_of_the_folder_is_not_followed(runtime: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    runtime.parent.mkdir()
    runtime.symlink_to(elsewhere)

    with token_file("t0ken") as path:
        assert path.parent not in {runtime, elsewhere}
