"""The broker's side of an order: its keys come from the keeper, its person is behind a socket."""

import logging
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Final, TypeVar

from privyseal.aws.bounds import check
from privyseal.aws.items import decode_item, encode_item
from privyseal.aws.ports import Item, KeyStore, Talk
from privyseal.errors import (
    DeniedError,
    PrivysealError,
    UnreachableError,
    UnsupportedError,
    from_bus,
)
from privyseal.model.aws import Order
from privyseal.model.secret import Secret
from privyseal.model.value import decode, encode
from privyseal.runtime.memfd import read_sealed, seal
from privyseal.wire.broker import (
    MAX_PACKET,
    MAX_RESULT,
    Begin,
    Drop,
    End,
    Fetch,
    List,
    Question,
    Reply,
    Store,
)

log = logging.getLogger(__name__)

MAX_ORDERS: Final = 64
TALK_SECONDS: Final = 620.0
"""How long the person may take for one answer; a page of a portal is good for ten minutes."""

_SAY_SECONDS: Final = 5.0
_MAX_ERROR: Final = 4000

CarryOut = Callable[[Order, KeyStore, Talk, Secret | None], bytes]
_T = TypeVar("_T")


class KeeperStore:
    """The AWS items of the keeper's backend, over the socket of one order."""

    description = "the keeper's store"

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._asking = threading.Lock()  # a portal's roles are listed in several threads at once

    def entries(self) -> Mapping[str, Mapping[str, str]]:
        """Return the key of every entry with its notes."""
        found: dict[str, Mapping[str, str]] = {}
        after = ""
        while entries := self._ask(List(after=after))[0].entries:
            found |= {entry.key: entry.notes for entry in entries}
            if entries[-1].key <= after:
                raise UnreachableError("the keeper lists its entries in circles")
            after = entries[-1].key
        return found

    def read(self, key: str) -> Item:
        """Return one entry.

        Raises:
            NotFoundError: There is none under this key.
            CorruptError: There is one, but it is not an entry of this kind.
        """
        _, value = self._ask(Fetch(key=key))
        if value is None:
            raise UnreachableError("the keeper sent no value")
        return decode_item(value.expose())._replace(key=key)

    def write(self, item: Item) -> None:
        """Keep an entry, in place of the one with the same key."""
        # To aws-vault the label is the key.
        store = Store(key=item.key, label=item.key, notes=dict(item.notes))
        self._ask(store, encode_item(item))

    def remove(self, key: str) -> None:
        """Forget an entry.

        Raises:
            NotFoundError: There is none under this key.
        """
        self._ask(Drop(key=key))

    def _ask(self, question: Question, value: bytes | None = None) -> tuple[Reply, Secret | None]:
        with self._asking:
            send(self._link, question, value)
            reply, fds = receive(self._link, Reply, "the keeper's reply")
        with _closing(fds):
            if reply.error:
                raise from_bus(reply.error_name, reply.error, reply.hint)
            found = Secret(read_sealed(fds[0], limit=MAX_RESULT)) if fds else None
        return reply, found


class TalkLink(socket.socket):
    """A talk socket whose other end may do as it likes: never read, never answer, flood.

    Whoever sent it may still hold this very end, and set it to whatever it likes; so no waiting is
    left to the socket. It ends as well when the keeper gives the `order` up.
    """

    order: socket.socket | None = None

    def send(self, data: object, flags: int = 0) -> int:
        """Send a packet, or give up after a few seconds."""
        self._until(select.POLLOUT, _SAY_SECONDS)
        assert isinstance(data, bytes)  # noqa: S101 - what a talk sends
        return super().send(data, flags | socket.MSG_DONTWAIT)

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """Receive a packet, or give up when no person takes as long."""
        deadline = time.monotonic() + TALK_SECONDS
        while True:
            self._until(select.POLLIN, deadline - time.monotonic())
            with suppress(BlockingIOError):  # another holder of this end was faster
                return super().recv(bufsize, flags | socket.MSG_DONTWAIT)

    def _until(self, event: int, seconds: float) -> None:
        poll = select.poll()
        poll.register(self.fileno(), event)
        if self.order is not None:
            poll.register(self.order.fileno(), select.POLLIN)
        ready = dict(poll.poll(max(seconds, 0) * 1000))
        if not ready:
            raise TimeoutError("the command that asked does not answer")
        if self.order is not None and self.order.fileno() in ready:
            raise ConnectionResetError("the keeper gave the order up")


