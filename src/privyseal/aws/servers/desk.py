"""A listening socket whose connections each get a thread, if they are the user's own."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from privyseal.aws.servers.peers import Peers
from privyseal.errors import PrivysealError

Attend = Callable[[socket.socket], None]
"""Serve one connection; it is closed afterwards, and an OSError ends it."""

_BACKLOG: Final = 128
_JOIN_SECONDS: Final = 2.0


def listen(address: str = "127.0.0.1", port: int = 0, *, hops: int = 1) -> socket.socket:
    """Return a listening IPv4 socket; answers live for `hops` hops (the IMDS hop limit).

    Raises:
        OSError: The address cannot be had.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, hops)
        listening.bind((address, port))
        listening.listen(_BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


def listen_here(*, hops: int = 1) -> socket.socket:
    """Return a listening socket on a free port of loopback.

    Raises:
        PrivysealError: There is none.
    """
    try:
        return listen(hops=hops)
    except OSError as error:
        raise PrivysealError(f"cannot listen on loopback: {error.strerror}") from error


@contextmanager
def attending(
    listening: socket.socket, attend: Attend, peers: Peers, connections: int
) -> Iterator[None]:
    """Attend to the peers on a socket while the block runs, so many at a time; takes it over."""
    desk = _Desk(listening, attend, peers, connections)
    desk.start()
    try:
        yield
    finally:
        desk.stop()


class _Desk:
    def __init__(
        self, listening: socket.socket, attend: Attend, peers: Peers, connections: int
    ) -> None:
        self._listening = listening
        self._attend = attend
        self._peers = peers
        self._slots = threading.Semaphore(connections)
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._accept, name="credentials", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._slots.release()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)  # wakes accept(2), which close would not
        self._thread.join(_JOIN_SECONDS)
        self._listening.close()
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._stopping.is_set():
            self._slots.acquire()
            try:
                connection, _ = self._listening.accept()
            except OSError:
                # Out of descriptors, or a client that left; a closing socket ends the loop.
                self._slots.release()
                self._stopping.wait(0.05)
                continue
            if not (self._peers.admits(connection) and self._begin(connection)):
                connection.close()
                self._slots.release()

    def _begin(self, connection: socket.socket) -> bool:
        try:
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()
        except RuntimeError:  # the system has no more threads just now
            return False
        return True

    def _serve(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.add(connection)
        try:
            with suppress(OSError):
                self._attend(connection)
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()
            self._slots.release()
