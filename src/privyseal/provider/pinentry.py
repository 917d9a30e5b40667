"""A pinentry for the gpg-agent of a companion: it asks on the trusted console.

gpg-agent starts it (`pinentry-program` in gpg-agent.conf) and speaks Assuan with it on standard
input and output. Whatever it has to ask goes through `org.privyseal.Decision1.Pin` on the private
bus. It has no terminal and no window of its own.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing, suppress
from functools import partial
from typing import Final

from privyseal.errors import (
    DeniedError,
    ExpiredError,
    LimitError,
    PrivysealError,
    UnreachableError,
)
from privyseal.model.secret import Secret
from privyseal.runtime import serve
from privyseal.runtime.bus import Connection
from privyseal.runtime.memfd import read_sealed
from privyseal.wire import assuan
from privyseal.wire.assuan import Command, Commands
from privyseal.wire.keeper import BUS_NAME, DECISION, PATH

Ask = Callable[[str], Awaitable[Secret]]
"""Returns what a person typed; raises DeniedError when they cancelled."""

_MAX_PASSPHRASE: Final = 4096
_MAX_TIMEOUT: Final = 24 * 3600
_AHEAD: Final = 64
_YES: Final = b"yes"
_FACTS: Final = {"FLAVOR": b"privyseal", "VERSION": b"1.2.1", "TTYINFO": b"- - -"}
_TEXTS: Final = {
    "SETTITLE": "title",
    "SETERROR": "error",
    "SETDESC": "description",
    "SETPROMPT": "prompt",
}
# What only matters to a program that draws a window.
_IGNORED: Final = frozenset(
    {"OPTION", "SETKEYINFO", "SETOK", "SETCANCEL", "SETNOTOK", "NOP", "CLEARPASSPHRASE"}
)


class Pinentry:
    """The conversation with one gpg-agent: commands in, lines out."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._texts: dict[str, str] = {}
        self._seconds: int | None = None
        self.asking = False
        self.over = False
        self._verbs: Mapping[str, Callable[[str], bytes | Awaitable[bytes]]] = {
            "GETPIN": self._get_pin,
            "CONFIRM": self._confirm,
            "MESSAGE": _nothing,  # there is nothing to decide, and nobody to wait for
            "GETINFO": _info,
            "SETTIMEOUT": self._set_timeout,
            "RESET": self._reset,
            "BYE": self._bye,
            **{verb: partial(self._set_text, name) for verb, name in _TEXTS.items()},
            **dict.fromkeys(_IGNORED, _nothing),
        }

    async def answer(self, command: Command) -> bytes:
        """Return the answer to a command; it may take as long as a person takes."""
        verb = self._verbs.get(command.verb)
        if verb is None:  # SETREPEAT among them: gpg-agent then asks a second time itself
            return assuan.failed(assuan.UNKNOWN_COMMAND, "unknown command")
        answer = verb(command.argument)
        return answer if isinstance(answer, bytes) else await answer

    async def _get_pin(self, _argument: str) -> bytes:
        answer = await self._asked(self._text())
        if isinstance(answer, bytes):
            return answer
        value = answer.expose()
        return (assuan.data(value) if value else b"") + assuan.done()

    async def _confirm(self, argument: str) -> bytes:
        if "--one-button" in argument:
            return _nothing(argument)
        answer = await self._asked(f"{self._text()} Type {_YES.decode()} to confirm.")
        if isinstance(answer, bytes):
            return answer
        if answer.expose().strip().lower() != _YES:
            return assuan.failed(assuan.NOT_CONFIRMED, "not confirmed")
        return assuan.done()

    async def _asked(self, text: str) -> Secret | bytes:
        """Return what a person typed, or the line that says why they did not."""
        self._texts.pop("error", None)  # said once, as every pinentry does
        self.asking = True
        try:
            async with asyncio.timeout(self._seconds):
                return await self._ask(text)
        except TimeoutError:
            return assuan.failed(assuan.TIMEOUT, "nobody answered in time")
        except ExpiredError as error:
            return assuan.failed(assuan.TIMEOUT, str(error))
        except DeniedError:
            return assuan.failed(assuan.CANCELLED, "cancelled")
        except UnreachableError as error:
            return assuan.failed(assuan.NO_PIN_ENTRY, str(error))
        except PrivysealError as error:
            return assuan.failed(assuan.GENERAL, str(error))
        finally:
            self.asking = False

    def _text(self) -> str:
        parts = [self._texts.get(name, "") for name in ("title", "error", "description", "prompt")]
        # In one line: the console breaks it where it is full, and shows a line's end as a mark.
        return " ".join(" ".join(parts).split()) or "a passphrase is needed"

    def _set_timeout(self, argument: str) -> bytes:
        if not (argument.isascii() and argument.isdigit() and len(argument) < 10):  # noqa: PLR2004 - digits of a 32-bit number
            return assuan.failed(assuan.WRONG_PARAMETER, "a timeout is a number of seconds")
        self._seconds = min(int(argument), _MAX_TIMEOUT) or None  # 0: no limit
        return assuan.done()

    def _set_text(self, name: str, text: str) -> bytes:
        self._texts[name] = text
        return assuan.done()

    def _reset(self, _argument: str) -> bytes:
        self._texts.clear()
        self._seconds = None
        return assuan.done()

    def _bye(self, _argument: str) -> bytes:
        self.over = True
        return assuan.done("closing connection")


