"""Which store keeps the keys when no keeper does: the one that was named, or the first that works.

aws-vault takes the first store that it was built with, works it or not: without a desktop that is a
kernel keyring in a scope that it never sets. Here each one is looked at, and says why it will not do.
"""

import hashlib
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Final, NamedTuple, Protocol, cast

from privyseal.aws.ports import KeyStore
from privyseal.errors import PrivysealError, UnsupportedError, UsageError
from privyseal.model.clock import Clock
from privyseal.model.secret import Secret
from privyseal.runtime.clock import SystemClock
from privyseal.wire.aws import durations

_HERE: Final = "privyseal.aws.stores"
_STORES: Final[Mapping[str, str]] = {
    "keychain": f"{_HERE}.keychain",
    "wincred": f"{_HERE}.wincred",
    "secret-service": f"{_HERE}.secretservice",
    "kwallet": f"{_HERE}.kwallet",
    "keyctl": f"{_HERE}.keyctl",
    "pass": f"{_HERE}.pass_",
    "passage": f"{_HERE}.passage",
    "op-connect": f"{_HERE}.opconnect",
    "op": f"{_HERE}.opsdk",
    "op-desktop": f"{_HERE}.opsdk",
    "file": f"{_HERE}.file",
}
"""By the names of aws-vault, in the order in which they are looked at; a file can always be."""

_LEFT_OUT: Final[Mapping[str, str]] = {
    "winhello": "its keys are wrapped by Windows Hello: export them with aws-vault",
    "proton-pass": "its interface is not documented: export its keys with aws-vault",
}
_DEFAULTS: Final[Mapping[str, str]] = {
    "keychain": "aws-vault",
    "secret_service_collection": "awsvault",
    "file_dir": "~/.awsvault/keys",
    "op_timeout": "15s",
    "op_item_title_prefix": "aws-vault",
    "op_item_tag": "aws-vault",
}
_VARIABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "keychain": ("AWS_VAULT_KEYCHAIN_NAME",),
    "secret_service_collection": ("AWS_VAULT_SECRET_SERVICE_COLLECTION_NAME",),
    "pass_dir": ("AWS_VAULT_PASS_PASSWORD_STORE_DIR",),
    "op_vault_id": ("AWS_VAULT_OP_VAULT_ID", "OP_VAULT_ID"),
    "op_connect_host": ("AWS_VAULT_OP_CONNECT_HOST", "OP_CONNECT_HOST"),
    "op_desktop_account_id": ("AWS_VAULT_OP_DESKTOP_ACCOUNT_ID", "OP_DESKTOP_ACCOUNT_ID"),
}
_DIGEST: Final = 12


class StoreOptions(NamedTuple):
    """What flags say about stores, "" where they say nothing."""

    backend: str = ""
    keychain: str = ""
    secret_service_collection: str = ""
    pass_dir: str = ""
    pass_cmd: str = ""
    pass_prefix: str = ""
    file_dir: str = ""
    op_timeout: str = ""
    op_vault_id: str = ""
    op_item_title_prefix: str = ""
    op_item_tag: str = ""
    op_connect_host: str = ""
    op_desktop_account_id: str = ""
    biometrics: str = ""

    def completed(self, environment: Mapping[str, str]) -> "StoreOptions":
        """Return them with what variables and defaults say where no flag does."""
        return StoreOptions(
            *(
                given or _from(name, environment) or _DEFAULTS.get(name, "")
                for name, given in self._asdict().items()
            )
        )


class Ask(Protocol):
    """Gets a secret word from the person at the terminal."""

    def __call__(self, prompt: str, *, new: bool = False) -> Secret:
        """Return what she typed, unseen; `new` when she chooses it now."""
        ...


