"""An import between two users, neither of whom can reach the other's bus."""

import json
import os
import pwd
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.waiting import PATIENCE

from privyseal.cli.migration import Sides, Wishes, import_secrets
from privyseal.errors import UnreachableError

SCRIPT = Path(__file__).with_name("keyring_process.py")
ALICE, COMPANION = pwd.getpwnam("daemon").pw_uid, pwd.getpwnam("nobody").pw_uid

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.getuid() != 0, reason="needs root to act as two users"),
]


@contextmanager
def keyring(uid: int, count: int) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="keyring-") as folder:
        os.chown(folder, uid, pwd.getpwuid(uid).pw_gid)
        with subprocess.Popen(
            [sys.executable, SCRIPT, str(uid), folder, str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            try:
                yield process.stdout.readline().decode().strip()
            finally:
                process.communicate(timeout=PATIENCE)


@pytest.fixture
def sides() -> Iterator[Sides]:
    with keyring(ALICE, 3) as old, keyring(COMPANION, 0) as new:
        yield Sides(ALICE, old, Path("/nowhere"), COMPANION, new, "Ctrl+Alt+F8")


def test_items_move_from_one_user_to_the_other(
    sides: Sides, capsys: pytest.CaptureFixture[str]
) -> None:
    counts = []
    for _ in range(2):
        assert import_secrets(sides, Wishes(as_json=True)) == 0
        counts.append(json.loads(capsys.readouterr().out)["counts"])
    assert counts == [{"moved": 3}, {"there": 3}]


def test_a_courier_is_nobody_but_its_user(sides: Sides) -> None:
    with pytest.raises(UnreachableError):
        import_secrets(sides._replace(new_uid=ALICE), Wishes())
