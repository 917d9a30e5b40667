"""One script of unchanged clients, run on gnome-keyring and on us: the transcripts are the same."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from tests.integration.keyring_bus import keyring_bus, open_backend
from tests.integration.rig import House, ended, house

from privyseal.errors import PrivysealError
from privyseal.model.secret import Secret

Run = Callable[..., Awaitable[str]]

SECRETSTORAGE = """
import secretstorage
with secretstorage.dbus_init() as bus:
    ring = secretstorage.get_default_collection(bus)
    print(ring.is_locked(), ring.collection_path)
    ring.create_item("mail", {"app": "x", "user": "ann"}, b"one")
    ring.create_item("mail", {"app": "x", "user": "bob"}, b"two")
    ring.create_item("mail again", {"app": "x", "user": "bob"}, b"three", replace=True)
    for item in sorted(ring.search_items({"app": "x"}), key=lambda i: i.get_label()):
        print(item.unlock(), item.is_locked(), item.get_label(), item.get_secret())
        print(sorted(item.get_attributes().items()), item.get_created() > 10**9)
    (bob,) = secretstorage.search_items(bus, {"user": "bob"})
    bob.unlock()
    bob.set_label("post"); bob.set_attributes({"app": "y"})
    bob.unlock()
    bob.set_secret(b"\\0\\xff"); bob.unlock()
    print(bob.get_label(), bob.get_attributes(), bob.get_secret())
    print(list(ring.search_items({"user": "bob"})))
    bob.unlock(); bob.delete()
    print(len(list(ring.search_items({"app": "y"}))))
    try:
        secretstorage.Item(bus, bob.item_path).get_label()
    except secretstorage.ItemNotFoundException as error:
        print("gone")
    print(secretstorage.Collection(bus, "/org/freedesktop/secrets/aliases/login").get_label())
"""

KEYRING = """
from keyring.backends.SecretService import Keyring
ring = Keyring()
ring.set_password("mail", "ann", "pa55 \\u00e4")
ring.set_password("mail", "ann", "newer")
print(ring.get_password("mail", "ann"), ring.get_password("mail", "nobody"))
print(ring.get_credential("mail", None).username)
ring.delete_password("mail", "ann")
print(ring.get_password("mail", "ann"))
try:
    ring.delete_password("mail", "ann")
except Exception as error:
    print(type(error).__name__)
"""

GDBUS = ["gdbus", "call", "--session", "-d", "org.freedesktop.secrets", "-o"]
ROOT = "/org/freedesktop/secrets"
SERVICE = "org.freedesktop.Secret.Service"


async def script(run: Run) -> list[str]:
    """Do what people do; return the transcript."""
    store = ("secret-tool", "store", "--label=demo")
    return [
        await run(*store, "service", "demo", "user", "ann", value=b"first"),
        await run(*store, "service", "demo", "user", "bob", value=b"second\nline"),
        await run(*store, "service", "demo", "user", "ann", value=b"replaced"),
        await run("secret-tool", "lookup", "service", "demo", "user", "ann"),
        await run("secret-tool", "lookup", "service", "demo", "user", "bob"),
        await run("secret-tool", "lookup", "service", "none"),
        await run("secret-tool", "search", "--all", "service", "demo"),
        await run("secret-tool", "search", "--all", "--unlock", "service", "demo"),
        await run("secret-tool", "clear", "service", "demo", "user", "bob"),
        await run("secret-tool", "search", "--all", "service", "demo"),
        await run("secret-tool", "clear", "service", "none"),
        await run(sys.executable, "-c", SECRETSTORAGE),
        await run(sys.executable, "-c", KEYRING),
        await run(*GDBUS, ROOT, "-m", f"{SERVICE}.ReadAlias", "default"),
        await run(*GDBUS, ROOT, "-m", f"{SERVICE}.ReadAlias", "nothing"),
        await run(*GDBUS, ROOT, "-m", f"{SERVICE}.SearchItems", "{'service': 'none'}"),
        await run(*GDBUS, ROOT, "-m", f"{SERVICE}.Unlock", f"['{ROOT}/collection/login']"),
        await run(*GDBUS, ROOT, "-m", f"{SERVICE}.OpenSession", "plain", "<''>"),
        await run(*GDBUS, ROOT, "-m", f"{SERVICE}.OpenSession", "rot13", "<''>"),
    ]


def normal(text: str) -> str:
    """Return a transcript without what differs from run to run: times, item names, wording."""
    text = re.sub(r"(created|modified) = .*", r"\1 = TIME", text)
    text = re.sub(r"collection/login/\w+", "collection/login/ITEM", text)
    text = re.sub(r"^\[/\w+\]$", "[/ITEM]", text, flags=re.MULTILINE)
    text = re.sub(r"session/\w+", "session/ID", text)
    text = re.sub(r"(org\.freedesktop\.[\w.]*Error\.\w+): .*", r"\1", text)
    # gnome-keyring names a default of its own as soon as it has read its file back from the disk.
    text = re.sub(r"^schema = org\.freedesktop\.Secret\.Generic\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"(, )?\(?'xdg:schema'[:,] 'org\.freedesktop\.Secret\.Generic'\)?", "", text)
    # The order of items and of their attributes is nobody's promise.
    return "\n".join(sorted(text.splitlines()))


def transcript(status: int, out: bytes, err: bytes) -> str:
    return normal(f"status {status}\n{out.decode()}\n{err.decode()}")


async def on_gnome_keyring(folder: Path) -> list[str]:
    async with keyring_bus(folder) as bus:
        async with open_backend(bus.address) as backend:
            await backend.unlock(Secret(b"pw"))

        async def run(*argv: str, value: bytes = b"") -> str:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={
                    "PATH": os.environ["PATH"],
                    "LC_ALL": "C.UTF-8",
                    "HOME": str(folder),
                    "DBUS_SESSION_BUS_ADDRESS": bus.address,
                },
            )
            out, err = await process.communicate(value)
            return transcript(process.returncode or 0, out, err)

        return await script(run)


@asynccontextmanager
async def agreeable(home: House) -> AsyncIterator[None]:
    """Let a person allow whatever comes."""

    async def person() -> None:
        while True:
            try:
                await home.decide()
            except PrivysealError:  # the client was faster than the person
                continue
            except TimeoutError:
                continue

    async with asyncio.TaskGroup() as group:
        task = group.create_task(person())
        yield
        task.cancel()


async def on_us(folder: Path) -> list[str]:
    async with house(folder) as home:
        await home.start_keeper()
        await home.start_agent()

        async def run(*argv: str, value: bytes = b"") -> str:
            outcome = await ended(await home.client(*argv, value=value))
            return transcript(outcome.status, outcome.out, outcome.err.encode())

        async with agreeable(home):
            return await script(run)


async def test_the_same_script_gives_the_same_results(tmp_path: Path) -> None:
    theirs_folder, ours_folder = tmp_path / "theirs", tmp_path / "ours"
    theirs_folder.mkdir()
    ours_folder.mkdir()
    theirs = await on_gnome_keyring(theirs_folder)
    ours = await on_us(ours_folder)
    assert ours == theirs