def _nothing(_argument: str) -> bytes:
    return assuan.done()


def _info(what: str) -> bytes:
    fact = str(os.getpid()).encode() if what == "pid" else _FACTS.get(what.upper())
    if fact is None:
        return assuan.failed(assuan.WRONG_PARAMETER, "unknown value for GETINFO")
    return assuan.data(fact) + assuan.done()


async def converse(
    pinentry: Pinentry, reader: asyncio.StreamReader, send: Callable[[bytes], None]
) -> None:
    """Answer until BYE or the end of input; the end also takes back a question that is open."""
    queue: asyncio.Queue[Command | None] = asyncio.Queue(_AHEAD)

    async def answer() -> None:
        while not pinentry.over and (command := await queue.get()) is not None:
            send(await pinentry.answer(command))

    async with asyncio.TaskGroup() as group:
        answering = group.create_task(answer(), name="answers")
        reading = group.create_task(_read(reader, queue, send), name="input")
        await asyncio.wait({answering, reading}, return_when=asyncio.FIRST_COMPLETED)
        if pinentry.asking:
            answering.cancel()
        reading.cancel()


async def _read(
    reader: asyncio.StreamReader,
    queue: "asyncio.Queue[Command | None]",
    send: Callable[[bytes], None],
) -> None:
    commands = Commands()
    while data := await reader.read(assuan.MAX_LINE):
        try:
            found = commands.feed(data)
        except LimitError as error:
            send(assuan.failed(assuan.GENERAL, str(error)))
            break
        for command in found:
            await queue.put(command)
    await queue.put(None)


def main() -> int:
    """Serve one gpg-agent on standard input and output; return the exit status."""
    parser = argparse.ArgumentParser(prog="privyseal.provider.pinentry", description=__doc__)
    parser.add_argument("--bus-address", help="the private bus; default: the session bus")
    # gpg-agent hands over what it knows of displays and colours.
    options, _unused = parser.parse_known_args()
    serve.harden()
    serve.log_to_stderr()
    return serve.to_the_end(_run(options.bus_address))


async def _run(address: str | None) -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)

    def send(lines: bytes) -> None:
        with suppress(BrokenPipeError):  # gpg-agent may have gone while a person thought
            sys.stdout.buffer.write(lines)
            sys.stdout.buffer.flush()

    async with asyncio.TaskGroup() as group:

        async def ask(text: str) -> Secret:
            with closing(await Connection.open(group, address)) as connection:
                return await pin(connection, text)

        send(assuan.done("Pleased to meet you"))
        await converse(Pinentry(ask), reader, send)


async def pin(connection: Connection, text: str) -> Secret:
    """Let the keeper ask for a passphrase on the console.

    Raises:
        DeniedError: The person cancelled.
        UnreachableError: There is no keeper.
    """
    owner = await connection.owner(BUS_NAME)
    if not owner:
        raise UnreachableError("the keeper does not run")
    reply = await connection.call(owner, PATH, DECISION, "Pin", "s", [text])
    try:
        if reply.signature != "h" or len(reply.unix_fds) != 1:
            raise UnreachableError("the keeper answered Pin with something else")
        return Secret(read_sealed(reply.unix_fds[0], limit=_MAX_PASSPHRASE))
    finally:
        for fd in reply.unix_fds:
            os.close(fd)


if __name__ == "__main__":
    sys.exit(main())
