"""A gnome-keyring of another user, open, with a few items: `keyring_process.py UID FOLDER COUNT`.

Prints the address of its bus and ends with its stdin.
"""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from privyseal.cli.lower import become
from privyseal.keeper.backends.secretservice import SecretServiceBackend
from privyseal.model.secret import Secret
from privyseal.runtime.privatebus import PrivateBus


async def main(folder: Path, count: int) -> None:
    async with asyncio.TaskGroup() as group:
        bus = PrivateBus(group, folder / "bus", folder / "data")
        await bus.start()
        backend = SecretServiceBackend(group, bus.address, "")
        await backend.unlock(Secret(b"passphrase"))
        for number in range(count):
            value = Secret(b"value %d" % number)
            await backend.create(
                "login", f"item {number}", {"n": str(number)}, value, replace=False
            )
        sys.stdout.write(f"{bus.address}\n")
        sys.stdout.flush()
        with ThreadPoolExecutor(1) as pool:  # imported while we can still read root's files
            await asyncio.get_running_loop().run_in_executor(pool, sys.stdin.read)
        await backend.close()
        await bus.stop()


if __name__ == "__main__":
    become(int(sys.argv[1]))
    asyncio.run(main(Path(sys.argv[2]), int(sys.argv[3])))