def serve(link: socket.socket, carry_out: CarryOut) -> None:
    """Take orders from the keeper until it hangs up; each has a thread."""
    slots = threading.BoundedSemaphore(MAX_ORDERS)
    while True:
        try:
            packet, fds, _, _ = socket.recv_fds(link, 1, 1, socket.MSG_CMSG_CLOEXEC)
        except OSError:
            return
        if not packet:
            return
        if not fds:
            continue
        slots.acquire()  # the keeper keeps to a number of its own, which is no larger
        order = socket.socket(fileno=fds[0])
        thread = threading.Thread(target=_serve, args=(order, carry_out, slots), daemon=True)
        thread.start()


def _serve(link: socket.socket, carry_out: CarryOut, slots: threading.BoundedSemaphore) -> None:
    try:
        with link:
            serve_order(link, carry_out)
    finally:
        slots.release()


def serve_order(link: socket.socket, carry_out: CarryOut) -> None:
    """Carry out one order and end it; a keeper that has hung up hears nothing of it."""
    end, result = End(), None
    try:
        result = _carried_out(link, carry_out)
    except PrivysealError as error:
        end = _ended(error)
    except ModuleNotFoundError as error:
        text = f"Python's package {error.name!r} is not installed, and AWS cannot be called"
        end = _ended(UnsupportedError(text, hint="install it: pip install 'privyseal[aws]'"))
    except Exception:  # a defect in one order must not end all others
        log.exception("internal error in an order")
        end = End(error="internal error in the AWS broker: see its log")
    with suppress(PrivysealError):
        send(link, end, result)


def _carried_out(link: socket.socket, carry_out: CarryOut) -> bytes:
    from privyseal.aws.talk import SocketTalk  # noqa: PLC0415 - where a package is missing, say so

    begin, fds = receive(link, Begin, "the order", fds=2)
    with ExitStack() as opened:
        opened.enter_context(_closing(fds))
        check(begin)
        value = Secret(read_sealed(fds[1], limit=MAX_RESULT)) if fds[1:] else None
        person = opened.enter_context(_person(fds[:1]))
        person.order = link
        talk = SocketTalk(person, link)
        talk.tell("")
        result = carry_out(begin.order, KeeperStore(link), talk, value)
    if len(result) > MAX_RESULT:
        raise PrivysealError("AWS answered with more than fits")
    return result


def _person(fds: list[int]) -> TalkLink:
    """Return the way to the person; where none was sent it has ended already."""
    if not fds:
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with near, far:
            return TalkLink(fileno=os.dup(near.fileno()))
    number = os.dup(fds[0])
    try:
        link = TalkLink(fileno=number)
    except OSError as error:
        os.close(number)
        raise DeniedError("the command that asked sent no socket to talk on") from error
    if (link.family, link.type) != (socket.AF_UNIX, socket.SOCK_SEQPACKET):
        link.close()
        raise DeniedError("a talk socket is an AF_UNIX socket of packets")
    return link


def _ended(error: PrivysealError) -> End:
    return End(
        error=str(error)[:_MAX_ERROR] or "failed",
        error_name=error.bus_name,
        hint=error.hint[:_MAX_ERROR],
    )


def send(link: socket.socket, what: object, value: bytes | None = None) -> None:
    """Send a packet to the keeper, with a value in a memfd beside it.

    Raises:
        UnreachableError: It has hung up.
    """
    fds = [] if value is None else [seal(value)]
    with _closing(fds):
        try:
            socket.send_fds(link, [encode(what)], fds)
        except OSError as error:
            raise UnreachableError("the keeper gave the order up") from error


def receive(
    link: socket.socket, kind: type[_T], what: str, *, fds: int = 1
) -> tuple[_T, list[int]]:
    """Return the keeper's next packet, and the descriptors beside it, which the caller closes.

    Raises:
        UnreachableError: It has hung up.
    """
    try:
        packet, found, _, _ = socket.recv_fds(link, MAX_PACKET, fds, socket.MSG_CMSG_CLOEXEC)
    except OSError:
        packet, found = b"", []
    try:
        if not packet:
            raise UnreachableError("the keeper gave the order up")
        return decode(packet, kind, what=what), found
    except PrivysealError:
        _close(found)
        raise


def is_own(link: socket.socket, pid: int = 0) -> bool:
    """Return whether a process of our own user is at the other end, and just this one if named."""
    size = struct.calcsize("3i")
    peer, uid, _ = struct.unpack("3i", link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return uid == os.getuid() and pid in {0, peer}


@contextmanager
def _closing(fds: Sequence[int]) -> Iterator[None]:
    try:
        yield
    finally:
        _close(fds)


def _close(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)
