"""One side of an import: a child that works as one user on one provider, by orders from a pipe.

Run as `python -I -m privyseal.cli.migration_courier old|new UID ADDRESS HOME`, as root or that user.
Orders come on stdin, answers go to stdout; it ends with its stdin.
"""

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Final

from privyseal.cli.lower import become
from privyseal.cli.migration_service import Service
from privyseal.cli.migration_words import Answer, Entry, Order, read_order, write_frame
from privyseal.errors import NotFoundError, PrivysealError, UnreachableError, leaves
from privyseal.runtime.bus import Connection
from privyseal.runtime.names import SECRETS
from privyseal.runtime.privatebus import PrivateBus

GNOME: Final = "org.gnome.keyring"
_AGENT: Final = b"privyseal.agent"


async def serve(service: Service, orders: IO[bytes], answers: IO[bytes]) -> None:
    """Carry out orders until there are no more."""
    loop = asyncio.get_running_loop()
    # A pool of our own: asyncio's is imported when first used, and by then we are a user who may
    # not be able to read what root installed.
    with ThreadPoolExecutor(1) as pipes:
        while (order := await loop.run_in_executor(pipes, read_order, orders)) is not None:
            try:
                answer = await carry_out(service, order)
            except PrivysealError as error:
                answer = _told(error)
            await loop.run_in_executor(pipes, write_frame, answers, answer)


async def carry_out(service: Service, order: Order) -> Answer:
    """Return what came of one order."""
    entry = order.entry or Entry()
    match order.deed:
        case "collections":
            return Answer(shelves=await service.collections(), provider=service.description)
        case "unlock":
            await service.unlock(order.path, order.passphrase)
        case "items":
            return Answer(paths=await service.items(order.path))
        case "look" | "read":
            get = service.look if order.deed == "look" else service.read
            return Answer(entry=await get(order.path))
        case "create":
            return Answer(paths=(await service.create(order.path, entry),))
        case "write":
            await service.write(order.path, entry)
        case "delete":
            await service.delete(order.path)
        case "collect":
            return Answer(paths=(await service.create_collection(order.label),))
    return Answer()


@asynccontextmanager
async def provider_of(side: str, address: str, home: Path) -> AsyncIterator[Service]:
    """Find the provider of a side: behind the bus of the companion, or wherever the old keyring is.

    Raises:
        NotFoundError: There is no old keyring.
        UnreachableError: The bus does not answer, or nobody provides secrets there.
    """
    async with asyncio.TaskGroup() as group:
        opened: list[Connection] = []
        try:
            if side == "new":
                yield await _provider(group, opened, address, SECRETS)
                return
            service = await _old(group, opened, address)
            if service is not None:
                yield service
                return
            async with _over_files(group, home) as bus:
                yield await _provider(group, opened, bus.address, SECRETS)
        finally:
            for connection in opened:
                connection.close()


async def _old(group: asyncio.TaskGroup, opened: list[Connection], address: str) -> Service | None:
    try:
        connection = await Connection.open(group, address)
    except UnreachableError:
        return None  # nobody is logged in: the files are there all the same
    opened.append(connection)
    for name in (SECRETS, GNOME):
        owner = await connection.owner(name)
        if not owner or await _is_ours(connection, owner):
            continue
        service = Service(connection, owner, await _described(connection, owner, name))
        try:
            await service.start()
        except PrivysealError:
            continue  # a gnome-keyring that runs without its Secret Service answers so
        return service
    return None


async def _provider(
    group: asyncio.TaskGroup, opened: list[Connection], address: str, name: str
) -> Service:
    connection = await Connection.open(group, address)
    opened.append(connection)
    owner = await connection.owner(name)
    if not owner:
        raise UnreachableError("no Secret Service provider runs there")
    service = Service(connection, owner, await _described(connection, owner, name))
    await service.start()
    return service


@asynccontextmanager
async def _over_files(group: asyncio.TaskGroup, home: Path) -> AsyncIterator[PrivateBus]:
    with tempfile.TemporaryDirectory(prefix="privyseal-import-") as folder:
        # Not the user's own folder: the bus sets the mode of the one it is given.
        bus = PrivateBus(group, Path(folder, "run"), _data_home(Path(folder), home))
        await bus.start()
        try:
            yield bus
        finally:
            await bus.stop()


def _data_home(folder: Path, home: Path) -> Path:
    files = home / ".local" / "share" / "keyrings"
    if not any(files.glob("*.keyring")):
        raise NotFoundError(
            "no old keyring was found: nobody but us provides secrets, and there are no files",
            hint=f"look into {files}",
        )
    data = folder / "data"
    data.mkdir(mode=0o700)
    (data / "keyrings").symlink_to(files)
    return data


async def _is_ours(connection: Connection, owner: str) -> bool:
    try:
        pid, _ = await connection.process_of(owner)
    except PrivysealError:
        return False
    return _AGENT in _proc(pid, "cmdline").split(b"\0")


async def _described(connection: Connection, owner: str, name: str) -> str:
    try:
        pid, _ = await connection.process_of(owner)
    except PrivysealError:
        return name
    return f"{os.fsdecode(_proc(pid, 'comm')).strip() or name} (pid {pid})"


def _proc(pid: int, file: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{file}").read_bytes()
    except OSError:
        return b""


def _told(error: PrivysealError) -> Answer:
    return Answer(error=error.bus_name, text=str(error), hint=error.hint)


async def run(words: list[str], orders: IO[bytes], answers: IO[bytes]) -> None:
    """Find the provider, then serve; a failure to find it answers the first order."""
    side, _, address, home = words
    try:
        async with provider_of(side, address, Path(home)) as service:
            await serve(service, orders, answers)
    except* PrivysealError as group:
        write_frame(answers, _told(leaves(group)[0]))


def main(words: list[str]) -> int:
    """Become the user and work."""
    orders = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing but answers goes there
    with orders, answers:
        try:
            become(int(words[1]))
        except PrivysealError as error:
            write_frame(answers, _told(error))
            return error.exit_status
        asyncio.run(run(words, orders, answers))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
