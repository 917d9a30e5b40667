"""A socket for dbus-fast that waits while the kernel's send buffer is full.

dbus-fast 5.2 writes on until the kernel says EAGAIN, and takes that for the end of the connection:
one long reply with another message behind it would end the process. Here EAGAIN is "nothing was
sent", upon which dbus-fast waits until the socket is writable again.
"""

import socket
from collections.abc import Sequence
from typing import Any


class PatientSocket:
    """The sending half of a non-blocking socket."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._unsent: Sequence[Any] = ()

    def send(self, data: memoryview) -> int:
        """Return how much of `data` was taken, 0 while there is no room."""
        if self._unsent:
            return self.sendmsg([data], self._unsent)
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0

    def sendmsg(self, buffers: Sequence[memoryview], ancillary: Sequence[Any]) -> int:
        """Do the same with descriptors; dbus-fast gives them once, so they are kept until sent."""
        self._unsent = ancillary
        try:
            sent = self._socket.sendmsg(buffers, ancillary)
        except BlockingIOError:
            return 0
        self._unsent = ()
        return sent
