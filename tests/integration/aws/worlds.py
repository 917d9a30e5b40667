"""Every kind of store with what it lives on: real programs where this system has them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import secretstorage
from jeepney.io.blocking import open_dbus_connection
from secretstorage.util import DBusAddressWrapper, format_secret, open_session
from tests.fakes import FakeClock
from tests.fakes_stores import MemoryStore
from tests.integration.aws import fake_security
from tests.integration.aws.fake_connect import TOKEN, VAULT, fake_connect
from tests.integration.aws.fake_kwallet import fake_kwallet
from tests.integration.aws.fake_opsdk import TOKEN as SDK_TOKEN, Sdk
from tests.integration.gnupg_folder import gnupg_folder
from tests.private_bus import private_bus
from tests.waiting import PATIENCE, until

from privyseal.aws.choice import StoreOptions, open_store
from privyseal.aws.ports import KeyStore
from privyseal.aws.stores.agefiles import Passage
from privyseal.aws.stores.file import FileStore
from privyseal.aws.stores.keychain import KeychainStore
from privyseal.aws.stores.keyctl import KeyctlStore
from privyseal.aws.stores.kwallet import KWalletStore
from privyseal.aws.stores.notes import NotedStore, NoteFile
from privyseal.aws.stores.onepassword import OnePasswordStore
from privyseal.aws.stores.opconnect import ConnectVault
from privyseal.aws.stores.opsdk import SdkVault
from privyseal.aws.stores.passtool import Pass
from privyseal.aws.stores.secretservice import SecretServiceStore
from privyseal.aws.stores.tree import TreeStore
from privyseal.aws.stores.wincred import WinCredStore
from privyseal.model.secret import Secret

PASSPHRASE = b"correct horse"
COLLECTION = "awsvault"
# From the documentation of age: a key for examples.
IDENTITY = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"


@contextmanager
def memory(_folder: Path) -> Iterator[KeyStore]:
    yield MemoryStore()


@contextmanager
def file(folder: Path) -> Iterator[KeyStore]:
    def passphrase(*, new: bool) -> Secret:
        del new
        return Secret(PASSPHRASE)

    yield FileStore(folder / "keys", passphrase, FakeClock(), rounds=1000)


class PassWorld(NamedTuple):
    """A tree of pass with a key of GnuPG's to it."""

    top: Path
    environment: Mapping[str, str]

    def run(self, *words: str, given: bytes = b"") -> bytes:
        """Run pass itself."""
        done = subprocess.run(
            ["pass", *words], input=given, env=self.environment, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@contextmanager
def pass_world() -> Iterator[PassWorld]:
    """Make a tree that `pass init` has made ready."""
    with gnupg_folder() as folder:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "GNUPGHOME": str(folder / ".gnupg"),
            "PASSWORD_STORE_DIR": str(folder / "store"),
            "LC_ALL": "C.UTF-8",
        }
        quick = ["gpg", "--batch", "--passphrase", "", "--quick-generate-key", "ada@example.org"]
        subprocess.run(
            [*quick, "future-default", "default", "never"],
            env=environment,
            check=True,
            capture_output=True,
        )
        world = PassWorld(folder / "store", environment)
        world.run("init", "ada@example.org")
        yield world


@contextmanager
def pass_(folder: Path) -> Iterator[KeyStore]:
    with pass_world() as world:
        yield pass_store(world, folder, "aws-vault")


@contextmanager
def pass_without_prefix(folder: Path) -> Iterator[KeyStore]:
    with pass_world() as world:
        yield pass_store(world, folder, "")


def pass_store(world: PassWorld, folder: Path, prefix: str) -> NotedStore:
    cipher = Pass("pass", world.top, world.environment)
    tree = TreeStore(world.top, prefix, cipher, NoteFile(folder / "verdicts.json"))
    return NotedStore(tree, NoteFile(folder / "notes.json"))


@contextmanager
def passage(folder: Path) -> Iterator[KeyStore]:
    (folder / "identities").write_text(f"# an example\n{IDENTITY}\n")
    environment = {"PASSAGE_IDENTITIES_FILE": str(folder / "identities"), "HOME": str(folder)}
    cipher = Passage(folder / "store", environment)
    tree = TreeStore(folder / "store", "aws-vault", cipher, NoteFile(folder / "verdicts.json"))
    yield NotedStore(tree, NoteFile(folder / "notes.json"))


# Keeps the commands of passage, and none of its secrets.
PASSAGE = """\
#!/bin/sh
set -e
case "$1 $2 $3" in
  "insert -m -f") mkdir -p "$(dirname "$PASSAGE_DIR/$4")" && cat > "$PASSAGE_DIR/$4.age" ;;
  "rm -f "*) rm "$PASSAGE_DIR/$3.age" ;;
  show*) cat "$PASSAGE_DIR/$2.age" ;;
  *) exit 1 ;;
esac
"""


@contextmanager
def passage_program(folder: Path) -> Iterator[KeyStore]:
    program = folder / "passage"
    program.write_text(PASSAGE)
    program.chmod(0o755)
    options = StoreOptions(backend="passage", pass_dir=str(folder / "store"), pass_cmd=str(program))
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    yield open_store(options._replace(pass_prefix="aws-vault"), environment)


