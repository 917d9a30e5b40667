"""A user with AWS profiles, keys in a file store, and a fake AWS to reach."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.fakes_aws.aws import FakeAws, fake_aws
from tests.fakes_aws.people import Key, User
from tests.waiting import PATIENCE

from privyseal.aws import items
from privyseal.aws.ports import Item
from privyseal.aws.stores.file import FileStore
from privyseal.model.aws import AccessKey
from privyseal.model.secret import Secret
from privyseal.runtime.clock import SystemClock

PASSPHRASE = "correct horse battery"
PROGRAMS = Path(sys.executable).parent


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    status: int
    out: str
    err: str


class Desk:
    """Runs `privy aws` and `aws-vault` as one user, in an environment of her own."""

    def __init__(self, folder: Path, aws: FakeAws) -> None:
        self.aws = aws
        self.folder = folder
        self.config = folder / "config"
        self.runtime = folder / "run"
        self.runtime.mkdir(mode=0o700)
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if name in {"LANG", "COVERAGE_PROCESS_CONFIG"}
        } | {
            "PATH": f"{PROGRAMS}:{os.environ['PATH']}",
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(self.runtime),
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={folder}/no-bus",
            "AWS_CONFIG_FILE": str(self.config),
            "AWS_VAULT_BACKEND": "file",
            "AWS_VAULT_FILE_DIR": str(folder / "keys"),
            "AWS_VAULT_FILE_PASSPHRASE": PASSPHRASE,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CLI_HISTORY_FILE": str(folder / "history"),
        }
        self.write("")

    def write(self, text: str) -> None:
        """Write the configuration file; `URL` stands for the fake AWS."""
        self.config.write_text(text.replace("URL", self.aws.url))

    def keep(self, name: str, key: Key) -> None:
        """Keep a long-lived key in the store."""
        store = FileStore(
            self.folder / "keys",
            lambda *, new: Secret(PASSPHRASE.encode()),
            SystemClock(),
            rounds=8192,
        )
        value = items.encode_access_key(
            AccessKey(access_key_id=key.access_key_id, secret_access_key=key.secret_access_key)
        )
        store.write(Item(name, Secret(value), f"aws-vault ({name})"))

    def user(self, profile: str = "dev", *, device: bool = False, **settings: str) -> User:
        """Make a user at AWS whose key is kept for a profile, and write its section."""
        user = self.aws.people.add_user(profile, device=device)
        self.keep(profile, user.key)
        self.section(f"profile {profile}", **settings)
        return user

    def section(self, name: str, **settings: str) -> None:
        """Add a section to the configuration file, in a region of the fake AWS."""
        lines = {"region": "eu-west-1", "endpoint_url": self.aws.url, **settings}
        text = "\n".join([f"[{name}]", *(f"{key} = {value}" for key, value in lines.items())])
        self.write(f"{self.config.read_text()}{text}\n\n")

    def privy(self, *words: str, env: Mapping[str, str] | None = None, value: str = "") -> Done:
        """Run `privy aws …` to its end."""
        return self.run("privy", "aws", *words, env=env, value=value)

    def vault(self, *words: str, env: Mapping[str, str] | None = None, value: str = "") -> Done:
        """Run `aws-vault …` to its end."""
        return self.run("aws-vault", *words, env=env, value=value)

    def run(self, *argv: str, env: Mapping[str, str] | None = None, value: str = "") -> Done:
        """Run a program to its end; an empty text in `env` takes a variable away."""
        with self.start(*argv, env=env) as process:
            try:
                out, err = process.communicate(value, timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return Done(process.returncode, out, err)

    def start(self, *argv: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start a program without a terminal."""
        variables = {**self.environment, **(env or {})}
        return subprocess.Popen(
            argv,
            env={name: text for name, text in variables.items() if text},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


@contextmanager
def desk(folder: Path) -> Iterator[Desk]:
    """Lend a desk for one test."""
    with fake_aws(SystemClock()) as aws:
        yield Desk(folder, aws)
