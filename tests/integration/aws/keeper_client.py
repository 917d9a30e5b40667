"""Asks a keeper for AWS as a command does: `keeper_client.py ASK CODE [value]`.

With `value` that comes on standard input.

The person at this command has one code of her device, and prints what she is told.
"""

import asyncio
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from privyseal.aws.ports import Talk
from privyseal.cli.aws.talkend import TalkEnd
from privyseal.errors import DeniedError, PrivysealError, UnreachableError
from privyseal.model.ask import decode_ask
from privyseal.model.secret import Secret
from privyseal.runtime.bus import Connection
from privyseal.runtime.requestlink import RequestLink


class Person:
    """Knows one code, and opens no page."""

    def __init__(self, code: str) -> None:
        self._code = code

    def code(self, serial: str, again: str = "") -> str:
        if self._code == "wait":
            self.tell("a code is wanted")
            threading.Event().wait()
        if again or not self._code:
            raise DeniedError(f"no code for {serial}: {again}")
        return self._code

    def redirect(self) -> str:
        return ""

    def page(self, url: str, *, code: str = "", redirect: bool = False) -> str:
        return ""

    def wait(self, seconds: float) -> None:
        raise AssertionError("nothing is to be waited for")

    def tell(self, text: str) -> None:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


@contextmanager
def talking(talk: Talk) -> Iterator[socket.socket]:
    """Lend the broker's end; `talk` answers at the other one, in a thread, until the block ends."""
    with TalkEnd(lambda: talk) as end:
        far = socket.socket(fileno=socket.dup(end.theirs))
        # A thread that waits for a person can't be woken, and must not keep the program from ending.
        thread = threading.Thread(target=_serve, args=(end,), daemon=True)
        thread.start()
        try:
            yield far
        finally:
            with far:
                with suppress(OSError):
                    far.shutdown(socket.SHUT_RDWR)
                thread.join(0.5)


def _serve(end: TalkEnd) -> None:
    while end.ready():
        pass


async def ask(text: str, person: Person, value: Secret | None) -> bytes:
    """Return what was released."""
    resolved: asyncio.Queue[str] = asyncio.Queue()
    async with asyncio.TaskGroup() as group:
        connection = await Connection.open(group)
        link = RequestLink(connection)
        await link.subscribe(lambda number, _state: resolved.put_nowait(number), lambda _: None)
        await link.watch_owner(lambda: resolved.put_nowait(""), lambda: None)
        pidfd = os.pidfd_open(os.getpid())
        token = await link.register(pidfd)
        os.close(pidfd)
        try:
            with talking(person) as talk:
                ticket, values = await link.submit(token, decode_ask(text), value, talk)
                while ticket.state == "pending":
                    while (number := await resolved.get()) != ticket.id:
                        if not number:
                            raise UnreachableError("the keeper has gone")
                    ticket, values = await link.collect(ticket.id)
        finally:
            connection.close()
    if not values:
        raise PrivysealError(f"{ticket.state}: {ticket.reason}")
    return values[0].expose()


def main() -> int:
    """Print the result, or the error and how it is called."""
    text, code, *with_value = sys.argv[1:]
    value = Secret(sys.stdin.buffer.read()) if with_value else None
    status = 0
    try:
        sys.stdout.buffer.write(asyncio.run(ask(text, Person(code), value)))
    except* PrivysealError as group:
        error = group.exceptions[0]
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
