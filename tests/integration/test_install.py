"""`scripts/install.sh` says what it wants before it touches anything."""

import subprocess
from pathlib import Path

import pytest

INSTALL = Path(__file__).parents[2] / "scripts" / "install.sh"


def _refusal(*words: str) -> str:
    done = subprocess.run([INSTALL, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    return done.stderr


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_the_usage_is_printed_on_request(word: str) -> None:
    done = subprocess.run([INSTALL, word], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Installs Privyseal for this machine")
    assert "\n  scripts/install.sh --remove [--prefix /opt/privyseal]\n" in done.stdout
    assert "set -euo" not in done.stdout


@pytest.mark.root
def test_what_cannot_be_installed_is_refused_in_one_line(tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "somebody's").touch()
    refusals = {
        ("--frobnicate",): "unknown option '--frobnicate'",
        ("--prefix",): "--prefix wants a folder",
        ("--prefix", "/opt/with space"): "cannot stand in a unit",
        ("--prefix", str(full)): "holds something else",
        ("--prefix", str(tmp_path / "new"), "--offline"): "--offline needs --wheelhouse",
        ("--prefix", str(tmp_path / "new"), "--wheelhouse", "/nonexistent"): "there is no folder",
        ("--prefix", str(tmp_path / "new"), "--remove"): "nothing is installed",
    }
    for words, text in refusals.items():
        refused = _refusal(*words)
        assert text in refused
        assert refused.startswith("install: ")
        assert refused.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["full"]
