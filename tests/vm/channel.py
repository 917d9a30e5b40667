"""Lines of JSON over a Unix socket, as QEMU's monitor and the guest speak them."""

import json
import socket
import time
from pathlib import Path
from typing import Final

_BUFFER: Final = 65536
_CONNECT_SECONDS: Final = 20


class HungError(Exception):
    """The machine does not answer: nothing more can be checked on it."""


class Channel:
    """One connection; a message is one JSON object on one line."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._received = b""
        deadline = time.monotonic() + _CONNECT_SECONDS
        while True:
            try:
                self._socket.connect(str(path))
            except OSError as error:
                if time.monotonic() > deadline:
                    raise HungError(f"nobody listens at {path.name}: {error}") from error
                time.sleep(0.02)
            else:
                return

    def send(self, message: dict[str, object]) -> None:
        """Send one message.

        Raises:
            HungError: The other end is gone, or does not read.
        """
        self._socket.settimeout(30)
        try:
            self._socket.sendall(json.dumps(message).encode() + b"\n")
        except OSError as error:
            raise HungError(f"a message could not be sent: {error}") from error

    def receive(self, seconds: float) -> dict[str, object]:
        """Return the next message.

        Raises:
            HungError: None came in time, or the other end is gone.
        """
        deadline = time.monotonic() + seconds
        while b"\n" not in self._received:
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                data = self._socket.recv(_BUFFER)
            except OSError as error:
                raise HungError(f"no answer in {seconds:.0f} s: {error}") from error
            if not data:
                raise HungError("the machine ended")
            self._received += data
        line, self._received = self._received.split(b"\n", 1)
        message: dict[str, object] = json.loads(line)
        return message

    def close(self) -> None:
        """End the connection."""
        self._socket.close()
