"""The link to the AWS broker, a process of its own: our child, or the companion's behind a socket.

It is found again when it dies; the orders that it was at then fail, and are not tried again.
"""

import asyncio
import os
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from privyseal.errors import PrivysealError, UnreachableError, from_bus
from privyseal.keeper.awsitems import AwsItems
from privyseal.keeper.pins import Pins
from privyseal.model.aws import AccessKey, Keep, Known, Order, Vaulted
from privyseal.model.secret import Secret
from privyseal.model.value import decode, encode
from privyseal.runtime.memfd import read_sealed, seal
from privyseal.wire import broker as wire

ORDER_SECONDS: Final = 900.0
"""The longest an order may take: a sign-in at a portal waits ten minutes for its person."""

MAX_ORDERS: Final = 60
MAX_LOOKS: Final = 4

_VARIABLES: Final = {"HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "XDG_RUNTIME_DIR"}
"""What a broker of our own takes from the surroundings."""


class Broker:
    """The broker across its lives; several orders are carried out at once."""

    def __init__(self, items: AwsItems, pins: Pins, path: Path | None, *, companion: bool) -> None:
        self.items = items
        self._pins = pins
        self._path = path
        self._companion = companion
        self._link: socket.socket | None = None
        self._child: asyncio.subprocess.Process | None = None
        self._starting = asyncio.Lock()
        # So that whoever only looks never takes the place of an order.
        self._slots = asyncio.Semaphore(MAX_ORDERS), asyncio.Semaphore(MAX_LOOKS)

    async def carry_out(
        self,
        order: Order,
        talk: int = -1,
        value: Secret | None = None,
        endpoints: Sequence[str] = (),
    ) -> Secret:
        """Return what comes of an order, a JSON text; `talk` is the caller's descriptor.

        Raises:
            PrivysealError: What the broker said, or that it could not be asked.
        """
        begin = wire.Begin(order=order, companion=self._companion, endpoints=tuple(endpoints))
        try:
            async with self._slots[isinstance(order, Known)], asyncio.timeout(ORDER_SECONDS):
                if isinstance(order, Keep) and order.typed:
                    value = await self._typed(order.name)
                with await self._dial() as peer:
                    _send(peer, begin, value, talk)
                    return await self._serve(peer)
        except TimeoutError:
            raise UnreachableError("the AWS broker did not finish in time") from None
        except OSError as error:
            text = "the AWS broker ended before it was done"
            raise UnreachableError(text, hint="ask again") from error

    async def known(self) -> Vaulted:
        """Return what is kept for AWS, without a secret."""
        found = await self.carry_out(Known())
        return decode(found.expose(), Vaulted, what="the broker's list")

    def end(self) -> None:
        """Hang up, and end a broker of our own, with what it has in memory."""
        if self._link is not None:
            self._link.close()
            self._link = None
        if self._child is not None:
            with suppress(ProcessLookupError):
                self._child.kill()

    async def close(self) -> None:
        """End it, and return when it has."""
        self.end()
        if self._child is not None:
            await self._child.wait()

    async def _serve(self, peer: socket.socket) -> Secret:
        while True:
            question, value = await _receive(peer)
            if isinstance(question, wire.End):
                if value is not None and not question.error:
                    return value
                text = question.error or "the broker gave no result"
                raise from_bus(question.error_name, text, question.hint)
            try:
                reply, value = await self.items.answer(question, value)
            except PrivysealError as error:
                name, value = error.bus_name, None
                reply = wire.Reply(error=str(error), error_name=name, hint=error.hint)
            _send(peer, reply, value)

    async def _typed(self, name: str) -> Secret:
        """Return a key that the person types at the console."""
        parts = [
            await self._pins.ask("", f"The {what} of the key {name!r}", ORDER_SECONDS, "AWS")
            for what in ("access key id", "secret access key")
        ]
        key, secret = (part.expose().decode(errors="replace").strip() for part in parts)
        return Secret(encode(AccessKey(access_key_id=key, secret_access_key=secret)))

    async def _dial(self) -> socket.socket:
        """Return our end of a new order's socket."""
        ours, theirs = _pair()
        with theirs:
            for _ in range(2):  # the one that we know of may have ended since the last order
                with suppress(OSError):
                    socket.send_fds(await self._reach(), [b"o"], [theirs.fileno()])
                    return ours
                self.end()
        ours.close()
        raise UnreachableError("the AWS broker does not start", hint="see `privy doctor`")

    async def _reach(self) -> socket.socket:
        async with self._starting:
            if self._link is None and self._path is not None:
                self._link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                self._link.setblocking(False)  # noqa: FBT003  # the standard library's signature
                self._link.connect(str(self._path))
            elif self._link is None:
                self._link, theirs = _pair()
                fd = theirs.fileno()
                with theirs:
                    self._child = await asyncio.create_subprocess_exec(
                        *[sys.executable, "-I", "-m", "privyseal.aws", "--fd", str(fd)],
                        stdin=asyncio.subprocess.DEVNULL,
                        pass_fds=[fd],
                        env={name: os.environ[name] for name in _VARIABLES & os.environ.keys()},
                    )
            return self._link


def _pair() -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)  # noqa: FBT003  # the standard library's signature
    return ours, theirs


def _send(
    peer: socket.socket, what: wire.Begin | wire.Reply, value: Secret | None, talk: int = -1
) -> None:
    memory = [seal(value.expose())] if value is not None else []
    try:
        socket.send_fds(peer, [encode(what)], [talk, *memory] if talk >= 0 else memory)
    finally:
        for fd in memory:
            os.close(fd)


async def _receive(peer: socket.socket) -> tuple[wire.Question, Secret | None]:
    """Return the broker's next packet with the value beside it.

    Raises:
        PrivysealError: It breaks the rules.
        OSError: It is gone.
    """
    readable = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(peer.fileno(), readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(peer.fileno())
    text, fds, _, _ = socket.recv_fds(peer, wire.MAX_PACKET, 1, socket.MSG_CMSG_CLOEXEC)
    try:
        if not text:
            raise ConnectionResetError
        value = Secret(read_sealed(fds[0], limit=wire.MAX_RESULT)) if fds else None
        return wire.decode_question(text), value
    finally:
        for fd in fds:
            os.close(fd)
