"""The companion's account and home, and who may change our code."""

import json
import os
import sys
from pathlib import Path

import pytest
from tests.unit.cli.graded import Machine

from privyseal.cli.machine_account import import_path, loaded_from


@pytest.mark.parametrize(
    ("place", "old", "new", "check"),
    [
        ("etc/passwd", "privyseal-47110:x", "other:x", "account"),
        ("etc/passwd", "/usr/sbin/nologin", "/bin/bash", "login shell"),
        ("etc/shadow", "privyseal-47110:!*", "privyseal-47110:$6$abc", "password"),
        (
            "etc/group",
            "privyseal:x:900:",
            "privyseal:x:900:\ntty:x:5:privyseal-47110",
            "its groups",
        ),
    ],
)
def test_an_account_that_is_more_than_a_companion_is_broken(
    machine: Machine, place: str, old: str, new: str, check: str
) -> None:
    machine.write(place, (machine.root / place).read_text().replace(old, new))
    assert (machine.only().check, machine.only().state) == (check, "broken")


def test_a_home_that_others_may_enter_is_broken(machine: Machine) -> None:
    (machine.root / "var/lib/privyseal/47110").chmod(0o750)
    assert (machine.only().check, machine.only().state) == ("home", "broken")


def test_the_interpreter_and_our_code_are_among_what_is_looked_at() -> None:
    places = loaded_from()
    for needed in (Path(sys.executable), Path(sys.executable).resolve(), Path(json.__file__)):
        assert any(place == needed or place in needed.parents for place in places)


def test_code_that_others_may_write_is_named(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "module.py").touch()
    (tmp_path / "lib" / "module.py").chmod(0o666)
    finding = import_path([tmp_path / "lib"], tmp_path / "lib")
    assert finding.state == "broken"
    assert str(tmp_path) in finding.text


@pytest.mark.root
@pytest.mark.skipif(os.getuid() != 0, reason="needs root, whose files are the sound ones")
def test_code_of_root_is_sound_until_a_folder_above_it_is_not(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "module.py").touch()
    tmp_path.chmod(0o755)
    assert import_path([tmp_path / "lib"], tmp_path).state == "ok"
    tmp_path.chmod(0o777)
    assert import_path([tmp_path / "lib"], tmp_path).state == "broken"


def test_code_that_the_companion_cannot_read_is_broken(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    module = tmp_path / "lib" / "module.py"
    module.touch()
    module.chmod(0o640)
    finding = import_path([tmp_path / "lib"], tmp_path / "lib")
    assert (finding.state, finding.text) == (
        "broken",
        f"{module} cannot be read by other users: mode 0640",
    )
    module.chmod(0o644)
    tmp_path.chmod(0o700)
    assert f"{tmp_path} lets no other user in" in import_path([tmp_path / "lib"], tmp_path).text
