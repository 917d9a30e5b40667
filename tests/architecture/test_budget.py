"""The trusted base stays small enough to be read whole."""

from tests.architecture.programs import (
    BUDGET,
    SOURCE,
    TRUSTED,
    code_lines,
    third_party,
    trusted_files,
)

_COUNTED = '''"""Module docstring,
two lines."""

import os  # 1


def first(text: str = """a
b""") -> str:  # a comment does not hide code: 2 and 3
    """Docstring."""
    # a comment of its own

    return os.fspath(  # 4
        text  # 5
    )  # 6


LIMIT = 3  # 7
"""What the limit is for."""
'''


def test_code_is_counted_without_blanks_comments_and_docstrings() -> None:
    assert code_lines(_COUNTED) == 7


def test_the_trusted_base_is_within_its_budget() -> None:
    sizes = {str(p.relative_to(SOURCE)): code_lines(p.read_text()) for p in trusted_files()}
    assert sum(sizes.values()) <= BUDGET, sorted(sizes.items(), key=lambda pair: -pair[1])[:10]


def test_the_program_that_runs_as_root_is_short() -> None:
    assert code_lines((SOURCE / "witness.py").read_text()) <= 300


def test_the_trusted_base_rests_on_three_packages() -> None:
    packages = set().union(*map(third_party, TRUSTED))
    private = {"typing_extensions", "cffi", "_cffi_backend"}
    assert packages - private <= {"dbus_fast", "msgspec", "cryptography"}
