"""The first frame of a companion's console: what it says, and what it does not wait for."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.terminals import fake_terminal

from privyseal.console.opening import NO_PHRASE, paint, phrase
from privyseal.console.terminal import Terminal


def test_the_phrase_is_the_credential_that_systemd_hands_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert phrase() == NO_PHRASE
    (tmp_path / "phrase").write_text("maple.harbor.ninth\n")
    assert phrase() == "maple.harbor.ninth"


@pytest.mark.parametrize("text", [b"", b"\n", b"\x1b[2J", b"\xff" * 5000, "x\u202e\n".encode()])
def test_no_phrase_leaves_its_place(
    text: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "phrase").write_bytes(text)
    assert phrase().isprintable()
    assert 0 < len(phrase()) <= 40


def test_the_first_frame_fills_the_screen_and_says_where_one_is() -> None:
    with fake_terminal() as tty, Terminal(tty.fd, {"TERM": "linux"}) as terminal:
        paint(terminal, 8, "maple.harbor.ninth")
        assert " PRIVYSEAL   vt8   maple.harbor.ninth " in tty.lines()[1]
        assert {len(row) for row in tty.lines().values()} == {80}
        assert len(tty.lines()) == 25


def test_the_first_frame_waits_for_no_bus_no_event_loop_and_no_value_types() -> None:
    code = "import sys, privyseal.console.__main__; print(*sys.modules)"
    # Coverage, which an environment variable starts, would load modules first.
    words = subprocess.check_output([sys.executable, "-I", "-c", code], text=True, env={})
    loaded = words.split()
    assert "privyseal.console.vt" in loaded
    assert {"asyncio", "dbus_fast", "msgspec", "dataclasses", "ctypes"} & set(loaded) == set()
