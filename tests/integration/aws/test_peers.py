"""Whose socket is at the other end, by the kernel's own tables."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from tests.waiting import until

from privyseal.aws.servers.desk import listen
from privyseal.aws.servers.peers import TABLE, Peers, open_peers


@pytest.fixture
def connection() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The two ends of a connection on loopback: ours, and the client's."""
    with listen() as listening, socket.create_connection(listening.getsockname()) as client:
        ours, _ = listening.accept()
        with ours:
            yield ours, client


def test_our_own_process_is_admitted(connection: tuple[socket.socket, socket.socket]) -> None:
    with open_peers() as peers:
        assert peers.admits(connection[0])


def test_what_another_user_is_expected_of_is_refused(
    connection: tuple[socket.socket, socket.socket],
) -> None:
    table = os.open(TABLE, os.O_RDONLY)
    try:
        assert not Peers((table,), os.geteuid() + 1).admits(connection[0])
        assert Peers((table,), os.geteuid()).admits(connection[0])
    finally:
        os.close(table)


def test_a_socket_that_was_closed_is_nobody_s(
    connection: tuple[socket.socket, socket.socket],
) -> None:
    # Its line says user 0 then, which is who runs these tests, perhaps.
    ours, client = connection
    with open_peers() as peers:
        client.close()
        until(lambda: not peers.admits(ours))


def test_every_one_of_many_connections_is_known() -> None:
    with ExitStack() as stack:
        peers = stack.enter_context(open_peers())
        listening = stack.enter_context(listen())
        for _ in range(100):
            stack.enter_context(socket.create_connection(listening.getsockname()))
            ours, _ = listening.accept()
            stack.enter_context(ours)
            assert peers.admits(ours)


def test_tables_that_were_closed_admit_nobody(
    connection: tuple[socket.socket, socket.socket],
) -> None:
    with open_peers() as peers:
        pass
    assert not peers.admits(connection[0])