class Settings(NamedTuple):
    """All that opening a store may need; its options are complete."""

    backend: str
    options: StoreOptions
    environment: Mapping[str, str]
    ask: Ask
    clock: Clock

    @property
    def home(self) -> Path:
        """The home of the user whose environment it is."""
        return Path(self.environment.get("HOME") or Path.home())

    def path(self, text: str) -> Path:
        """Return a path that was given, `~/` being the home."""
        return self.home / text.removeprefix("~/") if text.startswith("~/") else Path(text)

    def notes(self, place: str, *, kind: str = "notes") -> Path:
        """Return the file for notes on the entries of a store that keeps none itself."""
        state = self.environment.get("XDG_STATE_HOME", "")
        base = Path(state) if state.startswith("/") else self.home / ".local" / "state"
        name = hashlib.sha256(f"{self.backend}\0{place}".encode()).hexdigest()[:_DIGEST]
        return base / "privyseal" / "aws" / f"{self.backend}-{name}.{kind}.json"

    def token(self, *variables: str, prompt: str) -> Secret:
        """Return a secret from the first of these variables that is set, else from the person."""
        for variable in variables:
            if variable in self.environment:
                return Secret(self.environment[variable].encode(errors="surrogateescape"))
        return self.ask(prompt)

    def timeout(self) -> float:
        """Return how many seconds 1Password may take."""
        return durations.parse(self.options.op_timeout, "--op-timeout") or 1

    def needed(self, option: str) -> str:
        """Return the text of an option that this store cannot do without.

        Raises:
            UsageError: Neither flag nor variable gives it.
        """
        text = str(self.options._asdict()[option])
        if not text:
            flag = f"--{option.replace('_', '-')}"
            variable = _VARIABLES.get(option, (f"AWS_VAULT_{option.upper()}",))[0]
            raise UsageError(
                f"the store {self.backend!r} wants {flag}", hint=f"give {flag}, or set {variable}"
            )
        return text


class Choice(NamedTuple):
    """A store that was found, and for each that was passed over the reason."""

    backend: str
    store: KeyStore
    passed: Mapping[str, str]


class _Module(Protocol):
    """What the module of a store defines."""

    open_store: Callable[[Settings], KeyStore]
    absent: Callable[[Settings], str]
    """Returns why the store will not do unless it is named, "" when it will."""


def open_store(options: StoreOptions, environment: Mapping[str, str]) -> KeyStore:
    """Return the store that options and environment name, or the first that works here."""
    return choose(options, environment).store


def choose(
    options: StoreOptions,
    environment: Mapping[str, str],
    *,
    ask: Ask | None = None,
    clock: Clock | None = None,
) -> Choice:
    """Return the store that is named, or the first that works, with why the others do not.

    Raises:
        UsageError: There is no store of that name, or an option that it needs is missing.
        UnsupportedError: The store is one of aws-vault's that is not for us.
    """
    full = options.completed(environment)
    if full.backend:
        named = settings(full.backend, full, environment, ask=ask, clock=clock)
        return Choice(full.backend, _module(full.backend).open_store(named), {})
    passed: dict[str, str] = {}
    for backend in _STORES:
        here = settings(backend, full, environment, ask=ask, clock=clock)
        passed[backend] = absent(here)
        if not passed[backend]:
            del passed[backend]
            return Choice(backend, _module(backend).open_store(here), passed)
    raise PrivysealError("no store works here", hint="see `privy aws doctor`")


def settings(
    backend: str,
    options: StoreOptions,
    environment: Mapping[str, str],
    *,
    ask: Ask | None = None,
    clock: Clock | None = None,
) -> Settings:
    """Return what opening a store of this kind may need."""
    return Settings(
        backend,
        options.completed(environment),
        environment,
        ask or _terminal,
        clock or SystemClock(),
    )


def backends() -> tuple[str, ...]:
    """Return the names of the stores that there are."""
    return tuple(_STORES)


def absent(here: Settings) -> str:
    """Return why a store will not do unless it is named, "" when it will."""
    try:
        return _module(here.backend).absent(here)
    except PrivysealError as error:
        return str(error)


def _module(backend: str) -> _Module:
    if backend in _LEFT_OUT:
        raise UnsupportedError(f"the store {backend!r} is not supported: {_LEFT_OUT[backend]}")
    if backend not in _STORES:
        raise UsageError(
            f"there is no store {backend!r}", hint=f"choose keeper, {', '.join(_STORES)}"
        )
    # Each brings libraries of its own, and only one of them is wanted.
    return cast("_Module", import_module(_STORES[backend]))


def _from(option: str, environment: Mapping[str, str]) -> str:
    names = _VARIABLES.get(option, (f"AWS_VAULT_{option.upper()}",))
    return next((environment[name] for name in names if environment.get(name)), "")


def _terminal(prompt: str, *, new: bool = False) -> Secret:
    asking = import_module("privyseal.aws.asking")  # getpass costs time that most calls save
    return cast("Ask", asking.hidden)(prompt, new=new)