@contextmanager
def gnome_keyring(folder: Path) -> Iterator[str]:
    """Run gnome-keyring on a bus of its own, a collection made in it; yield the bus's address."""
    with private_bus(folder) as address:
        environment = {
            **os.environ,
            "DBUS_SESSION_BUS_ADDRESS": address,
            "HOME": str(folder),
            "XDG_DATA_HOME": str(folder / "data"),
            "XDG_RUNTIME_DIR": str(folder),
        }
        daemon = subprocess.Popen(
            ["gnome-keyring-daemon", "--foreground", "--components=secrets", "--unlock"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert daemon.stdin is not None
            daemon.stdin.write(PASSPHRASE)
            daemon.stdin.close()
            make_collection(address)
            yield address
        finally:
            daemon.terminate()
            daemon.wait(PATIENCE)


def make_collection(address: str) -> None:
    """Make the collection without the prompt that it would take on a desktop."""
    with open_dbus_connection(address) as bus:
        until(lambda: secretstorage.check_service_availability(bus))
        session = open_session(bus)
        service = DBusAddressWrapper(
            "/org/freedesktop/secrets",
            "org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface",
            bus,
        )
        label = {"org.freedesktop.Secret.Collection.Label": ("s", COLLECTION)}
        service.call(
            "CreateWithMasterPassword",
            "a{sv}(oayays)",
            label,
            format_secret(session, PASSPHRASE, "text/plain"),
        )


@contextmanager
def secret_service(folder: Path) -> Iterator[KeyStore]:
    with gnome_keyring(folder) as address:
        yield SecretServiceStore(COLLECTION, address=address)


@contextmanager
def kwallet(folder: Path) -> Iterator[KeyStore]:
    with private_bus(folder) as address, fake_kwallet(address, 6):
        store = KWalletStore(6, address=address)
        yield NotedStore(store, NoteFile(folder / "notes.json"))


@contextmanager
def keyctl(folder: Path) -> Iterator[KeyStore]:
    ring = keyctl_says("newring", f"test-{folder.name}-{os.getpid()}", "@u")
    try:
        store = KeyctlStore(os.environ, scope=ring)
        yield NotedStore(store, NoteFile(folder / "notes.json"))
    finally:
        keyctl_says("unlink", ring, "@u")


def keyctl_says(*words: str) -> str:
    """Run keyctl; only a container without keyrings may lack them."""
    if not shutil.which("keyctl"):
        pytest.fail("keyctl is missing: run `scripts/setup.sh dev`")
    done = subprocess.run(["keyctl", *words], capture_output=True, text=True, check=False)
    if "not permitted" in done.stderr or "not implemented" in done.stderr:
        pytest.skip("NOT TESTED: this container has no kernel keyrings")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@contextmanager
def connect(folder: Path) -> Iterator[KeyStore]:
    with fake_connect() as server:
        vault = ConnectVault(server.url, VAULT, Secret(TOKEN.encode()), timeout=PATIENCE)
        store = OnePasswordStore(vault, prefix="aws-vault", tag="aws-vault")
        yield NotedStore(store, NoteFile(folder / "notes.json"))


@contextmanager
def service_account(folder: Path) -> Iterator[KeyStore]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "onepassword", Sdk().module())
        vault = SdkVault(VAULT, token=Secret(SDK_TOKEN.encode()), timeout=PATIENCE)
        store = OnePasswordStore(vault, prefix="aws-vault", tag="aws-vault")
        yield NotedStore(store, NoteFile(folder / "notes.json"))


def security_environment(folder: Path) -> dict[str, str]:
    """Return an environment in which `security` is our stand-in for it."""
    program = folder / "bin" / "security"
    program.parent.mkdir()
    source, state = Path(fake_security.__file__), folder / "keychains.json"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I "{source}" "{state}" "$@"\n')
    program.chmod(0o755)
    return {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"}


@contextmanager
def keychain(folder: Path) -> Iterator[KeyStore]:
    store = KeychainStore("aws-vault", security_environment(folder))
    yield NotedStore(store, NoteFile(folder / "notes.json"))


class FakeCredentials:
    """The Windows Credential Manager in memory."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}

    def targets(self, prefix: str) -> Sequence[str]:
        return [target for target in self.blobs if target.startswith(prefix)]

    def read(self, target: str) -> bytes | None:
        return self.blobs.get(target)

    def write(self, target: str, blob: bytes) -> None:
        self.blobs[target] = blob

    def delete(self, target: str) -> bool:
        return self.blobs.pop(target, None) is not None


@contextmanager
def wincred(folder: Path) -> Iterator[KeyStore]:
    yield NotedStore(WinCredStore(FakeCredentials()), NoteFile(folder / "notes.json"))


WORLDS: Mapping[str, Callable[[Path], AbstractContextManager[KeyStore]]] = {
    "memory": memory,
    "file": file,
    "pass": pass_,
    "pass without a prefix": pass_without_prefix,
    "passage": passage,
    "passage itself": passage_program,
    "secret-service": secret_service,
    "kwallet": kwallet,
    "keyctl": keyctl,
    "op-connect": connect,
    "op": service_account,
    "keychain": keychain,
    "wincred": wincred,
}
