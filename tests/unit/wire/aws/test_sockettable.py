"""The socket tables of /proc: whose is the other end."""

import sys

import pytest
from hypothesis import given, strategies as st

from privyseal.wire.aws.sockettable import End, Owner, find_owner

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
REST = "00000000:00000000 00:00000000 00000000"
HERE = End("127.0.0.1", 0x8235)
THERE = End("169.254.169.254", 80)
LITTLE = sys.byteorder == "little"
OWN = "0100007F:8235" if LITTLE else "7F000001:8235"
OTHER = "FEA9FEA9:0050" if LITTLE else "A9FEA9FE:0050"
MAPPED = "0000000000000000FFFF0000" if LITTLE else "00000000000000000000FFFF"


def line(own: str = OWN, other: str = OTHER, uid: str = "1000", inode: str = "77") -> str:
    return f"   0: {own} {other} 01 {REST} {uid:>5}        0 {inode} 1 0000000000000000 20 4 30 10 -1\n"


def test_the_owner_of_the_other_end_is_found() -> None:
    table = HEAD + line(own=OTHER, other=OWN, uid="1") + line()

    assert find_owner(table, HERE, THERE) == Owner(1000, 77)


def test_an_ipv6_socket_that_talks_to_an_ipv4_address_is_found() -> None:
    table = HEAD + line(own=MAPPED + OWN, other=MAPPED + OTHER, uid="5")

    assert find_owner(table, HERE, THERE) == Owner(5, 77)


@pytest.mark.parametrize("there", [End("169.254.169.254", 81), End("169.254.169.253", 80)])
def test_another_connection_is_not_it(there: End) -> None:
    assert find_owner(HEAD + line(), HERE, there) is None


@pytest.mark.parametrize("wrong", [{"uid": "x"}, {"inode": "-"}, {"uid": "-1"}])
def test_a_line_that_no_kernel_writes_is_passed_over(wrong: dict[str, str]) -> None:
    assert find_owner(HEAD + line(**wrong), HERE, THERE) is None
    assert find_owner(HEAD + line(**wrong) + line(), HERE, THERE) == Owner(1000, 77)


@given(table=st.text())
def test_no_table_makes_it_raise(table: str) -> None:
    assert find_owner(HEAD + table, HERE, THERE) is None
