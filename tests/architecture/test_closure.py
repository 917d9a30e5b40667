"""What a program loads is pinned: the boundary is the process, and this is what stands inside."""

import sys

import pytest
from tests.architecture.programs import ALLOWED, loaded, third_party

_SLOW = {"asyncio", "click", "cryptography", "dbus_fast", "msgspec", "ruamel", "unittest"}


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


@pytest.mark.parametrize("program", ALLOWED)
def test_only_the_keeper_loads_the_keeper(program: str) -> None:
    if program.startswith("privyseal.keeper"):
        assert "privyseal.keeper.__main__" in loaded(program)
    else:
        assert not any(name.startswith("privyseal.keeper") for name in loaded(program))
