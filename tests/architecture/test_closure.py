"""What a program loads is pinned: the boundary is the process, and this is what stands inside."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.architecture.programs import ALLOWED, companion_modules, loaded, third_party
from tests.waiting import PATIENCE

_COMPANION = """
import os, sys
os.getuid = lambda: 61001  # whoever runs this test, it stands for the companion
from privyseal.keeper.__main__ import main
status = main()
print(*sorted(name for name in sys.modules if name.startswith("privyseal")))
sys.exit(status)
"""
_SLOW = {"asyncio", "click", "cryptography", "dbus_fast", "msgspec", "ruamel", "unittest"}
_HEAVY = {"collections", "contextlib", "enum", "functools", "json", "re", "socket", "typing"}
"""Of the standard library, but they take longer to load than all of ours: 12 ms together."""


@pytest.mark.parametrize("program", ALLOWED)
def test_a_program_loads_only_the_packages_it_may(program: str) -> None:
    assert third_party(program) - ALLOWED[program] == set()


@pytest.mark.parametrize("program", ALLOWED)
def test_no_allowance_stands_unused(program: str) -> None:
    private = {"typing_extensions", "cffi", "_cffi_backend"}  # not there on every machine
    assert ALLOWED[program] - third_party(program) - private == set()


def test_the_witness_loads_nothing_but_the_standard_library() -> None:
    names = {name.partition(".")[0] for name in loaded("privyseal.witness")}
    assert names - sys.stdlib_module_names == {"privyseal"}
    ours = {name for name in loaded("privyseal.witness") if name.startswith("privyseal")}
    pure = {"privyseal", "privyseal.wire", "privyseal.wire.procfs"}
    assert ours == {*pure, "privyseal.witness"}


@pytest.mark.parametrize("program", [name for name in ALLOWED if ".cli." in name])
def test_a_command_that_must_be_quick_loads_nothing_slow(program: str) -> None:
    roots = {name.partition(".")[0] for name in loaded(program)}
    assert roots & _SLOW == set()


@pytest.mark.parametrize("command", ["aws.exec", "aws.credential_process", "get"])
def test_what_a_lease_covers_waits_for_no_part_of_python(command: str) -> None:
    code = f"import sys, privyseal.cli.main, privyseal.cli.{command}; print(*sys.modules)"
    found = subprocess.check_output([sys.executable, "-I", "-c", code], text=True, env={}).split()

    assert "privyseal.runtime.blockingbus" in found
    assert _HEAVY.isdisjoint(found)


@pytest.mark.parametrize("program", ALLOWED)
def test_only_the_keeper_loads_the_keeper(program: str) -> None:
    if program.startswith("privyseal.keeper"):
        assert "privyseal.keeper.__main__" in loaded(program)
    else:
        assert not any(name.startswith("privyseal.keeper") for name in loaded(program))


def test_a_keeper_in_companion_mode_loads_no_store_of_its_own(tmp_path: Path) -> None:
    nowhere = f"unix:path={tmp_path}/nowhere"
    places = ["--state", str(tmp_path / "state"), "--bus-address", nowhere]
    done = subprocess.run(
        [sys.executable, "-I", "-c", _COMPANION, "--desktop-uid", "61000", *places],
        check=False,
        capture_output=True,
        text=True,
        env={"HOME": str(tmp_path), "PRIVYSEAL_BACKEND": "embedded"},
        timeout=PATIENCE,
    )
    names = set(done.stdout.split())
    assert "cannot connect to the message bus" in done.stderr
    assert "privyseal.keeper.backends.secretservice" in names
    assert names <= companion_modules("privyseal.keeper.__main__")
    stores = ("vault", "embedded", "privatebus", "choice")
    assert [name for name in names if any(store in name for store in stores)] == []


@pytest.mark.parametrize("choice", [["--backend", "embedded"], ["--store", "/tmp"]])
def test_a_companion_leaves_no_choice_of_a_backend(choice: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-m", "privyseal.keeper", "--desktop-uid", "61000", *choice],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 2
    assert "the provider on its private bus" in done.stderr
