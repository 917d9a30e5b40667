"""Where a user's keys may lie already: stores of aws-vault, and files with plain text."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from privyseal.aws import choice
from privyseal.aws.choice import StoreOptions
from privyseal.aws.migrate import Origin, StoreOrigin
from privyseal.aws.ports import KeyStore
from privyseal.cli.aws.configedit import propose
from privyseal.cli.aws.files import config_file, credentials_file, text
from privyseal.cli.checkup import program_of
from privyseal.errors import CorruptError, NotFoundError, PrivysealError, UsageError
from privyseal.model.aws import AccessKey
from privyseal.model.clock import Clock
from privyseal.runtime.blockingbus import Bus
from privyseal.wire.aws import inifile
from privyseal.wire.aws.inifile import IniFile
from privyseal.wire.aws.vocabulary import profile_of, section_of

CREDENTIALS: Final = "credentials"
CONFIG: Final = "config"

_SECRETS: Final = "org.freedesktop.secrets"
_ID: Final = "aws_access_key_id"
_SECRET: Final = "aws_secret_access_key"  # noqa: S105 - the name of a setting
_TOKEN: Final = "aws_session_token"  # noqa: S105 - likewise


class FileOrigin:
    """The keys in a file of the AWS tools; of the configuration, those in sections of profiles."""

    def __init__(self, path: str, *, config: bool) -> None:
        self._path = path
        self._config = config
        self.description = f"the file {path}"

    def names(self) -> Sequence[str]:
        """Return the profiles that have a secret key."""
        found = inifile.parse(text(self._path)).sections()
        named = ((profile_of(s) if self._config else s, values) for s, values in found.items())
        return [name for name, values in named if name and values.get(_SECRET)]

    def read(self, name: str) -> AccessKey:
        """Return one key; a temporary one is none that could be kept."""
        values = inifile.parse(text(self._path)).sections().get(self._section(name), {})
        if not values.get(_SECRET) or not values.get(_ID):
            raise NotFoundError(f"{self.description} holds no whole key for {name!r}")
        if values.get(_TOKEN):
            raise CorruptError("it is temporary: it has a session token")
        return AccessKey(access_key_id=values[_ID], secret_access_key=values[_SECRET])

    def remove(self, name: str) -> None:
        """Take the key out of the file, and its section as well when nothing else is in it."""
        propose(self._path, lambda file: self._without(file, name)).write()

    def restore(self, name: str, key: AccessKey) -> None:
        """Put a key back."""
        values = {_ID: key.access_key_id, _SECRET: key.secret_access_key}
        propose(self._path, lambda file: file.with_values(self._section(name), values)).write()

    def _without(self, file: IniFile, name: str) -> IniFile:
        section = self._section(name)
        left = file.with_values(section, {_ID: None, _SECRET: None})
        return left if self._config or left.sections().get(section) else left.without(section)

    def _section(self, name: str) -> str:
        return section_of(name) if self._config else name


def origins(
    wanted: Sequence[str], options: StoreOptions, environment: Mapping[str, str], clock: Clock
) -> Iterator[Origin]:
    """Yield the places that were named, or without names all that there are here.

    Raises:
        UsageError: There is no place of a name.
    """
    known = (*choice.backends(), CREDENTIALS, CONFIG)
    for name in wanted:
        if name not in known:
            raise UsageError(f"there is no place {name!r}", hint=f"choose {', '.join(known)}")
    files = {CREDENTIALS: credentials_file(environment), CONFIG: config_file(environment)}
    for name in wanted or known:
        if name in files:
            if wanted or Path(files[name]).is_file():
                yield FileOrigin(files[name], config=name == CONFIG)
        elif wanted or _there(name, options, environment):
            yield StoreOrigin(opened(name, options, environment), clock)


def opened(backend: str, options: StoreOptions, environment: Mapping[str, str]) -> KeyStore:
    """Return a store by its name, with the options that all stores share."""
    return choice.open_store(options._replace(backend=backend), environment)


def _there(backend: str, options: StoreOptions, environment: Mapping[str, str]) -> bool:
    here = choice.settings(backend, options, environment)
    if backend == "file" and not here.path(here.options.file_dir).is_dir():
        return False
    if choice.absent(here):
        return False
    return backend != "secret-service" or not _serves_ours(environment)


def _serves_ours(environment: Mapping[str, str]) -> bool:
    """Return whether the Secret Service is our agent: behind it is the keeper, no other store."""
    try:
        with closing(Bus.open(environment.get("DBUS_SESSION_BUS_ADDRESS", ""))) as bus:
            _, words = program_of(int(bus.ask_bus("GetConnectionUnixProcessID", _SECRETS)))
    except PrivysealError:
        return False
    return "privyseal.agent" in words
