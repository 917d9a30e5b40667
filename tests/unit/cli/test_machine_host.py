"""Who may do what with a file, and parsers that take any text."""

import struct
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis.strategies import text

from privyseal.cli.machine_files import parse_keys
from privyseal.cli.machine_groups import granting_actions
from privyseal.cli.machine_host import permitted
from privyseal.cli.machine_pieces import parse_units
from privyseal.cli.machine_sudo import parse_listing


def _acl(*entries: tuple[int, int, int]) -> bytes:
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


NOBODY = 0xFFFFFFFF


@pytest.mark.parametrize(
    ("entries", "granted"),
    [
        ([(1, 6, NOBODY), (2, 6, 47110), (4, 0, NOBODY), (16, 6, NOBODY), (32, 0, NOBODY)], 6),
        ([(1, 6, NOBODY), (2, 6, 47110), (4, 0, NOBODY), (16, 4, NOBODY), (32, 0, NOBODY)], 4),
        ([(1, 6, NOBODY), (2, 6, 1001), (4, 0, NOBODY), (16, 6, NOBODY), (32, 0, NOBODY)], 0),
        ([(1, 6, NOBODY), (4, 0, NOBODY), (8, 2, 77), (16, 6, NOBODY), (32, 4, NOBODY)], 2),
    ],
)
def test_an_access_list_decides_before_the_mode(
    tmp_path: Path, entries: Sequence[tuple[int, int, int]], granted: int
) -> None:
    (tmp_path / "node").touch(mode=0o660)
    found = (tmp_path / "node").stat()
    assert permitted(found, _acl(*entries), 47110, frozenset({77})) == granted


@given(text())
def test_no_text_makes_the_parsers_raise(garbage: str) -> None:
    assert isinstance(parse_keys(garbage), frozenset)
    assert isinstance(list(parse_listing(garbage)), list)
    assert isinstance(parse_units(garbage), dict)
    assert isinstance(list(granting_actions(garbage, "alice", frozenset())), list)
